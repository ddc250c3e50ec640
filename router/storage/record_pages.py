"""Records as lists read them: a page, who stands behind a place in the listing, who stands between two places."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple

from router.models.sizes import LARGEST_PAGE
from router.offload import by_size
from router.recent import Recent
from router.storage.documents import read_document
from router.storage.listing import Listed
from router.storage.port import Condition, Entity, Table
from router.storage.truth_rows import Form, R

#: Where storage goes on: its own continuation, opaque.
Position = tuple[str, str]

#: Storage pages that one page of a list looks at, at most, when its filter leaves few.
_PAGES_A_CALL: Final = 4
#: Records that are read before others have their turn.
_READ_AT_ONCE: Final = 16
#: Records that are remembered as lists have shown them, and the UTF-16 units of their JSON, all together.
_REMEMBERED: Final = 2_000
_LARGEST_REMEMBERED: Final = 2_500_000


class Read(NamedTuple, Generic[R]):
    """A record as it was read for a list, and how many characters it has as JSON."""

    record: R
    size: int


@dataclass(frozen=True)
class RowPage(Generic[R]):
    found: Sequence[Read[R]]
    next: Position | None

    @property
    def records(self) -> list[R]:
        return [one.record for one in self.found]


class RecordPages(Generic[R]):
    """The records of one kind, for lists."""

    def __init__(self, table: Table, form: Form[R]) -> None:
        self._table = table
        self._form: Form[R] = form
        #: What lists have shown lately, and its version.
        self._read: Recent[str, tuple[str, Read[R]]] = Recent(
            _REMEMBERED, size=lambda kept: kept[1].size, most_size=_LARGEST_REMEMBERED
        )

    async def page(self, where: Sequence[Condition], size: int, after: Position | None) -> RowPage[R]:
        """One page of records in key order. It may be short, even empty, and have a next one: storage ends a
        page when it has looked long enough, and so do we after a few of its pages, or when it has become large."""
        conditions: list[Condition] = [("Kind", "eq", self._form.kind), *where]
        found: list[Read[R]] = []
        for _ in range(_PAGES_A_CALL):
            page = await self._table.query(conditions, limit=size - len(found), after=after)
            found += await self._read_all(page.entities)
            after = page.next
            if after is None or len(found) >= size or sum(one.size for one in found) > LARGEST_PAGE:
                break
        return RowPage(found, after)

    async def places(
        self, where: Sequence[Condition], behind: str | None, operations: int | None = None
    ) -> tuple[list[Listed], bool]:
        """What storage finds behind a place in the listing, without the records, in no order; and whether that is all,
        after so many operations (None: as many as it takes)."""
        conditions: list[Condition] = [("Kind", "eq", self._form.kind), *where]
        if behind is not None:
            conditions.append(("Place", "gt", behind))
        found: list[Listed] = []
        after: Position | None = None
        taken = 0
        while operations is None or taken < operations:
            page = await self._table.query(conditions, after=after, columns=["Id", "Place"])
            found += [Listed(str(one.columns["Id"]), str(one.columns["Place"])) for one in page.entities]
            taken += 1
            after = page.next
            if after is None:
                return found, True
        return found, False

    async def between(
        self, behind: str | None, last: str, where: Sequence[Condition], most: int
    ) -> list[Read[R]] | None:
        """The records behind one place in the listing and up to another, in no order: by one query, and a second one
        where there are more than 1,000. None if there are more than `most`, or storage has to look longer for them."""
        conditions: list[Condition] = [("Kind", "eq", self._form.kind), ("Place", "le", last), *where]
        if behind is not None:
            conditions.append(("Place", "gt", behind))
        found: list[Entity] = []
        after: Position | None = None
        for _ in range(2):
            page = await self._table.query(conditions, limit=min(most + 1 - len(found), 1000), after=after)
            found += page.entities
            after = page.next
            if after is None:
                return await self._read_all(found)
            if len(found) > most:
                break
        return None

    async def _read_all(self, entities: Sequence[Entity]) -> list[Read[R]]:
        """Some at a time: others have their turn in between. Of a version that has been read for a list before, what
        was read: lists are asked for again and again, and reading their records takes as long as storage does."""
        found: list[Read[R]] = []
        for start in range(0, len(entities), _READ_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            some = entities[start : start + _READ_AT_ONCE]
            kept = [self._kept(entity) for entity in some]
            new = [entity for entity, known in zip(some, kept, strict=True) if known is None]
            read = iter(await by_size(sum(entity.characters for entity in new), self._parse_all, new))
            for entity, known in zip(some, kept, strict=True):
                one = known or next(read)
                self._read[str(entity.columns["Id"])] = (entity.version, one)
                found.append(one)
        return found

    def _kept(self, entity: Entity) -> Read[R] | None:
        known = self._read.get(str(entity.columns["Id"]))
        return known[1] if known is not None and known[0] == entity.version else None

    def _parse_all(self, entities: Sequence[Entity]) -> list[Read[R]]:
        documents = [read_document("Doc", entity.columns) for entity in entities]
        return [Read(self._form.parse(document), len(document)) for document in documents]
