"""How fast each queue's jobs have been assigned lately: what estimated waits are made of.

Layout: PartitionKey = key(queue), RowKey = start of the period ~ instance; columns Assigned (jobs assigned out of a
waiting queue), Busy (seconds of the period in which jobs waited). Each process counts in memory and adds a row now
and then; what a crash loses only makes an estimate a little worse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.clock import Clock
from router.storage.keys import key, time_key
from router.storage.port import Entity, Table

#: How far back "recent" goes.
WINDOW: Final = timedelta(minutes=30)


@dataclass(frozen=True)
class Throughput:
    """Assignments of a queue in the recent window, and the seconds of waiting they relate to."""

    assigned: int
    busy_seconds: float


class ThroughputStore:
    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._busy: dict[str, float] = {}
        self._last: dict[str, datetime] = {}

    def assigned(self, queue_id: str, enqueued_at: datetime, now: datetime) -> None:
        """A job of the queue that waited since `enqueued_at` has been assigned. The queue was busy at least from
        then, or from the assignment before it."""
        before = self._last.get(queue_id)
        since = enqueued_at if before is None else max(enqueued_at, before)
        self._last[queue_id] = now
        self._counts[queue_id] = self._counts.get(queue_id, 0) + 1
        self._busy[queue_id] = self._busy.get(queue_id, 0.0) + max((now - since).total_seconds(), 0.0)

    async def flush(self, instance: str) -> None:
        """Writes what has been counted since the last time."""
        counts, self._counts = self._counts, {}
        busy, self._busy = self._busy, {}
        now = self._clock.now()
        for queue_id, assigned in counts.items():
            columns = {"Assigned": assigned, "Busy": busy.get(queue_id, 0.0)}
            await self._table.upsert(Entity(key(queue_id), f"{time_key(now)}~{key(instance)}", columns))

    async def recent(self, queue_id: str) -> Throughput:
        since = self._clock.now() - WINDOW
        assigned, busy = self._counts.get(queue_id, 0), self._busy.get(queue_id, 0.0)
        for entity in await self._rows(queue_id, since):
            assigned += int(entity.columns["Assigned"])
            busy += float(entity.columns["Busy"])
        return Throughput(assigned, busy)

    async def _rows(self, queue_id: str, since: datetime) -> Sequence[Entity]:
        page = await self._table.query([("PartitionKey", "eq", key(queue_id)), ("RowKey", "ge", time_key(since))])
        return page.entities
