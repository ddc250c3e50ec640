"""What would hold the event loop for longer than a moment is done in a thread.

A thread holds the interpreter too, but gives it back when another asks: the loop waits a moment at each turn, not for
the end of the work. There is one thread for what policies ask for and one for what requests bring, so that however
much is asked for, the loop has every third turn, and a request does not wait for policies.

What takes a millisecond or some is done on the loop, one in each of its turns: of many that come at once each would
keep all others waiting for all of them."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from enum import Enum, auto
from functools import lru_cache, partial
from typing import Final, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
T = TypeVar("T")
#: How long a thread keeps the interpreter when another one asks for it. The loop asks after each call of a socket, of
#: which one request has dozens.
_SWITCH_SECONDS: Final = 0.0002
#: Characters of JSON from which on a step with them takes a millisecond or more: to make it, to read it, to compare it.
LARGE: Final = 32_000


class Weight(Enum):
    """How long a step with a request takes."""

    #: Less than a turn of the loop takes anyway.
    LIGHT = auto()
    #: A millisecond, or some if much of it is wrong.
    MEDIUM = auto()
    HEAVY = auto()


#: Of the request that is served here.
_WEIGHT: Final[ContextVar[Weight]] = ContextVar("weight", default=Weight.LIGHT)


@lru_cache
def _thread(name: str) -> ThreadPoolExecutor:
    sys.setswitchinterval(_SWITCH_SECONDS)
    return ThreadPoolExecutor(1, thread_name_prefix=name)


async def off_loop(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What `work` returns or raises. It must not touch what the loop changes meanwhile."""
    return await _in_thread("heavy-work", partial(work, *args, **options))


async def off_loop_if(large: bool, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What is small is done at once: that takes less than a turn of the thread."""
    return await off_loop(work, *args, **options) if large else work(*args, **options)


class _Turns:
    """Of a loop: who is first begins at once, the others one in each of the loop's turns."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False

    async def take(self) -> None:
        loop = asyncio.get_running_loop()
        if self._taken:
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except BaseException:
                if turn.done() and not turn.cancelled():
                    self._next()  # its turn had just come
                raise
        self._taken = True
        loop.call_soon(self._next)

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False


_TURNS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns]] = WeakKeyDictionary()


@contextmanager
def request(weight: Weight) -> Iterator[None]:
    """Within, `by_weight` goes by it."""
    token = _WEIGHT.set(weight)
    try:
        yield
    finally:
        _WEIGHT.reset(token)


async def by_weight(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What `work` makes of a request: at once, in a turn of its own, or off the loop, as the request weighs."""
    weight = _WEIGHT.get()
    if weight is Weight.HEAVY:
        return await for_a_request(work, *args, **options)
    if weight is Weight.MEDIUM:
        await _TURNS.setdefault(asyncio.get_running_loop(), _Turns()).take()
    return work(*args, **options)


async def by_weight_of(size: int, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What `work` makes of a request and of what is there, of so many characters: off the loop if either is large."""
    return await (for_a_request if size > LARGE else by_weight)(work, *args, **options)


async def by_size(size: int, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What `work` makes of something of so many characters: at once, or off the loop where that is large."""
    return await for_a_request(work, *args, **options) if size > LARGE else work(*args, **options)


async def for_a_request(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """As `off_loop`, without waiting for what policies ask for."""
    return await _in_thread("requests", partial(work, *args, **options))


async def _in_thread(name: str, work: Callable[[], T]) -> T:
    """Its context is the caller's."""
    return await asyncio.get_running_loop().run_in_executor(_thread(name), partial(copy_context().run, work))
