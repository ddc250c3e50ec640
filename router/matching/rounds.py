"""One matcher a queue at a time: who asks, who holds the queue, and when it is given back.

Whatever may make a match possible asks for a round of the queues concerned, once it stands in the indexes. In a process
asks are combined. Between processes a row of the queue says who holds it and until when. Who finds it free takes it;
who finds it held goes: the holder looks once more after it has given the queue back, so it sees what was written before
that. A hold ends by itself: who takes over one whose time is over first looks after what its holder had begun
(docs/architecture.md, "Rounds")."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from router.commit.parts import Parts
from router.matching import abandoned
from router.matching.notes import Notes
from router.matching.round import Played, play
from router.matching.scene import Scene, fingerprint
from router.matching.scene import scene as scene_of
from router.outages import passes
from router.storage.port import RowChanged
from router.storage.rounds import Hold
from router.storage.turns import Urgency

_log = logging.getLogger(__name__)

#: How long a hold lasts; each round with matches renews it.
HELD_FOR: Final = timedelta(seconds=3)
#: So long before its end a hold is not acted on any more.
_MARGIN: Final = timedelta(seconds=0.5)
#: A holder works at most so long at a time, then others may have the queue.
_WORKS_SECONDS: Final = 5.0
#: Rounds in which nothing was offered although something was planned, before the holder gives up for now.
_MOST_VAIN: Final = 10
_MOST_TRIES: Final = 120
#: How long a holder of a busy queue waits for more before it gives the queue back, and what is busy.
_LINGERS_SECONDS: Final = 0.02
_BUSY_SECONDS: Final = 0.2
#: Who has found the queue held looks at it again after a while, for all who have asked meanwhile.
_PASSES_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 2.0
#: For so long whoever has made a job sees to it, and so many of these are looked over.
_NEW: Final = timedelta(seconds=1)
_LOOKED_OVER: Final = 4
#: A worker was left to another queue's round: looked again after a while, ever more rarely.
_LEFT_SECONDS: Final = (0.02, 0.5)
_MOST_LEFT: Final = 60


class HoldLost(Exception):
    """The hold's time is over, or somebody else has it."""

    passes = True


@dataclass(eq=False)
class _Token:
    """A hold of the task that enters it, and of what that one starts, while it lasts."""

    queue_id: str
    lasts: bool = True

    def __enter__(self) -> None:
        _HOLDS.set((*(one for one in _HOLDS.get() if one.lasts), self))

    def __exit__(self, *_: object) -> None:
        self.lasts = False


_HOLDS: ContextVar[tuple[_Token, ...]] = ContextVar("holds", default=())


