"""Truth rows of jobs and workers: record, outbox and settle time in one row, written under its version.

Layout: PartitionKey = RowKey = key(id); `Doc0..n` the record as JSON, `Out0..n` the outbox as JSON, `SettleAt` the
pending settle deadline, `PromisedUntil` until when who committed sees to what follows, `Owed` the types of events that
are out while what follows from them may not be done, `Commit` the id of the commit that wrote the row, `Kind` what the
row is, `Written` when (of workers), `Place` where it stands in the listing, `Hist0..n` the last entries of its history,
a line each, `Logged` and `Copied` how many of them are where they are kept, and columns that lists filter by. Outbox
overflow stands beside it (overflow.py); `Overflow` names its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter

from router.models.events import PendingEvent
from router.models.history import Entry
from router.models.jobs import JobRecord
from router.models.sizes import LARGEST_ROW, units
from router.models.types import format_time, parse_time
from router.models.workers import WorkerRecord
from router.storage.documents import read_document, write_document
from router.storage.keys import key
from router.storage.listing import place
from router.storage.port import Entity, RowChanged

R = TypeVar("R", JobRecord, WorkerRecord)
OUTBOX: Final = TypeAdapter(list[PendingEvent])


@dataclass(frozen=True)
class Row(Generic[R]):
    """A truth row as read. `record` is None for a row that was deleted (its last events may still stand
    in the outbox) or never was (`version` empty)."""

    id: str
    record: R | None = None
    outbox: tuple[PendingEvent, ...] = ()
    settle_at: datetime | None = None
    version: str = ""
    commit: str = ""
    #: Row keys of outbox overflow, oldest first.
    overflow: tuple[str, ...] = ()
    #: Whether the first of these has the names of earlier ones.
    has_earlier: bool = False
    #: UTF-16 units of its record and its outbox as they were read or written.
    size: int = field(default=0, compare=False)
    #: Until when whoever made the last commit sees to what hangs on it; None when that is done.
    promised_until: datetime | None = None
    #: What events tell of that are out, though what hangs on their commits may not be done: their types.
    owed: tuple[str, ...] = ()
    #: The last entries of its history, oldest first.
    history: tuple[Entry, ...] = ()
    #: How many of them are known to be in the log, and with the workers whom they concern.
    logged: int = 0
    copied: int = 0

    @property
    def is_followed(self) -> bool:
        """Whether all that hangs on the last commit has been done: its events are out and nobody has to see to more."""
        return not self.outbox and not self.overflow and self.promised_until is None

    def followed(self, promised_until: datetime | None = None) -> Row[R]:
        """The row, when its events are out and all that hangs on it is done."""
        return replace(self, outbox=(), overflow=(), has_earlier=False, promised_until=promised_until, owed=())


class Overtaken(RowChanged):
    """Somebody else has written the row; `row` is what it was right after that."""

    def __init__(self, row: Row[Any]) -> None:
        super().__init__()
        self.row = row


class Form(Generic[R]):
    """How rows of one kind are written and read."""

    def __init__(self, kind: str, model: type[R], columns: Callable[[R], Mapping[str, Any]]) -> None:
        self.kind = kind
        self._model: type[R] = model
        self._columns: Callable[[R], Mapping[str, Any]] = columns

    def parse(self, document: str) -> R:
        record: R = self._model.model_validate_json(document)
        return record

    def row(self, id: str, entity: Entity) -> Row[R]:
        outbox = read_document("Out", entity.columns)
        settle = entity.columns.get("SettleAt")
        overflow = str(entity.columns.get("Overflow") or "")
        is_there = entity.columns.get("Kind") == self.kind
        promised = entity.columns.get("PromisedUntil")
        return Row(
            id=id,
            record=self.parse(read_document("Doc", entity.columns)) if is_there else None,
            outbox=tuple(OUTBOX.validate_json(outbox)) if outbox else (),
            settle_at=parse_time(settle) if settle else None,
            version=entity.version,
            commit=str(entity.columns.get("Commit") or ""),
            overflow=tuple(overflow.split("\n")) if overflow else (),
            has_earlier=bool(entity.columns.get("HasEarlier")),
            promised_until=parse_time(promised) if promised else None,
            owed=tuple(str(entity.columns.get("Owed") or "").split()),
            size=entity.characters,
            history=read_entries(read_document("Hist", entity.columns)),
            logged=int(entity.columns.get("Logged") or 0),
            copied=int(entity.columns.get("Copied") or 0),
        )

    def entity(self, row: Row[R], outbox: str, document: str, now: datetime | None) -> Entity:
        columns: dict[str, Any] = {"Kind": "deleted", "Id": row.id, "Commit": row.commit}
        if now is not None:
            columns["Written"] = format_time(now)
        if row.record is not None:
            columns["Kind"] = self.kind
            columns.update(self._columns(row.record))
            columns["Place"] = place(row.id, row.record.created_at)
            columns.update(write_document("Doc", document, limit=LARGEST_ROW))
        if outbox:
            columns.update(write_document("Out", outbox, limit=LARGEST_ROW))
        if row.settle_at:
            columns["SettleAt"] = format_time(row.settle_at)
        if row.promised_until:
            columns["PromisedUntil"] = format_time(row.promised_until)
        if row.owed:
            columns["Owed"] = " ".join(row.owed)
        if row.overflow:
            columns["Overflow"] = "\n".join(row.overflow)
        if row.has_earlier:
            columns["HasEarlier"] = True
        if row.history:
            columns.update(write_document("Hist", write_entries(row.history), limit=LARGEST_ROW))
            columns |= {"Logged": row.logged, "Copied": row.copied}
        return Entity(key(row.id), key(row.id), columns, row.version)


def write_entries(entries: Sequence[Entry]) -> str:
    return "\n".join(f"{entry.key} {entry.text}" for entry in entries)


def read_entries(text: str) -> tuple[Entry, ...]:
    return tuple(Entry(*line.split(" ", 1)) for line in text.split("\n")) if text else ()


def history_units(entries: Sequence[Entry]) -> int:
    """The size of entries in storage."""
    return sum(len(entry.key) + 2 + units(entry.text) for entry in entries)


def history_size(row: Row[Any]) -> int:
    return sum(len(entry.key) + 2 + len(entry.text) for entry in row.history)


def weight_of(row: Row[Any]) -> int:
    """About how many characters the row has, worked out at once."""
    return (row.record.weight if row.record is not None else 0) + sum(event.weight for event in row.outbox)


def document_of(row: Row[Any]) -> str:
    """The record as it is stored; empty for a row whose record is deleted."""
    return row.record.model_dump_json(by_alias=True, exclude_none=True) if row.record is not None else ""
