"""Truth rows of jobs and workers: record, outbox and settle time in one row, written under its version.

Layout: PartitionKey = RowKey = key(id); `Doc0..n` the record as JSON, `Out0..n` the outbox as JSON, `SettleAt` the
pending settle deadline, `PromisedUntil` until when who committed sees to what follows, `Owed` the types of events that
are out while what follows from them may not be done, `Commit` the id of the commit that wrote the row, `Kind` what the
row is, `Written` when (of workers), `Place` where it stands in the listing, `Hist0..n` the last entries of its history,
a line each, `Logged` and `Copied` how many of them are where they are kept, and columns that lists filter by. Outbox
overflow stands beside it: RowKey = key(id)~out~<time>~<commit>, and `~<number>` where one row cannot hold it.
`Overflow` names these rows, a few of them: when there are more, the first row that it names has the names of those
before it as `Earlier`, and so on, so that neither the row nor who reads it grows with an outage."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter

from router.clock import Clock
from router.models.events import PendingEvent
from router.models.history import Entry
from router.models.jobs import ACTIVE, JobRecord, ScheduleAndSuspendMode
from router.models.sizes import LARGEST_PAGE, LARGEST_ROW, units
from router.models.types import format_time, parse_time
from router.models.workers import WorkerRecord
from router.offload import by_size
from router.recent import Recent
from router.storage import departures
from router.storage.departures import DepartureStore
from router.storage.documents import read_document, write_document
from router.storage.gone import Gone
from router.storage.keys import key, time_key
from router.storage.listing import Listed, place
from router.storage.port import Condition, Entity, RowChanged, RowExists, StorageUnavailable, Table, Write
from router.storage.transactions import LARGEST_OF_A_TRANSACTION, LARGEST_TRANSACTION, wire_bytes

R = TypeVar("R", JobRecord, WorkerRecord)
#: Where storage goes on: its own continuation, opaque.
Position = tuple[str, str]

_OUTBOX: Final = TypeAdapter(list[PendingEvent])
#: Storage pages that one page of a list looks at, at most, when its filter leaves few.
_PAGES_A_CALL: Final = 4
#: Records that are read before others have their turn.
_READ_AT_ONCE: Final = 16
#: The version of a row that somebody has written again before its version was known: no row has it.
_SUPERSEDED: Final = "W/\"datetime'2000-01-01T00%3A00%3A00.0000000Z'\""
#: Rows that are remembered as this process wrote them.
_REMEMBERED: Final = 2_000
#: UTF-16 units of their JSON, all together: a record takes some times that in memory.
_LARGEST_REMEMBERED: Final = 8_000_000
#: The same, of records that lists have shown.
_LARGEST_LISTED: Final = 2_500_000
#: Characters of an outbox that one row of overflow holds: each may count as six (models/sizes.py).
_PIECE: Final = LARGEST_ROW // 6
#: How long a write whose answer was lost is looked up: whoever waits for it has waited already.
_LOOKS_SECONDS: Final = 2.0


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


class Read(NamedTuple, Generic[R]):
    """A record as it was read for a list, and how many characters it has as JSON."""

    record: R
    size: int


class Overtaken(RowChanged):
    """Somebody else has written the row; `row` is what it was right after that."""

    def __init__(self, row: Row[Any]) -> None:
        super().__init__()
        self.row = row


@dataclass(frozen=True)
class RowPage(Generic[R]):
    found: Sequence[Read[R]]
    next: Position | None

    @property
    def records(self) -> list[R]:
        return [one.record for one in self.found]


@dataclass(frozen=True, slots=True)
class _Made(Generic[R]):
    """A row as it is written: itself, with its overflow beside it. `together`: a transaction takes them."""

    row: Row[R]
    entity: Entity
    spill: list[Write]
    together: bool


class AggregateStore(Generic[R]):
    """The truth rows of one kind."""

    def __init__(
        self,
        table: Table,
        kind: str,
        model: type[R],
        columns: Callable[[R], Mapping[str, Any]],
        clock: Clock | None = None,
    ) -> None:
        """`clock`: rows tell when they were written."""
        self._clock = clock
        self._table = table
        self.kind = kind
        self._model: type[R] = model
        self._columns: Callable[[R], Mapping[str, Any]] = columns
        self._written: Recent[str, Row[R]] = Recent(
            _REMEMBERED, size=lambda row: row.size, most_size=_LARGEST_REMEMBERED
        )
        #: What lists have shown lately, and its version.
        self._read: Recent[str, tuple[str, Read[R]]] = Recent(
            _REMEMBERED, size=lambda kept: kept[1].size, most_size=_LARGEST_LISTED
        )
        #: Size of events. A longer outbox moves to a row of its own, so that a truth row always has room.
        self.outbox_limit = 60_000
        #: Overflow rows that a truth row names before it leaves them to the next one.
        self.most_named = 16

    def as_written(self, id: str) -> Row[R] | None:
        """The row as this process wrote it last, if it did so lately. Another may have written it since: good for a
        conditional write, never for an answer."""
        return self._written.get(id)

    async def load(self, id: str) -> Row[R]:
        """The row of that id; one without version if there is none."""
        entity = await self._table.get(key(id), key(id))
        return await by_size(entity.characters, self._row, id, entity) if entity else Row(id)

    async def save(self, row: Row[R], commit: str) -> Row[R]:
        """Writes the row under the version it was read with (none: it must be new). Raises Overtaken,
        TooLarge. A write whose answer was lost counts as done when the row carries `commit`."""
        self._written.forget(row.id)
        row = replace(row, commit=commit)
        saved = await self._save(row, await by_size(_weight(row), self._made, row, self._now()))
        self._written[row.id] = saved
        return saved

    def _now(self) -> datetime | None:
        return self._clock.now() if self._clock is not None else None

    def _made(self, row: Row[R], now: datetime | None) -> _Made[R]:
        outbox = _OUTBOX.dump_json(list(row.outbox), by_alias=True).decode() if row.outbox else ""
        document = _document(row)
        spill: list[Write] = []
        room = LARGEST_ROW - history_units(row.history)
        if outbox and (size := units(outbox)) and (size > self.outbox_limit or size + units(document) > room):
            earlier = row.overflow if len(row.overflow) >= self.most_named else ()
            spill = self._spill(row, outbox, earlier)
            names: tuple[str, ...] = tuple(write.entity.row for write in spill)
            if earlier:
                row = replace(row, outbox=(), overflow=names, has_earlier=True)
            else:
                row = replace(row, outbox=(), overflow=(*row.overflow, *names))
            outbox = ""
        row = replace(row, size=len(document) + len(outbox) + _history_size(row))
        entity = self._entity(row, outbox, document, now)
        sizes = [wire_bytes(one) for one in (*(write.entity for write in spill), entity)] if spill else [0]
        return _Made(row, entity, spill, sum(sizes) <= LARGEST_TRANSACTION and max(sizes) <= LARGEST_OF_A_TRANSACTION)

    async def _save(self, row: Row[R], made: _Made[R]) -> Row[R]:
        """`row` is what was asked for, `made` what becomes of it."""
        entity, row = made.entity, made.row
        try:
            if made.spill:
                await self._save_with(made, Write("replace" if row.version else "insert", entity))
                current = await self.load(row.id)  # a transaction tells no versions
                return current if current.commit == row.commit else replace(row, version=_SUPERSEDED)
            if row.version:
                return replace(row, version=await self._table.replace(entity))
            return replace(row, version=await self._table.insert(entity))
        except (RowChanged, RowExists) as error:
            current = await self.load(row.id)
            if current.commit == row.commit:
                return current
            raise Overtaken(current) from error
        except StorageUnavailable:
            # Written or not: the row tells, if it can be asked. One without this commit may yet get it.
            with suppress(StorageUnavailable, TimeoutError):
                async with asyncio.timeout(_LOOKS_SECONDS):
                    current = await self.load(row.id)
                    if current.commit == row.commit:
                        return current
            raise

    async def rest(self, row: Row[R], commit: str) -> Row[R]:
        """Writes a row that has no outbox, as `save` does. Raises RowChanged; not looked at is whether that was an
        own write whose answer was lost, for nothing hangs on it."""
        self._written.forget(row.id)
        return await self._replace(replace(row, commit=commit))

    async def _replace(self, row: Row[R]) -> Row[R]:
        """Writes a row that has no outbox. Raises RowChanged."""
        made = await by_size(_weight(row), self._made, row, self._now())
        saved = replace(made.row, version=await self._table.replace(made.entity))
        self._written[row.id] = saved
        return saved

    async def _save_with(self, made: _Made[R], truth: Write) -> None:
        """Writes a row and its overflow: together, or the overflow first where that is too much for a transaction.
        Raises RowChanged, RowExists."""
        spill: list[Write] = made.spill
        if made.together:
            await self._table.transact([*spill, truth])
            return
        for write in spill:
            await self._table.upsert(write.entity)
        try:
            await (self._table.replace if truth.kind == "replace" else self._table.insert)(truth.entity)
        except (RowChanged, RowExists):
            with suppress(StorageUnavailable):
                await asyncio.gather(*(self._table.delete(one.entity.partition, one.entity.row) for one in spill))
            raise

    async def clear(self, row: Row[R], promised_until: datetime | None = None) -> Row[R]:
        """Writes a row that is as it was but for its outbox and what stands behind it. Raises RowChanged; not looked at
        is whether that was an own write whose answer was lost: nobody needs to know."""
        self._written.forget(row.id)
        return await self._replace(row.followed(promised_until))

    async def drop(self, row: Row[R]) -> None:
        """Removes a row whose record is deleted and whose outbox is empty. Raises RowChanged."""
        self._written.forget(row.id)
        await self._table.delete(key(row.id), key(row.id), row.version)

    async def overflow(self, row: Row[R]) -> list[PendingEvent]:
        """The events of the overflow rows that the row names, oldest first."""
        events: list[PendingEvent] = []
        entities = await asyncio.gather(*(self._table.get(key(row.id), name) for name in row.overflow))
        text = ""
        for entity in entities:
            if entity is None:
                text = ""
                continue
            text += read_document("Out", entity.columns)
            if not entity.columns.get("GoesOn"):
                events.extend(await by_size(len(text), _OUTBOX.validate_json, text))
                text = ""
        return events

    async def overflow_parts(self, row: Row[R]) -> AsyncIterator[tuple[list[PendingEvent], list[str]]]:
        """All events of the overflow, oldest first, and the rows that hold them: a row of storage at a time. Those that
        are out may be dropped as it goes."""
        links = [link async for link in self._links(row)]
        for link in reversed(links):
            text, names = "", list[str]()
            for name in link:
                names.append(name)
                entity = await self._table.get(key(row.id), name)
                text = text + read_document("Out", entity.columns) if entity is not None else ""
                if text and not (entity is not None and entity.columns.get("GoesOn")):
                    yield await by_size(len(text), _OUTBOX.validate_json, text), names
                    text, names = "", []

    async def drop_part(self, row: Row[R], names: Sequence[str]) -> None:
        """Removes overflow rows whose events are out, the last one first: half of it is never read as a whole."""
        for name in reversed(names):
            await self._table.delete(key(row.id), name)

    async def drop_overflow(self, row: Row[R]) -> None:
        async for link in self._links(row):
            await asyncio.gather(*(self._table.delete(key(row.id), name) for name in link))

    async def _links(self, row: Row[R]) -> AsyncIterator[Sequence[str]]:
        """The names of the overflow rows, the latest ones first."""
        names, has_earlier = row.overflow, row.has_earlier
        while names:
            entity = await self._table.get(key(row.id), names[0]) if has_earlier else None
            yield names
            # Without it: it has been sent, and all that were before it.
            names = tuple(str(entity.columns.get("Earlier") or "").split("\n")) if entity is not None else ()
            names = names if names != ("",) else ()
            has_earlier = entity is not None and bool(entity.columns.get("HasEarlier"))

    async def page(self, where: Sequence[Condition], size: int, after: Position | None) -> RowPage[R]:
        """One page of records in key order. It may be short, even empty, and have a next one: storage ends a
        page when it has looked long enough, and so do we after a few of its pages, or when it has become large."""
        conditions: list[Condition] = [("Kind", "eq", self.kind), *where]
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
        conditions: list[Condition] = [("Kind", "eq", self.kind), *where]
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
        conditions: list[Condition] = [("Kind", "eq", self.kind), ("Place", "le", last), *where]
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
        return [Read(self._model.model_validate_json(document), len(document)) for document in documents]

    def _parse(self, entity: Entity) -> R:
        record: R = self._model.model_validate_json(read_document("Doc", entity.columns))
        return record

    def _row(self, id: str, entity: Entity) -> Row[R]:
        outbox = read_document("Out", entity.columns)
        settle = entity.columns.get("SettleAt")
        overflow = str(entity.columns.get("Overflow") or "")
        promised = entity.columns.get("PromisedUntil")
        return Row(
            id=id,
            record=self._parse(entity) if entity.columns.get("Kind") == self.kind else None,
            outbox=tuple(_OUTBOX.validate_json(outbox)) if outbox else (),
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

    def _entity(self, row: Row[R], outbox: str, document: str, now: datetime | None) -> Entity:
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

    def _spill(self, row: Row[R], outbox: str, earlier: Sequence[str]) -> list[Write]:
        first = row.outbox[0]
        name = f"{key(row.id)}~out~{time_key(first.time)}~{row.commit}"
        pieces = [outbox[start : start + _PIECE] for start in range(0, len(outbox), _PIECE)]
        writes = []
        for number, piece in enumerate(pieces):
            columns: dict[str, Any] = {"Kind": "outbox", **write_document("Out", piece, limit=LARGEST_ROW)}
            if number + 1 < len(pieces):
                columns["GoesOn"] = True
            if earlier and not number:
                columns["Earlier"] = "\n".join(earlier)
                columns["HasEarlier"] = row.has_earlier
            row_key = f"{name}~{number:03d}" if number else name
            writes.append(Write("upsert", Entity(key(row.id), row_key, columns)))
        return writes


def write_entries(entries: Sequence[Entry]) -> str:
    return "\n".join(f"{entry.key} {entry.text}" for entry in entries)


def read_entries(text: str) -> tuple[Entry, ...]:
    return tuple(Entry(*line.split(" ", 1)) for line in text.split("\n")) if text else ()


def history_units(entries: Sequence[Entry]) -> int:
    """The size of entries in storage."""
    return sum(len(entry.key) + 2 + units(entry.text) for entry in entries)


def _history_size(row: Row[Any]) -> int:
    return sum(len(entry.key) + 2 + len(entry.text) for entry in row.history)


def _weight(row: Row[Any]) -> int:
    """About how many characters the row has, worked out at once."""
    return (row.record.weight if row.record is not None else 0) + sum(event.weight for event in row.outbox)


def _document(row: Row[Any]) -> str:
    """The record as it is stored; empty for a row whose record is deleted."""
    return row.record.model_dump_json(by_alias=True, exclude_none=True) if row.record is not None else ""


def job_store(table: Table) -> AggregateStore[JobRecord]:
    return AggregateStore(table, "job", JobRecord, _job_columns)


class WorkerStore(AggregateStore[WorkerRecord]):
    """The truth rows of workers."""

    def __init__(self, table: Table, clock: Clock | None = None, departures: DepartureStore | None = None) -> None:
        """`departures`: where it is told which are dropped."""
        super().__init__(table, "worker", WorkerRecord, _worker_columns, clock)
        self.gone: Gone[str] = Gone()
        self._departures = departures

    async def drop(self, row: Row[WorkerRecord]) -> None:
        await super().drop(row)
        self.gone.add([key(row.id)])
        if self._departures is not None:
            await self._departures.tell(departures.WORKERS, [(key(row.id), key(row.id))])

    async def everyone(
        self, after: Position | None, *, since: datetime | None = None
    ) -> tuple[list[tuple[str, str, str]], Position | None]:
        """A page of all workers, in no order: the keys of their ids, their records as the JSON that they are stored as,
        and when their rows were written. `since`: those alone that were written since, and without JSON those that are
        deleted."""
        where: Condition = ("Kind", "eq", self.kind) if since is None else ("Written", "ge", format_time(since))
        found = await self._table.scan([where], after=after)
        rows = [(row["PartitionKey"], read_document("Doc", row), row.get("Written") or "") for row in found.rows]
        return rows, found.next

    async def when_written(self, after: Position | None) -> tuple[list[tuple[str, str]], Position | None]:
        """A page of all workers, in no order: the keys of their ids, and when their rows were written."""
        found = await self._table.scan([("Kind", "eq", self.kind)], after=after, columns=["Written"])
        return [(row["PartitionKey"], row.get("Written") or "") for row in found.rows], found.next

    async def naming_queue(self, queue_id: str) -> str | None:
        """The id of a worker that has the queue among its queues, if there is one. Of all workers one column is read,
        a thousand in an operation: queues are deleted seldom."""
        after: Position | None = None
        where: list[Condition] = [("Kind", "eq", self.kind)]
        while True:
            page = await self._table.query(where, after=after, columns=["Id", "Queues"])
            for entity in page.entities:
                # A row that was written before there was such a column is read.
                if queue_mark(queue_id) in str(entity.columns.get("Queues", queue_mark(queue_id))):
                    record = (await self.load(str(entity.columns["Id"]))).record
                    if record is not None and queue_id in record.worker.queues:
                        return record.id
            after = page.next
            if after is None:
                return None


def _job_columns(record: JobRecord) -> dict[str, Any]:
    job = record.job
    columns: dict[str, Any] = {
        "Status": str(job.status),
        "Active": job.status in ACTIVE,
        "ChannelId": job.channel_id,
    }
    if job.queue_id:
        columns["QueueId"] = job.queue_id
    if job.classification_policy_id:
        columns["PolicyId"] = job.classification_policy_id
    if isinstance(job.matching_mode, ScheduleAndSuspendMode):
        columns["ScheduleAt"] = time_key(job.matching_mode.schedule_at)
    return columns


def _worker_columns(record: WorkerRecord) -> dict[str, Any]:
    return {"State": str(record.worker.state), "Queues": "".join(map(queue_mark, record.worker.queues))}


def queue_mark(queue_id: str) -> str:
    """A queue among those of a worker's row: short, so that all fit into one column; others may have the same."""
    return f"{hashlib.sha256(queue_id.encode()).hexdigest()[:12]} "
