"""Facts for reports.

Layout of `facts`, times in UTC: PartitionKey = `q~<day>`, RowKey = key(queue) ~ quarter of an hour ~ key(channel),
columns Queue, Channel, `M00` to `M14` the facts of its minutes as JSON, Total all of them together, Line the longest
line seen. PartitionKey = `w~<day>`, RowKey = key(worker) ~ hour ~ the hour in which it became known, columns Worker,
`M00` to `M59`, Total.
`d~...` are finished days (storage/days.py), `s~...` what candidates would have done (storage/shadows.py).
PartitionKey = `n`, RowKey = `minute`, column Value: a minute before which all are final.
PartitionKey = `m~<day>`, RowKey = minute, columns `L00`, ...: parts of a JSON object, by queue how many were served,
gave up, and were served within the threshold. So one query tells of now, however many queues there are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json

from router.engine.facts import Level, merged
from router.recent import Recent
from router.storage.history import remove_rows
from router.storage.keys import key
from router.storage.port import Condition, Entity, RowChanged, RowExists, Table

QUARTER: Final = timedelta(minutes=15)
_REMEMBERED: Final = 10_000
#: What a column holds, in characters, and what a row of such columns does.
_MOST_IN_COLUMN: Final = 30_000
_MOST_IN_ROW: Final = 400_000
#: How long it is told minute by minute over all queues.
_MINUTES_KEPT: Final = timedelta(days=1)
_AT_ONCE: Final = 32


@dataclass(frozen=True)
class Place:
    """A row: what it is of, and which of its columns names that."""

    partition: str
    row: str
    names: tuple[tuple[str, str], ...] = field(default=(), compare=False)


def quarter_of(at: datetime) -> datetime:
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def of_quarter(queue_id: str, channel_id: str, at: datetime) -> Place:
    start = quarter_of(at.astimezone(UTC))
    row = f"{key(queue_id)}~{start:%H%M}~{key(channel_id)}"
    return Place(f"q~{start:%Y%m%d}", row, (("Queue", queue_id), ("Channel", channel_id)))


def of_hour(worker_id: str, hour: datetime, known: datetime) -> Place:
    hour = hour.astimezone(UTC)
    row = f"{key(worker_id)}~{hour:%H}~{known.astimezone(UTC):%Y%m%d%H}"
    return Place(f"w~{hour:%Y%m%d}", row, (("Worker", worker_id),))


def of_minute(at: datetime) -> Place:
    """The row of a minute over all queues."""
    at = at.astimezone(UTC)
    return Place(f"m~{at:%Y%m%d}", f"{at:%H%M}")


def minute_columns(levels: Mapping[str, Level]) -> dict[str, str]:
    """The columns of such a row. Of more queues than fit those with the most jobs stay."""
    parts: list[str] = []
    size = 0
    for queue_id, one in sorted(levels.items(), key=lambda item: (-item[1].served - item[1].gone, item[0])):
        part = f"{json.dumps(queue_id)}:{json.dumps(one, separators=(',', ':'))}"
        size += len(part) + 1
        if size > _MOST_IN_ROW:
            break
        parts.append(part)
    text = "{" + ",".join(parts) + "}"
    pieces = [text[start : start + _MOST_IN_COLUMN] for start in range(0, len(text), _MOST_IN_COLUMN)]
    # An empty one ends them: what was there before may have been longer.
    return {f"L{number:02d}": piece for number, piece in enumerate([*pieces, ""])}


@dataclass(frozen=True)
class Counted:
    """Facts of one row: of a queue and channel, or of a worker, from a time on."""

    of: Mapping[str, str]
    start: datetime
    facts: Mapping[str, Any]


class FactStore:
    def __init__(self, table: Table) -> None:
        self._table = table
        #: Rows as they were read or written last, None for one that is not there.
        self._rows: Recent[Place, Entity] = Recent(_REMEMBERED)

    async def known(self, places: Sequence[Place]) -> bool:
        """Reads the rows that are not remembered. Whether all were: then what was read of the log after that may be
        written."""
        missing = [place for place in places if place not in self._rows]
        slots = asyncio.Semaphore(_AT_ONCE)

        async def read(place: Place) -> None:
            async with slots:
                found = await self._table.get(place.partition, place.row)
            self._rows[place] = found or Entity(place.partition, place.row, dict(place.names))

        await asyncio.gather(*(read(place) for place in missing))
        return not missing

    async def write(self, values: Mapping[Place, Mapping[str, str]]) -> bool:
        """Sets columns of rows that are known. Whether all are written: a row that somebody else has written since is
        not, and is to be counted again."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def put(place: Place, columns: Mapping[str, str]) -> bool:
            before = self._rows.get(place)
            if before is None:
                return False
            if all(before.columns.get(name) == text for name, text in columns.items()):
                return True
            after = replace(before, columns=_with_total({**before.columns, **columns}))
            self._rows.forget(place)
            try:
                async with slots:
                    version = await (self._table.replace if after.version else self._table.insert)(after)
            except (RowChanged, RowExists):
                return False
            self._rows[place] = replace(after, version=version)
            return True

        return all(await asyncio.gather(*(put(place, columns) for place, columns in values.items())))

    def longest(self, place: Place) -> int:
        """The longest line that is noted in a row that is known."""
        row = self._rows.get(place)
        return int(row.columns.get("Line") or 0) if row is not None else 0

    async def quarters(self, day: datetime, queue_id: str | None) -> list[Counted]:
        """What was counted of queues on a day, in UTC."""
        found: list[Counted] = []
        for one in await self._scan(f"q~{day:%Y%m%d}", queue_id, ["Queue", "Channel", "Total", "Line"]):
            time = one["RowKey"].split("~")[1]
            start = day.replace(hour=int(time[:2]), minute=int(time[2:]), second=0, microsecond=0)
            facts = _total(one)
            if one.get("Line"):
                facts = {**facts, "longestLine": int(one["Line"])}
            of = {"queueId": str(one["Queue"]), "channelId": str(one["Channel"])}
            found.append(Counted(of, start, facts))
        return found

    async def levels(self, since: datetime, until: datetime) -> tuple[dict[str, Level], int]:
        """By queue what its service level is made of, in the minutes that begin between these times (both included);
        and how many queries that took: one, two at midnight."""
        found: dict[str, Level] = {}
        reads = 0
        days = list(dict.fromkeys((f"{since:%Y%m%d}", f"{until:%Y%m%d}")))
        for day in days:
            where: list[Condition] = [("PartitionKey", "eq", f"m~{day}")]
            if day == days[0]:
                where.append(("RowKey", "ge", f"{since:%H%M}"))
            if day == days[-1]:
                where.append(("RowKey", "le", f"{until:%H%M}"))
            after: tuple[str, str] | None = None
            while True:
                page = await self._table.query(where, after=after)
                reads += 1
                for one in page.entities:
                    for queue_id, counts in json.loads(_text_of(one)).items():
                        before = found.get(queue_id, Level())
                        found[queue_id] = Level(*(map(sum, zip(before, counts, strict=True))))
                after = page.next
                if after is None:
                    break
        return found, reads

    async def hours(self, day: datetime, worker_id: str | None) -> list[Counted]:
        """What was counted of workers on a day, in UTC."""
        return [
            Counted(
                {"workerId": str(one["Worker"])},
                day.replace(hour=int(one["RowKey"].split("~")[1]), minute=0, second=0, microsecond=0),
                _total(one),
            )
            for one in await self._scan(f"w~{day:%Y%m%d}", worker_id, ["Worker", "Total"])
        ]

    async def oldest(self) -> datetime | None:
        """The first day of which anything is known of queues."""
        where: list[Condition] = [("PartitionKey", "gt", "q~"), ("PartitionKey", "lt", "q~~")]
        page = await self._table.query(where, limit=1, columns=[])
        if not page.entities:
            return None
        return datetime.strptime(page.entities[0].partition, "q~%Y%m%d").replace(tzinfo=UTC)

    async def mark(self, name: str) -> str:
        """What was noted under a name; empty if nothing was."""
        found = await self._table.get("n", name)
        return str(found.columns.get("Value") or "") if found else ""

    async def note(self, name: str, value: str) -> None:
        await self._table.upsert(Entity("n", name, {"Value": value}))

    async def forget_worker(self, worker_id: str, days: Sequence[datetime]) -> None:
        """Removes what was counted of a worker on these days."""
        for day in days:
            partition = f"w~{day:%Y%m%d}"
            rows = [one["RowKey"] for one in await self._scan(partition, worker_id, columns=[])]
            await remove_rows(self._table, partition, rows)
            for row in rows:
                self._rows.forget(Place(partition, row))

    async def forget_before(self, day: datetime, now: datetime, most: int) -> int:
        """Removes up to `most` rows of each kind of days before that one, and minutes that are told by themselves no
        longer. How many there were."""
        gone = 0
        ends = {
            **dict.fromkeys("qw", f"{day:%Y%m%d}"),
            **dict.fromkeys("ds", f"{day:%Y%m}"),
            "m": f"{now - _MINUTES_KEPT:%Y%m%d}",
        }
        for kind, end in ends.items():
            where: list[Condition] = [("PartitionKey", "gt", f"{kind}~"), ("PartitionKey", "lt", f"{kind}~{end}")]
            page = await self._table.query(where, limit=most, columns=[])
            by_partition: dict[str, list[str]] = {}
            for one in page.entities:
                by_partition.setdefault(one.partition, []).append(one.row)
            for partition, rows in by_partition.items():
                await remove_rows(self._table, partition, rows)
            gone += len(page.entities)
        return gone

    async def _scan(self, partition: str, id: str | None, columns: Sequence[str]) -> list[Mapping[str, Any]]:
        where: list[Condition] = [("PartitionKey", "eq", partition)]
        if id is not None:
            where += [("RowKey", "gt", f"{key(id)}~"), ("RowKey", "lt", f"{key(id)}~~")]
        found: list[Mapping[str, Any]] = []
        after: tuple[str, str] | None = None
        while True:
            page = await self._table.scan(where, after=after, columns=columns)
            found += page.rows
            after = page.next
            if after is None:
                return found


def _text_of(entity: Entity) -> str:
    """What the columns of a minute make together."""
    pieces: list[str] = []
    while piece := entity.columns.get(f"L{len(pieces):02d}"):
        pieces.append(str(piece))
    return "".join(pieces) or "{}"


def _with_total(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a row with what its minutes are together: written with them, so it is never of other ones."""
    minutes = [from_json(text) for name, text in columns.items() if len(name) == 3 and name[0] == "M"]
    return {**columns, "Total": json.dumps(merged(minutes), separators=(",", ":"))} if minutes else dict(columns)


def _total(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = from_json(row.get("Total") or "{}", cache_strings="keys")
    return found
