"""Settle deadlines: what stands behind every commit, so that a process that dies costs time and nothing else.

A settle deadline stands in storage before the row is written. One serves all commits of the next seconds: the row says
until when it is watched, and whoever is done with it takes that word back by a conditional write. So no commit can
rely on a deadline that has been used up. Most often that is the process which committed: it takes the word back and
removes the deadline, and the timer finds only what somebody has left undone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from router.clock import Clock
from router.commit.background import Background
from router.commit.chronicle import Chronicle
from router.errors import RouterError
from router.ids import Ids
from router.models.jobs import JobRecord
from router.models.workers import WorkerRecord
from router.outages import is_told
from router.recent import Recent
from router.storage.aggregates import AggregateStore
from router.storage.deadlines import MOST_TARGETS, Deadline, DeadlineStore, LogRow, Over
from router.storage.port import RowChanged, StorageUnavailable
from router.storage.truth_rows import Row
from router.storage.turns import Urgency

R = TypeVar("R", JobRecord, WorkerRecord)
_log = logging.getLogger(__name__)

#: How long whoever commits promises to see to what follows. An event that arrives meanwhile has nothing to do.
PROMISED: Final = timedelta(seconds=5)
SETTLE_AFTER: Final = timedelta(seconds=15)
#: A settle deadline that is nearer than this is not relied on: the commit might come after it.
SETTLE_MARGIN: Final = timedelta(seconds=5)
#: So long before a settle deadline whoever relies on it takes it back. Later than that nobody relies on it anew. It is
#: as urgent as an answer: what is left to the timer is more work.
_TAKEN_BACK: Final = timedelta(seconds=4)
_TIDIED_AT_ONCE: Final = 8
_MOST_EARLY: Final = 10_000


@dataclass(frozen=True)
class Rest(Generic[R]):
    """What a row that rests is written as, and the deadlines that it needs no more."""

    record: R
    over: Sequence[Over] = ()


class Settled:
    """Deadlines that are done, removed together: one transaction for what comes within a moment."""

    _TOGETHER_SECONDS: Final = 1.0

    def __init__(self, deadlines: DeadlineStore, background: Background, chronicle: Chronicle, clock: Clock) -> None:
        self._deadlines = deadlines
        self._background = background
        self._chronicle = chronicle
        self._clock = clock
        self._done: list[Deadline | Over] = []
        self._told: list[LogRow] = []

    def add(self, deadline: Deadline, row: Row[Any] | None = None) -> None:
        """`row`: what the deadline has watched over, whose entries go into the log with its removal."""
        self._add([deadline])
        if row is not None:
            self._told += self._chronicle.pending(deadline.kind.removeprefix("settle-"), row)

    def drop(self, over: Sequence[Over]) -> None:
        """Deadlines that nobody needs any more: they go with the others of their shard."""
        if over:
            self._add(over)

    def _add(self, done: Sequence[Deadline | Over]) -> None:
        if not self._done:
            self._background.start(self._remove(), "remove settle deadlines")
        self._done += done

    async def _remove(self) -> None:
        await asyncio.sleep(self._TOGETHER_SECONDS)
        done, self._done = self._done, []
        told, self._told = self._told, []
        try:
            await self._deadlines.remove(done, told, self._clock.now())
        except StorageUnavailable as error:
            if not is_told(error):
                _log.info("Settle deadlines could not be removed: they will find little to do")
            return
        self._chronicle.logged(told)


class Standing:
    """Which deadlines stand in storage still: asked together, one query a shard for what is asked within a moment.

    Whoever takes a settle deadline back has written its row before. So of a row whose deadline is gone it is known that
    somebody else has written it, without reading it."""

    _TOGETHER_SECONDS: Final = 1.5
    #: Of fewer it is not asked: trying to write them costs no more.
    _FEW: Final = 3

    def __init__(self, deadlines: DeadlineStore, background: Background) -> None:
        self._deadlines = deadlines
        self._background = background
        self._asked: dict[str, list[tuple[Deadline, asyncio.Future[bool]]]] = {}

    async def stands(self, deadline: Deadline) -> bool:
        """Whether it may stand there; true where that is not known."""
        asked = self._asked.setdefault(deadline.partition, [])
        if not asked:
            self._background.start(self._look(deadline.partition), "look which deadlines stand")
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        asked.append((deadline, answer))
        return await answer

    async def _look(self, shard: str) -> None:
        await asyncio.sleep(self._TOGETHER_SECONDS)
        asked = self._asked.pop(shard)
        there: set[str] | None = None
        try:
            if len(asked) >= self._FEW:
                rows = sorted(deadline.row for deadline, _ in asked)
                there = await self._deadlines.standing(shard, rows[0], rows[-1])
        except StorageUnavailable:
            pass
        finally:
            for deadline, answer in asked:
                if not answer.done():
                    answer.set_result(there is None or deadline.row in there)


class Watch(Generic[R]):
    """The settle deadlines of one kind of aggregate, as far as this process arms them and relies on them."""

    def __init__(
        self,
        store: AggregateStore[R],
        deadlines: DeadlineStore,
        settled: Settled,
        background: Background,
        clock: Clock,
        ids: Ids,
        chronicle: Chronicle,
        standing: Standing,
        prepare: Callable[[R], Awaitable[Rest[R]]],
    ) -> None:
        """`prepare` arms what a row that rests needs further on, and tells what it does not need any more."""
        self._store: AggregateStore[R] = store
        self._kind = f"settle-{store.kind}"
        self._deadlines = deadlines
        self._settled = settled
        self._background = background
        self._clock = clock
        self._ids = ids
        self._chronicle = chronicle
        self._standing = standing
        self._prepare: Callable[[R], Awaitable[Rest[R]]] = prepare
        #: Rows whose next write is watched over already: the version that was read, and until when.
        self._early: Recent[str, tuple[str, datetime]] = Recent(_MOST_EARLY)
        #: Deadlines that stand in storage for writes that have failed since: the next try relies on them.
        self._unused: Recent[str, datetime] = Recent(_MOST_EARLY)
        #: Rows at rest that rely on a settle deadline, and when that is due: in the order of time.
        self._resting: dict[str, datetime] = {}
        self._tidying = False

    async def early(self, row: Row[R]) -> None:
        """For steps that write other rows anyway: puts the settle deadline there meanwhile."""
        self._early[row.id] = (row.version, await self._arm(row))

    async def early_all(self, rows: Sequence[Row[R]]) -> None:
        """For many rows that are about to be written: puts settle deadlines there that they share."""
        now = self._clock.now()
        new = [row for row in rows if watched_until(row.settle_at, now)[1]]
        ids, settle_at = [row.id for row in new], now + SETTLE_AFTER
        shared = [ids[start : start + MOST_TARGETS] for start in range(0, len(ids), MOST_TARGETS)]
        await asyncio.gather(
            *(
                self._deadlines.arm(
                    Deadline(f"{self._kind}s", first, settle_at, self._ids.guid(), others=tuple(others))
                )
                for first, *others in shared
            )
        )
        for row in new:
            self._early[row.id] = (row.version, settle_at)

    async def watched(self, row: Row[R]) -> datetime:
        """Until when a settle deadline watches over the row; it is in storage before this returns."""
        early = self._early.forget(row.id)
        if early is not None and early[0] == row.version and early[1] - self._clock.now() > SETTLE_MARGIN:
            return early[1]
        return await self._arm(row)

    async def stands(self, row: Row[R]) -> bool:
        """Whether the row may be as it was written here: nobody is known to have taken back what watches over it."""
        if row.settle_at is None:
            return True
        return await self._standing.stands(Deadline(self._kind, row.id, row.settle_at))

    async def renewed(self, row: Row[R]) -> Row[R]:
        """The row, whose work is still under way here: it is promised anew, and watched for longer. Raises
        RowChanged."""
        return await self.extended(replace(row, promised_until=self._clock.now() + PROMISED), SETTLE_AFTER)

    async def extended(self, row: Row[R], by: timedelta) -> Row[R]:
        """The row, watched for longer: what hangs on it takes its time. Raises RowChanged."""
        settle_at = self._clock.now() + by
        await self._deadlines.arm(Deadline(self._kind, row.id, settle_at))
        saved = await self._store.save(replace(row, settle_at=settle_at), self._ids.guid())
        if row.settle_at is not None:
            self._settled.add(Deadline(self._kind, row.id, row.settle_at), row)
        return saved

    async def taken_back(self, row: Row[R]) -> Row[R]:
        """The row, no longer watched: it rests or has ended, what it needs further on is armed, and what it needs no
        more is removed. Raises RowChanged."""
        assert row.record is not None
        rest = await self._prepare(row.record)
        saved = await self._store.rest(replace(row, record=rest.record, settle_at=None), self._ids.guid())
        self._settled.drop(rest.over)
        return saved

    def drop(self, over: Sequence[Over]) -> None:
        """These stand in storage, and nobody needs them any more."""
        self._settled.drop(over)

    async def _arm(self, row: Row[R]) -> datetime:
        now = self._clock.now()
        settle_at, renewed = watched_until(row.settle_at, now)
        if not renewed:
            return settle_at
        unused = self._unused.get(row.id)
        if unused is not None and SETTLE_MARGIN < unused - now <= SETTLE_AFTER:
            return unused
        await self._deadlines.arm(Deadline(self._kind, row.id, settle_at))
        return settle_at

    def failed(self, row: Row[R], settle_at: datetime | None, *, definitely: bool) -> None:
        """A write that relied on this deadline has failed: the next try relies on it, and does not leave one more.
        Where nothing was written `definitely`, and it was armed for this write, nobody needs it."""
        if settle_at is None or settle_at == row.settle_at:
            return
        if definitely:
            self._unused.forget(row.id)
            self._settled.add(Deadline(self._kind, row.id, settle_at))
        else:
            self._unused[row.id] = settle_at

    def saved(self, before: Row[R], after: Row[R]) -> None:
        """A commit that relies on a later deadline: nobody can rely on the one before any more."""
        if before.settle_at not in (None, after.settle_at) and before.settle_at > self._clock.now():
            self._settled.add(Deadline(self._kind, before.id, before.settle_at), before)

    def rests(self, row: Row[R]) -> None:
        """All that hangs on the row has been done."""
        if row.settle_at is None:
            return
        self._resting.pop(row.id, None)
        self._resting[row.id] = row.settle_at
        if not self._tidying:
            self._tidying = True
            self._background.start(self._tidy(), f"take back {self._kind} deadlines", Urgency.ANSWER)

    def done(self, row: Row[R]) -> None:
        """The word of this row, as it was before, has been taken back."""
        self._resting.pop(row.id, None)
        if row.settle_at is not None:
            self._settled.add(Deadline(self._kind, row.id, row.settle_at), row)

    async def _tidy(self) -> None:
        """Takes back what rests, shortly before it is due. Ends when nothing is left."""
        try:
            while self._resting:
                wait = (min(self._resting.values()) - _TAKEN_BACK - self._clock.now()).total_seconds()
                if wait > 0:
                    await asyncio.sleep(wait)
                ripe = self._clock.now() + _TAKEN_BACK
                some = [id for id, settle_at in self._resting.items() if settle_at <= ripe]
                slots = asyncio.Semaphore(_TIDIED_AT_ONCE)
                await asyncio.gather(*(self._take_back(id, self._resting.pop(id), slots) for id in some))
        finally:
            self._tidying = False

    async def _take_back(self, id: str, settle_at: datetime, slots: asyncio.Semaphore) -> None:
        async with slots:
            mine = self._store.as_written(id)
            if mine is None or mine.settle_at != settle_at or settle_at <= self._clock.now():
                return  # written again since, forgotten, or too late: the timer finds it
            try:
                if mine.record is None or not mine.is_followed:
                    return
                row = await self._chronicle.copied(mine)
                await self.taken_back(row)
            except (RowChanged, RouterError, StorageUnavailable):
                return  # another process has written it, and sees to it; or the timer will
            self._settled.add(Deadline(self._kind, id, settle_at), row)


def watched_until(settle_at: datetime | None, now: datetime) -> tuple[datetime, bool]:
    """The settle deadline that a commit at `now` relies on, given the row's, and whether that is a new one."""
    if settle_at is not None and settle_at - now > SETTLE_MARGIN:
        return settle_at, False
    return now + SETTLE_AFTER, True
