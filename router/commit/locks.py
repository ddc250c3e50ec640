"""Locks of this process, one a row or queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from router.storage.turns import Urgency, at_least


class KeyedLocks:
    """One lock a key, alive while somebody holds or awaits it: two handlers of this process do not race for a row
    that one of them would have to read again."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[bool]:
        """Yields whether others held it first: what was read before may have changed. Others may wait for who holds it,
        so its calls of storage are urgent."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                with at_least(Urgency.ANSWER):
                    yield users > 0
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)
