"""How long one turn of the event loop takes of its thread's processor time: what others wait for, however busy the
machine is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Holds:
    """The turns since the last `take`, in ms, the longest first: how long, and of what."""

    turns: list[tuple[float, str]] = field(default_factory=list)

    def longest(self) -> float:
        """Since this was asked last."""
        found = max(self.turns, default=(0.0, ""))
        self.turns.clear()
        return found[0]


@contextmanager
def measured() -> Iterator[Holds]:
    """Within, turns of loops in this thread are measured."""
    holds = Holds()
    run = asyncio.Handle._run

    def measuring(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        holds.turns.append((1000 * (time.thread_time() - began), repr(handle)))

    asyncio.Handle._run = measuring  # type: ignore[method-assign, assignment]
    try:
        yield holds
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]
