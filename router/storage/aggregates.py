"""Jobs and workers as they are read and written: one row each, under its version (truth_rows.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Generic

from router.clock import Clock
from router.models.sizes import LARGEST_ROW, units
from router.offload import by_size
from router.recent import Recent
from router.storage.keys import key
from router.storage.overflow import Overflow, spill
from router.storage.port import Entity, RowChanged, RowExists, StorageUnavailable, Table, Write
from router.storage.record_pages import RecordPages
from router.storage.transactions import LARGEST_OF_A_TRANSACTION, LARGEST_TRANSACTION, wire_bytes
from router.storage.truth_rows import (
    OUTBOX,
    Form,
    Overtaken,
    R,
    Row,
    document_of,
    history_size,
    history_units,
    weight_of,
)

#: The version of a row that somebody has written again before its version was known: no row has it.
_SUPERSEDED: Final = "W/\"datetime'2000-01-01T00%3A00%3A00.0000000Z'\""
#: Rows that are remembered as this process wrote them.
_REMEMBERED: Final = 2_000
#: UTF-16 units of their JSON, all together: a record takes some times that in memory.
_LARGEST_REMEMBERED: Final = 8_000_000
#: How long a write whose answer was lost is looked up: whoever waits for it has waited already.
_LOOKS_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Made(Generic[R]):
    """A row as it is written: itself, with its overflow beside it. `together`: a transaction takes them."""

    row: Row[R]
    entity: Entity
    spill: list[Write]
    together: bool


class AggregateStore(Generic[R]):
    """The truth rows of one kind."""

    def __init__(
        self,
        table: Table,
        kind: str,
        model: type[R],
        columns: Callable[[R], Mapping[str, Any]],
        clock: Clock | None = None,
    ) -> None:
        """`clock`: rows tell when they were written."""
        self._clock = clock
        self._table = table
        self.kind = kind
        self._form: Form[R] = Form(kind, model, columns)
        self.overflow = Overflow(table)
        self.pages: RecordPages[R] = RecordPages(table, self._form)
        self._written: Recent[str, Row[R]] = Recent(
            _REMEMBERED, size=lambda row: row.size, most_size=_LARGEST_REMEMBERED
        )
        #: Size of events. A longer outbox moves to a row of its own, so that a truth row always has room.
        self.outbox_limit = 60_000
        #: Overflow rows that a truth row names before it leaves them to the next one.
        self.most_named = 16

    def as_written(self, id: str) -> Row[R] | None:
        """The row as this process wrote it last, if it did so lately. Another may have written it since: good for a
        conditional write, never for an answer."""
        return self._written.get(id)

    async def load(self, id: str) -> Row[R]:
        """The row of that id; one without version if there is none."""
        entity = await self._table.get(key(id), key(id))
        return await by_size(entity.characters, self._form.row, id, entity) if entity else Row(id)

    async def save(self, row: Row[R], commit: str) -> Row[R]:
        """Writes the row under the version it was read with (none: it must be new). Raises Overtaken,
        TooLarge. A write whose answer was lost counts as done when the row carries `commit`."""
        self._written.forget(row.id)
        row = replace(row, commit=commit)
        saved = await self._save(row, await by_size(weight_of(row), self._made, row, self._now()))
        self._written[row.id] = saved
        return saved

    def _now(self) -> datetime | None:
        return self._clock.now() if self._clock is not None else None

    def _made(self, row: Row[R], now: datetime | None) -> _Made[R]:
        outbox = OUTBOX.dump_json(list(row.outbox), by_alias=True).decode() if row.outbox else ""
        document = document_of(row)
        beside: list[Write] = []
        room = LARGEST_ROW - history_units(row.history)
        if outbox and (size := units(outbox)) and (size > self.outbox_limit or size + units(document) > room):
            earlier = row.overflow if len(row.overflow) >= self.most_named else ()
            beside = spill(row, outbox, earlier)
            names: tuple[str, ...] = tuple(write.entity.row for write in beside)
            if earlier:
                row = replace(row, outbox=(), overflow=names, has_earlier=True)
            else:
                row = replace(row, outbox=(), overflow=(*row.overflow, *names))
            outbox = ""
        row = replace(row, size=len(document) + len(outbox) + history_size(row))
        entity = self._form.entity(row, outbox, document, now)
        sizes = [wire_bytes(one) for one in (*(write.entity for write in beside), entity)] if beside else [0]
        return _Made(row, entity, beside, sum(sizes) <= LARGEST_TRANSACTION and max(sizes) <= LARGEST_OF_A_TRANSACTION)

    async def _save(self, row: Row[R], made: _Made[R]) -> Row[R]:
        """`row` is what was asked for, `made` what becomes of it."""
        entity, row = made.entity, made.row
        try:
            if made.spill:
                await self._save_with(made, Write("replace" if row.version else "insert", entity))
                current = await self.load(row.id)  # a transaction tells no versions
                return current if current.commit == row.commit else replace(row, version=_SUPERSEDED)
            if row.version:
                return replace(row, version=await self._table.replace(entity))
            return replace(row, version=await self._table.insert(entity))
        except (RowChanged, RowExists) as error:
            current = await self.load(row.id)
            if current.commit == row.commit:
                return current
            raise Overtaken(current) from error
        except StorageUnavailable:
            # Written or not: the row tells, if it can be asked. One without this commit may yet get it.
            with suppress(StorageUnavailable, TimeoutError):
                async with asyncio.timeout(_LOOKS_SECONDS):
                    current = await self.load(row.id)
                    if current.commit == row.commit:
                        return current
            raise

    async def rest(self, row: Row[R], commit: str) -> Row[R]:
        """Writes a row that has no outbox, as `save` does. Raises RowChanged; not looked at is whether that was an
        own write whose answer was lost, for nothing hangs on it."""
        self._written.forget(row.id)
        return await self._replace(replace(row, commit=commit))

    async def _replace(self, row: Row[R]) -> Row[R]:
        """Writes a row that has no outbox. Raises RowChanged."""
        made = await by_size(weight_of(row), self._made, row, self._now())
        saved = replace(made.row, version=await self._table.replace(made.entity))
        self._written[row.id] = saved
        return saved

    async def _save_with(self, made: _Made[R], truth: Write) -> None:
        """Writes a row and its overflow: together, or the overflow first where that is too much for a transaction.
        Raises RowChanged, RowExists."""
        spill: list[Write] = made.spill
        if made.together:
            await self._table.transact([*spill, truth])
            return
        for write in spill:
            await self._table.upsert(write.entity)
        try:
            await (self._table.replace if truth.kind == "replace" else self._table.insert)(truth.entity)
        except (RowChanged, RowExists):
            with suppress(StorageUnavailable):
                await asyncio.gather(*(self._table.delete(one.entity.partition, one.entity.row) for one in spill))
            raise

    async def clear(self, row: Row[R], promised_until: datetime | None = None) -> Row[R]:
        """Writes a row that is as it was but for its outbox and what stands behind it. Raises RowChanged; not looked at
        is whether that was an own write whose answer was lost: nobody needs to know."""
        self._written.forget(row.id)
        return await self._replace(row.followed(promised_until))

    async def drop(self, row: Row[R]) -> None:
        """Removes a row whose record is deleted and whose outbox is empty. Raises RowChanged."""
        self._written.forget(row.id)
        await self._table.delete(key(row.id), key(row.id), row.version)
