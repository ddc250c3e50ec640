"""How fast each queue's jobs have been assigned lately: what estimated waits are made of.

Layout: PartitionKey = key(queue), RowKey = number of the period, newest first ~ instance; columns Assigned (jobs that
had waited and were assigned in the period), Busy (when they waited: merged times, JSON). Each process counts in memory
and writes its row of the period now and then; what a crash loses only makes an estimate a little worse."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from router.clock import Clock
from router.storage.keys import SEPARATOR, descending, key
from router.storage.port import Condition, Entity, Table

#: How far back "recent" goes at most, and how many assignments are enough to tell a rate.
WINDOW: Final = timedelta(hours=12)
ENOUGH: Final = 120
PERIOD: Final = timedelta(minutes=5)
#: A process writes at most once in this time.
WRITE_EVERY: Final = timedelta(seconds=10)
#: A job that is offered this soon has not waited: a worker was free.
AT_ONCE: Final = timedelta(seconds=1)
_PAGE: Final = 100
_MOST_PAGES: Final = 5

#: When jobs waited: from, to.
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Throughput:
    """Recent assignments of jobs that had waited, and the times, in order and apart, in which they waited."""

    assigned: int
    busy: list[Span]


@dataclass
class _Count:
    """What this process has counted of one queue in one period."""

    assigned: int = 0
    busy: list[Span] = field(default_factory=list)
    written: bool = True


class ThroughputStore:
    def __init__(self, table: Table, clock: Clock, instance: str) -> None:
        self._table = table
        self._clock = clock
        self._instance = key(instance)
        self._counts: dict[tuple[str, int], _Count] = {}
        self._write_after: datetime | None = None

    def assigned(self, queue_id: str, enqueued_at: datetime, offered_at: datetime, now: datetime) -> bool:
        """A job of the queue that waited since `enqueued_at` has been assigned. True when it is time to `write`."""
        if offered_at - enqueued_at <= AT_ONCE:
            return False
        count = self._counts.setdefault((queue_id, _period(now)), _Count())
        count.assigned += 1
        count.busy = _merged([*count.busy, (enqueued_at, now)])
        count.written = False
        if self._write_after is not None and now < self._write_after:
            return False
        self._write_after = now + WRITE_EVERY
        return True

    async def write(self) -> None:
        """Writes what has been counted since the last time, and removes rows that are too old to be read."""
        current = _period(self._clock.now())
        for (queue_id, period), count in list(self._counts.items()):
            if not count.written:
                count.written = True
                try:
                    await self._table.upsert(self._entity(queue_id, period, count))
                except BaseException:
                    count.written = False
                    raise
            if period < current and count.written:
                del self._counts[queue_id, period]
                await self._remove_old(queue_id, current)

    async def recent(self, queue_id: str) -> Throughput:
        """As much of the last hours as tells a rate, newest first."""
        now = self._clock.now()
        oldest = _period(now - WINDOW)
        found: dict[int, list[_Count]] = {}
        for (counted, period), count in self._counts.items():
            if counted == queue_id and period >= oldest:
                found.setdefault(period, []).append(count)
        own = {self._row(period) for period in found}
        known = sum(count.assigned for counts in found.values() for count in counts)
        where: list[Condition] = [("PartitionKey", "eq", key(queue_id)), ("RowKey", "lt", descending(oldest - 1))]
        after: tuple[str, str] | None = None
        for _ in range(_MOST_PAGES):
            page = await self._table.query(where, limit=_PAGE, after=after)
            for entity in page.entities:
                if entity.row not in own:
                    count = _parse(entity)
                    known += count.assigned
                    found.setdefault(_period_of(entity.row), []).append(count)
            after = page.next
            if after is None or known >= ENOUGH:
                break
        return _latest(found, _start(oldest))

    async def _remove_old(self, queue_id: str, current: int) -> None:
        oldest = current - int(WINDOW / PERIOD)
        where: list[Condition] = [("PartitionKey", "eq", key(queue_id)), ("RowKey", "gt", descending(oldest - 1))]
        page = await self._table.query(where, limit=100, columns=["Assigned"])
        for entity in page.entities:
            await self._table.delete(entity.partition, entity.row)

    def _row(self, period: int) -> str:
        return f"{descending(period)}{SEPARATOR}{self._instance}"

    def _entity(self, queue_id: str, period: int, count: _Count) -> Entity:
        busy = [[round(moment.timestamp(), 3) for moment in span] for span in count.busy]
        columns = {"Assigned": count.assigned, "Busy": json.dumps(busy, separators=(",", ":"))}
        return Entity(key(queue_id), self._row(period), columns)


def _latest(found: Mapping[int, Sequence[_Count]], oldest: datetime) -> Throughput:
    """What the latest periods tell that together have enough assignments, or else all."""
    assigned, since = 0, oldest
    spans: list[Span] = []
    for period in sorted(found, reverse=True):
        assigned += sum(count.assigned for count in found[period])
        spans += [span for count in found[period] for span in count.busy]
        if assigned >= ENOUGH:
            since = _start(period)
            break
    return Throughput(assigned, _merged((max(start, since), end) for start, end in spans if end > since))


def _period(moment: datetime) -> int:
    return int(moment.timestamp() // PERIOD.total_seconds())


def _start(period: int) -> datetime:
    return datetime.fromtimestamp(period * PERIOD.total_seconds(), UTC)


def _period_of(row: str) -> int:
    number = int(row.partition(SEPARATOR)[0])
    return int(descending(0)) - number


def _parse(entity: Entity) -> _Count:
    busy = [
        (datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))
        for start, end in json.loads(entity.columns["Busy"])
    ]
    return _Count(int(entity.columns["Assigned"]), busy)


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
