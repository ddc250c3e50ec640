"""Who matches a queue's jobs and workers at the moment: one process a queue at a time.

Layout: PartitionKey = shard, RowKey = key(queue); columns Queue, Holder (none: free), Until, Workers and Jobs (those
whose capacity the holder is about to reserve, and those whose rows in the line it is about to write; JSON, in pieces).
A hold ends by itself at `Until`: whoever takes it over then looks after these first."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pydantic_core import from_json, to_json

from router.models.types import format_time, parse_time
from router.storage.documents import read_document, write_document
from router.storage.keys import key, time_key
from router.storage.port import Condition, Entity, RowChanged, RowExists, Table

_SHARDS: Final = 4
_FREE: Final = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """The row of a queue as it was read or written."""

    queue_id: str
    holder: str = _FREE
    until: datetime | None = None
    workers: Sequence[str] = ()
    jobs: Sequence[str] = ()
    version: str = ""

    def is_held(self, now: datetime) -> bool:
        return self.holder != _FREE and self.until is not None and self.until > now


class RoundStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def load(self, queue_id: str) -> Hold:
        """The queue's row; one without version if there is none."""
        entity = await self._table.get(_partition(queue_id), key(queue_id))
        return _hold(entity) if entity else Hold(queue_id)

    async def take(
        self, seen: Hold, holder: str, until: datetime, workers: Sequence[str] = (), jobs: Sequence[str] = ()
    ) -> Hold:
        """Takes or renews the hold, if the row is as it was seen. Raises RowChanged."""
        return await self._write(replace(seen, holder=holder, until=until, workers=tuple(workers), jobs=tuple(jobs)))

    async def release(self, held: Hold) -> Hold:
        """Gives the hold back. Raises RowChanged: somebody has taken it over."""
        return await self._write(replace(held, holder=_FREE, until=None, workers=(), jobs=()))

    async def overdue(self, now: datetime) -> list[Hold]:
        """Holds whose time is over, and which nobody has given back or taken over: their holders stand still or are
        gone."""
        where: list[Condition] = [("Until", "lt", time_key(now))]
        found: list[Hold] = []
        after: tuple[str, str] | None = None
        while True:
            page = await self._table.query(where, after=after)
            found += [_hold(entity) for entity in page.entities]
            after = page.next
            if after is None:
                return found

    async def _write(self, hold: Hold) -> Hold:
        columns: dict[str, Any] = {"Queue": hold.queue_id, "Holder": hold.holder}
        if hold.until is not None:
            # Two forms: one that sorts as text, for the query, and one that is read.
            columns |= {"Until": time_key(hold.until), "UntilTime": format_time(hold.until)}
        for column, ids in (("Workers", hold.workers), ("Jobs", hold.jobs)):
            if ids:
                columns |= write_document(column, to_json(list(ids)).decode())
        entity = Entity(_partition(hold.queue_id), key(hold.queue_id), columns, hold.version)
        try:
            version = await (self._table.replace(entity) if hold.version else self._table.insert(entity))
        except RowExists as error:
            raise RowChanged from error
        return replace(hold, version=version)


def _hold(entity: Entity) -> Hold:
    columns = entity.columns
    until = columns.get("UntilTime")
    return Hold(
        str(columns["Queue"]),
        str(columns["Holder"]),
        parse_time(until) if until else None,
        _ids(columns, "Workers"),
        _ids(columns, "Jobs"),
        entity.version,
    )


def _ids(columns: Mapping[str, Any], column: str) -> tuple[str, ...]:
    # In one column where an earlier version of the router wrote it.
    return tuple(from_json(read_document(column, columns) or str(columns.get(column) or "[]")))


def _partition(queue_id: str) -> str:
    return f"{zlib.crc32(queue_id.encode('utf-8', 'surrogatepass')) % _SHARDS:02d}"
