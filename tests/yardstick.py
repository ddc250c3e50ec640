"""How slow this machine is just now: what bounds a test's times and waits where it is slower than most, or shared."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: What `_piece` takes on one core of an ordinary machine of 2024 that does nothing else.
_ORDINARY_SECONDS: Final = 0.010
#: A machine slower than that is told so: nobody waits for ever.
_MOST: Final = 8.0


def slower(clock: Callable[[], float] = time.perf_counter) -> float:
    """How many times longer than on an ordinary machine a piece of Python takes here and now: 1 to 8. By the clock on
    the wall what others take is in it, by `time.thread_time` only how fast the core is."""
    began = clock()
    for _ in range(3):
        _piece()
    return min(max((clock() - began) / (3 * _ORDINARY_SECONDS), 1.0), _MOST)


def _piece() -> None:
    text: dict[str, int] = {}
    for number in range(100_000):
        text[str(number % 100)] = number
    assert len(text) == 100


class Deadline:
    """Of a wait that says when to give up: so many seconds on an ordinary machine, more on a slower one."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self.seconds = seconds

    def is_over(self) -> bool:
        waited = time.monotonic() - self._began
        return waited > self.seconds and waited > self.seconds * slower()
