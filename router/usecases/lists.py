"""Pages of jobs and workers, newest first (docs/behaviour.md, "Lists").

Which of three ways a page is read depends on what there is. What fits one small query is sorted here. Else the listing
tells the order, and the items are read one by one. If few of them pass the filter, storage is asked which do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from router.commit.parts import Parts
from router.models.jobs import JobRecord
from router.models.workers import WorkerRecord
from router.storage.aggregates import AggregateStore, Position
from router.storage.listing import Listed, place
from router.storage.port import Condition

R = TypeVar("R", JobRecord, WorkerRecord)

#: So many rows are read at once and sorted, if there are no more.
_FEW: Final = 200
#: Reads of items at one time.
_AT_ONCE: Final = 32
#: Items that a page looks at one by one, for each one that it shows, before it asks storage which pass the filter.
_LOOKS: Final = 5


class Lister(Generic[R]):
    """The list of one kind, with a filter: `where` as far as storage can tell, `fits` in full."""

    def __init__(
        self,
        parts: Parts,
        store: AggregateStore[R],
        where: Sequence[Condition],
        fits: Callable[[R], bool],
        *,
        filtered: bool,
        exact: bool,
    ) -> None:
        """`filtered`: not everything passes. `exact`: `where` alone says as much as `fits`."""
        self._parts = parts
        self._store: AggregateStore[R] = store
        self._where = where
        self._fits: Callable[[R], bool] = fits
        self._filtered = filtered
        self._exact = exact

    async def page(self, size: int, after: Position | None) -> tuple[list[R], Position | None]:
        """One page, full unless it is the last, and where the next one starts: a place in the order, so what is
        created or deleted meanwhile moves nothing."""
        behind = after[1] if after is not None else None
        found = await self._few(size, behind)
        if found is None:
            found = await self._in_order(size, behind)
        shown = found[:size]
        return shown, ("", _place(shown[-1])) if len(found) > size else None

    async def _few(self, size: int, behind: str | None) -> list[R] | None:
        """All that pass the filter behind the place, if storage has few: one query."""
        listing, kind = self._parts.listing, self._store.kind
        if not listing.may_be_few(kind, self._where):
            return None
        page = await self._store.page(self._where, _FEW, None)
        if page.next is not None:
            listing.is_many(kind, self._where)
            return None
        found = [one for one in page.records if self._fits(one) and (behind is None or _place(one) > behind)]
        return sorted(found, key=_place)[: size + 1]

    async def _in_order(self, size: int, behind: str | None) -> list[R]:
        """One more than a page, if there are so many, by the listing's order."""
        found: list[R] = []
        looks, more = _LOOKS * (size + 1), True
        while more and len(found) <= size:
            wanted = size + 1 - len(found)
            if self._filtered and self._exact and looks <= 0:
                return found + await self._by_filter(wanted, behind)
            if self._filtered:
                wanted = max(wanted, _AT_ONCE)
            listed, more = await self._parts.listing.after(self._store.kind, behind, min(wanted, 1000))
            found += [one for one in await self._read(listed) if self._fits(one)]
            looks -= len(listed)
            behind = listed[-1].place if listed else behind
        return found[: size + 1]

    async def _by_filter(self, size: int, behind: str | None) -> list[R]:
        """The next that pass the filter: storage tells the places of all of them, and these are read."""
        places = await self._store.places(self._where)
        ahead = sorted((where, id) for id, where in places if behind is None or where > behind)
        found: list[R] = []
        for start in range(0, len(ahead), _AT_ONCE):
            if len(found) >= size:
                break
            some = await self._read([Listed(id, where) for where, id in ahead[start : start + _AT_ONCE]])
            found += [one for one in some if self._fits(one)]
        return found[:size]

    async def _read(self, listed: Sequence[Listed]) -> list[R]:
        """The items of these rows that are there."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def read(id: str) -> R | None:
            async with slots:
                return (await self._store.load(id)).record

        records = await asyncio.gather(*(read(one.id) for one in listed))
        there = [
            record if record is not None and _place(record) == one.place else None
            for one, record in zip(listed, records, strict=True)
        ]
        if stale := [one for one, record in zip(listed, there, strict=True) if record is None]:
            self._parts.background.begin(
                self._parts.listing.drop_stale(self._store.kind, stale), "stale rows of a list"
            )
        return [record for record in there if record is not None]


def _place(record: JobRecord | WorkerRecord) -> str:
    return place(record.id, record.created_at)
