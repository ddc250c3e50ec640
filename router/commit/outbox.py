"""From the outbox of a committed row to the topic, in order, without holding up the answer.

A row's outbox holds what may not have been published yet. After a commit its events are sent in the background, and
then the row is cleared, unless somebody has committed since: whoever writes a row takes over its outbox. An event
that this process has sent, or has been woken by, is known to be out and is dropped at the next write. If the
process dies anywhere in between, the row's settle deadline sends again (upkeep/settle.py)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from router.clock import Clock
from router.commit.background import Background
from router.commit.overdue import Overdue
from router.errors import RouterError
from router.models.events import PendingEvent
from router.recent import Recent, RecentIds
from router.storage.aggregates import AggregateStore, Row
from router.storage.port import RowChanged, StorageUnavailable
from router.telemetry import routing as metrics

_log = logging.getLogger(__name__)

#: A fast life clears its rows by its own next commit; only a row at rest is cleared by a write of its own.
CLEAR_AFTER_SECONDS: Final = 0.25
#: Rows cleared at once: nobody waits for that, so it yields to whatever somebody waits for.
_CLEARED_AT_ONCE: Final = 4
_CLEARING_YIELDS_SECONDS: Final = 5.0
_SENDING_YIELDS_SECONDS: Final = 5.0
_REMEMBERED: Final = 10_000


class Publisher(Protocol):
    async def publish(self, events: Sequence[PendingEvent], *, key: str) -> None:
        """Returns when the topic has taken the events. Raises on failure."""
        ...


#: Rows of overflow that are sent at once: large events, and not what an outage of the topic has left behind.
_MOST_OVERFLOW: Final = 16


class Outbox:
    """Sends what commits leave behind."""

    def __init__(
        self,
        publisher: Publisher,
        background: Background,
        clock: Clock,
        overdue: Overdue,
        clear_after: float = CLEAR_AFTER_SECONDS,
    ) -> None:
        self._publisher = publisher
        self._clock = clock
        self._background = background
        self._overdue = overdue
        self._clear_after = clear_after
        self._clearing = asyncio.Semaphore(_CLEARED_AT_ONCE)
        self._out = RecentIds(_REMEMBERED)
        self._latest: Recent[str, str] = Recent(_REMEMBERED)

    def seen(self, event_id: str) -> None:
        """An event has been delivered to this process, so it is out."""
        self._out.add([event_id])

    def unsent(self, events: Iterable[PendingEvent]) -> tuple[PendingEvent, ...]:
        """Those that are not known to be out."""
        return tuple(event for event in events if event.id not in self._out)

    def committed(self, store: AggregateStore[Any], row: Row[Any]) -> None:
        """A row has been written: whoever clears an earlier one must not clear this."""
        name = f"{store.kind}/{row.id}"
        self._latest[name] = row.version

    def announce(self, store: AggregateStore[Any], row: Row[Any]) -> None:
        """Sends what the outbox of a written row holds, then clears it."""
        name = f"{store.kind}/{row.id}"
        if row.outbox or row.overflow or row.record is None:
            self._background.start(self._send_and_clear(store, row, name), f"publish {name}")

    async def send(self, key: str, events: Sequence[PendingEvent]) -> None:
        """Returns when the topic has them. What is on its way from here is not sent twice: the publisher knows.
        Raises what the publisher raises."""
        unsent = self.unsent(events)
        if unsent:
            try:
                await self._publisher.publish(unsent, key=key)
            finally:
                metrics.record_outbox_age((self._clock.now() - unsent[0].time).total_seconds())
            self._out.add(event.id for event in unsent)

    async def _send_and_clear(self, store: AggregateStore[Any], row: Row[Any], name: str) -> None:
        try:
            if len(row.overflow) > _MOST_OVERFLOW:
                return  # too much for a quick send: the settle deadline does it in order
            await self._overdue.calm(_SENDING_YIELDS_SECONDS)
            await self.send(name, [*await store.overflow(row), *row.outbox])
        except Exception as error:
            _log.warning("Events wait in the outbox: %s", error, extra={"aggregate": name})
            return
        await asyncio.sleep(self._clear_after)
        async with self._clearing:
            await self._overdue.calm(_CLEARING_YIELDS_SECONDS)
            if self._latest.get(name) == row.version and not self.unsent(row.outbox):
                await clear(store, row)


async def clear(store: AggregateStore[Any], row: Row[Any]) -> None:
    """Empties the outbox of a row whose events are all out; removes the row of a deleted record."""
    try:
        if row.record is None:
            await store.drop_overflow(row)
            await store.drop(row)
        else:
            await store.save(replace(row, outbox=(), overflow=()), row.commit)
            await store.drop_overflow(row)
    except (RowChanged, StorageUnavailable, RouterError):
        return  # the next commit, or the settle deadline, takes it over
