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

#: Requests under way at a time, of which so many may bring new work.
MOST_AT_ONCE: Final = 64
MOST_SUBMISSIONS: Final = 24
#: Requests that wait, all together, and how long one of them does at most: less than any client's patience.
MOST_WAITING: Final = 512
LONGEST_SECONDS: Final = 5.0
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

    def __init__(self) -> None:
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
        most_waiting: int = MOST_WAITING,
        longest: float = LONGEST_SECONDS,
    ) -> None:
        self._most = most
        self._most_submissions = most_submissions
        self._most_waiting = most_waiting
        self._longest = longest
        self._urgent = _Line()
        self._submissions = _Line()
        self.running = 0
        self.running_submissions = 0

    @asynccontextmanager
    async def take(self, caller: str, operation: str) -> AsyncIterator[None]:
        """While a request is served. Raises TooManyAtOnce (429), Busy (503)."""
        submits = operation in SUBMISSIONS
        line = self._submissions if submits else self._urgent
        if self._is_free(submits) and not line.size:
            self._begin(submits)
        else:
            await self._wait(line, caller, submits)
        try:
            yield
        finally:
            self.running -= 1
            self.running_submissions -= submits
            self._call_next()

    async def _wait(self, line: _Line, caller: str, submits: bool) -> None:
        waiting = self._urgent.size + self._submissions.size
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
                self.running -= 1
                self.running_submissions -= submits
                self._call_next()
            if isinstance(error, TimeoutError):
                if self._has_more_than_his_share(caller):
                    raise TooManyAtOnce from None
                raise Busy("Too many requests wait. Try again.") from None
            raise

    def _has_more_than_his_share(self, caller: str) -> bool:
        callers = self._urgent.callers() | self._submissions.callers() | {caller}
        mine = self._urgent.of(caller) + self._submissions.of(caller)
        return (mine + 1) * len(callers) >= self._urgent.size + self._submissions.size

    def _is_free(self, submits: bool) -> bool:
        if submits and self.running_submissions >= self._most_submissions:
            return False
        return self.running < self._most

    def _begin(self, submits: bool) -> None:
        self.running += 1
        self.running_submissions += submits

    def _call_next(self) -> None:
        for line, submits in ((self._urgent, False), (self._submissions, True)):
            while self._is_free(submits) and (turn := line.next()) is not None:
                self._begin(submits)
                turn.set_result(None)
