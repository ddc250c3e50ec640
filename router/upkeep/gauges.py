"""What the queue gauges report: length, longest wait and service level of each queue, looked at now and then by the
timer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from router.commit.parts import Parts
from router.engine.facts import LEVEL_MINUTES, Level
from router.outages import is_told, trace
from router.telemetry import routing as metrics

_log = logging.getLogger(__name__)

_EVERY: Final = timedelta(seconds=20)
#: Queues that are looked at; further ones have no gauge.
_MOST_QUEUES: Final = 100


class QueueFigures:
    """Feeds the gauges, while somebody records them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._next: datetime | None = None

    async def refresh(self) -> None:
        """Looks at the queues if it is time. A failure is told and costs one look."""
        now = self._parts.clock.now()
        if not metrics.active() or self._parts.overdue.is_storm or (self._next is not None and now < self._next):
            return
        self._next = now + _EVERY
        try:
            queues = await self._parts.resources.newest("Queue", _MOST_QUEUES)
            levels = await self._levels(now)
            metrics.set_queue_figures([await self._look(queue_id, now, levels) for queue_id in queues])
        except Exception as error:
            if is_told(error):
                return
            _log.warning("Queue figures could not be read: %r", error, exc_info=trace(error))

    async def _levels(self, now: datetime) -> Mapping[str, Level]:
        if not self._parts.chronicle.keeps:
            return {}
        return (await self._parts.facts.levels(now - timedelta(minutes=LEVEL_MINUTES), now))[0]

    async def _look(self, queue_id: str, now: datetime, levels: Mapping[str, Level]) -> metrics.QueueFigures:
        length, oldest = 0, now
        async for one in self._parts.backlog.all(queue_id):
            length += 1
            oldest = min(oldest, one.enqueued_at)
        level = levels.get(queue_id, Level()).percent
        return metrics.QueueFigures(queue_id, length, (now - oldest).total_seconds(), level)
