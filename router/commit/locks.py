"""Locks of this process, one a row or queue.

There is one order, so that nobody waits for somebody who waits for him: first a queue's, then one row's, and while that
is held, nothing that takes another lock is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

from router.storage.turns import Urgency, at_least

#: The keys that this task holds, and those that it waits for while they hold them.
HELD: Final[ContextVar[tuple[str, ...]]] = ContextVar("held", default=())
#: What begins like this comes before the others.
_FIRST: Final = "round/"


class KeyedLocks:
    """One lock a key, alive while somebody holds or awaits it: two handlers of this process do not race for a row
    that one of them would have to read again."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[bool]:
        """Yields whether others held it first: what was read before may have changed. Others may wait for who holds it,
        so its calls of storage are urgent. Raises RuntimeError where that is against the order of locks."""
        held = HELD.get()
        if held and (not held[-1].startswith(_FIRST) or key.startswith(_FIRST)):
            raise RuntimeError(f"{key} must not be waited for while {held[-1]} is held.")
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                HELD.set((*held, key))
                with at_least(Urgency.ANSWER):
                    yield users > 0
        finally:
            HELD.set(held)
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)
