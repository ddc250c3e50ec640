"""How much begins in one turn of the event loop.

A loop that has a thousand connections to read goes through all of them before it comes to anything else. So what is
begun here is begun a few at a time, and between them the loop goes on with what is under way."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import Final

#: How long a request waits for its turns, all together; and one that brings new work, which waits in the app as well:
#: less than its client's patience, all together.
LONGEST_SECONDS: Final = 5.0
LONGEST_OF_NEW_SECONDS: Final = 2.5

_Waiting = tuple[float, int, asyncio.Future[None]]


class Pace:
    """So many a turn; of those that wait, the one with the lowest place is next, and of equal ones the first. While
    anything of `ahead` waits, it is one a turn."""

    def __init__(self, a_turn: int, ahead: Pace | None = None) -> None:
        self._a_turn: Final = a_turn
        self._ahead: Final = ahead
        self._left = a_turn
        self._waiting: list[_Waiting] = []
        self._count = 0
        self._will_turn = False

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    async def turn(self, place: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        if not self._will_turn:
            self._will_turn = True
            loop.call_soon(self._next, loop)
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._count += 1
        heappush(self._waiting, (place, self._count, turn))
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        most = 1 if self._ahead is not None and self._ahead.waits else self._a_turn
        self._left = most
        while self._left and self._waiting:
            *_, turn = heappop(self._waiting)
            if not turn.done():  # who waited has left
                self._left -= 1
                turn.set_result(None)
        self._will_turn = self._left < most
        if self._will_turn:
            loop.call_soon(self._next, loop)


class Patience:
    """Of one request: how long it still waits for turns."""

    def __init__(self, seconds: float | None) -> None:
        """None: for as long as it takes."""
        self._left = seconds

    async def turn(self, pace: Pace, place: float = 0.0) -> None:
        """Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(None if self._left is None else max(0.0, self._left)):
            await pace.turn(place)
        if self._left is not None:
            self._left -= loop.time() - began
