"""Pages of jobs and workers, newest first (docs/behaviour.md, "Lists"; what a page costs: docs/performance.md).

What fits one small query is sorted here. Else the listing tells where a page ends, unless that is known from before,
and one query reads all that stand there up to that end. Of a filter that few pass, storage is asked which do. Storage
has to look at its whole table for such a query. Where that takes longer than reading the items one by one, they are
read so."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import timedelta
from typing import Final, Generic, TypeVar

from router.commit.parts import Parts
from router.models.jobs import JobRecord
from router.models.sizes import LARGEST_PAGE, within_a_page
from router.models.workers import WorkerRecord
from router.storage.aggregates import AggregateStore
from router.storage.listing import END, Listed, last_place, moment, place
from router.storage.port import Condition
from router.storage.record_pages import Position, Read

R = TypeVar("R", JobRecord, WorkerRecord)

#: So many rows are read at once and sorted, if there are no more.
_FEW: Final = 200
#: Reads of single items at one time.
_AT_ONCE: Final = 32
#: The first of them, before it is known how large they are; and characters of those that are read at one time.
_FIRST: Final = 8
_LARGEST_AT_ONCE: Final = 1_000_000
#: What a record has as JSON beside what its `weight` counts.
_OF_A_RECORD: Final = 600
#: Items that a page looks at, for each one that it shows, before it asks storage which pass the filter.
_LOOKS: Final = 5
#: Rows of the listing that are taken together, at most.
_MOST: Final = 1000
#: The part of a list that is taken to pass a filter as long as it is not known.
_SHARE: Final = 0.5
#: How much further one looks than is likely to do.
_MARGIN: Final = 1.2
#: So many pages ahead the listing is asked by who reads on.
_AHEAD: Final = 10
#: Seconds that reading one of many items takes, as long as it is not known.
_SINGLE: Final = 0.002
#: So much longer one query may take than reading the items of a page one by one.
_WORTH: Final = 2
#: Seconds that a query for all items of a page may take in any case, before they are read one by one.
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
        #: What its marks are kept under: those of everything are the listing's.
        self._of: Hashable = (store.kind, wanted) if filtered else store.kind
        self._end_of_marks: str | None = None
        self._filtered = filtered
        self._exact = exact

    async def page(self, size: int, after: Position | None) -> tuple[list[R], Position | None]:
        """One page, full unless it is the last, and where the next one starts: a place in the order, so what is
        created or deleted meanwhile moves nothing."""
        behind = after[1] if after is not None else None
        found = await self._by_marks(size + 1, behind)
        if found is None or not _is_full(found, size):
            few = await self._few(size, behind)
            found = few if few is not None else await self._in_order(size, behind, found)
        shown = within_a_page([one.size for one in found], size)
        records = [one.record for one in found[:shown]]
        return records, ("", _place(records[-1])) if len(found) > shown else None

    async def _few(self, size: int, behind: str | None) -> list[Read[R]] | None:
        """All that pass the filter behind the place, if storage has few: one query."""
        if self._lately("many") is not None:
            return None
        page = await self._store.pages.page(self._where, _FEW, None)
        if page.next is not None:
            self._note(1, "many")
            return None
        every = self._fitting(page.found)
        self._parts.listing.marks.saw(self._of, None, END, (moment(_place(one.record)) for one in every))
        return [one for one in every if behind is None or _place(one.record) > behind][: size + 1]

    def _fitting(self, found: Sequence[Read[R]]) -> list[Read[R]]:
        """Those that pass the filter, the newest first."""
        return _in_place(one for one in found if self._fits(one.record))

    async def _in_order(self, size: int, behind: str | None, found: list[Read[R]] | None) -> list[Read[R]]:
        """One more than a page, if there are so many. `found`: what stands up to the end of the marks, if they told."""
        if found is None:
            found = []
        else:
            behind = self._end_of_marks
        if self._filtered and self._exact and self._together(size + 1) and self._lately("common") is None:
            rare = await self._by_filter(size + 1 - len(found), behind, 1)
            if rare is not None:
                return (found + rare)[: size + 1]
            self._note(1, "common")
        looks, more = _LOOKS * (size + 1), True
        while more and not _is_full(found, size):
            wanted = size + 1 - len(found)
            if self._filtered and self._exact and looks <= 0:
                found += await self._by_filter(wanted, behind) or []
                break
            listed, more = await self._listed(wanted, behind)
            if not listed:
                break
            passed, looked = await self._read(listed, behind)
            found += passed
            looks -= looked
            behind = listed[looked - 1].place
            more = more or looked < len(listed)
            if self._filtered:
                self._note(len(passed) / looked, "share")
        return _in_place(found)[: size + 1]

    async def _by_marks(self, wanted: int, behind: str | None) -> list[Read[R]] | None:
        """As many, or what there is up to a place where so many were lately: one query, and no need to know the order.
        None where nothing is known."""
        if not self._together(wanted):
            return None
        marks, start = self._parts.listing.marks, moment(behind) if behind is not None else None
        end = marks.ahead(self._of, start, wanted)
        share = self._lately("share")
        if end is None and self._filtered and share:
            end = marks.ahead(self._store.kind, start, math.ceil(wanted / share * _MARGIN))
        if end is None:
            return None
        self._end_of_marks = last_place(end)
        rows = wanted if self._exact or not self._filtered else min(math.ceil(wanted / (share or _SHARE)), _MOST)
        return await self._read_together(behind, self._end_of_marks, 2 * rows + _AT_ONCE)

    async def _listed(self, wanted: int, behind: str | None) -> tuple[list[Listed], bool]:
        """The next of the listing, as many as are likely to have so many that pass; and whether there are more."""
        kind = self._store.kind
        if not self._together(wanted):
            most = max(wanted, _AT_ONCE) if self._filtered else wanted
            return await self._parts.listing.after(kind, behind, most)
        share = self._lately("share") if self._filtered else 1
        likely = math.ceil(wanted / max(_SHARE if share is None else share, 0.001) * (_MARGIN if self._filtered else 1))
        likely = min(likely, max(wanted, _MOST))
        # Who reads on is likely to do so again.
        rows = likely if behind is None else min(max(likely, _AHEAD * wanted), max(wanted, _MOST))
        listed, more = await self._parts.listing.after(kind, behind, rows)
        if listed:
            start = moment(behind) if behind is not None else None
            self._parts.listing.marks.saw(kind, start, moment(listed[-1].place), (moment(one.place) for one in listed))
        return listed[:likely], more or len(listed) > likely

    async def _by_filter(self, size: int, behind: str | None, operations: int | None = None) -> list[Read[R]] | None:
        """The next that pass the filter: storage tells the places of all of them, and the first of these are read. None
        if so many operations, or some time, do not tell all."""
        try:
            async with asyncio.timeout(_PATIENCE if operations is not None else None):
                places, complete = await self._store.pages.places(self._where, behind, operations)
        except TimeoutError:
            return None
        if not complete:
            return None
        ahead = sorted(places, key=lambda one: one.place)
        if ahead:
            start = moment(behind) if behind is not None else None
            marks = [moment(one.place) for one in ahead]
            self._parts.listing.marks.saw(self._of, start, marks[-1], marks)
        found: list[Read[R]] = []
        while ahead and len(found) < size and not _is_full(found, size):
            passed, looked = await self._read(ahead[: min(size - len(found), _MOST)], behind)
            found += passed
            behind = ahead[looked - 1].place
            ahead = ahead[looked:]
        return found

    async def _read(self, listed: Sequence[Listed], behind: str | None) -> tuple[list[Read[R]], int]:
        """What there is of these, which are the next behind a place, and passes the filter, the newest first; and at
        how many of them that has looked: as many as a page has room for."""
        found: list[Read[R]] | None = None
        last = listed[-1].place
        if self._together(len(listed)):
            found = await self._read_together(behind, last, 2 * len(listed) + _AT_ONCE)
        if found is None:
            found, looked = await self._read_singly(listed)
            listed = listed[:looked]
            if self._parts.listing.lately(self._store.kind, "together", within=_TRIED_AGAIN) is None:
                # It may pay again: found out without letting anybody wait for it.
                self._parts.background.begin(
                    self._read_together(behind, last, 2 * len(listed)), "how long a query for a page takes"
                )
        there = {_place(one.record) for one in found}
        if not self._filtered and (stale := [one for one in listed if one.place not in there]):
            self._parts.background.begin(
                self._parts.listing.drop_stale(self._store.kind, stale), "stale rows of a list"
            )
        return self._fitting(found), len(listed)

    def _together(self, count: int) -> bool:
        """Whether so many items are read by one query, as far as is known: it may take longer than reading them one by
        one, since it costs less."""
        return (self._parts.listing.last(self._store.kind, "together") or 0) <= self._worth(count)

    def _worth(self, count: int) -> float:
        """Seconds that one query for so many items may take."""
        return (self._parts.listing.last(self._store.kind, "singly") or _SINGLE) * _WORTH * count

    async def _read_together(self, behind: str | None, last: str, most: int) -> list[Read[R]] | None:
        """All behind a place up to another that pass the filter, by one query. None if they are more than `most`, or it
        takes too long."""
        started = self._parts.clock.now()
        taken = math.inf
        try:
            async with asyncio.timeout(max(_PATIENCE, self._worth(most // 2))):
                found = await self._store.pages.between(behind, last, self._where, most)
            taken = (self._parts.clock.now() - started).total_seconds()
        except TimeoutError:
            found = None
        self._parts.listing.note(taken, self._store.kind, "together")
        start = moment(behind) if behind is not None else None
        if found is None:
            self._parts.listing.marks.saw(self._of, start, moment(last), ())
            return None
        found = self._fitting(found)
        self._parts.listing.marks.saw(self._of, start, moment(last), (moment(_place(one.record)) for one in found))
        return found

    async def _read_singly(self, listed: Sequence[Listed]) -> tuple[list[Read[R]], int]:
        """What there is of the first of these, and how many they are: as many as a page has room for. Of large ones few
        are read at one time."""
        found: list[Read[R]] = []
        looked, size, at_once = 0, 0, _FIRST
        started = self._parts.clock.now()
        while looked < len(listed) and size <= LARGEST_PAGE:
            some = listed[looked : looked + at_once]
            rows = await asyncio.gather(*(self._store.load(one.id) for one in some))
            for one, row in zip(some, rows, strict=True):
                if row.record is not None and _place(row.record) == one.place:
                    found.append(Read(row.record, row.record.weight + _OF_A_RECORD))
                    size += found[-1].size
            looked += len(some)
            at_once = max(1, min(_AT_ONCE, _LARGEST_AT_ONCE * len(some) // max(1, sum(row.size for row in rows))))
        if looked >= _AT_ONCE // 2:
            taken = (self._parts.clock.now() - started).total_seconds()
            self._parts.listing.note(taken / looked, self._store.kind, "singly")
        return found, looked

    def _lately(self, what: str) -> float | None:
        """Of this filter."""
        return self._parts.listing.lately(self._store.kind, what, self._wanted)

    def _note(self, value: float, what: str) -> None:
        self._parts.listing.note(value, self._store.kind, what, self._wanted)


def _is_full(found: Sequence[Read[R]], size: int) -> bool:
    """Whether that is more than a page of so many shows."""
    return within_a_page([one.size for one in found], size) < len(found)


def _in_place(found: Iterable[Read[R]]) -> list[Read[R]]:
    return sorted(found, key=lambda one: _place(one.record))


def _place(record: JobRecord | WorkerRecord) -> str:
    return place(record.id, record.created_at)
