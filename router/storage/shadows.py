"""What candidates for distribution policies would have done, day by day.

Layout, in the table `facts`: PartitionKey = `s~<month>`, RowKey = key(queue) ~ when the day begins, in UTC; columns
Queue, Begins, Text (JSON). PartitionKey = `n`, RowKey = `shadows~key(zone)`, columns Day, Done, Until: the last day
that somebody has looked at, whether that is done, and until when nobody else need try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Final

from pydantic_core import from_json

from router.models.types import format_time, parse_time
from router.storage.days import months
from router.storage.keys import key
from router.storage.port import Condition, Entity, RowChanged, RowExists, Table

#: Of a row's text, in characters.
LARGEST: Final = 30_000


class ShadowStore:
    def __init__(self, table: Table, zone: str) -> None:
        self._table = table
        self._mark = Entity("n", f"shadows~{key(zone)}", {})

    async def claim(self, day: date, now: datetime, until: datetime) -> bool | None:
        """Whether the day is the caller's to do until then; None where nobody need look at it any more."""
        found = await self._table.get(self._mark.partition, self._mark.row)
        wanted = {"Day": day.isoformat(), "Done": "", "Until": format_time(until)}
        try:
            if found is None:
                await self._table.insert(replace(self._mark, columns=wanted))
                return True
            if str(found.columns["Day"]) >= day.isoformat():
                if found.columns.get("Done"):
                    return None
                if parse_time(str(found.columns["Until"])) > now:
                    return False
            await self._table.replace(replace(found, columns=wanted))
        except (RowChanged, RowExists):
            return False
        return True

    async def finish(self, day: date) -> None:
        await self._table.upsert(replace(self._mark, columns={"Day": day.isoformat(), "Done": "yes", "Until": ""}))

    async def write(self, queue_id: str, begins: datetime, text: str) -> None:
        begins = begins.astimezone(UTC)
        columns = {"Queue": queue_id, "Begins": format_time(begins), "Text": text}
        await self._table.upsert(Entity(f"s~{begins:%Y%m}", f"{key(queue_id)}~{begins:%Y%m%dT%H%M}", columns))

    async def of(self, since: datetime, until: datetime, queue_id: str | None) -> Sequence[Mapping[str, Any]]:
        """Of days that begin in a span, in their order."""
        found: list[tuple[datetime, str, Mapping[str, Any]]] = []
        for month in months(since.astimezone(UTC).date(), until.astimezone(UTC).date()):
            where: list[Condition] = [("PartitionKey", "eq", f"s~{month:%Y%m}")]
            if queue_id is not None:
                where += [("RowKey", "gt", f"{key(queue_id)}~"), ("RowKey", "lt", f"{key(queue_id)}~~")]
            after: tuple[str, str] | None = None
            while True:
                page = await self._table.scan(where, after=after)
                for row in page.rows:
                    begins = parse_time(str(row["Begins"]))
                    if since <= begins < until:
                        found.append((begins, str(row["Queue"]), from_json(str(row["Text"]))))
                after = page.next
                if after is None:
                    break
        return [one for _, _, one in sorted(found, key=lambda one: one[:2])]
