"""The commit protocol: load, decide, write under the version that was read.

1. The decision may run again: a conflict loads the row anew and decides anew, a bounded number of times.
2. A settle deadline stands in storage before the row is written (commit/watch.py).
3. The row and its outbox are one entity: one conditional write commits both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from router.clock import Clock
from router.commit import acting
from router.commit.chronicle import Chronicle
from router.commit.locks import KeyedLocks
from router.commit.outbox import Outbox
from router.commit.watch import PROMISED, Watch
from router.engine import history
from router.engine.change import Change
from router.engine.service_order import standing, stands_anew
from router.errors import Busy, RouterError
from router.ids import Ids
from router.models.events import PendingEvent
from router.models.history import Entry
from router.models.jobs import GOES_ON, JobRecord
from router.models.workers import WorkerRecord
from router.offload import by_size
from router.storage.aggregates import AggregateStore
from router.storage.port import RowChanged, StorageUnavailable
from router.storage.truth_rows import Overtaken, Row
from router.telemetry import routing as metrics
from router.telemetry import tracing

R = TypeVar("R", JobRecord, WorkerRecord)
#: A decision on a row as it was read; it may run several times, and make things ready that do no harm if it is not
#: written. None: there is nothing to do.
Step = Callable[[Row[R]], Awaitable[Change[R] | None]]

#: How often a change is decided and written, each time on the row as it is then, before its client is told to wait.
_MOST_ATTEMPTS: Final = 12
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


@dataclass(frozen=True, slots=True)
class _New(Generic[R]):
    """What a change makes of a row: the record, its new events and the entry of its history."""

    record: R | None
    events: tuple[PendingEvent, ...]
    told: Entry | None


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
        then: Callable[[], Awaitable[object]] | None = None,
    ) -> Committed[R]:
        """Commits what `step` decides. `row` saves the first load. `from_memory` decides first on the row as this
        process wrote it last, and reads it if that leaves nothing to do, is refused or turns out to be out of date.
        Not `watched`: another row's settle deadline stands behind this change, unless it has events of its own.
        `beside` is done while the row is written, `then` when it is, before the row may be changed here again.
        Raises what `step` raises, Busy (503) after too many conflicts, StorageUnavailable, TooLarge."""
        async with self._locks.hold(f"{self.store.kind}/{id}"):
            remembered = self.store.as_written(id) if from_memory and row is None else None
            if remembered is not None:
                try:
                    done = await self._attempt(remembered, step, watched, beside, then)
                    if done.changed:
                        return done
                except Overtaken as error:
                    row = error.row
                except (RowChanged, RouterError):
                    pass
            for attempt in range(_MOST_ATTEMPTS):
                before = row if row is not None else await self.store.load(id)
                try:
                    return await self._attempt(before, step, watched, beside, then)
                except RowChanged as error:
                    metrics.record_conflict(self.store.kind)  # type: ignore[arg-type]
                    if attempt + 1 < _MOST_ATTEMPTS:
                        metrics.record_retry(self.store.kind)  # type: ignore[arg-type]
                    # The write has read the row to see whether it was overtaken: good once, and at once.
                    row = error.row if isinstance(error, Overtaken) and not attempt else None
                    if row is not None:
                        continue
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
        then: Callable[[], Awaitable[object]] | None = None,
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
            after = await saving
        else:
            written, other = await asyncio.gather(saving, beside(), return_exceptions=True)
            if isinstance(written, BaseException):
                raise written
            if isinstance(other, BaseException):
                raise other  # the row is written: its settle deadline does what this was to do
            after = written
        if then is not None:
            await then()
        return Committed(before, after, change.result)

    async def _saved(self, before: Row[R], prepared: Row[R]) -> Row[R]:
        """Writes the row. A write that fails leaves no more deadlines behind than there were, however often it is
        tried."""
        try:
            after = await self.store.save(prepared, self._ids.guid())
        except RowChanged:
            raise
        except Exception as error:
            unknown = isinstance(error, StorageUnavailable)
            self.watch.failed(before, prepared.settle_at, definitely=not unknown)
            raise
        self.watch.saved(before, after)
        return after

    async def _prepared(self, before: Row[R], change: Change[R], watched: bool) -> Row[R] | None:
        """The row to write; None if it would say what it says already."""
        now = self._clock.now()
        made: _New[R] | None = await by_size(_weight(before, change), self._made, before, change, now)
        if made is None:
            return None
        record, told = made.record, made.told
        outbox = self._outbox.unsent(before.outbox) + made.events
        follows = bool(outbox) or record is None or (watched and _leaves_work(before.record, record))
        if told is not None:
            before = await self._chronicle.with_entry(self.store.kind, before, told)
        return replace(
            before,
            record=record,
            outbox=outbox,
            settle_at=await self.watch.watched(before) if watched or follows or told else before.settle_at,
            promised_until=now + self._promised if follows else before.promised_until,
            owed=self._outbox.owed(self.store, before),
        )

    def _made(self, before: Row[R], change: Change[R], now: datetime) -> _New[R] | None:
        """None if the row would say what it says already."""
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
        events = tuple(draft.pending(self._ids.guid(), now, traceparent) for draft in change.events)
        return _New(record, events, self._entry(before, record, events, now))

    def _entry(self, before: Row[R], record: R | None, events: Sequence[PendingEvent], now: datetime) -> Entry | None:
        """What the change leaves in the history: later than the entry before it, whatever the clocks say."""
        if not self._chronicle.keeps:
            return None
        last = before.history[-1].at if before.history else None
        if last is not None and now <= last < now + _SKEW:
            now = last + _MOMENT
        by, decided, held = acting.actor(), acting.decided_by(), acting.told_wait_held()
        return history.entry_of(before.record, record, events, by, decided, now, self._ids.guid, held)


def _weight(before: Row[Any], change: Change[Any]) -> int:
    """About how many characters are looked at to make the row, worked out at once."""
    return max(record.weight if record is not None else 0 for record in (before.record, change.record))


def _leaves_work(before: JobRecord | WorkerRecord | None, after: JobRecord | WorkerRecord) -> bool:
    """Whether more follows from the change than its events."""
    if isinstance(after, JobRecord):
        return after.status in GOES_ON or bool(after.routing.triggered) or _moves(before, after)
    changed = not isinstance(before, WorkerRecord) or before.routing.version != after.routing.version
    return after.routing.deleting or changed


def _moves(before: JobRecord | WorkerRecord | None, after: JobRecord) -> bool:
    """Whether the line does not say of the job what it says itself now."""
    before = before if isinstance(before, JobRecord) else None
    where = standing(after)
    return standing(before) is not None if where is None else stands_anew(before, after, where)


def _differ(one: JobRecord | WorkerRecord, other: JobRecord | WorkerRecord) -> bool:
    """Whether clients see a difference. As JSON, since Python holds True == 1 and the wire does not."""
    seen, now = (record.job if isinstance(record, JobRecord) else record.worker for record in (one, other))
    return seen is not now and (seen != now or seen.model_dump_json() != now.model_dump_json())
