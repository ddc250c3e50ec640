"""Table Storage in memory: versions, conditional writes, transactions, filtered queries in key order, pages, and the
limits of keys, properties and entities. tests/contract holds it against Azurite."""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from router.storage.port import Condition, Entity, Page, RowChanged, RowExists, Scan, Write

Key = tuple[str, str]
#: Sees every row that is written: table, the row before and the row after.
Observer = Callable[[str, Entity | None, Entity | None], None]

_LONGEST_KEY = 1024  # bytes of UTF-16
_LONGEST_TEXT = 64 * 1024
_LARGEST_ENTITY = 1024 * 1024
_LARGEST_TRANSACTION = 4 * 1024 * 1024
_MOST_PROPERTIES = 252
_FORBIDDEN = frozenset("/\\#?")


class Refused(ValueError):
    """Storage would not take this request (400 or 413), however often it is sent."""


class Rows:
    """The rows of one table, as everybody sees them."""

    def __init__(self, name: str, observe: Observer | None = None) -> None:
        self.name = name
        self._rows: dict[Key, Entity] = {}
        self._keys: list[Key] = []
        self._observe = observe
        self._number = 0

    def __len__(self) -> int:
        return len(self._keys)

    def all(self) -> list[Entity]:
        return [self._rows[key] for key in self._keys]

    def get(self, partition: str, row: str) -> Entity | None:
        return self._rows.get((partition, row))

    def any_before(self, row: str) -> bool:
        """Whether the first row of any partition comes before this one."""
        place = 0
        while place < len(self._keys):
            partition, first = self._keys[place]
            if first < row:
                return True
            place = bisect_left(self._keys, (partition + "\0", ""), place)
        return False

    def insert(self, entity: Entity) -> str:
        check(entity)
        if (entity.partition, entity.row) in self._rows:
            raise RowExists
        return self._put(entity)

    def replace(self, entity: Entity) -> str:
        check(entity)
        self._expect(entity.partition, entity.row, entity.version)
        return self._put(entity)

    def upsert(self, entity: Entity) -> str:
        check(entity)
        return self._put(entity)

    def delete(self, partition: str, row: str, version: str | None = None) -> None:
        if (partition, row) not in self._rows:
            return
        if version:
            self._expect(partition, row, version)
        self._drop(partition, row)

    def transact(self, writes: Sequence[Write]) -> None:
        places = [(write.entity.partition, write.entity.row) for write in writes]
        if not 1 <= len(writes) <= 100:
            raise Refused("A transaction has 1 to 100 writes.")
        if len({partition for partition, _ in places}) > 1:
            raise Refused("A transaction has one partition.")
        if len(set(places)) < len(places):
            raise Refused("A transaction names a row once.")
        if sum(_travels(write.entity) for write in writes) > _LARGEST_TRANSACTION:
            raise Refused("A transaction has at most 4 MiB.")
        for write in writes:
            there = (write.entity.partition, write.entity.row) in self._rows
            if write.kind != "delete":
                check(write.entity)
            if write.kind == "insert" and there:
                raise RowExists
            if write.kind == "replace" or (write.kind == "delete" and write.entity.version):
                self._expect(write.entity.partition, write.entity.row, write.entity.version)
            if write.kind == "delete" and not there:
                raise RowChanged
        for write in writes:
            if write.kind == "delete":
                self._drop(write.entity.partition, write.entity.row)
            else:
                self._put(write.entity)

    def query(
        self,
        where: Sequence[Condition],
        *,
        limit: int = 1000,
        after: Key | None = None,
        columns: Sequence[str] | None = None,
    ) -> Page:
        limit = min(max(limit, 1), 1000)
        partition = next((value for name, how, value in where if name == "PartitionKey" and how == "eq"), None)
        start: Key = after or ("", "")
        bounds = [(how, str(value)) for name, how, value in where if name == "RowKey"]
        lowest = max((value for how, value in bounds if how in ("ge", "gt", "eq")), default="")
        highest = min((value for how, value in bounds if how in ("le", "lt", "eq")), default=None)
        if partition is not None:
            start = max(start, (str(partition), lowest))
        found: list[Entity] = []
        place = bisect_left(self._keys, start)
        while place < len(self._keys):
            entity = self._rows[self._keys[place]]
            if partition is not None and entity.partition != partition:
                break
            if highest is not None and entity.row > highest:
                if partition is not None:
                    break  # storage too looks at no row beyond: what stands there costs nothing
                place = bisect_left(self._keys, (entity.partition + "\0", ""), place)
                continue
            if all(_holds(entity, condition) for condition in where):
                if len(found) == limit:
                    return Page(found, self._keys[place])
                found.append(entity if columns is None else _narrowed(entity, columns))
            place += 1
        return Page(found)

    def _expect(self, partition: str, row: str, version: str) -> None:
        found = self._rows.get((partition, row))
        if found is None or found.version != version:
            raise RowChanged

    def _put(self, entity: Entity) -> str:
        key = (entity.partition, entity.row)
        before = self._rows.get(key)
        if before is None:
            insort(self._keys, key)
        self._number += 1
        columns = {name: value for name, value in entity.columns.items() if value is not None}
        after = Entity(entity.partition, entity.row, columns, f'W/"{self._number}"')
        self._rows[key] = after
        if self._observe:
            self._observe(self.name, before, after)
        return after.version

    def _drop(self, partition: str, row: str) -> None:
        key = (partition, row)
        before = self._rows.pop(key)
        del self._keys[bisect_left(self._keys, key)]
        if self._observe:
            self._observe(self.name, before, None)


