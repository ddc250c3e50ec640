"""Finished days of queues, as reports show them.

Layout, in the table `facts`: PartitionKey = `d~<month>~<key(zone)>~<layout>`, RowKey = key(queue) ~ key(channel),
columns Queue, Channel, `D01` to `D31`: the text of a day (engine/columns.py). A year is twelve rows of each queue and
channel. PartitionKey = `n`, RowKey = `day~<key(zone)>~<layout>`, column Value: the last day that is added up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from router.engine.columns import LAYOUT
from router.storage.keys import key
from router.storage.port import Condition, Entity, RowChanged, RowExists, Table

_AT_ONCE: Final = 32


@dataclass(frozen=True)
class Month:
    """A month's days of one queue and channel, as texts by their number."""

    queue_id: str
    channel_id: str
    days: Mapping[int, str]


class DayStore:
    """Of one time zone."""

    def __init__(self, table: Table, zone: str) -> None:
        self._table = table
        self._zone = f"{key(zone)}~{LAYOUT}"

    async def month(self, day: date, queue_id: str | None) -> list[Month]:
        """The month of that day."""
        where: list[Condition] = [("PartitionKey", "eq", self._partition(day))]
        if queue_id is not None:
            where += [("RowKey", "gt", f"{key(queue_id)}~"), ("RowKey", "lt", f"{key(queue_id)}~~")]
        found: list[Month] = []
        after: tuple[str, str] | None = None
        while True:
            page = await self._table.scan(where, after=after)
            for row in page.rows:
                days = {int(name[1:]): text for name, text in row.items() if text and len(name) == 3 and name[0] == "D"}
                found.append(Month(str(row["Queue"]), str(row["Channel"]), days))
            after = page.next
            if after is None:
                return found

    async def rows(self, day: date) -> dict[tuple[str, str], Entity]:
        """The rows that have the days of that month, by queue and channel, under the versions to write them with."""
        found: dict[tuple[str, str], Entity] = {}
        after: tuple[str, str] | None = None
        while True:
            page = await self._table.query([("PartitionKey", "eq", self._partition(day))], after=after)
            found |= {(str(one.columns["Queue"]), str(one.columns["Channel"])): one for one in page.entities}
            after = page.next
            if after is None:
                return found

    async def write(
        self, day: date, texts: Mapping[tuple[str, str], str], rows: Mapping[tuple[str, str], Entity]
    ) -> bool:
        """Sets the day in rows that were read before what it is made of was. Whether all are written: a row that
        somebody else has written since is not, and the day is to be added up again."""
        slots = asyncio.Semaphore(_AT_ONCE)
        column = f"D{day.day:02d}"

        async def put(of: tuple[str, str], text: str) -> bool:
            before = rows.get(of)
            if before is None:
                columns = {"Queue": of[0], "Channel": of[1]}
                before = Entity(self._partition(day), f"{key(of[0])}~{key(of[1])}", columns)
            if before.columns.get(column) == text:
                return True
            after = replace(before, columns={**before.columns, column: text})
            try:
                async with slots:
                    await (self._table.replace if after.version else self._table.insert)(after)
            except (RowChanged, RowExists):
                return False
            return True

        return all(await asyncio.gather(*(put(of, text) for of, text in texts.items())))

    async def done(self) -> date | None:
        """The last day that is added up, and all before it."""
        found = await self._table.get("n", f"day~{self._zone}")
        return date.fromisoformat(str(found.columns["Value"])) if found is not None else None

    async def finish(self, day: date) -> None:
        await self._table.upsert(Entity("n", f"day~{self._zone}", {"Value": day.isoformat()}))

    def _partition(self, day: date) -> str:
        return f"d~{day:%Y%m}~{self._zone}"


def months(first: date, last: date) -> Sequence[date]:
    """The first day of each month that these days are in."""
    found: list[date] = []
    month = first.replace(day=1)
    while month <= last:
        found.append(month)
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return found