@dataclass
class _Queue:
    """A queue that this process is asked about."""

    id: str
    asked: int = 0
    looked: int = 0
    #: Somebody waits there for certain.
    sure: bool = False
    waiting: list[tuple[int, asyncio.Future[None]]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    notes: Notes = field(default_factory=Notes)
    #: Its row as it was read or written last, and whether no other process has written it lately.
    seen: Hold | None = None
    is_alone: bool = True
    #: Somebody knows that the row is not as it was seen.
    is_outdated: bool = False
    #: Another process had it when it was looked at last.
    is_contended: bool = False
    #: Until then that one is taken to have it still: who asks meanwhile waits for that look.
    passed_until: float = float("-inf")
    #: It is to be looked at again when another's hold ends.
    later: asyncio.TimerHandle | None = None
    #: Set by each ask.
    news: asyncio.Event = field(default_factory=asyncio.Event)
    #: When something was last offered from here.
    offered_at: float = float("-inf")

    def is_busy(self, now: float) -> bool:
        """Whether something has been offered now and shortly before, while other processes want the queue too."""
        last, self.offered_at = self.offered_at, now
        return not self.is_alone and now - last < _BUSY_SECONDS


class Rounds:
    """The matching of queues by this process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._name = parts.ids.guid()
        self._queues: dict[str, _Queue] = {}

    def ask(self, queue_ids: Iterable[str], *, sure: bool = False) -> asyncio.Future[None]:
        """Asks that jobs and workers of these queues be matched. Done when that has happened or another process is
        sure to do it. `sure`: somebody waits there for certain."""
        loop = asyncio.get_running_loop()
        asked: list[asyncio.Future[None]] = []
        for queue_id in queue_ids:
            queue = self._queues.get(queue_id)
            if queue is None:
                queue = self._queues[queue_id] = _Queue(queue_id)
            queue.asked += 1
            queue.news.set()
            queue.sure = queue.sure or sure
            done: asyncio.Future[None] = loop.create_future()
            done.add_done_callback(_retrieved)
            queue.waiting.append((queue.asked, done))
            asked.append(done)
            if queue.task is None:
                queue.task = self._parts.background.start(self._serve(queue), f"match {queue_id}", Urgency.ROUND)
        if len(asked) == 1:
            return asked[0]
        every: asyncio.Future[None] = asyncio.ensure_future(_all(asked))
        every.add_done_callback(_retrieved)
        return every

    def take_over(self, queue_ids: Iterable[str]) -> None:
        """Holds of these queues are over and were not given back: whoever has them stands still or is gone. What is
        remembered of their rows is older than that."""
        queues = list(queue_ids)
        for queue_id in queues:
            if (queue := self._queues.get(queue_id)) is not None:
                queue.is_outdated = True
        self.ask(queues, sure=True)

    def holds(self, queue_id: str) -> bool:
        return any(token.lasts and token.queue_id == queue_id for token in _HOLDS.get())

    @asynccontextmanager
    async def held(self, queue_id: str) -> AsyncIterator[None]:
        """While it is held, nobody else adds jobs to the queue or matches its jobs. Raises StorageUnavailable."""
        queue = self._queues.setdefault(queue_id, _Queue(queue_id))
        pause = 0.01
        while True:
            async with self._parts.locks.hold(f"round/{queue_id}"):
                hold = await self._take(queue)
                if hold is not None:
                    with _Token(queue_id):
                        try:
                            yield
                        finally:
                            await self._release(queue, hold)
                    return
            await asyncio.sleep(pause * (0.5 + self._parts.ids.fraction()))
            pause = min(2 * pause, 0.5)

    async def _serve(self, queue: _Queue) -> None:
        """Looks at the queue until everybody who has asked has been served."""
        failed = 0
        try:
            while queue.looked < queue.asked:
                if (wait := queue.passed_until - asyncio.get_running_loop().time()) > 0:
                    await asyncio.sleep(wait)
                asked, sure, queue.sure = queue.asked, queue.sure or bool(failed), False
                try:
                    await self._look(queue, sure)
                except Exception as error:
                    failed += 1
                    patient = passes(error)
                    if failed < (_MOST_TRIES if patient else 5):
                        if not patient:
                            _log.exception("A round failed and is tried again", extra={"queue": queue.id})
                        queue.seen = None
                        await asyncio.sleep(min(0.05 * 2**failed, _LONGEST_PAUSE_SECONDS))
                        continue
                    self._tell(queue, asked, error)
                else:
                    self._tell(queue, asked, None)
                failed = 0
        finally:
            queue.task = None
            if queue.later is None and not queue.notes.hopeless and not queue.notes.is_large and not queue.waiting:
                self._forget(queue)

    def _forget(self, queue: _Queue) -> None:
        """Only the row that was seen last is worth keeping, and of many queues not even that."""
        if len(self._queues) > 1_000 and self._queues.get(queue.id) is queue:
            del self._queues[queue.id]

    @staticmethod
    def _tell(queue: _Queue, asked: int, error: Exception | None) -> None:
        queue.looked = asked
        for _, done in (one for one in queue.waiting if one[0] <= asked):
            if not done.done():
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)
        queue.waiting = [one for one in queue.waiting if one[0] > asked]

    async def _look(self, queue: _Queue, sure: bool) -> None:
        """Matches what can be matched, unless another process has hold of the queue."""
        if fresh := queue.is_contended:
            queue.seen = await self._parts.round_store.load(queue.id)
            if self._is_anothers(queue, queue.seen):
                return
        if not sure and not queue.notes.hopeless and not await self._somebody_waits(queue):
            return
        left = vain = 0
        while True:
            queue.notes.left_in_vain = left > 1
            async with self._parts.locks.hold(f"round/{queue.id}"):
                played = await self._rounds(queue, fresh)
                fresh = False
            if played is None:
                return
            if played.left:
                self.ask(sorted(played.left), sure=True)
                queue.news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(_LEFT_SECONDS[0] * 2**left, _LEFT_SECONDS[1])):
                        await queue.news.wait()
                left += 1
                if left < _MOST_LEFT:
                    continue
            elif played.again:
                # It has worked for long, or in vain: others may have the queue now.
                vain = 0 if played.offered or played.entered else vain + 1
                if vain > _MOST_VAIN:
                    raise HoldLost("Nothing of what was planned can be carried out.")
                await asyncio.sleep(min(_LINGERS_SECONDS * 2**vain, _LONGEST_PAUSE_SECONDS))
                continue
            if not await self._is_new(queue, played.seen):
                return

    async def _somebody_waits(self, queue: _Queue) -> bool:
        """A job that has just come does not count: whoever has made it is about to ask for itself. What made us look
        stands in the indexes, so that round sees it, or looks again."""
        line = await self._parts.backlog.line(queue.id, _LOOKED_OVER)
        now = self._parts.clock.now()
        return line.more or any(
            not (one.entering and one.written and abs(now - one.written) < _NEW) for one in line.jobs
        )

    async def _rounds(self, queue: _Queue, fresh: bool) -> Played | None:
        """Round after round, as long as there is something to match; then the queue is given back. None if another
        process has it. `fresh`: its row has just been read."""
        loop = asyncio.get_running_loop()
        ends, vain, lost = loop.time() + _WORKS_SECONDS, 0, 0
        keeper = _Keeper(self, queue)
        with keeper.token:
            while True:
                scene = await self._begin(queue, keeper, fresh)
                fresh = False
                if scene is None:
                    return None
                round: asyncio.Future[None] = loop.create_future()
                round.add_done_callback(_retrieved)
                try:
                    began = loop.time()
                    played = await play(self._parts, queue.notes, scene, keeper.announce, keeper.claim, round)
                    queue.notes.took(loop.time() - began, played.jobs)
                except HoldLost as error:  # before anything was begun
                    round.set_exception(error)
                    queue.notes.failed()
                    lost += 1
                    if lost > _MOST_VAIN:
                        raise
                    if keeper.hold is None and keeper.is_fresh:
                        # Whoever has just taken it looks again after that, and sees what made us look.
                        self._pass(queue, HELD_FOR.total_seconds())
                        return None
                    keeper.hold, queue.seen = None, await self._parts.round_store.load(queue.id)
                    if self._is_anothers(queue, queue.seen):
                        return None
                    fresh = True
                    continue
                except BaseException as error:
                    # Not given back: whoever takes over looks after what has been begun.
                    round.set_exception(HoldLost(str(error)))
                    queue.notes.failed()
                    raise
                round.set_result(None)
                vain = 0 if played.offered or played.entered else vain + 1
                if vain >= _MOST_VAIN or loop.time() > ends or not keeper.is_good():
                    break
                if not played.again:
                    if not played.offered or not queue.is_busy(loop.time()):
                        break
                    # Whoever asks meanwhile finds the queue held and goes, instead of taking it at the same moment.
                    await asyncio.sleep(_LINGERS_SECONDS)
            if keeper.hold is not None:
                await self._release(queue, keeper.hold)
        return played

    async def _begin(self, queue: _Queue, keeper: _Keeper, fresh: bool) -> Scene | None:
        """What there is to match. The queue's row is read meanwhile where others write it too; None if one of them has
        the queue."""
        if keeper.hold is not None:
            return await scene_of(self._parts, queue.id, queue.notes)
        keeper.is_fresh = fresh
        if queue.is_outdated:
            queue.is_outdated, queue.seen = False, None
        if queue.seen is not None and (queue.is_alone or fresh):
            scene = await scene_of(self._parts, queue.id, queue.notes)
        else:
            scene, row = await asyncio.gather(
                scene_of(self._parts, queue.id, queue.notes), self._parts.round_store.load(queue.id)
            )
            queue.is_alone = queue.seen is not None and row.version == queue.seen.version
            queue.seen = row
            keeper.is_fresh = True
        if self._is_anothers(queue, queue.seen):
            return None
        if queue.seen.workers or queue.seen.jobs:
            keeper.hold = await self._take(queue)
            if keeper.hold is None:
                return None
            scene = await scene_of(self._parts, queue.id, queue.notes)
        return scene

    async def _is_new(self, queue: _Queue, seen: frozenset[str]) -> bool:
        """Whether there is something that no round has seen: it may have been written while the queue was held, by
        somebody who has gone then."""
        if not queue.notes.hopeless:
            line = await self._parts.backlog.line(queue.id, 1)
            if not line.jobs and not line.more:
                return False
            if not {fingerprint(one) for one in line.jobs} <= seen:
                return True
        return not (await scene_of(self._parts, queue.id, queue.notes)).fingerprint <= seen

    async def _take(self, queue: _Queue) -> Hold | None:
        """The hold, once what an earlier holder has left behind is looked after; None if another process has it."""
        store, clock = self._parts.round_store, self._parts.clock
        seen = queue.seen or await store.load(queue.id)
        while True:
            if self._is_anothers(queue, seen):
                return None
            try:
                hold = await store.take(seen, self._name, clock.now() + HELD_FOR, seen.workers, seen.jobs)
                break
            except RowChanged:
                seen = await store.load(queue.id)
        queue.seen = hold
        if hold.workers or hold.jobs:
            await abandoned.drop(self._parts, seen, is_own=seen.holder == self._name)
        return hold

    def _is_anothers(self, queue: _Queue, seen: Hold) -> bool:
        """Whether another process has hold of the queue: then this one looks again when that ends."""
        now = self._parts.clock.now()
        queue.is_contended = seen.is_held(now) and seen.holder != self._name
        if queue.is_contended:
            self._pass(queue, (seen.until - now).total_seconds() if seen.until else 0.0)
        return queue.is_contended

    def _pass(self, queue: _Queue, seconds: float) -> None:
        """Another process has the queue, for so long at most: it is looked at then, and a little later if somebody
        asks."""
        queue.is_contended, queue.seen = True, None
        queue.passed_until = asyncio.get_running_loop().time() + _PASSES_SECONDS
        self._again(queue, seconds)

    def _again(self, queue: _Queue, seconds: float) -> None:
        """Looks at the queue again when another's hold is over; that one may have died."""
        if queue.later is None:

            def look() -> None:
                queue.later = None
                self.ask([queue.id], sure=True)  # who came meanwhile may have left it to that one

            queue.later = asyncio.get_running_loop().call_later(seconds + 0.05, look)

    async def _release(self, queue: _Queue, hold: Hold) -> None:
        try:
            queue.seen = await self._parts.round_store.release(hold)
        except RowChanged:
            queue.seen = None  # taken over


class _Keeper:
    """A hold in use: taken with the first thing that is to be written, renewed with each round."""

    def __init__(self, rounds: Rounds, queue: _Queue) -> None:
        self._parts = rounds._parts
        self._name = rounds._name
        self._queue = queue
        self.token = _Token(queue.id, lasts=False)
        self.hold: Hold | None = None
        #: The queue's row was read when what is looked at stood in the indexes already.
        self.is_fresh = False

    def is_good(self) -> bool:
        return self.hold is None or self.hold.is_held(self._parts.clock.now() + _MARGIN)

    async def claim(self) -> None:
        """Takes the hold before anything is to be written, where another process may be about to do the same. Raises
        HoldLost, also where a hold that was taken is over."""
        if not self.is_good():
            raise HoldLost
        if self.hold is None and not self._queue.is_alone:
            await self.announce([], [])

    async def announce(self, workers: Sequence[str], jobs: Sequence[str]) -> None:
        """Takes or renews the hold and says whose capacity is about to be reserved, and who is about to enter the line.
        Raises HoldLost: the queue is not as it was seen."""
        seen = self.hold or self._queue.seen
        if seen is None or not self.is_good():
            raise HoldLost
        try:
            until = self._parts.clock.now() + HELD_FOR
            self.hold = await self._parts.round_store.take(seen, self._name, until, workers, jobs)
        except RowChanged as error:
            self._queue.is_alone = False
            raise HoldLost from error
        self._queue.seen = self.hold
        self.token.lasts = True


async def _all(asked: Sequence[asyncio.Future[None]]) -> None:
    await asyncio.gather(*asked)


def _retrieved(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()
