"""Whose request is next when a process has more than it carries.

So many are under way at a time; the rest waits. Of those that wait, what moves work on goes before what brings new
work, and the callers take turns, so that one who floods waits behind himself. Who would wait for too long is told at
once: 429 to a caller who has more than his share of the places, else 503."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from router.errors import Busy, RouterError
from router.models.operations import OPERATIONS

#: Requests under way at a time, of which so many may bring new work, and so many read pages: each page may take some
#: times its size while it is made.
MOST_AT_ONCE: Final = 64
MOST_SUBMISSIONS: Final = 24
MOST_PAGES: Final = 4
#: So many that are more urgent go first; then comes one that is less, so that a flood of reads leaves some of the rest.
MOST_AHEAD: Final = 32
#: Requests that wait, all together, and how long one of them does at most: less than any client's patience.
MOST_WAITING: Final = 512
LONGEST_SECONDS: Final = 4.0
#: Before a refusal is sent: who floods asks again at once, and reading that costs what the others need.
_REFUSED_AFTER_SECONDS: Final = 0.25
_RETRY_AFTER_SECONDS: Final = 2
#: What brings new work or much of it; everything else reads, or moves work on.
SUBMISSIONS: Final = frozenset(
    {
        "UpsertJob",
        "ReclassifyJob",
        "UpsertWorker",
        "UpsertQueue",
        "UpsertClassificationPolicy",
        "UpsertDistributionPolicy",
        "UpsertExceptionPolicy",
    }
)


#: Lists, and what else is read in pages.
PAGES: Final = frozenset(operation.name for operation in OPERATIONS if "maxpagesize" in operation.query)


class TooManyAtOnce(RouterError):
    """429: the caller has more requests waiting than his share."""

    def __init__(self) -> None:
        super().__init__(
            "TooManyRequests",
            f"More requests of this caller wait than are carried. Try again in {_RETRY_AFTER_SECONDS} s.",
            429,
            headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
        )


class _Line:
    """Those that wait for one kind of place: a line a caller, served in turn."""

    def __init__(self, most: int) -> None:
        #: Places of this kind, and how many are taken.
        self.most = most
        self.running = 0
        #: How often others had a place since one of these had, while there was one for these.
        self.passed = 0
        self._callers: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self.size = 0

    def add(self, caller: str, turn: asyncio.Future[None]) -> None:
        self._callers.setdefault(caller, deque()).append(turn)
        self.size += 1

    def remove(self, caller: str, turn: asyncio.Future[None]) -> None:
        line = self._callers.get(caller)
        if line is not None and turn in line:
            line.remove(turn)
            self.size -= 1
            if not line:
                del self._callers[caller]

    def next(self) -> asyncio.Future[None] | None:
        """The first of the caller whose turn it is."""
        while self._callers:
            caller, line = next(iter(self._callers.items()))
            turn = line.popleft()
            self.size -= 1
            if line:
                self._callers.move_to_end(caller)
            else:
                del self._callers[caller]
            if not turn.done():
                return turn
        return None

    def of(self, caller: str) -> int:
        return len(self._callers.get(caller, ()))

    def callers(self) -> set[str]:
        return set(self._callers)


class Admission:
    """The places of one process."""

    def __init__(
        self,
        most: int = MOST_AT_ONCE,
        most_submissions: int = MOST_SUBMISSIONS,
        most_pages: int = MOST_PAGES,
        most_waiting: int = MOST_WAITING,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        self._most = most
        self._most_waiting = most_waiting
        self._longest = longest
        self._urgent = _Line(most)
        self._pages = _Line(most_pages)
        self._submissions = _Line(most_submissions)
        #: The most urgent first.
        self._lines = (self._urgent, self._pages, self._submissions)

    @property
    def running(self) -> int:
        return sum(line.running for line in self._lines)

    @property
    def running_submissions(self) -> int:
        return self._submissions.running

    @asynccontextmanager
    async def take(self, caller: str, operation: str) -> AsyncIterator[None]:
        """While a request is served. Raises TooManyAtOnce (429), Busy (503)."""
        line = self._submissions if operation in SUBMISSIONS else self._pages if operation in PAGES else self._urgent
        if self._is_free(line) and not line.size:
            line.running += 1
        else:
            await self._wait(line, caller)
        try:
            yield
        finally:
            line.running -= 1
            self._call_next()

    async def _wait(self, line: _Line, caller: str) -> None:
        waiting = sum(one.size for one in self._lines)
        if waiting >= self._most_waiting and self._has_more_than_his_share(caller):
            await asyncio.sleep(_REFUSED_AFTER_SECONDS)
            raise TooManyAtOnce
        if waiting >= 2 * self._most_waiting:
            raise Busy("Too many requests wait. Try again.")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.add(caller, turn)
        try:
            async with asyncio.timeout(self._longest):
                await turn
        except BaseException as error:
            line.remove(caller, turn)
            if turn.done() and not turn.cancelled():  # it was called at the same moment
                line.running -= 1
                self._call_next()
            if isinstance(error, TimeoutError):
                if self._has_more_than_his_share(caller):
                    raise TooManyAtOnce from None
                raise Busy("Too many requests wait. Try again.") from None
            raise

    def _has_more_than_his_share(self, caller: str) -> bool:
        callers = {caller}.union(*(line.callers() for line in self._lines))
        mine = sum(line.of(caller) for line in self._lines)
        return (mine + 1) * len(callers) >= sum(line.size for line in self._lines)

    def _is_free(self, line: _Line) -> bool:
        return line.running < line.most and self.running < self._most

    def _call_next(self) -> None:
        while open_lines := [line for line in self._lines if line.size and self._is_free(line)]:
            overdue = (line for line in open_lines if line.passed >= MOST_AHEAD)
            line = next(overdue, open_lines[0])
            if (turn := line.next()) is None:
                continue
            for other in open_lines:
                other.passed += 1
            line.passed = 0
            line.running += 1
            turn.set_result(None)
