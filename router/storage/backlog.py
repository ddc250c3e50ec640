"""Waiting jobs of each queue, in the order in which they are to be served.

Layout: PartitionKey = key(queue), RowKey = order ~ key(job), where the order is expedited first, then priority
downwards, then enqueuedAt (docs/behaviour.md, "Order of service"). A job that is created and not queued yet has `!`
before its key, so that it is found first and not counted. Columns: JobId, ChannelId, Priority, EnqueuedAt, Open (it has
fewer offers than it may have), Selectors (the active ones, JSON), Needs (what tells the channel and the selectors
apart), Declined (who has declined it and when, JSON), Written. A hint: the job's row is the truth."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from pydantic import TypeAdapter

from router.engine.live_lines import InLine
from router.engine.selectors import all_selectors
from router.engine.service_order import Place, Standing
from router.models.jobs import Decline, JobRecord
from router.models.selectors import RouterWorkerSelector
from router.models.types import format_time, parse_time
from router.recent import Recent
from router.storage.gone import Gone
from router.storage.keys import descending, key, time_key
from router.storage.port import Condition, Entity, RowChanged, RowExists, Table, Write
from router.storage.transactions import write_groups

_SELECTORS: Final = TypeAdapter(list[RouterWorkerSelector])
_DECLINED: Final = TypeAdapter(dict[str, Decline])
_LARGEST_COLUMN: Final = 16_000
_ENTERING: Final = "!"
#: Places of which it is remembered when a row was put there.
_MOST_PUT: Final = 2_000
#: Behind every `!`, before every row of a job that is queued: these start with `0` (expedited) or `1`.
_FIRST_QUEUED: Final = "0"
#: Behind every row of a job that enters.
LAST_ENTERING: Final = '"'
_SHOWN: Final = ("JobId", "ChannelId", "Priority", "EnqueuedAt", "Selectors", "Open")
#: As engine/live_lines.py takes them.
_OF_A_LINE: Final = itemgetter("PartitionKey", "RowKey", *_SHOWN)
#: Sorts behind every row key.
_AFTER_ALL: Final = "2"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job in a queue's line, as the index tells it."""

    queue_id: str
    job_id: str
    row: str
    channel_id: str
    priority: int
    enqueued_at: datetime
    selectors: Sequence[RouterWorkerSelector]
    open: bool
    #: The same for jobs that ask for the same.
    needs: str = ""
    declined: Mapping[str, Decline] | None = None
    #: When the row was written; none where an earlier version of the router wrote it.
    written: datetime | None = None
    version: str = ""

    @property
    def entering(self) -> bool:
        return self.row.startswith(_ENTERING)

    @property
    def place(self) -> Place:
        return Place(int(self.row.lstrip(_ENTERING)[0]), -self.priority, self.enqueued_at, self.job_id)


@dataclass(frozen=True, slots=True)
class Line:
    """The first of those who wait, and whether there are more."""

    jobs: Sequence[Waiting]
    more: bool


def row_key(where: Standing) -> str:
    """The row key of a job that stands there."""
    place = where.place
    entering = _ENTERING if where.entering else ""
    return f"{entering}{place.rank}~{descending(place.priority)}~{time_key(place.enqueued_at)}~{key(place.job_id)}"


