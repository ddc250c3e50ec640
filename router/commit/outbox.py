"""What follows a commit: its events go to the topic, in order, without holding up the answer; then its row is cleared.

A row's outbox holds what may not have been published yet. After a commit its events are sent in the background; when
they are out and all else that hangs on the commit is done, the row is cleared of them and of the promise, unless
somebody has committed since: whoever writes a row takes over its outbox. An event that this process has sent, or has
been woken by, is known to be out and is dropped at the next write. If the process dies anywhere in between, the row's
settle deadline does the rest (upkeep/settle.py)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from router.clock import Clock
from router.commit.background import Background
from router.commit.chronicle import Chronicle
from router.commit.overdue import Overdue
from router.commit.watch import SETTLE_MARGIN, Watch
from router.errors import RouterError
from router.models.events import PendingEvent
from router.models.jobs import ENDED, JobRecord
from router.outages import is_told
from router.recent import RecentIds
from router.storage.aggregates import AggregateStore
from router.storage.port import RowChanged, StorageUnavailable
from router.storage.truth_rows import Row
from router.storage.turns import Turns, Urgency, at_least
from router.telemetry import routing as metrics

_log = logging.getLogger(__name__)
_FIRST: Final = asyncio.FIRST_COMPLETED

#: A fast life clears its rows by its own next commit; only a row at rest is cleared by a write of its own.
CLEAR_AFTER_SECONDS: Final = 0.25
#: Where other processes have most often written the rows before they are cleared here, those of jobs that move on fast
#: are left for longer, until it can be looked which of them are somebody else's by now; and how often that is.
_LEFT_SECONDS: Final = 1.5
_OFTEN: Final = 0.25
#: How much each clear counts in that.
_WEIGHT: Final = 0.1
#: Rows cleared at once: nobody waits for that, so it yields to whatever somebody waits for. Those whose settle deadline
#: is near do not: the timer would do many times as much for each.
_CLEARED_AT_ONCE: Final = 4
_CLEARED_IN_TIME: Final = 8
_CLEARING_YIELDS_SECONDS: Final = 5.0
_SENDING_YIELDS_SECONDS: Final = 5.0
#: A send that takes longer is tried again: a topic that does not answer must not keep a row from being watched.
_SEND_SECONDS: Final = 5.0
#: Between two tries of events that the topic does not take; the topic's own pause is no longer than that.
_SENT_AGAIN_SECONDS: Final = 2.0
#: While the topic does not answer, a row is watched for so much longer at a time.
_EXTENDED: Final = timedelta(seconds=60)
#: So long before its settle deadline a row whose work is still under way is watched for longer, until that is so long
#: after its last commit: work that does not end is looked at by somebody else. Where nothing has had to wait for its
#: turn, work that takes long is most likely stuck.
_RENEWED: Final = timedelta(seconds=3)
_LONGEST_WORK: Final = timedelta(seconds=20)
_LONGEST_WORK_IN_LINE: Final = timedelta(seconds=60)
#: Rows that this process sees to at a time. What comes beyond that is left to the settle deadlines.
_MOST_OPEN: Final = 10_000
#: UTF-16 units of their JSON, all together.
_LARGEST_OPEN: Final = 20_000_000
#: Rows of overflow that are sent at once: large events, and not what an outage of the topic has left behind.
_MOST_OVERFLOW: Final = 16


#: Begins what a commit has done perhaps too late, once more.
Overtaken = Callable[[], Coroutine[Any, Any, object]]
#: Looks, before a row is cleared, whether what another process has begun is done.
Check = Callable[[Row[Any]], Awaitable[object]]


class NotSent(Exception):
    """The topic has not taken the events; it may do so later. The publisher has told why."""

    told = True
    passes = True


class Publisher(Protocol):
    async def publish(self, events: Sequence[PendingEvent], *, key: str) -> None:
        """Returns when the topic has taken the events. Raises on failure."""
        ...


@dataclass
class _Open:
    """A row whose last commit is not followed up to its end yet, and what is under way for it."""

    row: Row[Any]
    #: When that commit was made.
    at: datetime
    work: list[asyncio.Future[Any]] = field(default_factory=list)
    #: It is not watched for longer: somebody has written it since, storage does not answer, or its work is stuck.
    is_final: bool = False
    #: Done when there is a newer row.
    newer: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    #: What is to be done if another process has written the row before it is cleared.
    overtaken: Overtaken | None = None
    #: What is to be looked at before that, unless another process has written the row by then.
    check: Check | None = None
    #: Another process may soon write it, and taking it over costs that one little.
    passes_on: bool = False

    @property
    def is_done(self) -> bool:
        return self.check is None and all(
            work.done() and not work.cancelled() and work.exception() is None for work in self.work
        )

    def renew(self, row: Row[Any], at: datetime, work: asyncio.Future[Any] | None) -> None:
        self.row = row
        self.at = at
        self.is_final = False
        self.work += [work] if work is not None else []
        if not self.newer.done():
            self.newer.set_result(None)


class Outbox:
    """Follows up what this process commits."""

    def __init__(
        self,
        publisher: Publisher,
        background: Background,
        clock: Clock,
        overdue: Overdue,
        drives: bool,
        chronicle: Chronicle,
        turns: Turns,
        clear_after: float = CLEAR_AFTER_SECONDS,
    ) -> None:
        self._publisher = publisher
        self._clock = clock
        self._background = background
        self._overdue = overdue
        self._drives = drives
        self._chronicle = chronicle
        self._turns = turns
        self._clear_after = clear_after
        #: Events that are known to be out.
        self._out = RecentIds()
        self._open: dict[str, _Open] = {}
        self._open_size = 0
        #: How many of the rows that were to be cleared another process had written.
        self._in_vain = 0.0
        self._clearing = asyncio.Semaphore(_CLEARED_AT_ONCE)
        self._clearing_in_time = asyncio.Semaphore(_CLEARED_IN_TIME)

    def seen(self, event_id: str) -> bool:
        """An event has been delivered to this process, so it is out. Whether this process has sent it."""
        sent = event_id in self._out
        self._out.add([event_id])
        return sent

    def unsent(self, events: Iterable[PendingEvent]) -> tuple[PendingEvent, ...]:
        """Those that are not known to be out."""
        return tuple(event for event in events if event.id not in self._out)

    def owed(self, store: AggregateStore[Any], row: Row[Any]) -> tuple[str, ...]:
        """What the commits up to this row have set going that is not known to be done, though the next write drops
        their events: the types of these. Who takes the row over from that write must know."""
        known = self._open.get(f"{store.kind}/{row.id}")
        if row.is_followed or (known is not None and known.row.commit == row.commit and known.is_done):
            return ()
        return tuple(sorted({*row.owed, *(event.type for event in row.outbox if event.id in self._out)}))

    def is_left(self, store: AggregateStore[Any], row: Row[Any]) -> bool:
        """Whether the last commit of the row is not followed up to its end, and another process has made it: that one
        may have died."""
        known = self._open.get(f"{store.kind}/{row.id}")
        return not row.is_followed and (known is None or known.row.commit != row.commit)

    def follow(
        self,
        store: AggregateStore[Any],
        watch: Watch[Any],
        row: Row[Any],
        work: asyncio.Future[Any] | None,
        *,
        before: Row[Any] | None = None,
        overtaken: Overtaken | None = None,
        check: Check | None = None,
        passes_on: bool = False,
    ) -> None:
        """Sends what the outbox of a written row holds, and clears the row when `work`, which the commit has set going,
        is done too. Work that fails leaves the row to its settle deadline. `overtaken` is done if another process has
        written the row before it is cleared here, `check` before that if not; `before`: the row as it was read for this
        commit; `passes_on`: a job that moves on fast, and that others take over without work."""
        name = f"{store.kind}/{row.id}"
        known = self._open.get(name)
        if known is not None:
            self._open_size += row.size - known.row.size
            if before is not None and before.commit != known.row.commit:
                self._overtaken(name, known)
            known.renew(row, self._clock.now(), work)
            known.overtaken = overtaken or known.overtaken
            known.check = check or known.check
            known.passes_on = passes_on
            return
        if work is None and overtaken is None and check is None and row.is_followed and row.record is not None:
            watch.rests(row)
            return
        if len(self._open) >= _MOST_OPEN or self._open_size + row.size > _LARGEST_OPEN:
            return
        works = [work] if work is not None else []
        self._open[name] = _Open(row, self._clock.now(), works, overtaken=overtaken, check=check, passes_on=passes_on)
        self._open_size += row.size
        self._background.start(self._to_its_end(name, store, watch), f"follow {name}")

    async def send_soon(self, key: str, events: Sequence[PendingEvent]) -> None:
        """Like `send`. Raises NotSent when the topic does not take them within some seconds."""
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await self.send(key, events)
        except Exception as error:
            raise NotSent(str(error) or type(error).__name__) from error

    async def send(self, key: str, events: Sequence[PendingEvent]) -> None:
        """Returns when the topic has them. What is on its way from here is not sent twice: the publisher knows.
        Raises what the publisher raises."""
        unsent = self.unsent(events)
        if unsent:
            try:
                await self._publisher.publish(unsent, key=key)
            finally:
                metrics.record_outbox_age((self._clock.now() - unsent[0].time).total_seconds())
            self._out.add(event.id for event in unsent)

    async def _to_its_end(self, name: str, store: AggregateStore[Any], watch: Watch[Any]) -> None:
        mine = self._open[name]
        await self._followed(name, store, watch, mine)
        self._overtaken(name, mine)

    async def _followed(self, name: str, store: AggregateStore[Any], watch: Watch[Any], mine: _Open) -> None:
        try:
            while True:
                if mine.newer.done():
                    mine.newer = asyncio.get_running_loop().create_future()
                if not await self._sent(name, store, watch, mine):
                    return
                row = mine.row
                if mine.newer.done():
                    continue
                if pending := {work for work in mine.work if not work.done()}:
                    left = self._may_work(mine)
                    done, _ = await asyncio.wait({*pending, mine.newer}, timeout=left, return_when=_FIRST)
                    if not done and self._is_stuck(mine):
                        mine.is_final = True
                    elif not done:
                        with at_least(Urgency.ANSWER):
                            await self._extended(mine, watch.renewed)
                    continue
                for work in mine.work:
                    work.result()
                mine.work.clear()
                if await self._is_anothers(watch, mine) and not mine.newer.done():
                    return
                if mine.newer.done():
                    continue
                async with self._turn_to_clear(watch, mine) as is_ours:
                    if mine.newer.done():
                        continue
                    if not is_ours:
                        return
                    if mine.check is not None:
                        check, mine.check = mine.check, None
                        await check(row)
                        if mine.newer.done():
                            continue
                    cleared = await self._clear(store, watch, row)
                    self._note(in_vain=not cleared)
                    if cleared and not mine.newer.done():
                        mine.overtaken = None
                if not mine.newer.done():
                    return
        except Exception as error:
            if not is_told(error):
                _log.warning(
                    "What follows a commit is left to its settle deadline: %s", error, extra={"aggregate": name}
                )
        finally:
            for work in mine.work:
                work.add_done_callback(_retrieved)
            self._open_size -= mine.row.size
            del self._open[name]

    def _is_stuck(self, mine: _Open) -> bool:
        """Whether the work takes longer than it would with nothing in its way, and nothing is."""
        settle_at = mine.row.settle_at
        return settle_at is not None and settle_at - mine.at > _LONGEST_WORK and not self._turns.is_behind

    async def _is_anothers(self, watch: Watch[Any], mine: _Open) -> bool:
        """Waits until the row may be cleared. Whether another process is known to have written it: then it need not.
        Who is behind with its work clears a job that moves on as late as it can: most often its next commit is earlier,
        and if not, the same write takes the settle deadline back."""
        patient = self._is_patient(mine)
        wait = _LEFT_SECONDS if patient else self._clear_after
        if mine.passes_on and self._turns.is_behind:
            wait = max(self._ripens(mine.row), wait)
        await asyncio.wait({mine.newer}, timeout=wait)
        return patient and not mine.newer.done() and await self._is_gone(watch, mine.row)

    def _is_patient(self, mine: _Open) -> bool:
        return mine.passes_on and self._in_vain > _OFTEN

    async def _is_gone(self, watch: Watch[Any], row: Row[Any]) -> bool:
        gone = not await watch.stands(row)
        if gone:
            self._note(in_vain=True)
        return gone

    def _note(self, *, in_vain: bool) -> None:
        self._in_vain += _WEIGHT * (in_vain - self._in_vain)

    def _may_work(self, mine: _Open) -> float | None:
        """Seconds for which the row may wait for its work as it is watched now; None if it is not to be watched for
        longer."""
        row = mine.row
        if row.settle_at is None or mine.is_final or row.settle_at - mine.at > _LONGEST_WORK_IN_LINE:
            return None
        return max((row.settle_at - _RENEWED - self._clock.now()).total_seconds(), 0.0)

    @asynccontextmanager
    async def _turn_to_clear(self, watch: Watch[Any], mine: _Open) -> AsyncIterator[bool]:
        """When nothing that somebody waits for is in the way, or the row's settle deadline is near. Whether the row may
        be this process's still."""
        row = mine.row
        slots = self._clearing if await self._begins_to_clear(row) else None
        try:
            if slots is None and not mine.newer.done() and self._is_patient(mine) and await self._is_gone(watch, row):
                yield False
                return
            if slots is not None:
                await self._overdue.calm(min(_CLEARING_YIELDS_SECONDS, self._ripens(row)))
            async with nullcontext() if slots is not None else self._clearing_in_time:
                with at_least(Urgency.ANSWER):
                    yield True
        finally:
            if slots is not None:
                slots.release()

    async def _begins_to_clear(self, row: Row[Any]) -> bool:
        """Whether it is the row's turn before its settle deadline is near."""
        ripens = self._ripens(row)
        if not ripens:
            return False
        try:
            async with asyncio.timeout(ripens):
                await self._clearing.acquire()
                try:
                    await self._turns.take(_nothing)  # who waits for the turn of a write cannot be called back
                except BaseException:
                    self._clearing.release()
                    raise
        except TimeoutError:
            return False
        return True

    def _ripens(self, row: Row[Any]) -> float:
        """Seconds until nobody relies anew on what stands behind the row."""
        if row.settle_at is None:
            return _CLEARING_YIELDS_SECONDS
        return max((row.settle_at - SETTLE_MARGIN - self._clock.now()).total_seconds(), 0.0)

    def _overtaken(self, name: str, mine: _Open) -> None:
        if mine.overtaken is not None:
            self._background.start(mine.overtaken(), f"look at {name} again")
            mine.overtaken = None

    async def _clear(self, store: AggregateStore[Any], watch: Watch[Any], row: Row[Any]) -> bool:
        """Empties the outbox of a row whose events are all out; removes the row of a deleted record. At the end of a
        job's life the settle deadline goes too. Whether nobody else has written the row meanwhile."""
        try:
            if not self._drives:  # its settle deadline stays, and finds what the events have not done
                await store.clear(row, promised_until=row.promised_until)
                await store.overflow.drop(row)
                return True
            if row.record is None:
                await self._chronicle.bury(store.kind, row)
                await store.overflow.drop(row)
                await store.drop(row)
                watch.done(row)
                return True
            ended = isinstance(row.record, JobRecord) and row.record.status in ENDED
            # One that nobody relies on any more is taken back with the same write.
            rests = ended or (row.settle_at is not None and not self._ripens(row))
            if rests:
                row = await self._chronicle.copied(row)
                cleared = await watch.taken_back(row.followed())
            else:
                cleared = await store.clear(row)
            await store.overflow.drop(row)
        except (RowChanged, StorageUnavailable, RouterError):
            return False  # the next commit, or the settle deadline, takes it over
        if rests:
            watch.done(row)
        else:
            watch.rests(cleared)
        return True

    async def _sent(self, name: str, store: AggregateStore[Any], watch: Watch[Any], mine: _Open) -> bool:
        """Whether all events of the row are out. While the topic does not take them, its row is watched for longer."""
        while True:
            row = mine.row
            if row.has_earlier or len(row.overflow) > _MOST_OVERFLOW:
                return False  # too much for a quick send: the settle deadline does it in order
            try:
                await self._overdue.calm(min(_SENDING_YIELDS_SECONDS, self._ripens(row)))
                await self.send_soon(name, [*await store.overflow.events(row), *row.outbox])
                return True
            except StorageUnavailable:
                return False
            except NotSent:
                pass  # they wait in the outbox
            await asyncio.sleep(_SENT_AGAIN_SECONDS)
            row = mine.row
            if row.settle_at is None or row.settle_at - self._clock.now() >= SETTLE_MARGIN:
                continue
            if not await self._extended(mine, partial(watch.extended, by=_EXTENDED)) and mine.row is row:
                return False  # somebody else has it now, or the settle deadline will

    async def _extended(self, mine: _Open, extend: Callable[[Row[Any]], Awaitable[Row[Any]]]) -> bool:
        """Has the row watched for longer. Whether it is."""
        row = mine.row
        try:
            extended = await extend(row)
        except (RowChanged, RouterError, StorageUnavailable):
            mine.is_final = mine.row is row
            return False
        if mine.row is row:
            self._open_size += extended.size - row.size
            mine.row = extended
        return True


async def _nothing() -> None:
    """What is done in a turn that only shows that it has come."""


def _retrieved(work: asyncio.Future[Any]) -> None:
    if not work.cancelled():
        work.exception()
