"""Counting what has happened, for reports: minute by minute, from the log.

A minute is counted as a whole, and what is counted replaces what was counted before: so nothing counts twice, whoever
counts it and however often. The last minutes are counted again and again; a minute for which an entry has come later
has a mark (storage/deadlines.py). It is noted until when all are final: whoever counts after a time in which nobody
did begins there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json

from router.commit.parts import Parts
from router.engine import facts
from router.engine.facts import Facts, Level, Thresholds
from router.models.history import Entry, entry_key, minute_of, minute_time
from router.offload import off_loop_if
from router.storage.deadlines import LATE, LATE_AFTER, SHARDS
from router.storage.facts import Place, minute_columns, of_hour, of_minute, of_quarter
from router.upkeep.days import DayAdder
from router.upkeep.looks import Looks

_EVERY: Final = timedelta(seconds=15)
_MINUTE: Final = timedelta(minutes=1)
#: Facts are kept for more than 13 months.
_KEPT: Final = timedelta(days=410)
_TIDIED_EVERY: Final = timedelta(minutes=1)
_TIDIED_AT_ONCE: Final = 1000
#: Queues whose line is looked at, and how far.
_MOST_QUEUES: Final = 200
_LONGEST: Final = 10_000
#: Minutes that are counted each time: until nothing can come for them without a mark.
_RECENT: Final = int(LATE_AFTER / _MINUTE) + 2
#: What has been noted of the minutes that are final, and after how long somebody else may know more.
_FINAL: Final = "minute"
_WHILE: Final = timedelta(minutes=5)
#: Minutes that are made up for at a time.
_MOST_LEFT: Final = 240
#: Entries of a minute that are counted at once; more hold the event loop for too long.
_FEW: Final = 100
#: When an entry was made, and what it tells.
_Told = tuple[datetime, dict[str, Any]]


class FactCounter:
    """Counts, as one process does it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._looks = Looks(parts, _EVERY, "count for reports", "Reports are counted")
        self._tidied: datetime | None = None
        self._position: tuple[str, str] | None = None
        #: Minutes that could not be written.
        self._again: set[str] = set()
        #: All minutes before this one are counted, and nothing comes for them without a mark.
        self._final = ""
        self._days = DayAdder(parts)

    def refresh(self) -> None:
        """Begins to count if it is time; nobody waits for that. A failure is told and costs one count."""
        self._looks.begin(self._look)

    async def _look(self, now: datetime) -> None:
        await self.count(now)
        await self._look_at_lines(now)
        if self._tidied is None or now - self._tidied >= _TIDIED_EVERY:
            self._tidied = now
            await self.tidy(now)

    async def count(self, now: datetime) -> None:
        """Counts the last minutes, those that nobody has counted to their end, and those for which something has come
        late. Raises StorageUnavailable."""
        marks = [
            mark for found in await asyncio.gather(*map(self._parts.deadlines.late, range(SHARDS))) for mark in found
        ]
        oldest = minute_of(now - timedelta(days=max(self._parts.history_days - 1, 0)))
        late = {mark.row.removeprefix(LATE) for mark in marks}
        recent = [minute_of(now - number * _MINUTE) for number in range(_RECENT)]
        left, more = await self._left(max(await self._begin(now), oldest), min(recent))
        for minute in sorted({*left, *recent, *self._again, *late}):
            if minute < oldest:
                self._again.discard(minute)
                continue  # its log may be gone already
            if await self.count_minute(minute):
                self._again.discard(minute)
            else:
                self._again.add(minute)
        await self._note(min([left[-1] if more else min(recent), *self._again]))
        if await self._days.add(minute_time(self._final), [minute_time(one) for one in late - self._again]):
            for mark in marks:
                if mark.row.removeprefix(LATE) not in self._again:
                    await self._parts.deadlines.unmark(mark)

    async def _begin(self, now: datetime) -> str:
        """The minute before which all are final. Whoever has not counted for a while reads how far others have come."""
        if self._final < minute_of(now - _WHILE):
            self._final = max(self._final, await self._parts.facts.mark(_FINAL))
        return self._final or minute_of(now)

    async def _left(self, since: str, until: str) -> tuple[list[str], bool]:
        """The first minutes that are to be counted after a time in which nobody did, and whether there are more."""
        if since >= until:
            return [], False
        found = await asyncio.gather(
            *(self._parts.deadlines.log_minutes(shard, since, until) for shard in range(SHARDS))
        )
        minutes = sorted(set().union(*found))
        return minutes[:_MOST_LEFT], len(minutes) > _MOST_LEFT

    async def _note(self, final: str) -> None:
        if final > self._final:
            self._final = final
            await self._parts.facts.note(_FINAL, final)

    async def count_minute(self, minute: str) -> bool:
        """Whether it is counted; else somebody else has counted meanwhile."""
        for _ in range(3):
            values = await self._values(minute)
            if await self._parts.facts.known(list(values)):
                return await self._parts.facts.write(values)
        return False

    async def _values(self, minute: str) -> dict[Place, dict[str, str]]:
        found = await asyncio.gather(
            *(self._parts.deadlines.log_rows(shard, minute, f"{minute}~") for shard in range(SHARDS))
        )
        entries = sorted((entry for shard in found for _, entry in shard), key=lambda entry: entry.key)
        many = len(entries) > _FEW
        told = await off_loop_if(many, _told, entries)
        thresholds = await self._thresholds(dict.fromkeys(one.get("queueId") for _, one in told))
        return await off_loop_if(many, _counted, minute, told, thresholds)

    async def _thresholds(self, queue_ids: Iterable[str | None]) -> dict[str, Thresholds]:
        return {queue_id: await thresholds_of(self._parts, queue_id) for queue_id in queue_ids if queue_id}

    async def _look_at_lines(self, now: datetime) -> None:
        """How long the lines are: the longest that was seen is kept."""
        for queue_id in await self._parts.resources.newest("Queue", _MOST_QUEUES):
            lengths: dict[str, int] = {}
            async for one in self._parts.backlog.all(queue_id):
                lengths[one.channel_id] = lengths.get(one.channel_id, 0) + 1
                if sum(lengths.values()) >= _LONGEST:
                    break
            for channel_id, length in lengths.items():
                place = of_quarter(queue_id, channel_id, now)
                await self._parts.facts.known([place])
                if length > self._parts.facts.longest(place):
                    await self._parts.facts.write({place: {"Line": f"{length}"}})

    async def tidy(self, now: datetime) -> None:
        """Removes what is older than it is to be kept, some at a time. Raises StorageUnavailable."""
        before = entry_key(now - timedelta(days=self._parts.history_days), "")
        for shard in range(SHARDS):
            await self._parts.deadlines.forget_log(shard, before, _TIDIED_AT_ONCE)
        old, self._position = await self._parts.history.partitions(_TIDIED_AT_ONCE, self._position, before)
        for partition, rows in old.items():
            await self._parts.history.remove(partition, rows)
        await self._parts.facts.forget_before(now - _KEPT, now, _TIDIED_AT_ONCE)


