"""Everything timed: rows ordered by when they are due.

Layout: PartitionKey = shard, RowKey = due time ~ kind ~ key(target) ~ key(argument); columns Kind, Target,
Argument, Due, Attempt, and Others where targets share the row. A spurious row is harmless: whoever acts on it reads
the truth first.

Behind them, in the same shard, stands the log of what happened: RowKey = `h~` and the entry's key; columns Owner,
Doc0..n. So one transaction removes a settle deadline and keeps what it watched over. `i~` and a minute says that
entries of that minute have come late."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json, to_json

from router.models.history import Entry, minute_of
from router.models.types import format_time, parse_time
from router.storage.documents import read_document, write_document
from router.storage.grouped import GroupedUpserts
from router.storage.keys import SEPARATOR, key, time_key
from router.storage.port import Condition, Entity, RowChanged, RowExists, Table, Write
from router.storage.transactions import split

SHARDS: Final = 4
LONGEST_BACKOFF_SECONDS: Final = 300.0
#: Tries of a deadline that fails by itself, not for storage or the topic: more than an hour. Then it is given up.
MOST_ATTEMPTS: Final = 20
#: Ids have up to 256 characters, a column up to 32,768.
MOST_TARGETS: Final = 50


#: Before each key of the log and of its marks: behind every deadline.
LOG: Final = "h~"
LATE: Final = "i~"
#: Entries that come later than this have a mark. Whoever counts them looks at as many minutes again and again.
LATE_AFTER: Final = timedelta(seconds=90)
#: As long as the minute of a key (models/history.py).
_MINUTE: Final = len("2026-11-29T0100")


@dataclass(frozen=True)
class LogRow:
    """An entry of a job's or worker's history, for the log."""

    kind: str
    id: str
    entry: Entry

    @property
    def partition(self) -> str:
        return shard_of(self.id)


def shard_of(target: str) -> str:
    return f"{zlib.crc32(target.encode('utf-8', 'surrogatepass')) % SHARDS:02d}"


@dataclass(frozen=True)
class Deadline:
    """Something to do with `target` (a job or worker id) at `due`. `argument` is an offer or rule id."""

    kind: str
    target: str
    due: datetime
    argument: str = ""
    attempt: int = 0
    #: Targets that share the row with `target`: together at most MOST_TARGETS.
    others: tuple[str, ...] = ()
    #: Of the row that was read. One that has been armed anew meanwhile is not removed by whoever has done the old one.
    version: str = field(default="", compare=False)

    @property
    def partition(self) -> str:
        return shard_of(self.target)

    @property
    def row(self) -> str:
        return f"{time_key(self.due)}~{self.kind}~{key(self.target)}~{key(self.argument) if self.argument else ''}"


@dataclass(frozen=True)
class Over:
    """A deadline that nobody needs any more, known by its row alone."""

    partition: str
    row: str
    version: str = ""


def kind_of(row: str) -> str:
    """What kind of deadline a row key is of."""
    return row.split(SEPARATOR, 2)[1]


class DeadlineStore:
    """Arms, finds and removes deadlines."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._upserts = GroupedUpserts(table)

    async def arm(self, deadline: Deadline) -> None:
        await self._upserts.put(_entity(deadline))

    async def due(self, shard: int, until: datetime, limit: int) -> list[Deadline]:
        """The first deadlines of a shard that are due before `until`."""
        page = await self._table.query(
            [("PartitionKey", "eq", f"{shard:02d}"), ("RowKey", "lt", time_key(until))], limit=limit
        )
        return [_deadline(entity) for entity in page.entities]

    async def standing(self, shard: str, first: str, last: str) -> set[str] | None:
        """The rows of a shard's deadlines from one to another; None if there are too many to tell."""
        where: list[Condition] = [
            ("PartitionKey", "eq", shard),
            ("RowKey", "ge", first),
            ("RowKey", "le", last),
        ]
        page = await self._table.query(where, columns=[])
        return {entity.row for entity in page.entities} if page.next is None else None

    async def version(self, shard: str, row: str) -> str | None:
        """Of a row that stands; it is another one after each time that it is armed."""
        found = await self._table.get(shard, row)
        return found.version if found is not None else None

    async def remove(
        self, deadlines: Sequence[Deadline | Over], log: Sequence[LogRow] = (), now: datetime | None = None
    ) -> None:
        """Removes what was done, in as few transactions as it takes. Missing rows are fine; rows that have been armed
        anew stay. What is to be logged is written with that, or before it."""
        by_shard: dict[str, dict[str, Deadline | Over]] = {}
        for deadline in deadlines:
            by_shard.setdefault(deadline.partition, {})[deadline.row] = deadline
        logs: dict[str, list[LogRow]] = {}
        for one in log:
            logs.setdefault(one.partition, []).append(one)
        for partition in {**by_shard, **logs}:
            some = list(by_shard.get(partition, {}).values())
            written = _log_writes(logs.get(partition, []), now)
            if written:
                some = await self._log_and_remove(written, some)
            for start in range(0, len(some), 100):
                await self._remove(some[start : start + 100])

    async def log(self, rows: Sequence[LogRow], now: datetime) -> None:
        """Writes entries into the log. Raises StorageUnavailable."""
        await self.remove((), rows, now)

    async def _log_and_remove(self, written: list[Write], some: list[Deadline | Over]) -> list[Deadline | Over]:
        """Writes the log, and removes the deadlines in the same transaction if that goes; those that are left."""
        deletes = [Write("delete", Entity(one.partition, one.row, version=one.version)) for one in some]
        transactions = list(split([[*written, *deletes]] if len(written) + len(deletes) <= 100 else []))
        if some and len(transactions) == 1:
            try:
                await self._table.transact(transactions[0])
                return []
            except (RowChanged, RowExists):
                pass  # somebody was faster with one of the deadlines
        for writes in split([one] for one in written):
            if len(writes) == 1:
                await self._table.upsert(writes[0].entity)
            else:
                await self._table.transact(writes)
        return some

    async def log_rows(self, shard: int, since: str, until: str, most: int | None = None) -> list[tuple[str, Entry]]:
        """Owner and entry of the log of a shard between two keys."""
        where: list[Condition] = [
            ("PartitionKey", "eq", f"{shard:02d}"),
            ("RowKey", "gt", LOG + since),
            ("RowKey", "lt", LOG + until),
        ]
        found: list[tuple[str, Entry]] = []
        after: tuple[str, str] | None = None
        while True:
            limit = 1000 if most is None else min(most - len(found), 1000)
            page = await self._table.query(where, limit=limit, after=after)
            found += [
                (
                    str(one.columns["Owner"]),
                    Entry(one.row.removeprefix(LOG), read_document("Doc", one.columns)),
                )
                for one in page.entities
            ]
            after = page.next
            if after is None or (most is not None and len(found) >= most):
                return found

    async def log_minutes(self, shard: int, since: str, until: str) -> set[str]:
        """Minutes of which the log of a shard has entries, between two keys."""
        where: list[Condition] = [
            ("PartitionKey", "eq", f"{shard:02d}"),
            ("RowKey", "gt", LOG + since),
            ("RowKey", "lt", LOG + until),
        ]
        found: set[str] = set()
        after: tuple[str, str] | None = None
        while True:
            page = await self._table.scan(where, after=after, columns=[])
            found |= {row["RowKey"].removeprefix(LOG)[:_MINUTE] for row in page.rows}
            after = page.next
            if after is None:
                return found

    async def late(self, shard: int) -> list[Entity]:
        """Marks of minutes that entries have come late for."""
        page = await self._table.query(
            [("PartitionKey", "eq", f"{shard:02d}"), ("RowKey", "gt", LATE), ("RowKey", "lt", "j")], limit=1000
        )
        return list(page.entities)

    async def unmark(self, mark: Entity) -> None:
        """The minute has been looked at; a mark that was made anew stays."""
        with contextlib.suppress(RowChanged):
            await self._table.delete(mark.partition, mark.row, mark.version)

    async def forget_log(self, shard: int, until: str, most: int) -> int:
        """Removes up to `most` of the oldest entries of the log, all before a key. How many there were."""
        page = await self._table.query(
            [("PartitionKey", "eq", f"{shard:02d}"), ("RowKey", "gt", LOG), ("RowKey", "lt", LOG + until)],
            limit=most,
            columns=[],
        )
        rows = [one.row for one in page.entities]
        for start in range(0, len(rows), 100):
            some = rows[start : start + 100]
            try:
                await self._table.transact([Write("delete", Entity(f"{shard:02d}", row)) for row in some])
            except (RowChanged, RowExists):
                await asyncio.gather(*(self._table.delete(f"{shard:02d}", row) for row in some))
        return len(rows)

    async def read_log(self, id: str, key: str) -> Entry | None:
        """The entry of a job or worker with this key, if the log has it."""
        found = await self._table.get(shard_of(id), LOG + key)
        return Entry(key, read_document("Doc", found.columns)) if found is not None else None

    async def drop_log(self, id: str, key: str) -> None:
        await self._table.delete(shard_of(id), LOG + key)

    async def rewrite_log(self, row: LogRow) -> None:
        """Writes an entry of the log anew."""
        await self._table.upsert(_log_entity(row))

    async def put_off(self, deadline: Deadline, due: datetime) -> None:
        """A copy at a later time; the original goes."""
        later = replace(deadline, due=due, attempt=deadline.attempt + 1, version="")
        await self.arm(later)
        await self.remove([deadline])

    async def _remove(self, some: Sequence[Deadline | Over]) -> None:
        if len(some) > 1:
            try:
                await self._table.transact(
                    [
                        Write("delete", Entity(deadline.partition, deadline.row, version=deadline.version))
                        for deadline in some
                    ]
                )
                return
            except (RowChanged, RowExists):
                pass  # another instance was faster with one of them
        await asyncio.gather(*(self._remove_one(deadline) for deadline in some))

    async def _remove_one(self, deadline: Deadline | Over) -> None:
        with contextlib.suppress(RowChanged):
            await self._table.delete(deadline.partition, deadline.row, deadline.version)


