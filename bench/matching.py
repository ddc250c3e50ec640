"""Distribution as teams and queues grow: the services in this process, on Azurite."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figures import Figure, heading, table
from bench.stage import stage
from router.clock import SystemClock
from router.commit import worker as worker_commits
from router.commit.loop import Committed
from router.commit.parts import Parts
from router.engine import workers as worker_engine
from router.engine.service_order import standing
from router.ids import Ids
from router.models.events import PendingEvent
from router.models.jobs import JobRecord, JobRouting, JobStatus, RouterJob, RouterJobInput
from router.models.workers import RouterChannel, RouterWorkerInput
from router.storage.azure import AzureTables
from router.storage.truth_rows import Row
from router.upkeep.procedures import PROCEDURES
from router.usecases import jobs as job_usecases
from router.usecases import settings as setting_usecases
from router.usecases import workers as worker_usecases

_TIMES = 30
#: Before the first that counts, of each.
_NOT_COUNTED = 3
_CHANNEL = RouterChannel(channel_id="voice", capacity_cost_per_job=1)


class _NoTopic:
    """Events are dropped: what they would wake is called by the measurement itself."""

    async def publish(self, events: Sequence[PendingEvent], *, key: str) -> None:
        return


async def run() -> None:
    async with stage() as scene:
        tables = AzureTables.from_connection_string(scene.parts.tables_connection_string, f"b{time.time_ns()}")
        await tables.ready()
        try:
            # Commits ask for no rounds here: the measurement does.
            parts = Parts(tables, SystemClock(), Ids(), _NoTopic(), None, PROCEDURES, drives=False)  # type: ignore[arg-type]
            await _teams(parts)
            await _backlogs(parts)
            await parts.background.drain(30)
        finally:
            await tables.close()


async def _teams(parts: Parts) -> None:
    heading("A job finds a worker among 100 and among 10,000 (wanted: longestIdle and roundRobin at most 2.0 times)")
    for mode in ("longestIdle", "roundRobin", "bestWorker"):
        small, large = f"{mode}100", f"{mode}{1_000 if mode == 'bestWorker' else 10_000}"
        await _queue(parts, small, mode)
        await _queue(parts, large, mode)
        await _fill_team(parts, small, 100)
        alone = Figure(f"{mode}, 100 workers, the large team not there yet", await _offers(parts, small, _TIMES))
        await _fill_team(parts, large, int(large.removeprefix(mode)))
        few, many = await _in_turn(lambda queue: _offers(parts, queue, 1), small, large)
        figures = [Figure(f"{mode}, 100 workers", few), Figure(f"{mode}, {large.removeprefix(mode)} workers", many)]
        table([*figures, alone], figures[0].p50, "the small team")


async def _backlogs(parts: Parts) -> None:
    for size in (0, 10_000):
        await _queue(parts, f"backlog{size}", "longestIdle")
        await _fill_backlog(parts, f"backlog{size}", size)
    empty, long = await _in_turn(lambda queue: _arrives(parts, queue), "backlog0", "backlog10000")
    heading("A new job comes to a queue (wanted: at most 1.3 times)")
    new = [Figure("0 jobs ahead, nobody free", empty), Figure("10000 jobs ahead, nobody free", long)]
    table(new, new[0].p50, "empty queue")
    short, long = await _in_turn(lambda queue: _finds(parts, queue), "backlog0", "backlog10000")
    heading("A worker becomes free and finds its job (wanted: at most 1.5 times)")
    freed = [Figure("few jobs waiting", short), Figure("10000 jobs waiting", long)]
    table(freed, freed[0].p50, "short queue")


async def _in_turn(
    measure: Callable[[str], Awaitable[list[float]]], one: str, other: str
) -> tuple[list[float], list[float]]:
    """Both queues by turns, so that nothing but their size makes them differ: not the hour, nor what else is stored."""
    taken: dict[str, list[float]] = {one: [], other: []}
    for _ in range(_TIMES + _NOT_COUNTED):
        for queue in (one, other):
            taken[queue] += await measure(queue)
    return taken[one][_NOT_COUNTED:], taken[other][_NOT_COUNTED:]


async def _offers(parts: Parts, queue: str, times: int) -> list[float]:
    """Milliseconds until a new job is offered, each."""
    taken = []
    for _ in range(times):
        job_id = await _submit(parts, queue)
        started = time.perf_counter()
        await parts.rounds.ask([queue], sure=True)
        taken.append((time.perf_counter() - started) * 1000)
        after = await parts.jobs.store.load(job_id)
        assert after.record is not None
        assert after.record.routing.offers, f"{queue}: not offered"
    return taken


async def _arrives(parts: Parts, queue: str) -> list[float]:
    await _submit(parts, queue)
    started = time.perf_counter()
    await parts.rounds.ask([queue], sure=True)
    return [(time.perf_counter() - started) * 1000]


async def _finds(parts: Parts, queue: str) -> list[float]:
    worker_id = f"{queue}-agent-{uuid.uuid4()}"
    await worker_usecases.upsert(parts, worker_id, lambda _: _worker(queue), lambda etag, modified: None)
    started = time.perf_counter()
    await parts.rounds.ask([queue], sure=True)
    taken = (time.perf_counter() - started) * 1000
    row = await parts.workers.store.load(worker_id)
    assert row.record is not None
    assert row.record.worker.offers, f"{queue}: no offer"
    return [taken]


async def _queue(parts: Parts, queue: str, mode: str) -> None:
    policy: dict[str, Any] = {"offerExpiresAfterSeconds": 3600, "mode": {"kind": mode}}
    check = lambda etag, modified: None  # noqa: E731
    await setting_usecases.upsert(parts, "DistributionPolicy", queue, lambda _: policy, check)
    await setting_usecases.upsert(parts, "Queue", queue, lambda _: {"distributionPolicyId": queue}, check)


async def _submit(parts: Parts, queue: str) -> str:
    job_id = f"{queue}-{uuid.uuid4()}"
    wanted = RouterJobInput(channel_id="voice", queue_id=queue, labels={"skill": 5})
    await job_usecases.upsert(parts, job_id, lambda _: wanted, lambda etag, modified: None)
    return job_id


def _worker(queue: str) -> RouterWorkerInput:
    labels = {"skill": random.randint(1, 10), "site": "north"}
    return RouterWorkerInput(queues=[queue], capacity=1, channels=[_CHANNEL], available_for_offers=True, labels=labels)


async def _fill_team(parts: Parts, queue: str, size: int) -> None:
    """Rows of workers as the services write them, without their events."""
    slots = asyncio.Semaphore(40)
    since = datetime.now(UTC) - timedelta(hours=1)

    async def one(number: int) -> None:
        worker_id = f"{queue}-{number:05}"
        change = worker_engine.create(worker_id, _worker(queue), since + timedelta(milliseconds=number), {})
        assert change.record is not None
        async with slots:
            row = Row(worker_id, change.record.model_copy(update={"etag": "e"}))
            saved = await parts.workers.store.save(row, worker_id)
            await worker_commits.index(parts, Committed(Row(worker_id), saved))

    await asyncio.gather(*(one(number) for number in range(size)))


async def _fill_backlog(parts: Parts, queue: str, size: int) -> None:
    slots = asyncio.Semaphore(40)
    since = datetime.now(UTC) - timedelta(hours=5)

    async def one(number: int) -> None:
        enqueued = since + timedelta(seconds=number)
        job = RouterJob(
            id=f"{queue}-w{number:05}",
            channel_id="voice",
            queue_id=queue,
            status=JobStatus.QUEUED,
            enqueued_at=enqueued,
        )
        record = JobRecord(job=job, routing=JobRouting(created_at=enqueued), etag="e", modified=enqueued)
        where = standing(record)
        assert where is not None
        async with slots:
            await parts.jobs.store.save(Row(job.id, record), job.id)
            await parts.backlog.put(record, where, since)

    await asyncio.gather(*(one(number) for number in range(size)))
