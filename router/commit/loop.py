"""The commit protocol: load, decide, write under the version that was read.

1. The decision may run again: a conflict loads the row anew and decides anew, a bounded number of times.
2. A settle deadline stands in storage before the row is written (commit/watch.py).
3. The row and its outbox are one entity: one conditional write commits both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from router.clock import Clock
from router.commit import acting
from router.commit.chronicle import Chronicle
from router.commit.locks import KeyedLocks
from router.commit.outbox import Outbox
from router.commit.watch import Watch
from router.engine import history
from router.engine.change import Change
from router.errors import Busy, RouterError
from router.ids import Ids
from router.models.events import PendingEvent
from router.models.history import Entry
from router.models.jobs import GOES_ON, JobRecord
from router.models.workers import WorkerRecord
from router.storage.aggregates import AggregateStore, Row
from router.storage.port import RowChanged, StorageUnavailable
from router.telemetry import routing as metrics
from router.telemetry import tracing

R = TypeVar("R", JobRecord, WorkerRecord)
#: A decision on a row as it was read; it may run several times, and make things ready that do no harm if it is not
#: written. None: there is nothing to do.
Step = Callable[[Row[R]], Awaitable[Change[R] | None]]

_TRIES: Final = 12
#: How long whoever commits promises to see to what follows. An event that arrives meanwhile has nothing to do.
PROMISED: Final = timedelta(seconds=5)
#: The clocks of two machines differ by less; entries of a row are in the order of its commits.
_SKEW: Final = timedelta(minutes=1)
_MOMENT: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class Committed(Generic[R]):
    """The row before and after a change: the same twice if there was nothing to do. `result` is the decision's."""

    before: Row[R]
    after: Row[R]
    result: Any = None

    @property
    def changed(self) -> bool:
        return self.after.version != self.before.version


class Commits(Generic[R]):
    """Commits of one kind of aggregate."""

    def __init__(
        self,
        store: AggregateStore[R],
        watch: Watch[R],
        outbox: Outbox,
        locks: KeyedLocks,
        clock: Clock,
        ids: Ids,
        drives: bool,
        chronicle: Chronicle,
    ) -> None:
        """`drives`: this process sees to what follows its commits by itself."""
        self.store: AggregateStore[R] = store
        self.watch: Watch[R] = watch
        self._outbox = outbox
        self._locks = locks
        self._clock = clock
        self._ids = ids
        self._chronicle = chronicle
        # Who does not see to it promises nothing: then the commit is looked at again when its settle deadline is due.
        self._promised = PROMISED if drives else timedelta(0)

    async def change(
        self,
        id: str,
        step: Step[R],
        row: Row[R] | None = None,
        *,
        from_memory: bool = False,
        watched: bool = True,
        beside: Callable[[], Awaitable[object]] | None = None,
    ) -> Committed[R]:
        """Commits what `step` decides. `row` saves the first load. `from_memory` decides first on the row as this
        process wrote it last, and reads it if that leaves nothing to do, is refused or turns out to be out of date.
        Not `watched`: another row's settle deadline stands behind this change, unless it has events of its own.
        `beside` is done while the row is written.
        Raises what `step` raises, Busy (503) after too many conflicts, StorageUnavailable, TooLarge."""
        async with self._locks.hold(f"{self.store.kind}/{id}"):
            remembered = self.store.as_written(id) if from_memory and row is None else None
            if remembered is not None:
                with suppress(RowChanged, RouterError):
                    done = await self._attempt(remembered, step, watched, beside)
                    if done.changed:
                        return done
            for attempt in range(_TRIES):
                before = row if row is not None else await self.store.load(id)
                try:
                    return await self._attempt(before, step, watched, beside)
                except RowChanged:
                    metrics.record_conflict(self.store.kind)  # type: ignore[arg-type]
                    if attempt + 1 < _TRIES:
                        metrics.record_retry(self.store.kind)  # type: ignore[arg-type]
                    row = None
                    await asyncio.sleep(self._ids.fraction() * min(0.005 * 2**attempt, 0.25))
        raise Busy

    async def attempt(self, before: Row[R], step: Step[R], *, watched: bool = True) -> Committed[R]:
        """Commits what `step` decides if the row is as it was read. Raises RowChanged."""
        async with self._locks.hold(f"{self.store.kind}/{before.id}"):
            return await self._attempt(before, step, watched)

    async def _attempt(
        self,
        before: Row[R],
        step: Step[R],
        watched: bool,
        beside: Callable[[], Awaitable[object]] | None = None,
    ) -> Committed[R]:
        change = await step(before)
        if change is None:
            return Committed(before, before)
        if change.record is before.record and not change.events:
            return Committed(before, before, change.result)
        prepared = await self._prepared(before, change, watched)
        if prepared is None:
            return Committed(before, before, change.result)
        saving = self._saved(before, prepared)
        if beside is None:
            return Committed(before, await saving, change.result)
        after, other = await asyncio.gather(saving, beside(), return_exceptions=True)
        if isinstance(after, BaseException):
            raise after
        if isinstance(other, BaseException):
            raise other  # the row is written: its settle deadline does what this was to do
        return Committed(before, after, change.result)

    async def _saved(self, before: Row[R], prepared: Row[R]) -> Row[R]:
        """Writes the row. A write that fails leaves no more deadlines behind than there were, however often it is
        tried."""
        try:
            return await self.store.save(prepared, self._ids.guid())
        except RowChanged:
            raise
        except Exception as error:
            unknown = isinstance(error, StorageUnavailable)
            self.watch.failed(before, prepared.settle_at, definitely=not unknown)
            raise

    async def _prepared(self, before: Row[R], change: Change[R], watched: bool) -> Row[R] | None:
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
        outbox = (*self._outbox.unsent(before.outbox), *events)
        follows = bool(outbox) or record is None or (watched and _leaves_work(before.record, record))
        told = self._entry(before, record, events, now)
        if told is not None:
            before = await self._chronicle.with_entry(self.store.kind, before, told)
        return replace(
            before,
            record=record,
            outbox=outbox,
            settle_at=await self.watch.watched(before) if watched or follows or told else before.settle_at,
            promised_until=now + self._promised if follows else before.promised_until,
        )

    def _entry(self, before: Row[R], record: R | None, events: Sequence[PendingEvent], now: datetime) -> Entry | None:
        """What the change leaves in the history: later than the entry before it, whatever the clocks say."""
        if not self._chronicle.keeps:
            return None
        last = before.history[-1].at if before.history else None
        if last is not None and now <= last < now + _SKEW:
            now = last + _MOMENT
        return history.entry_of(before.record, record, events, acting.actor(), acting.decided_by(), now, self._ids.guid)


def _leaves_work(before: JobRecord | WorkerRecord | None, after: JobRecord | WorkerRecord) -> bool:
    """Whether more follows from the change than its events."""
    if isinstance(after, JobRecord):
        return after.status in GOES_ON or bool(after.routing.triggered)
    changed = not isinstance(before, WorkerRecord) or before.routing.version != after.routing.version
    return after.routing.deleting or changed


def _differ(one: JobRecord | WorkerRecord, other: JobRecord | WorkerRecord) -> bool:
    """Whether clients see a difference. As JSON, since Python holds True == 1 and the wire does not."""
    seen, now = (record.job if isinstance(record, JobRecord) else record.worker for record in (one, other))
    return seen is not now and (seen != now or seen.model_dump_json() != now.model_dump_json())
