"""What histories and reports tell is the same after a router's tables were saved and restored, and so is what is counted
after that."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableServiceClient

from router.clock import SystemClock
from router.commit.parts import Parts
from router.ids import Ids
from router.models.history import Entry, entry_key
from router.models.jobs import CloseJobOptions, CompleteJobOptions
from router.storage.azure import AzureTables
from router.storage.deadlines import LogRow
from router.upkeep.facts import FactCounter
from router.upkeep.procedures import PROCEDURES
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import reports, timelines
from router.usecases.reports import Asked
from router.usecases.timelines import Span
from scripts import backup
from tests.azurite import running_azurite
from tests.eventually import eventually_async
from tests.memory_router import Process, Rules, Tables


@pytest.fixture
def connection_string(tmp_path: Path) -> Iterator[str]:
    with running_azurite(tmp_path) as text:
        yield text


@asynccontextmanager
async def router(connection_string: str, prefix: str) -> AsyncIterator[Process]:
    tables = AzureTables.from_connection_string(connection_string, prefix)
    await tables.ready()
    process = Process(Tables())
    process.parts = Parts(tables, SystemClock(), Ids(random.Random(prefix)), process.topic, Rules(), PROCEDURES)
    try:
        yield process
    finally:
        await process.parts.background.drain(5)
        await tables.close()


async def told(parts: Parts, asked: Asked) -> dict[str, Any]:
    entries, _ = await timelines.of_all(parts, Span(), 1000, None)
    changes, _ = await timelines.of_settings(parts, Span(), None, None, 1000, None)
    job, _ = await timelines.of_a_job(parts, "j", 100, None)
    worker, _ = await timelines.of_a_worker(parts, "w", Span(), 100, None)
    by_day = Asked(asked.since, asked.until, "1d", UTC)
    return {
        "entries": entries,
        "changes": changes,
        "job": job,
        "worker": worker,
        "quarters": reports.documents(await reports.of_queues(parts, asked, None), asked),
        "days": reports.documents(await reports.of_queues(parts, by_day, None), by_day),
    }


async def logged(parts: Parts, at: datetime, number: int) -> None:
    """An entry that has come late, with its mark."""
    event = {"eventType": "Microsoft.Communication.RouterWorkerOfferIssued", "eventId": f"e{number}", "workerId": "w"}
    one = {"jobId": f"old{number}", "queueId": "q", "channelId": "voice", "events": [event]}
    actor = {"kind": "router", "name": "router"}
    entry = Entry(entry_key(at, f"e{number}"), json.dumps({**one, "actor": actor, "what": {}}))
    await parts.deadlines.log([LogRow("job", f"old{number}", entry)], parts.clock.now())


async def test_histories_and_reports_are_the_same_after_a_restore(connection_string: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    yesterday = now.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    asked = Asked(yesterday.replace(hour=0), now + timedelta(hours=1), "15m", UTC)
    async with router(connection_string, "one") as one:
        await one.queue()
        await one.worker("w")
        await one.job("j")

        async def offered() -> str | None:
            offers = (await one.read_worker("w")).worker.offers
            return offers[0].offer_id if offers else None

        _, assignment = await offer_usecases.accept(one.parts, "w", await eventually_async(offered, "the offer"))
        await job_usecases.complete(one.parts, "j", assignment, CompleteJobOptions())
        await job_usecases.close(one.parts, "j", assignment, CloseJobOptions())

        async def all_logged() -> bool:
            entries, _ = await timelines.of_all(one.parts, Span(), 1000, None)
            job, _ = await timelines.of_a_job(one.parts, "j", 100, None)
            worker, _ = await timelines.of_a_worker(one.parts, "w", Span(), 100, None)
            ids = {entry["eventId"] for entry in (*job, *worker)}
            return len(job) == 5 and ids == {entry["eventId"] for entry in entries}

        await eventually_async(all_logged, "all is in the log", 90, pause=1)
        await logged(one.parts, yesterday, 1)
        await FactCounter(one.parts).count(one.parts.clock.now())
        assert await one.parts.days.done() == yesterday.date()
        await logged(one.parts, yesterday, 2)  # nobody has counted it when the copy is made
        before = await told(one.parts, asked)
        with TableServiceClient.from_connection_string(connection_string) as service:
            backup.save(service, "one", tmp_path / "copy")
            backup.restore(service, "two", tmp_path / "copy")
        async with router(connection_string, "two") as two:
            assert await told(two.parts, asked) == before
            for parts in (one.parts, two.parts):
                await FactCounter(parts).count(parts.clock.now())
            after = await told(two.parts, asked)
            assert after == await told(one.parts, asked)
    offered_on = [row["offered"] for row in before["days"]]
    assert [row["offered"] for row in after["days"]] == [offered_on[0] + 1, *offered_on[1:]] == [2, 1]
