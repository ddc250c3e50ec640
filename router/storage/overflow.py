"""Outbox overflow: rows beside a truth row that hold the events for which it has no room.

Layout: RowKey = key(id)~out~<time>~<commit>, and `~<number>` where one row cannot hold it. The truth row's `Overflow`
names these rows, a few of them: when there are more, the first row that it names has the names of those before it as
`Earlier`, and so on, so that neither the row nor who reads it grows with an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from router.models.events import PendingEvent
from router.models.sizes import LARGEST_ROW
from router.offload import by_size
from router.storage.documents import read_document, write_document
from router.storage.keys import key, time_key
from router.storage.port import Entity, Table, Write
from router.storage.truth_rows import OUTBOX, Row

#: Characters of an outbox that one row of overflow holds: each may count as six (models/sizes.py).
_PIECE: Final = LARGEST_ROW // 6


class Overflow:
    """The overflow of one table's truth rows."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def events(self, row: Row[Any]) -> list[PendingEvent]:
        """The events of the overflow rows that the row names, oldest first."""
        events: list[PendingEvent] = []
        entities = await asyncio.gather(*(self._table.get(key(row.id), name) for name in row.overflow))
        text = ""
        for entity in entities:
            if entity is None:
                text = ""
                continue
            text += read_document("Out", entity.columns)
            if not entity.columns.get("GoesOn"):
                events.extend(await by_size(len(text), OUTBOX.validate_json, text))
                text = ""
        return events

    async def parts(self, row: Row[Any]) -> AsyncIterator[tuple[list[PendingEvent], list[str]]]:
        """All events of the overflow, oldest first, and the rows that hold them: a row of storage at a time. Those that
        are out may be dropped as it goes."""
        links = [link async for link in self._links(row)]
        for link in reversed(links):
            text, names = "", list[str]()
            for name in link:
                names.append(name)
                entity = await self._table.get(key(row.id), name)
                text = text + read_document("Out", entity.columns) if entity is not None else ""
                if text and not (entity is not None and entity.columns.get("GoesOn")):
                    yield await by_size(len(text), OUTBOX.validate_json, text), names
                    text, names = "", []

    async def drop_part(self, row: Row[Any], names: Sequence[str]) -> None:
        """Removes overflow rows whose events are out, the last one first: half of it is never read as a whole."""
        for name in reversed(names):
            await self._table.delete(key(row.id), name)

    async def drop(self, row: Row[Any]) -> None:
        async for link in self._links(row):
            await asyncio.gather(*(self._table.delete(key(row.id), name) for name in link))

    async def _links(self, row: Row[Any]) -> AsyncIterator[Sequence[str]]:
        """The names of the overflow rows, the latest ones first."""
        names, has_earlier = row.overflow, row.has_earlier
        while names:
            entity = await self._table.get(key(row.id), names[0]) if has_earlier else None
            yield names
            # Without it: it has been sent, and all that were before it.
            names = tuple(str(entity.columns.get("Earlier") or "").split("\n")) if entity is not None else ()
            names = names if names != ("",) else ()
            has_earlier = entity is not None and bool(entity.columns.get("HasEarlier"))


def spill(row: Row[Any], outbox: str, earlier: Sequence[str]) -> list[Write]:
    """The rows that take the outbox of a truth row. `earlier`: those that this one names no more."""
    first = row.outbox[0]
    name = f"{key(row.id)}~out~{time_key(first.time)}~{row.commit}"
    pieces = [outbox[start : start + _PIECE] for start in range(0, len(outbox), _PIECE)]
    writes = []
    for number, piece in enumerate(pieces):
        columns: dict[str, Any] = {"Kind": "outbox", **write_document("Out", piece, limit=LARGEST_ROW)}
        if number + 1 < len(pieces):
            columns["GoesOn"] = True
        if earlier and not number:
            columns["Earlier"] = "\n".join(earlier)
            columns["HasEarlier"] = row.has_earlier
        row_key = f"{name}~{number:03d}" if number else name
        writes.append(Write("upsert", Entity(key(row.id), row_key, columns)))
    return writes
