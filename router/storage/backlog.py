"""Waiting jobs of each queue, in the order in which they are to be served.

Layout: PartitionKey = key(queue), RowKey = order ~ key(job), where the order is expedited first, then priority
downwards, then enqueuedAt (contract section 5, "Matching"). Columns: JobId, ChannelId, Priority, EnqueuedAt, Open (it
has fewer offers than it may have), Selectors (the active ones, JSON). A hint: the job's row is the truth."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter

from router.models.jobs import JobRecord
from router.models.selectors import RouterWorkerSelector
from router.models.types import format_time, parse_time
from router.recent import Recent
from router.storage.keys import descending, key, time_key
from router.storage.port import Condition, Entity, RowChanged, RowExists, Table
from router.storage.windows import Bound, KeyWindows

_SELECTORS: Final = TypeAdapter(list[RouterWorkerSelector])
_REMEMBERED: Final = 10_000
_REMEMBERED_LINES: Final = 2_000
_LONGEST_HEAD: Final = 50
#: Sorts behind every row key, which starts with `0` (expedited) or `1`.
_AFTER_ALL: Final = "2"


@dataclass(frozen=True)
class Waiting:
    """A job in a queue's backlog, as the index tells it."""

    queue_id: str
    job_id: str
    row: str
    channel_id: str
    priority: int
    enqueued_at: datetime
    selectors: Sequence[RouterWorkerSelector]
    open: bool
    version: str = ""


def order_key(record: JobRecord) -> str:
    """The row key of a queued job: sorts in the order of service."""
    job = record.job
    assert job.enqueued_at is not None
    expedited = any(
        selector.expedite and selector.active
        for selector in (*job.requested_worker_selectors, *job.attached_worker_selectors)
    )
    return f"{0 if expedited else 1}~{descending(job.priority)}~{time_key(job.enqueued_at)}~{key(job.id)}"


class BacklogStore:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._windows = KeyWindows(table)
        self._heads = _Heads()
        self._versions: Recent[tuple[str, str], str] = Recent(_REMEMBERED)

    async def put(self, record: JobRecord, queue_id: str) -> None:
        """Writes the job's row, open, under the key that its state gives it."""
        waiting = _waiting(record, queue_id)
        self._heads.add(waiting)
        self._versions[queue_id, waiting.row] = await self._table.upsert(_entity(waiting))

    async def put_closed(self, record: JobRecord, queue_id: str) -> None:
        """Writes the row of a job that got all its offers when it was queued, unless somebody has written it."""
        closed = dataclasses.replace(_waiting(record, queue_id), open=False)
        with contextlib.suppress(RowExists):
            await self._table.insert(_entity(closed))

    def version(self, queue_id: str, row: str) -> str | None:
        """The version in which this process last saw the row."""
        return self._versions.get((queue_id, row))

    async def close(self, record: JobRecord, queue_id: str, version: str) -> None:
        """Says that the job has all its offers, unless the row has changed since `version`, which the caller saw
        before the job got its last offer: saying "open" must always win, for a row that wrongly says "closed"
        would keep a job from its worker."""
        closed = dataclasses.replace(_waiting(record, queue_id), open=False, version=version)
        self._heads.drop(queue_id, closed.row)
        with contextlib.suppress(RowChanged):
            await self._table.replace(_entity(closed))

    async def remove(self, queue_id: str, row: str) -> None:
        self._versions.forget((queue_id, row))
        self._heads.drop(queue_id, row)
        await self._table.delete(key(queue_id), row)

    def remembered(self, queue_id: str) -> Sequence[Waiting]:
        """What this process has read of the head of the queue's line, without those that it knows to be gone. There
        may be others before and between them."""
        return self._heads.get(queue_id)

    def forget(self, queue_id: str, row: str) -> None:
        """The job takes no offers now."""
        self._heads.drop(queue_id, row)

    async def open_jobs(self, queue_id: str, *, before: str | None = None, page: int = 20) -> AsyncIterator[Waiting]:
        """Jobs that may take an offer, first one first, up to the key `before`."""
        filters: list[Condition] = [("PartitionKey", "eq", key(queue_id)), ("Open", "eq", True)]
        end: Bound = ("lt", before if before is not None else _AFTER_ALL)
        is_head = before is None
        async for entities in self._windows.read(filters, None, end, page=page):
            line = [_parse(queue_id, entity) for entity in entities]
            for waiting in line:
                self._versions[queue_id, waiting.row] = waiting.version
            if is_head:
                self._heads.set(queue_id, line)
                is_head = False
            for waiting in line:
                yield waiting

    async def count(self, queue_id: str, *, before: str | None = None, most: int | None = None) -> int:
        """How many jobs wait, or wait before the key `before`; counting stops at `most`."""
        where: list[Condition] = [("PartitionKey", "eq", key(queue_id))]
        if before is not None:
            where.append(("RowKey", "lt", before))
        total = 0
        after: tuple[str, str] | None = None
        while True:
            limit = 1000 if most is None else min(1000, most - total)
            found = await self._table.query(where, limit=limit, after=after, columns=["Open"])
            total += len(found.entities)
            after = found.next
            if after is None or (most is not None and total >= most):
                return total

    async def all(self, queue_id: str) -> AsyncIterator[Waiting]:
        """All waiting jobs in order."""
        after: tuple[str, str] | None = None
        while True:
            found = await self._table.query([("PartitionKey", "eq", key(queue_id))], after=after)
            for entity in found.entities:
                yield _parse(queue_id, entity)
            after = found.next
            if after is None:
                return