class BacklogStore:
    def __init__(self, table: Table) -> None:
        self._table = table
        self.gone: Gone[tuple[str, str]] = Gone()
        #: When rows were put from here, by the loop's clock.
        self._put: Recent[tuple[str, str], float] = Recent(_MOST_PUT)

    def was_put(self, where: Standing, since: float) -> bool:
        """Whether a row has been put there from here since then, or is about to be."""
        at = self._put.get((where.queue_id, row_key(where)))
        return at is not None and at >= since

    def _note_put(self, where: Standing) -> None:
        self._put[where.queue_id, row_key(where)] = asyncio.get_running_loop().time()

    async def put(self, record: JobRecord, where: Standing, now: datetime) -> None:
        """Writes the row of a job that stands there and may take an offer, whatever was there."""
        self._note_put(where)
        await self._table.upsert(_entity(record, where, now, True))

    async def put_closed(self, record: JobRecord, where: Standing, now: datetime) -> None:
        """Writes the row of a job that stands there and has all its offers, unless there is one: that it says "open"
        must always win, for a row that wrongly says "closed" would keep a job from its worker."""
        self._note_put(where)
        with contextlib.suppress(RowExists):
            await self._table.insert(_entity(record, where, now, False))

    async def remove(self, where: Standing) -> None:
        partition, row = key(where.queue_id), row_key(where)
        await self._table.delete(partition, row)
        self.gone.add([(partition, row)])

    async def remove_as_seen(self, waiting: Waiting) -> None:
        """Removes a row that was read, unless somebody has written it since."""
        with contextlib.suppress(RowChanged):
            await self._table.delete(key(waiting.queue_id), waiting.row, waiting.version)
            self.gone.add([(key(waiting.queue_id), waiting.row)])

    async def update(self, moves: Sequence[tuple[Waiting, JobRecord, Standing, bool]], now: datetime) -> None:
        """What a round has made of rows that it has read: each is moved to where its job stands now, open or not. A row
        that somebody has written since keeps what that one says: "open" must always win, for a row that wrongly says
        "closed" would keep a job from its worker."""
        writes = (_move(seen, _entity(record, where, now, open)) for seen, record, where, open in moves)
        await write_groups(writes, self._apply, self._try)

    async def _try(self, write: Write) -> None:
        with contextlib.suppress(RowChanged, RowExists):
            await self._apply([write])

    async def _apply(self, writes: Sequence[Write]) -> None:
        await self._write(writes)
        self.gone.add((one.entity.partition, one.entity.row) for one in writes if one.kind == "delete")

    async def _write(self, writes: Sequence[Write]) -> None:
        if len(writes) > 1:
            await self._table.transact(writes)
            return
        (one,) = writes
        match one.kind:
            case "replace":
                await self._table.replace(one.entity)
            case "insert":
                await self._table.insert(one.entity)
            case "delete":
                await self._table.delete(one.entity.partition, one.entity.row, one.entity.version or None)
            case _:
                await self._table.upsert(one.entity)

    async def line(
        self,
        queue_id: str,
        limit: int,
        *,
        without: Sequence[str] = (),
        after: str | None = None,
        before: str | None = None,
    ) -> Line:
        """At most `limit` jobs that may take an offer, in the order of service, those that enter first. `without`
        leaves out jobs with these needs, `after` and `before` bound the row keys."""
        where: list[Condition] = [
            ("PartitionKey", "eq", key(queue_id)),
            ("RowKey", "lt", before if before is not None else _AFTER_ALL),
            ("Open", "eq", True),
            *(("Needs", "ne", needs) for needs in without),
        ]
        if after is not None:
            where.append(("RowKey", "gt", after))
        found = await self._table.query(where, limit=limit)
        # A page of storage may end early: then there may be more.
        return Line([_parse(queue_id, entity) for entity in found.entities], found.next is not None)

    async def count(self, queue_id: str, *, before: Place | None = None, most: int | None = None) -> int:
        """How many jobs wait, or wait before a place; counting stops at `most`."""
        where: list[Condition] = [("PartitionKey", "eq", key(queue_id)), ("RowKey", "ge", _FIRST_QUEUED)]
        if before is not None:
            where.append(("RowKey", "lt", row_key(Standing(queue_id, before))))
        total = 0
        after: tuple[str, str] | None = None
        while True:
            limit = 1000 if most is None else min(1000, most - total)
            found = await self._table.query(where, limit=limit, after=after, columns=["Open"])
            total += len(found.entities)
            after = found.next
            if after is None or (most is not None and total >= most):
                return total

    async def everyone(
        self, after: tuple[str, str] | None, *, since: datetime | None = None
    ) -> tuple[list[tuple[InLine, str]], tuple[str, str] | None]:
        """A page of all lines, in no order: those who wait, each with when its row was written, and where it goes on.
        `since`: those rows alone that were written since."""
        where: list[Condition] = [("RowKey", "ge", _FIRST_QUEUED)]
        if since is not None:
            where.append(("Written", "ge", format_time(since)))
        found = await self._table.scan(where, after=after, columns=(*_SHOWN, "Written"))
        rows = [(InLine._make(_OF_A_LINE(row)), row.get("Written") or "") for row in found.rows]
        return rows, found.next

    async def when_written(
        self, after: tuple[str, str] | None
    ) -> tuple[list[tuple[tuple[str, str], str]], tuple[str, str] | None]:
        """A page of the keys of those who wait in any line, in no order, each with when its row was written, and where
        it goes on."""
        found = await self._table.scan([("RowKey", "ge", _FIRST_QUEUED)], after=after, columns=["Written"])
        return [((row["PartitionKey"], row["RowKey"]), row.get("Written") or "") for row in found.rows], found.next

    async def all(self, queue_id: str, *, before: Place | None = None) -> AsyncIterator[Waiting]:
        """All jobs that wait, or wait before a place, in order."""
        where: list[Condition] = [("PartitionKey", "eq", key(queue_id)), ("RowKey", "ge", _FIRST_QUEUED)]
        if before is not None:
            where.append(("RowKey", "lt", row_key(Standing(queue_id, before))))
        after: tuple[str, str] | None = None
        while True:
            found = await self._table.query(where, after=after)
            for entity in found.entities:
                yield _parse(queue_id, entity)
            after = found.next
            if after is None:
                return