async def thresholds_of(parts: Parts, queue_id: str) -> Thresholds:
    """What counts as served well in a queue: its labels say so, or else the settings."""
    queue = await parts.resources.cached("Queue", queue_id)
    return parts.thresholds.of_queue(queue.document.get("labels") if queue is not None else None)


def _told(entries: Iterable[Entry]) -> list[_Told]:
    return [(entry.at, from_json(entry.text)) for entry in entries]


def _counted(minute: str, told: Sequence[_Told], thresholds: Mapping[str, Thresholds]) -> dict[Place, dict[str, str]]:
    places: dict[Place, list[Facts]] = {}
    for at, one in told:
        for (queue_id, channel_id), counted in facts.of_queues(one, at, thresholds).items():
            places.setdefault(of_quarter(queue_id, channel_id, at), []).append(counted)
        for (worker_id, hour), counted in facts.of_workers(one, at).items():
            places.setdefault(of_hour(worker_id, hour, at), []).append(counted)
    totals = {place: facts.merged(some) for place, some in places.items()}
    values = {place: {_column(place, minute): _json(one)} for place, one in totals.items()}
    levels = _levels(totals)
    if levels:
        values[of_minute(told[0][0])] = minute_columns(levels)
    return values


def _levels(counted: Mapping[Place, Facts]) -> dict[str, Level]:
    """By queue, its channels together."""
    found: dict[str, Level] = {}
    for place, one in counted.items():
        queue_id, level = dict(place.names).get("Queue"), facts.level_of(one)
        if queue_id is not None and level != Level():
            found[queue_id] = Level(*map(sum, zip(found.get(queue_id, Level()), level, strict=True)))
    return found


def _column(place: Place, minute: str) -> str:
    number = int(minute[-2:])
    return f"M{number % 15 if place.partition.startswith('q~') else number:02d}"


def _json(value: Facts) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
