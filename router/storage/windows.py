"""Reading the first rows of a long key range again and again, at the cost of a short one.

Azure's tables stop at a query's limit; Azurite first sorts all that match. So each query is bounded by where an
earlier one of its kind ended, and goes beyond that bound only when nothing is left before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final, Literal

from router.recent import Recent
from router.storage.port import Condition, Entity, Table

#: One end of a range of row keys.
Bound = tuple[Literal["gt", "ge", "lt", "le"], str]
_REMEMBERED: Final = 5_000
_LARGEST_PAGE: Final = 1000
#: How much larger each further page is: who has not found what it looks for in the first rows may need many.
_GROWTH: Final = 5


class KeyWindows:
    """How far queries of each kind (partition and filter) have read. Only ever saves work."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._reach: Recent[tuple[Condition, ...], str] = Recent(_REMEMBERED)

    async def read(
        self,
        filters: Sequence[Condition],
        start: Bound | None,
        end: Bound,
        *,
        page: int,
        columns: Sequence[str] | None = None,
    ) -> AsyncIterator[Sequence[Entity]]:
        """Pages of the rows that fulfil `filters` (the partition among them) between two bounds, in key order. No
        `start` means the partition's first row."""
        kind = tuple(filters)
        reach = self._reach.get(kind)
        if reach is not None and (start is None or start[1] < reach) and reach < end[1]:
            async for rows in self._pages(kind, start, ("lt", reach), page, columns):
                yield rows
            start = ("ge", reach)
        async for rows in self._pages(kind, start, end, page, columns):
            yield rows

    async def _pages(
        self, kind: tuple[Condition, ...], start: Bound | None, end: Bound, page: int, columns: Sequence[str] | None
    ) -> AsyncIterator[Sequence[Entity]]:
        """Page by page. The first one, if more follows, is as far as the next query of this kind looks at once."""
        # What rules out most rows comes first: Azurite looks at each row of the table.
        where: list[Condition] = [("RowKey", *end), *kind]
        if start is not None:
            where.append(("RowKey", *start))
        found = await self._table.query(where, limit=page, columns=columns)
        if found.next is not None and found.entities:
            self._reach[kind] = found.entities[-1].row
        yield found.entities
        while found.next is not None:
            page = min(page * _GROWTH, _LARGEST_PAGE)
            found = await self._table.query(where, limit=page, after=found.next, columns=columns)
            yield found.entities
