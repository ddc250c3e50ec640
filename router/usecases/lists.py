"""Pages of jobs and workers, newest first (docs/behaviour.md, "Lists"; what a page costs: docs/performance.md).

What fits one small query is sorted here. Else the listing tells which items a page has, and one query reads all that
stand between the first of them and the last. Of a filter that few pass, storage is asked which do. Storage has to look
at its whole table for such a query. Where that takes longer than reading the items one by one, they are read so."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Sequence
from datetime import timedelta
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
#: Reads of single items at one time.
_AT_ONCE: Final = 32
#: Items that a page looks at, for each one that it shows, before it asks storage which pass the filter.
_LOOKS: Final = 5
#: Rows of the listing that are taken together, at most.
_MOST: Final = 1000
#: The part of a list that is taken to pass a filter as long as it is not known.
_SHARE: Final = 0.5
#: Seconds that reading one of many items takes, as long as it is not known.
_SINGLE: Final = 0.002
#: Seconds after which a query for all items of a page is given up for reading them one by one.
_PATIENCE: Final = 1.0
#: After this time it is tried again.
_TRIED_AGAIN: Final = timedelta(minutes=1)


class Lister(Generic[R]):
    """The list of one kind, with a filter: `where` as far as storage can tell, `fits` in full."""

    def __init__(
        self,
        parts: Parts,
        store: AggregateStore[R],
        where: Sequence[Condition],
        fits: Callable[[R], bool],
        wanted: Hashable,
        *,
        filtered: bool,
        exact: bool,
    ) -> None:
        """`wanted` names the filter. `filtered`: it is one. `exact`: `where` alone says as much as it."""
        self._parts = parts
        self._store: AggregateStore[R] = store
        self._where = where
        self._fits: Callable[[R], bool] = fits
        self._wanted = wanted
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
        if self._lately("many") is not None:
            return None
        page = await self._store.page(self._where, _FEW, None)
        if page.next is not None:
            self._note(1, "many")
            return None
        found = [one for one in page.records if self._fits(one) and (behind is None or _place(one) > behind)]
        return sorted(found, key=_place)[: size + 1]

    async def _in_order(self, size: int, behind: str | None) -> list[R]:
        """One more than a page, if there are so many."""
        if self._filtered and self._exact and self._together(size + 1) and self._lately("common") is None:
            rare = await self._by_filter(size + 1, behind, 1)
            if rare is not None:
                return rare
            self._note(1, "common")
        found: list[R] = []
        looks, more = _LOOKS * (size + 1), True
        while more and len(found) <= size:
            wanted = size + 1 - len(found)
            if self._filtered and self._exact and looks <= 0:
                return found + (await self._by_filter(wanted, behind) or [])
            listed, more = await self._parts.listing.after(self._store.kind, behind, self._looks_at(wanted))
            passed = await self._read(listed)
            found += passed
            looks -= len(listed)
            behind = listed[-1].place if listed else behind
            if self._filtered and listed:
                self._note(len(passed) / len(listed), "share")
        return sorted(found, key=_place)[: size + 1]

    async def _by_filter(self, size: int, behind: str | None, operations: int | None = None) -> list[R] | None:
        """The next that pass the filter: storage tells the places of all of them, and the first of these are read. None
        if so many operations do not tell all."""
        try:
            async with asyncio.timeout(_PATIENCE if operations is not None else None):
                places, complete = await self._store.places(self._where, behind, operations)
        except TimeoutError:
            return None
        if not complete:
            return None
        ahead = sorted(places, key=lambda one: one.place)
        found: list[R] = []
        while ahead and len(found) < size:
            some = min(max(size - len(found), 1), _MOST)
            found += await self._read(ahead[:some])
            ahead = ahead[some:]
        return found

    def _looks_at(self, wanted: int) -> int:
        """How many rows of the listing are likely to have so many that pass."""
        if not self._filtered:
            return min(wanted, _MOST)
        if not self._together(wanted):
            return min(max(wanted, _AT_ONCE), _MOST)
        share = self._lately("share")
        likely = wanted / max(_SHARE if share is None else share * 0.9, 0.001)
        return min(max(math.ceil(likely), _AT_ONCE), _MOST)

    async def _read(self, listed: Sequence[Listed]) -> list[R]:
        """What is there of these, passes the filter, and has its place among them: the newest first."""
        if not listed:
            return []
        found: list[R] | None = None
        if self._together(len(listed)):
            found = await self._read_together(listed)
        if found is None:
            found = await self._read_singly(listed)
            if self._parts.listing.lately(self._store.kind, "together", within=_TRIED_AGAIN) is None:
                # It may pay again: found out without letting anybody wait for it.
                self._parts.background.begin(self._read_together(listed), "how long a query for a page takes")
        there = {_place(one) for one in found}
        if not self._filtered and (stale := [one for one in listed if one.place not in there]):
            self._parts.background.begin(
                self._parts.listing.drop_stale(self._store.kind, stale), "stale rows of a list"
            )
        return sorted((one for one in found if self._fits(one)), key=_place)

    def _together(self, count: int) -> bool:
        """Whether so many items are read by one query sooner than one by one, as far as is known."""
        listing, kind = self._parts.listing, self._store.kind
        return (listing.last(kind, "together") or 0) <= (listing.last(kind, "singly") or _SINGLE) * count

    async def _read_together(self, listed: Sequence[Listed]) -> list[R] | None:
        """All between the first and the last by one query. None if that takes too long."""
        started = self._parts.clock.now()
        found: list[R] | None = None
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await self._store.between(listed[0].place, listed[-1].place, self._where)
        except TimeoutError:
            pass
        taken = (self._parts.clock.now() - started).total_seconds()
        self._parts.listing.note(taken if found is not None else math.inf, self._store.kind, "together")
        return found

    async def _read_singly(self, listed: Sequence[Listed]) -> list[R]:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def read(id: str) -> R | None:
            async with slots:
                return (await self._store.load(id)).record

        started = self._parts.clock.now()
        records = await asyncio.gather(*(read(one.id) for one in listed))
        if len(listed) >= _AT_ONCE // 2:
            taken = (self._parts.clock.now() - started).total_seconds()
            self._parts.listing.note(taken / len(listed), self._store.kind, "singly")
        return [
            record
            for one, record in zip(listed, records, strict=True)
            if record is not None and _place(record) == one.place
        ]

    def _lately(self, what: str) -> float | None:
        """Of this filter."""
        return self._parts.listing.lately(self._store.kind, what, self._wanted)

    def _note(self, value: float, what: str) -> None:
        self._parts.listing.note(value, self._store.kind, what, self._wanted)


def _place(record: JobRecord | WorkerRecord) -> str:
    return place(record.id, record.created_at)
