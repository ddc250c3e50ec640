"""The order of lists: jobs and workers by their creation, newest first.

Layout of `listing`: PartitionKey = kind (`job`, `worker`), RowKey = the time of creation, which sorts latest first,
`~`, key(id); column Id. A row is written once, beside the truth row that it tells of; reconciliation writes it again.
One without a truth row of that creation is no item: it is being created, was not created after all, or is gone."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from router.clock import Clock
from router.recent import Recent, RecentIds
from router.storage.keys import SEPARATOR, key
from router.storage.marks import Marks
from router.storage.port import Condition, Entity, Table

#: Of the part of a place that says when.
_DIGITS: Final = 18
_MICROSECOND: Final = timedelta(microseconds=1)
_START: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = (datetime.max.replace(tzinfo=UTC) - _START) // _MICROSECOND
#: Behind the moments of all items (see `moment`).
END: Final = _LATEST + 1
#: So long what was seen of a list is remembered.
_SEEN_FOR: Final = timedelta(minutes=10)
#: Before this much time has passed a row without an item may yet get one.
_YOUNG: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Listed:
    """An item of a list, and its place."""

    id: str
    place: str


class ListingStore:
    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self.marks = Marks()
        #: Rows that stand there: this process has written them, and nobody removes them before what they tell of.
        self._stands = RecentIds()
        #: What was seen of lists and their filters, and when (usecases/lists.py).
        self._seen: Recent[tuple[Hashable, ...], tuple[float, datetime]] = Recent(1000)

    async def add(self, kind: str, id: str, created_at: datetime) -> None:
        row = place(id, created_at)
        await self._table.upsert(Entity(kind, row, {"Id": id}))
        self._stands.add([f"{kind}/{row}"])

    async def ensure(self, kind: str, id: str, created_at: datetime) -> None:
        """Adds it unless this process knows that it stands there."""
        if f"{kind}/{place(id, created_at)}" not in self._stands:
            await self.add(kind, id, created_at)

    async def remove(self, kind: str, id: str, created_at: datetime) -> None:
        row = place(id, created_at)
        self._stands.discard(f"{kind}/{row}")
        await self._table.delete(kind, row)

    def lately(self, *what: Hashable, within: timedelta = _SEEN_FOR) -> float | None:
        """What was noted, if it was within that time."""
        seen = self._seen.get(what)
        return seen[0] if seen is not None and self._clock.now() - seen[1] <= within else None

    def last(self, *what: Hashable) -> float | None:
        """What was noted last, however long ago."""
        seen = self._seen.get(what)
        return seen[0] if seen is not None else None

    def note(self, value: float, *what: Hashable) -> None:
        self._seen[what] = (value, self._clock.now())

    async def drop_stale(self, kind: str, stale: Sequence[Listed]) -> None:
        """Removes rows that have no item and will get none."""
        for one in stale:
            if one.place > place("", self._clock.now() - _YOUNG):
                self._stands.discard(f"{kind}/{one.place}")
                await self._table.delete(kind, one.place)

    async def after(self, kind: str, behind: str | None, size: int) -> tuple[list[Listed], bool]:
        """Up to `size` rows behind a place (None: from the newest on), and whether there are more."""
        found: list[Listed] = []
        where: list[Condition] = [("PartitionKey", "eq", kind)]
        if behind is not None:
            where.append(("RowKey", "gt", behind))
        token: tuple[str, str] | None = None
        while True:
            page = await self._table.query(where, limit=size - len(found), after=token, columns=["Id"])
            found += [Listed(str(entity.columns["Id"]), entity.row) for entity in page.entities]
            token = page.next
            if token is None or len(found) >= size:
                return found, token is not None


def place(id: str, created_at: datetime) -> str:
    """Where an item stands among those of its kind: the text sorts the newest first."""
    return f"{_LATEST - (created_at - _START) // _MICROSECOND:0{_DIGITS}d}{SEPARATOR}{key(id)}"


def moment(place: str) -> int:
    """The part of a place that says when: it counts up from the newest on."""
    return int(place[:_DIGITS])


def is_place(text: str) -> bool:
    """Whether a list may go on behind it."""
    return len(text) >= _DIGITS and text[:_DIGITS].isascii() and text[:_DIGITS].isdecimal()


def last_place(moment: int) -> str:
    """Behind all items of that moment."""
    return f"{moment:0{_DIGITS}d}{SEPARATOR}{SEPARATOR}"