class MemoryTable:
    """The rows behind the port, without latency and without faults."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, partition: str, row: str) -> Entity | None:
        return self._rows.get(partition, row)

    async def insert(self, entity: Entity) -> str:
        return self._rows.insert(entity)

    async def replace(self, entity: Entity) -> str:
        return self._rows.replace(entity)

    async def upsert(self, entity: Entity) -> str:
        return self._rows.upsert(entity)

    async def delete(self, partition: str, row: str, version: str | None = None) -> None:
        self._rows.delete(partition, row, version)

    async def transact(self, writes: Sequence[Write]) -> None:
        self._rows.transact(writes)

    async def query(
        self,
        where: Sequence[Condition],
        *,
        limit: int = 1000,
        after: Key | None = None,
        columns: Sequence[str] | None = None,
    ) -> Page:
        return self._rows.query(where, limit=limit, after=after, columns=columns)

    async def scan(
        self, where: Sequence[Condition], *, after: Key | None = None, columns: Sequence[str] | None = None
    ) -> Scan:
        return scanned(await self.query(where, after=after, columns=columns))


def scanned(page: Page) -> Scan:
    """A page's rows as plain columns."""
    rows = [{"PartitionKey": one.partition, "RowKey": one.row, **one.columns} for one in page.entities]
    return Scan(rows, page.next)


def check(entity: Entity) -> None:
    """Raises Refused for what storage does not take."""
    for part in (entity.partition, entity.row):
        if len(part) * 2 > _LONGEST_KEY:
            raise Refused(f"A key has at most {_LONGEST_KEY} bytes.")
        if not part.isprintable() or not _FORBIDDEN.isdisjoint(part):
            raise Refused(f"A key may not have the letters of {part!r}.")
    if len(entity.columns) > _MOST_PROPERTIES:
        raise Refused(f"An entity has at most {_MOST_PROPERTIES} properties.")
    total = 0
    for name, value in entity.columns.items():
        size = _size(value)
        if size > _LONGEST_TEXT:
            raise Refused(f"Property {name} has {size} bytes.")
        total += size + 2 * len(name)
    if total > _LARGEST_ENTITY or _travels(entity) > _LARGEST_ENTITY:  # Azurite counts the body that it is sent
        raise Refused(f"The entity has {total} bytes.")


def _travels(entity: Entity) -> int:
    """Bytes of the entity as the client sends it; an ASCII text that is not escaped is counted without a copy."""
    return 1_000 + sum(
        len(value)
        if isinstance(value, str) and value.isascii() and '"' not in value
        else len(json.dumps(value, default=str))
        for value in entity.columns.values()
    )


def _size(value: Any) -> int:
    if not isinstance(value, str):
        return 8
    return 2 * len(value) if value.isascii() else len(value.encode("utf-16-le"))


def _narrowed(entity: Entity, columns: Sequence[str]) -> Entity:
    kept: Mapping[str, Any] = {name: entity.columns[name] for name in columns if name in entity.columns}
    return Entity(entity.partition, entity.row, kept, entity.version)


def _holds(entity: Entity, condition: Condition) -> bool:
    name, how, value = condition
    found: Any
    if name == "PartitionKey":
        found = entity.partition
    elif name == "RowKey":
        found = entity.row
    else:
        found = entity.columns.get(name)
        if found is None or _kind(found) != _kind(value):
            return False
    match how:
        case "eq":
            return bool(found == value)
        case "ne":
            return bool(found != value)
        case "lt":
            return bool(found < value)
        case "le":
            return bool(found <= value)
        case "gt":
            return bool(found > value)
        case _:
            return bool(found >= value)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"
