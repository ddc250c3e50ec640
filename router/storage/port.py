"""What the router asks of Table Storage: rows, conditional writes, one-partition transactions, queries.

Azure's tables fulfil it (`azure.py`); the simulation has a double in memory that passes the same tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Value = str | int | float | bool
#: One comparison: column, operator, value. A query's conditions must all hold; a missing column never does.
Condition = tuple[str, Literal["eq", "ne", "lt", "le", "gt", "ge"], Value]


@dataclass(frozen=True, slots=True)
class Entity:
    """A row: its two keys, its columns and the version (ETag) that was read."""

    partition: str
    row: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""

    @property
    def characters(self) -> int:
        """Of its texts together: about what it takes to read, to write and to remember."""
        return sum(len(value) for value in self.columns.values() if isinstance(value, str))


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in key order. `next` continues the query; a page may be short, even empty, and still have one."""

    entities: Sequence[Entity]
    next: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """Rows in key order as plain columns, the two keys among them, and where the query goes on."""

    rows: Sequence[Mapping[str, Any]]
    next: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a transaction. `delete` of a missing row, or of another version than the entity has (none: any),
    fails the transaction."""

    kind: Literal["insert", "upsert", "replace", "delete"]
    entity: Entity


class RowExists(Exception):
    """An insert found the row there."""


class RowChanged(Exception):
    """A conditional write found another version, or none."""

    passes = True


class StorageUnavailable(Exception):
    """Storage did not answer in time, or refused for load. `told`: the log has it, as an outage of storage."""

    told = False
    passes = True


class Table(Protocol):
    """One table. Every method may raise StorageUnavailable."""

    async def get(self, partition: str, row: str) -> Entity | None: ...

    async def insert(self, entity: Entity) -> str:
        """Writes a new row; returns its version. Raises RowExists."""
        ...

    async def replace(self, entity: Entity) -> str:
        """Replaces the row if it still has `entity.version`; returns the new one. Raises RowChanged."""
        ...

    async def upsert(self, entity: Entity) -> str:
        """Writes the row whatever was there; returns its version."""
        ...

    async def delete(self, partition: str, row: str, version: str | None = None) -> None:
        """Deletes the row, if it is there. Raises RowChanged if it has another version than `version`."""
        ...

    async def transact(self, writes: Sequence[Write]) -> None:
        """At most 100 writes of one partition, all or none. Raises RowExists or RowChanged."""
        ...

    async def query(
        self,
        where: Sequence[Condition],
        *,
        limit: int = 1000,
        after: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Page:
        """One page of at most `limit` (up to 1000) rows; `after` is a former page's `next`."""
        ...

    async def scan(
        self,
        where: Sequence[Condition],
        *,
        after: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Scan:
        """Like `query`, up to 1000 rows, for who reads many: a row costs a tenth of the time, and has no version. A
        column that a row does not have may be None."""
        ...


class Tables(Protocol):
    """The tables by name, made when first used."""

    def table(self, name: str) -> Table: ...

    async def ready(self) -> None:
        """Makes sure that storage answers and the tables are there. Raises StorageUnavailable."""
        ...

    async def close(self) -> None: ...