def _log_writes(rows: Sequence[LogRow], now: datetime | None) -> list[Write]:
    writes = {one.entry.key: Write("upsert", _log_entity(one)) for one in rows}
    late = {
        minute_of(one.entry.at): one.partition for one in rows if now is not None and now - one.entry.at > LATE_AFTER
    }
    marks = [Write("upsert", Entity(partition, LATE + minute)) for minute, partition in late.items()]
    # Marks last: whoever has seen one must find the entries.
    return [*writes.values(), *marks]


def _log_entity(row: LogRow) -> Entity:
    columns = {"Owner": f"{row.kind}/{row.id}", **write_document("Doc", row.entry.text)}
    return Entity(row.partition, LOG + row.entry.key, columns)


def put_off_until(deadline: Deadline, now: datetime) -> datetime:
    """When to try again what has failed. Counted from when it was due, in whole steps, so that several instances that
    fail at the same row make the same copy of it, not one each."""
    step = backoff(deadline.attempt)
    if deadline.kind.startswith("settle-"):
        # Whole steps of the day: the settle deadlines that several failed tries have left become one.
        since = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return since + step * ((now - since) // step + 1)
    return deadline.due + step * (max((now - deadline.due) // step, 0) + 1)


def backoff(attempt: int) -> timedelta:
    """How long a failing deadline waits: 1 s, 2 s, 4 s ... at most 5 minutes."""
    return timedelta(seconds=min(2.0 ** min(attempt, 9), LONGEST_BACKOFF_SECONDS))


def _entity(deadline: Deadline) -> Entity:
    columns: dict[str, Any] = {
        "Kind": deadline.kind,
        "Target": deadline.target,
        "Argument": deadline.argument,
        "Due": format_time(deadline.due),
        "Attempt": deadline.attempt,
    }
    if deadline.others:
        columns["Others"] = to_json(deadline.others).decode()
    return Entity(deadline.partition, deadline.row, columns)


def _deadline(entity: Entity) -> Deadline:
    columns = entity.columns
    return Deadline(
        str(columns["Kind"]),
        str(columns["Target"]),
        parse_time(columns["Due"]),
        str(columns.get("Argument") or ""),
        int(columns.get("Attempt") or 0),
        tuple(from_json(columns["Others"])) if columns.get("Others") else (),
        entity.version,
    )
