"""What a process does now and then, and nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from router.commit.parts import Parts
from router.storage.port import StorageUnavailable

_log = logging.getLogger(__name__)


class Looks:
    """One after the other, at most one in so long a time; none in a storm of deadlines, nor where no history is kept.
    `what` says in the log what is done, `later` what a failure puts off: it costs one look."""

    def __init__(self, parts: Parts, every: timedelta, what: str, later: str) -> None:
        self._parts, self._every, self._what, self._later = parts, every, what, later
        self._next: datetime | None = None
        self._task: asyncio.Task[Any] | None = None

    def begin(
        self, look: Callable[[datetime], Awaitable[None]], needed: Callable[[datetime], bool] | None = None
    ) -> None:
        """Begins one if it is time, and if it is needed then."""
        now = self._parts.clock.now()
        if not self._parts.chronicle.keeps or self._parts.overdue.is_storm:
            return
        if (self._next is not None and now < self._next) or (self._task is not None and not self._task.done()):
            return
        self._next = now + self._every
        if needed is None or needed(now):
            self._task = self._parts.background.start(self._guarded(look, now), self._what)

    async def _guarded(self, look: Callable[[datetime], Awaitable[None]], now: datetime) -> None:
        try:
            await look(now)
        except StorageUnavailable as error:
            _log.info("%s later: %s", self._later, error)
