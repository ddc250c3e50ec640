"""What would hold the event loop for longer than a moment is done in one thread of its own.

A thread holds the interpreter too, but gives it back when another asks: the loop waits a millisecond at each turn, not
for the end of the work. One thread, so that however much is asked for, the loop has every second turn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
#: How long a thread keeps the interpreter when another one asks for it.
_SWITCH_SECONDS: Final = 0.001


@lru_cache(maxsize=1)
def _thread() -> ThreadPoolExecutor:
    sys.setswitchinterval(_SWITCH_SECONDS)
    return ThreadPoolExecutor(1, thread_name_prefix="heavy-work")


async def off_loop(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What `work` returns or raises. It must not touch what the loop changes meanwhile."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_thread(), lambda: work(*args, **options))
