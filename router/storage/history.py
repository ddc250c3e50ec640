"""Histories, after the rows that they began in: what those have no room for, and what outlives them.

Layout of `history`: PartitionKey = `j~key(job)` (entries that the job's row does not keep any more), `w~key(worker)`
(those of the worker, and of jobs that concern it), `c~all` (changes of settings) and `c~pending` (deletions of settings
that may not have happened); RowKey = the entry's key, `Doc0..n` its JSON.

The log of all entries stands among the deadlines (storage/deadlines.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from router.models.history import Entry
from router.models.sizes import LARGEST_ROW, within_a_page
from router.storage.documents import read_document, write_document
from router.storage.keys import key
from router.storage.port import Condition, Entity, RowChanged, RowExists, Table, Write
from router.storage.transactions import split

CHANGES: Final = "c~all"
PENDING_CHANGES: Final = "c~pending"


def of_job(id: str) -> str:
    return f"j~{key(id)}"


def of_worker(id: str) -> str:
    return f"w~{key(id)}"


class HistoryStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def put(self, entries: Mapping[str, Iterable[Entry]]) -> None:
        """Entries by partition; those that are there already are written again. A transaction each, as a rule."""
        groups = [[Write("upsert", _entity(partition, one)) for one in some] for partition, some in entries.items()]
        work = []
        for group in groups:
            if len(group) == 1:
                work.append(self._upsert(group[0].entity))
            else:
                work += [self._table.transact(writes) for writes in split([one] for one in group)]
        await asyncio.gather(*work)

    async def _upsert(self, entity: Entity) -> None:
        await self._table.upsert(entity)

    async def page(self, partition: str, after: str, until: str, size: int) -> tuple[list[Entry], bool]:
        """Up to `size` entries of a partition behind a key and before another (empty: no end), fewer of large ones, and
        whether there are more."""
        where: list[Condition] = [("PartitionKey", "eq", partition), ("RowKey", "gt", after)]
        if until:
            where.append(("RowKey", "lt", until))
        found: list[Entry] = []
        token: tuple[str, str] | None = None
        while True:
            page = await self._table.query(where, limit=min(size - len(found), 1000), after=token)
            found += [entry_of(entity) for entity in page.entities]
            token = page.next
            shown = within_a_page([len(entry.text) for entry in found], size)
            if token is None or len(found) >= size or shown < len(found):
                return found[:shown], token is not None or shown < len(found)

    async def get(self, partition: str, row: str) -> Entry | None:
        found = await self._table.get(partition, row)
        return entry_of(found) if found is not None else None

    async def remove(self, partition: str, keys: Sequence[str]) -> None:
        """Removes rows, a hundred at a time. Those that are gone already do not matter."""
        await remove_rows(self._table, partition, keys)

    async def partitions(
        self, limit: int, after: tuple[str, str] | None, before: str
    ) -> tuple[dict[str, list[str]], tuple[str, str] | None]:
        """Row keys by partition of entries that are older than a key, wherever they stand; a page of storage's."""
        page = await self._table.query([("RowKey", "lt", before)], limit=limit, after=after, columns=[])
        found: dict[str, list[str]] = {}
        for entity in page.entities:
            found.setdefault(entity.partition, []).append(entity.row)
        return found, page.next


async def remove_rows(table: Table, partition: str, keys: Sequence[str]) -> None:
    """Removes rows of a partition: in transactions, and one by one where somebody was faster."""
    for start in range(0, len(keys), 100):
        some = keys[start : start + 100]
        try:
            await table.transact([Write("delete", Entity(partition, row)) for row in some])
        except (RowChanged, RowExists):
            await asyncio.gather(*(table.delete(partition, row) for row in some))


def _entity(partition: str, entry: Entry) -> Entity:
    columns: dict[str, Any] = {**write_document("Doc", entry.text, limit=LARGEST_ROW)}
    return Entity(partition, entry.key, columns)


def entry_of(entity: Entity) -> Entry:
    return Entry(entity.row, read_document("Doc", entity.columns))
