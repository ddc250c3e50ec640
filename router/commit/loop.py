"""The commit protocol: load, decide, write under the version that was read, announce.

1. The decision is pure and may run again: a conflict loads the row anew and decides anew, a bounded number of times.
2. A settle deadline stands in storage before the row is written. One serves all commits of the next seconds: the row
   says until when it is watched, and whoever acts on the deadline first takes that word back by a conditional write,
   so no commit can rely on a deadline that has been used up.
3. The row and its outbox are one entity: one conditional write commits both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from router.clock import Clock
from router.commit.locks import KeyedLocks
from router.commit.outbox import Outbox
from router.engine.change import Change
from router.errors import Busy, RouterError
from router.ids import Ids
from router.models.events import PendingEvent
from router.models.jobs import JobRecord
from router.models.workers import WorkerRecord
from router.recent import Recent
from router.storage.aggregates import AggregateStore, Row
from router.storage.deadlines import MOST_TARGETS, Deadline, DeadlineStore
from router.storage.port import RowChanged
from router.telemetry import routing as metrics
from router.telemetry import tracing

R = TypeVar("R", JobRecord, WorkerRecord)

SETTLE_AFTER: Final = timedelta(seconds=15)
#: A settle deadline that is nearer than this is not relied on: the commit might come after it.
SETTLE_MARGIN: Final = timedelta(seconds=5)
_TRIES: Final = 12
_MOST_EARLY: Final = 10_000


class Commits(Generic[R]):
    """Commits of one kind of aggregate."""

    def __init__(
        self,
        store: AggregateStore[R],
        deadlines: DeadlineStore,
        outbox: Outbox,
        locks: KeyedLocks,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.store: AggregateStore[R] = store
        self._deadlines = deadlines
        self._outbox = outbox
        self._locks = locks
        self._clock = clock
        self._ids = ids
        #: Rows whose next write is watched over already: the version that was read, and until when.
        self._early: Recent[str, tuple[str, datetime]] = Recent(_MOST_EARLY)

    async def change(
        self,
        id: str,
        step: Callable[[Row[R]], Awaitable[Change[R] | None]],
        row: Row[R] | None = None,
        *,
        announce: bool = True,
        from_memory: bool = False,
    ) -> tuple[Row[R], Row[R]]:
        """The row before and after the change; the same twice if there was nothing to do. `row` saves the first
        load. Without `announce` the caller calls `announce` once it has done what hangs on the row: whom the events
        wake must find it done. `from_memory` decides first on the row as this process wrote it last, and reads it if
        that leaves nothing to do or turns out to be out of date. Raises what `step` raises, Busy (503) after too many
        conflicts, StorageUnavailable, TooLarge."""
        async with self._locks.hold(f"{self.store.kind}/{id}"):
            remembered = self.store.as_written(id) if from_memory and row is None else None
            if remembered is not None:
                with suppress(RowChanged, RouterError):
                    after = await self._attempt(remembered, step)
                    if after is not None:
                        return remembered, self._committed(after, announce)
            for attempt in range(_TRIES):
                before = row if row is not None else await self.store.load(id)
                try:
                    after = await self._attempt(before, step)
                except RowChanged:
                    metrics.record_conflict(self.store.kind)  # type: ignore[arg-type]
                    if attempt + 1 < _TRIES:
                        metrics.record_retry(self.store.kind)  # type: ignore[arg-type]
                    row = None
                    await asyncio.sleep(self._ids.fraction() * min(0.005 * 2**attempt, 0.25))
                    continue
                return before, before if after is None else self._committed(after, announce)
        raise Busy

    async def _attempt(self, before: Row[R], step: Callable[[Row[R]], Awaitable[Change[R] | None]]) -> Row[R] | None:
        """The row as it has been written, or None if there was nothing to do. Raises RowChanged."""
        change = await step(before)
        if change is None or (change.record is before.record and not change.events):
            return None
        prepared = await self._prepared(before, change)
        return None if prepared is None else await self.store.save(prepared, self._ids.guid())

    def _committed(self, row: Row[R], announce: bool) -> Row[R]:
        self._outbox.committed(self.store, row)
        if announce:
            self.announce(row)
        return row

    def announce(self, row: Row[R]) -> None:
        """Sends the events of a committed row in the background."""
        self._outbox.announce(self.store, row)

    async def _prepared(self, before: Row[R], change: Change[R]) -> Row[R] | None:
        """The row to write; None if it would say what it says already."""
        now = self._clock.now()
        record = change.record
        if record is not None and before.record is not None:
            if not _differ(record, before.record):
                if record == before.record and not change.events:
                    return None
                record = record.model_copy(update={"etag": before.record.etag, "modified": before.record.modified})
            else:
                record = record.model_copy(update={"etag": self._ids.etag(), "modified": now})
        elif record is not None:
            record = record.model_copy(update={"etag": self._ids.etag(), "modified": now})
        traceparent = tracing.current_traceparent()
        events: tuple[PendingEvent, ...] = tuple(
            draft.pending(self._ids.guid(), now, traceparent) for draft in change.events
        )
        return replace(
            before,
            record=record,
            outbox=(*self._outbox.unsent(before.outbox), *events),
            settle_at=await self._watched(before),
        )

    async def watch(self, row: Row[R]) -> None:
        """For steps that write other rows anyway: puts the settle deadline there meanwhile."""
        self._early[row.id] = (row.version, await self._arm(row))

    async def watch_all(self, rows: Sequence[Row[R]]) -> None:
        """For many rows that are about to be written: puts settle deadlines there that they share."""
        now = self._clock.now()
        new = [row for row in rows if watched_until(row.settle_at, now)[1]]
        ids, settle_at = [row.id for row in new], now + SETTLE_AFTER
        shared = [ids[start : start + MOST_TARGETS] for start in range(0, len(ids), MOST_TARGETS)]
        await asyncio.gather(
            *(
                self._deadlines.arm(
                    Deadline(f"settle-{self.store.kind}s", first, settle_at, self._ids.guid(), others=tuple(others))
                )
                for first, *others in shared
            )
        )
        for row in new:
            self._early[row.id] = (row.version, settle_at)

    async def _watched(self, row: Row[R]) -> datetime:
        """Until when a settle deadline watches over the row; it is in storage before this returns."""
        early = self._early.forget(row.id)
        if early is not None and early[0] == row.version and early[1] - self._clock.now() > SETTLE_MARGIN:
            return early[1]
        return await self._arm(row)

    async def _arm(self, row: Row[R]) -> datetime:
        settle_at, renewed = watched_until(row.settle_at, self._clock.now())
        if renewed:
            await self._deadlines.arm(Deadline(f"settle-{self.store.kind}", row.id, settle_at))
        return settle_at


def watched_until(settle_at: datetime | None, now: datetime) -> tuple[datetime, bool]:
    """The settle deadline that a commit at `now` relies on, given the row's, and whether that is a new one."""
    if settle_at is not None and settle_at - now > SETTLE_MARGIN:
        return settle_at, False
    return now + SETTLE_AFTER, True


def _differ(one: JobRecord | WorkerRecord, other: JobRecord | WorkerRecord) -> bool:
    """Whether clients see a difference. As JSON, since Python holds True == 1 and the wire does not."""
    seen, now = (record.job if isinstance(record, JobRecord) else record.worker for record in (one, other))
    return seen is not now and (seen != now or seen.model_dump_json() != now.model_dump_json())