class _Heads:
    """The first jobs of each queue's line, as last seen from here."""

    def __init__(self) -> None:
        self._lines: Recent[str, list[Waiting]] = Recent(_REMEMBERED_LINES)

    def get(self, queue_id: str) -> Sequence[Waiting]:
        return tuple(self._lines.get(queue_id) or ())

    def set(self, queue_id: str, line: Sequence[Waiting]) -> None:
        self._lines[queue_id] = list(line)

    def add(self, waiting: Waiting) -> None:
        """Puts the job in its place, if that is not behind all that is known."""
        line = self._lines.get(waiting.queue_id)
        if line and waiting.row <= line[-1].row:
            line[:] = [one for one in line if one.row != waiting.row]
            bisect.insort(line, waiting, key=lambda one: one.row)
            del line[_LONGEST_HEAD:]

    def drop(self, queue_id: str, row: str) -> None:
        line = self._lines.get(queue_id)
        if line:
            line[:] = [one for one in line if one.row != row]


def _waiting(record: JobRecord, queue_id: str) -> Waiting:
    job = record.job
    assert job.enqueued_at is not None
    return Waiting(
        queue_id=queue_id,
        job_id=job.id,
        row=order_key(record),
        channel_id=job.channel_id,
        priority=job.priority,
        enqueued_at=job.enqueued_at,
        selectors=[
            selector
            for selector in (*job.requested_worker_selectors, *job.attached_worker_selectors)
            if selector.active
        ],
        open=True,
    )


def _entity(waiting: Waiting) -> Entity:
    selectors = _SELECTORS.dump_json(list(waiting.selectors), by_alias=True, exclude_none=True).decode()
    return Entity(
        key(waiting.queue_id),
        waiting.row,
        {
            "JobId": waiting.job_id,
            "ChannelId": waiting.channel_id,
            "Priority": waiting.priority,
            "EnqueuedAt": format_time(waiting.enqueued_at),
            # Too many selectors for a column: left out, and the job's row decides alone.
            "Selectors": selectors if len(selectors) < 16_000 else "[]",
            "Open": waiting.open,
        },
        waiting.version,
    )


def _parse(queue_id: str, entity: Entity) -> Waiting:
    columns = entity.columns
    return Waiting(
        queue_id=queue_id,
        job_id=str(columns["JobId"]),
        row=entity.row,
        channel_id=str(columns["ChannelId"]),
        priority=int(columns["Priority"]),
        enqueued_at=parse_time(columns["EnqueuedAt"]),
        selectors=_SELECTORS.validate_json(str(columns["Selectors"])),
        open=bool(columns["Open"]),
        version=entity.version,
    )
