"""Who looks on while a world runs: the history, which checks; or a measurement, which counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router.storage.port import Entity

if TYPE_CHECKING:
    from tests.sim.process import Process


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of storage, as a process asks for it."""

    kind: str
    table: str
    #: Empty for a query of all partitions.
    partition: str = ""
    detail: str = ""
    #: The rows that it writes.
    writes: int = 0

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind, self.table, self.partition, self.detail) if part)


class Observer:
    """Sees everything and changes nothing."""

    def observe(self, table: str, before: Entity | None, after: Entity | None) -> None:
        """Every write of every row."""

    def operated(self, process: Process, operation: Operation, *, conflict: bool = False, rows: int = 0) -> None:
        """Storage has done what it was asked for, found `rows`, or has refused a write for its condition."""

    def took(self, event: dict[str, Any]) -> None:
        """The topic has taken an event, perhaps not for the first time."""