def _move(seen: Waiting, entity: Entity) -> list[Write]:
    if seen.row == entity.row:
        return [Write("replace", Entity(entity.partition, entity.row, entity.columns, seen.version))]
    return [Write("insert", entity), Write("delete", Entity(entity.partition, seen.row))]


def _entity(record: JobRecord, where: Standing, now: datetime, open: bool) -> Entity:
    job = record.job
    active = [one for one in all_selectors(job) if one.active]
    selectors = _SELECTORS.dump_json(active, by_alias=True, exclude_none=True).decode()
    columns: dict[str, Any] = {
        "JobId": job.id,
        "ChannelId": job.channel_id,
        "Priority": job.priority,
        "EnqueuedAt": format_time(where.place.enqueued_at),
        # Too many selectors for a column: left out, and the job's row decides alone.
        "Selectors": selectors if len(selectors) < _LARGEST_COLUMN else "[]",
        # Who enters is never left out.
        "Needs": "" if where.entering else needs_of(job.channel_id, selectors),
        "Open": open,
        "Written": format_time(now),
    }
    if record.routing.declined:
        declined = _DECLINED.dump_json(record.routing.declined, by_alias=True, exclude_none=True).decode()
        if len(declined) < _LARGEST_COLUMN:
            columns["Declined"] = declined
    return Entity(key(where.queue_id), row_key(where), columns)


def needs_of(channel_id: str, selectors: str) -> str:
    return hashlib.blake2b(f"{channel_id}\n{selectors}".encode(), digest_size=9).hexdigest()


def _parse(queue_id: str, entity: Entity) -> Waiting:
    columns = entity.columns
    declined, written = columns.get("Declined"), columns.get("Written")
    return Waiting(
        queue_id=queue_id,
        job_id=str(columns["JobId"]),
        row=entity.row,
        channel_id=str(columns["ChannelId"]),
        priority=int(columns["Priority"]),
        enqueued_at=parse_time(columns["EnqueuedAt"]),
        selectors=_SELECTORS.validate_json(str(columns["Selectors"])),
        open=bool(columns["Open"]),
        needs=str(columns.get("Needs") or ""),
        declined=_DECLINED.validate_json(str(declined)) if declined else None,
        written=parse_time(written) if written else None,
        version=entity.version,
    )
