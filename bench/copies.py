"""Many jobs and workers in little time: one of a kind is made by the API, and its rows are written again under other
ids, as the services write them. What only deletions and reconciliation need is left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from bench.pace import comes_true
from bench.stage import Stage
from router.clock import SystemClock
from router.engine.candidates import available
from router.engine.service_order import standing
from router.models.jobs import JobRecord, JobStatus
from router.models.workers import WorkerRecord
from router.storage.aggregates import AggregateStore
from router.storage.availability import AvailabilityStore, Move
from router.storage.azure import AzureTables
from router.storage.backlog import BacklogStore
from router.storage.jobs import job_store
from router.storage.listing import ListingStore
from router.storage.truth_rows import Row
from router.storage.workers import WorkerStore

_AT_ONCE: Final = 16
_PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Copies:
    """Of what stands in the storage of a router."""

    scene: Stage
    jobs: AggregateStore[JobRecord]
    workers: AggregateStore[WorkerRecord]
    backlog: BacklogStore
    availability: AvailabilityStore
    listing: ListingStore

    async def waiting(self, body: dict[str, Any], ids: Iterable[str]) -> None:
        """Jobs that wait, the first of them made by the API."""
        first, *others = ids
        row = await self._made(f"/routing/jobs/{first}", body, self.jobs, first, _waits)
        record = row.record
        assert record is not None

        async def write(id: str) -> None:
            copy = record.model_copy(update={"job": record.job.model_copy(update={"id": id})})
            where = standing(copy)
            assert where is not None
            await self.jobs.save(Row(id, copy), id)
            await self.backlog.put(copy, where, datetime.now(UTC))
            await self.listing.add("job", id, copy.created_at)

        await _all(write, others)

    async def available(self, body: dict[str, Any], ids: Iterable[str]) -> None:
        """Workers who can take something, the first of them made by the API."""
        first, *others = ids
        row = await self._made(f"/routing/workers/{first}", body, self.workers, first, _is_free)
        record = row.record
        assert record is not None

        async def write(id: str) -> None:
            copy = record.model_copy(update={"worker": record.worker.model_copy(update={"id": id})})
            await self.workers.save(Row(id, copy), id)
            await self.availability.move([Move(None, available(copy))])
            await self.listing.add("worker", id, copy.created_at)

        await _all(write, others)

    async def _made(
        self, path: str, body: dict[str, Any], store: AggregateStore[Any], id: str, rests: Callable[[Any], bool]
    ) -> Row[Any]:
        """What was made of it once it rests, without what follows from its commits."""
        await self.scene.put(path, body)
        found: list[Row[Any]] = []

        async def resting() -> bool:
            row = await store.load(id)
            found[:] = [row]
            return rests(row.record)

        assert await comes_true(resting, _PATIENCE_SECONDS), f"{path} does not come to rest"
        return replace(found[0], version="")


def _waits(record: JobRecord) -> bool:
    return record.status is JobStatus.QUEUED


def _is_free(record: WorkerRecord) -> bool:
    return available(record) is not None


async def _all(write: Callable[[str], Awaitable[None]], ids: Iterable[str]) -> None:
    left = iter(ids)

    async def some() -> None:
        for id in left:
            await write(id)

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


@asynccontextmanager
async def copies(scene: Stage) -> AsyncIterator[Copies]:
    tables = AzureTables.from_connection_string(scene.parts.tables_connection_string)
    table = tables.table
    try:
        yield Copies(
            scene,
            job_store(table("jobs")),
            WorkerStore(table("workers")),
            BacklogStore(table("backlog")),
            AvailabilityStore(table("availability")),
            ListingStore(table("listing"), SystemClock()),
        )
    finally:
        await tables.close()
