"""Work that goes on after an answer: tracked, bounded at shutdown, its failures logged."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_log = logging.getLogger(__name__)


class Background:
    """Starts coroutines and remembers them until they end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(self._guarded(work, name), name=name, context=contextvars.copy_context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def drain(self, seconds: float) -> None:
        """Waits for what is under way, at most so long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def __len__(self) -> int:
        return len(self._tasks)

    @staticmethod
    async def _guarded(work: Coroutine[Any, Any, Any], name: str) -> None:
        try:
            await work
        except Exception:
            # A settle deadline stands behind everything that runs here: it is done again.
            _log.exception("Background work failed", extra={"work": name})


class KeyedLocks:
    """One lock a key, alive while somebody holds or awaits it: two handlers of this process do not race for a row
    that one of them would have to read again."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[bool]:
        """Yields whether others held it first: what was read before may have changed."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield users > 0
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


class InHand:
    """Jobs for which this process has reserved a worker and is about to say so. Meanwhile other workers pass them
    over, and do not come again: afterwards the job has to look for them, if it takes more offers."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._passed_over: set[str] = set()

    def take(self, job_id: str) -> None:
        self._counts[job_id] = self._counts.get(job_id, 0) + 1

    def leave(self, job_id: str) -> None:
        self._counts[job_id] -= 1
        if not self._counts[job_id]:
            del self._counts[job_id]

    def passes_over(self, job_id: str, wanted: int) -> bool:
        """Whether a worker that looks for a job is to leave this one: all the offers that it wants are on their way."""
        if not 0 < wanted <= self._counts.get(job_id, 0):
            return False
        self._passed_over.add(job_id)
        return True

    def was_passed_over(self, job_id: str) -> bool:
        """Whether that has happened since this was asked last."""
        if job_id not in self._passed_over:
            return False
        self._passed_over.discard(job_id)
        return True
