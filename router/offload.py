"""What would hold the event loop for longer than a moment is done in a thread.

A thread holds the interpreter too, but gives it back when another asks: the loop waits a moment at each turn, not for
the end of the work. There is one thread for what policies ask for and one for what requests bring, so that however
much is asked for, the loop has every third turn, and a request does not wait for policies."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import lru_cache, partial
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
#: How long a thread keeps the interpreter when another one asks for it. The loop asks after each call of a socket, of
#: which one request has dozens.
_SWITCH_SECONDS: Final = 0.0002
#: Characters of JSON from which on a step with them takes a millisecond or more: to make it, to read it, to compare it.
LARGE: Final = 32_000
#: Whether what goes on here is a request that takes long to read.
_HEAVY: Final[ContextVar[bool]] = ContextVar("heavy", default=False)


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


@contextmanager
def request(*, heavy: bool) -> Iterator[None]:
    """Within, `by_weight` takes work off the loop if the request is heavy."""
    token = _HEAVY.set(heavy)
    try:
        yield
    finally:
        _HEAVY.reset(token)


async def by_weight(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What `work` makes of a request: at once, or off the loop where the request is heavy."""
    if not _HEAVY.get():
        return work(*args, **options)
    return await for_a_request(work, *args, **options)


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
