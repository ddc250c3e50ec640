"""How fast each queue's jobs have been assigned lately: what estimated waits are made of.

Layout: PartitionKey = key(queue), RowKey = number of the period, newest first ~ instance; columns Assigned (jobs that
had waited and were assigned in the period), Busy (when they waited: merged times, JSON), Answered (seconds from their
offers to the acceptances), Classes (as Assigned and Busy, the latter up to the offer, by what the jobs needed, and
which classes the workers who took them could take: JSON), Told and Held (jobs that were told a wait "less than N
minutes", and those for which it held). Each process counts in memory and writes its row of the period now
and then; what a crash loses only makes an estimate a little worse."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from router.clock import Clock
from router.engine.expected_wait import Rank, Span, merged
from router.storage.counted import PERIOD, ClassCount, Count, Counted, Enough, Throughput, start
from router.storage.job_classes import REST, JobClass, JobClasses
from router.storage.keys import SEPARATOR, descending, key
from router.storage.port import Condition, Entity, Table

#: How far back the latest assignments go at most, and those that tell rates where nothing has changed since.
LATELY: Final = timedelta(hours=12)
WINDOW: Final = timedelta(hours=24)
#: A process writes at most once in this time.
WRITE_EVERY: Final = timedelta(seconds=10)
#: A job that is offered this soon has not waited: a worker was free.
AT_ONCE: Final = timedelta(seconds=1)
#: For so long it is kept how often "less than N minutes" held.
KEPT: Final = timedelta(hours=24)
_PAGE: Final = 100
_MOST_PAGES: Final = 5
_HELD_LIVES: Final = timedelta(minutes=1)
_LARGEST_COLUMN: Final = 30_000


@dataclass(frozen=True)
class Held:
    """Of jobs that were told a wait "less than N minutes" and were assigned since: how many, and for how many it
    held."""

    told: int
    held: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What an assigned job asked for and how it ranked, and the worker who took it."""

    asked: JobClass
    rank: Rank
    channels: frozenset[str]
    labels: Mapping[str, Any]


