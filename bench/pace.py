"""A steady rate, whatever the work started at each step takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable


async def paced(rate: float, count: int) -> AsyncIterator[int]:
    """The numbers from 0, so many a second; who is late catches up."""
    started = time.perf_counter()
    for number in range(count):
        yield number
        await asyncio.sleep(max(started + (number + 1) / rate - time.perf_counter(), 0))


async def comes_true(condition: Callable[[], Awaitable[bool]], seconds: float, pause: float = 0.1) -> bool:
    """Whether the condition holds within that time."""
    until = time.perf_counter() + seconds
    while not (held := await condition()) and time.perf_counter() < until:
        await asyncio.sleep(pause)
    return held
