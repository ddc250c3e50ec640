"""Storage has written, and its answer does not arrive: what was written is looked up, never guessed."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from router.models.jobs import JobRecord, JobRouting, RouterJob
from router.outages import Surroundings
from router.storage import azure
from router.storage.aggregates import AggregateStore
from router.storage.azure import AzureTables
from router.storage.jobs import job_store
from router.storage.port import StorageUnavailable
from router.storage.truth_rows import Row

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Proxy:
    """Between a client and storage; of so many answers to writes (`reads_too`: to all) none is handed on."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.swallows = 0
        self.swallowed = 0
        self.closes = True
        self.reads_too = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self._to)
        writes = False

        async def forth() -> None:
            nonlocal writes
            while data := await reader.read(65536):
                if b" HTTP/1.1\r\n" in data:
                    writes = data.split(b" ", 1)[0] in (b"PUT", b"POST", b"PATCH", b"MERGE")
                ours.write(data)

        async def back() -> None:
            while data := await theirs.read(65536):
                if (writes or self.reads_too) and self.swallows:
                    self.swallows -= 1
                    self.swallowed += 1
                    if self.closes:
                        return
                    continue
                writer.write(data)

        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            done = {asyncio.create_task(forth()), asyncio.create_task(back())}
            await asyncio.wait(done, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.cancel()
        for one in (ours, writer):
            one.close()


Storage = tuple[Proxy, AggregateStore[JobRecord], Surroundings]


@pytest.fixture
async def storage(azurite: str) -> AsyncIterator[Storage]:
    settings = dict(pair.split("=", 1) for pair in azurite.strip(";").split(";"))
    address = urlsplit(settings["TableEndpoint"])
    assert address.port is not None
    proxy = Proxy(address.port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    around = Surroundings()
    through = azurite.replace(f":{address.port}/", f":{port}/")
    tables = AzureTables.from_connection_string(through, f"t{uuid.uuid4().hex[:12]}", around=around)
    await asyncio.wait_for(tables.ready(), 30)
    yield proxy, job_store(tables.table("jobs")), around
    await tables.close()
    server.close()


def record(priority: int) -> JobRecord:
    job: dict[str, Any] = {"id": "j", "channelId": "voice", "queueId": "q", "priority": priority, "status": "queued"}
    routing = JobRouting(created_at=NOW)
    return JobRecord(job=RouterJob.model_validate(job), routing=routing, etag=f"e{priority}", modified=NOW)


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "silent"])
async def test_a_write_whose_answer_was_lost_is_looked_up(storage: Storage, closes: bool) -> None:
    proxy, store, _ = storage
    first = await store.save(Row("j", record(1)), "commit-1")
    proxy.swallows, proxy.closes = 1, closes
    second = await store.save(replace(first, record=record(2)), "commit-2")
    assert proxy.swallowed == 1
    found = await store.load("j")
    assert (found.commit, found.version) == ("commit-2", second.version)
    assert found.record is not None
    assert found.record.job.priority == 2
    third = await store.save(replace(second, record=record(3)), "commit-3")
    assert third.version != second.version


async def test_an_insert_whose_answer_was_lost_is_looked_up(storage: Storage) -> None:
    proxy, store, _ = storage
    proxy.swallows = 1
    saved = await store.save(Row("j", record(1)), "commit-1")
    assert proxy.swallowed == 1
    assert (await store.load("j")).version == saved.version


async def test_where_storage_cannot_be_asked_nothing_is_claimed(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure, "LONGEST_SECONDS", 2.0)
    proxy, store, around = storage
    first = await store.save(Row("j", record(1)), "commit-1")
    proxy.swallows, proxy.closes, proxy.reads_too = 1000, False, True
    began = asyncio.get_running_loop().time()
    with pytest.raises(StorageUnavailable) as failed:
        await store.save(replace(first, record=record(2)), "commit-2")
    assert timedelta(seconds=asyncio.get_running_loop().time() - began) < timedelta(seconds=10)
    assert failed.value.told
    assert around.storage.seconds is not None
    proxy.swallows = 0
    assert (await store.load("j")).commit == "commit-2", "it was written all the same"