class ThroughputStore:
    def __init__(self, table: Table, clock: Clock, instance: str) -> None:
        self._table = table
        self._clock = clock
        self._instance = key(instance)
        self._counts: dict[tuple[str, int], Count] = {}
        self._write_after: datetime | None = None
        self._known: dict[str, JobClasses] = {}
        self._held: dict[str, tuple[datetime, Held]] = {}

    def assigned(
        self,
        queue_id: str,
        enqueued_at: datetime,
        offered_at: datetime,
        now: datetime,
        taken: Taken | None = None,
    ) -> bool:
        """A job of the queue that waited since `enqueued_at` has been assigned. True when it is time to `write`."""
        name = self._classes(queue_id).name(taken.asked, now) if taken is not None else REST
        if offered_at - enqueued_at <= AT_ONCE:
            return False
        count = self._counts.setdefault((queue_id, _period(now)), Count())
        count.assigned += 1
        count.busy = merged([*count.busy, (enqueued_at, now)])
        count.answered += (now - offered_at).total_seconds()
        if taken is not None:
            serves = self._classes(queue_id).served_by(taken.channels, taken.labels) | {name}
            # What it waited for after that was an answer, and no worker.
            count.take((enqueued_at, offered_at), name, taken.rank, serves)
        return self._changed(count, now)

    def judged(self, queue_id: str, held: bool, now: datetime) -> bool:
        """A job that was told a wait has been assigned, within it or not. True when it is time to `write`."""
        count = self._counts.setdefault((queue_id, _period(now)), Count())
        count.told += 1
        count.held += held
        return self._changed(count, now)

    def _classes(self, queue_id: str) -> JobClasses:
        return self._known.setdefault(queue_id, JobClasses())

    def _changed(self, count: Count, now: datetime) -> bool:
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

    async def recent(self, queue_id: str, asked: JobClass | None = None) -> Throughput:
        """As much of the last hours as tells a rate; of what is `asked` too, if it can be had."""
        counted = await self.counted(queue_id, [asked] if asked is not None else [])
        return counted.of(asked.name if asked is not None else None)

    async def counted(self, queue_id: str, asked: Iterable[JobClass] = ()) -> Counted:
        """What tells the rates of all that is `asked`, read newest first."""
        now = self._clock.now()
        oldest, lately = _period(now - WINDOW), _period(now - LATELY)
        names: set[str | None] = {one.name for one in asked} or {None}
        found = {period: [one.copy() for one in counts] for period, counts in self._own(queue_id, oldest).items()}
        own = {self._row(period) for period in found}
        where: list[Condition] = [("PartitionKey", "eq", key(queue_id)), ("RowKey", "lt", descending(oldest - 1))]
        after: tuple[str, str] | None = None
        enough, period = Enough(names), -1
        for counts in found.values():
            for count in counts:
                enough.add(count)
        counted = Counted(found, start(oldest), start(lately))
        for _ in range(_MOST_PAGES):
            page = await self._table.query(where, limit=_PAGE, after=after)
            for entity in page.entities:
                if entity.row in own:
                    continue
                if _period_of(entity.row) != period and enough:
                    return counted  # the rows of a period belong together
                period = _period_of(entity.row)
                count = self._read(queue_id, entity)
                found.setdefault(period, []).append(count)
                enough.add(count)
            after = page.next
            if after is None:
                break
        return counted

    async def held(self, queue_id: str) -> Held:
        """How often "less than N minutes" held in the last 24 hours; read once a minute."""
        now = self._clock.now()
        known = self._held.get(queue_id)
        if known is not None and now - known[0] < _HELD_LIVES:
            return known[1]
        found = await self._read_held(queue_id, now)
        self._held[queue_id] = (now, found)
        return found

    async def _read_held(self, queue_id: str, now: datetime) -> Held:
        oldest = _period(now - KEPT)
        counts = self._own(queue_id, oldest)
        own = {self._row(period) for period in counts}
        told = sum(one.told for found in counts.values() for one in found)
        held = sum(one.held for found in counts.values() for one in found)
        where: list[Condition] = [("PartitionKey", "eq", key(queue_id)), ("RowKey", "lt", descending(oldest - 1))]
        after: tuple[str, str] | None = None
        while True:
            page = await self._table.query(where, after=after, columns=["Told", "Held"])
            for entity in page.entities:
                if entity.row not in own:
                    told += int(entity.columns.get("Told") or 0)
                    held += int(entity.columns.get("Held") or 0)
            after = page.next
            if after is None:
                return Held(told, held)

    def _own(self, queue_id: str, oldest: int) -> dict[int, list[Count]]:
        return {
            period: [count]
            for (counted, period), count in self._counts.items()
            if counted == queue_id and period >= oldest
        }

    def _read(self, queue_id: str, entity: Entity) -> Count:
        count, classes = _parse(entity)
        self._classes(queue_id).learn(classes, self._clock.now())
        return count

    async def _remove_old(self, queue_id: str, current: int) -> None:
        oldest = current - int(KEPT / PERIOD)
        where: list[Condition] = [("PartitionKey", "eq", key(queue_id)), ("RowKey", "gt", descending(oldest - 1))]
        page = await self._table.query(where, limit=100, columns=["Assigned"])
        for entity in page.entities:
            await self._table.delete(entity.partition, entity.row)

    def _row(self, period: int) -> str:
        return f"{descending(period)}{SEPARATOR}{self._instance}"

    def _entity(self, queue_id: str, period: int, count: Count) -> Entity:
        columns: dict[str, Any] = {
            "Assigned": count.assigned,
            "Busy": _spans_out(count.busy),
            "Answered": round(count.answered, 3),
        }
        if count.classes:
            names = sorted(count.classes.keys() | {name for serves in count.pools for name in serves})
            spec = self._classes(queue_id).spec
            classes = {
                "names": names,
                "specs": [spec(name) for name in names],
                "assigned": [
                    [[*rank, number] for rank, number in sorted(count.classes[name].assigned.items())]
                    if name in count.classes
                    else []
                    for name in names
                ],
                "busy": [_seconds(count.classes[name].busy) if name in count.classes else [] for name in names],
                "pools": [[[names.index(name) for name in sorted(one)], n] for one, n in count.pools.items()],
            }
            text = json.dumps(classes, separators=(",", ":"))
            if len(text) > _LARGEST_COLUMN:  # other processes learn of these classes when they meet them
                text = json.dumps(classes | {"specs": [None] * len(names)}, separators=(",", ":"))
            if len(text) <= _LARGEST_COLUMN:
                columns["Classes"] = text
        if count.told:
            columns |= {"Told": count.told, "Held": count.held}
        return Entity(key(queue_id), self._row(period), columns)


def _period(moment: datetime) -> int:
    return int(moment.timestamp() // PERIOD.total_seconds())


def _period_of(row: str) -> int:
    number = int(row.partition(SEPARATOR)[0])
    return int(descending(0)) - number


def _parse(entity: Entity) -> tuple[Count, dict[str, Any]]:
    """What a row has counted, and what the classes that it names ask for."""
    columns = entity.columns
    count = Count(int(columns["Assigned"]), _spans_in(json.loads(columns["Busy"])))
    count.answered = float(columns.get("Answered") or 0.0)
    text = columns.get("Classes")
    if not text:
        return count, {}
    found = json.loads(str(text))
    names: list[str] = found["names"]
    for name, ranks, busy in zip(names, found["assigned"], found["busy"], strict=True):
        if ranks:
            count.classes[name] = ClassCount({(one[0], one[1]): one[2] for one in ranks}, _spans_in(busy))
    count.pools = {frozenset(names[at] for at in serves): number for serves, number in found["pools"]}
    return count, dict(zip(names, found["specs"], strict=True))


def _spans_in(spans: Iterable[Sequence[float]]) -> list[Span]:
    return [(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)) for start, end in spans]


def _spans_out(spans: Iterable[Span]) -> str:
    return json.dumps(_seconds(spans), separators=(",", ":"))


def _seconds(spans: Iterable[Span]) -> list[list[float]]:
    return [[round(moment.timestamp(), 3) for moment in span] for span in spans]
