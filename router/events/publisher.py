"""The publisher: events of commits go to the topic in batches, in each aggregate's order.

An aggregate (a job or a worker) always uses the same lane. A lane has one request in flight; what comes meanwhile
waits and goes together with the next. So a lone event leaves at once, a burst leaves in few requests, and an
event never overtakes an earlier one of its aggregate.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from router.events.envelope import (
    DEFAULT_SOURCE,
    MAX_REQUEST_BYTES,
    MAX_REQUEST_EVENTS,
    EventSchema,
    cut,
    envelope,
    to_json,
)
from router.events.topic import NotAcceptable, TopicBusy, TopicRefused
from router.models.events import PendingEvent
from router.offload import by_size
from router.outages import Surroundings
from router.recent import RecentIds

_log = logging.getLogger(__name__)

LANES: Final = 4
#: The waits between the attempts at a request. Callers do not hold up an answer, so a topic that restarts is waited
#: for: its events go on within a moment of its return, in order, and nobody has to find them in the outbox.
RETRY_SECONDS: Final = (0.05, 0.2, 0.5, 1.0, 1.5, 2.0, 2.0)
#: After a request that failed for good nothing is sent for a while, so that nothing piles up before a topic that is
#: down; the while doubles from the first to the last of these.
PAUSE_SECONDS: Final = (0.25, 4.0)
#: A `Retry-After` of the topic is believed up to this.
MAX_RETRY_AFTER_SECONDS: Final = 30.0


class PublishFailed(Exception):
    """Not every event was accepted. Those in `unpublished` must stay in the outbox. The log has the reason."""

    told = True

    def __init__(self, message: str, unpublished: Sequence[str]) -> None:
        super().__init__(message)
        self.unpublished = tuple(unpublished)


class EventTopic(Protocol):
    """Where events go (events/topic.py)."""

    async def send(self, events: Sequence[str], schema: EventSchema) -> None: ...

    async def close(self) -> None: ...


class _Call:
    """One publish() that waits for its events."""

    __slots__ = ("_done", "_error", "_left", "_unpublished")

    def __init__(self, done: asyncio.Future[None], events: int) -> None:
        self._done = done
        self._left = events
        self._error: str | None = None
        self._unpublished: list[str] = []

    def settle(self, id: str, error: str | None) -> None:
        self._left -= 1
        if error is not None:
            self._error = error
            self._unpublished.append(id)
        if self._left or self._done.done():  # done already: its caller has gone
            return
        if self._error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(PublishFailed(self._error, self._unpublished))


class _Item:
    """One event on its way, and the calls that wait for it."""

    __slots__ = ("calls", "event", "id", "key", "text")

    def __init__(self, event: PendingEvent, key: str, call: _Call) -> None:
        self.id = event.id
        self.key = key
        #: Until it has become `text`, as its turn comes.
        self.event: PendingEvent | None = event
        self.text = ""
        self.calls = [call]


class _Lane:
    __slots__ = ("items", "task", "waiting")

    def __init__(self) -> None:
        self.waiting: list[_Item] = []
        #: Everything unsettled, waiting or in flight: an event published twice at a time is sent once.
        self.items: dict[str, _Item] = {}
        self.task: asyncio.Task[None] | None = None


class EventPublisher:
    def __init__(
        self,
        topic: EventTopic,
        *,
        schema: EventSchema = EventSchema.EVENT_GRID,
        source: str = DEFAULT_SOURCE,
        lanes: int = LANES,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        pause_seconds: tuple[float, float] = PAUSE_SECONDS,
        jitter: Callable[[], float] = lambda: 0.5,
        around: Surroundings | None = None,
    ) -> None:
        """`jitter` yields numbers in [0, 1) that spread retries; `source` is the CloudEvents attribute. `around` is
        told whether the topic answers."""
        self._topic = topic
        self._schema = schema
        self._source = source
        self._lanes = [_Lane() for _ in range(lanes)]
        self._retry_seconds = tuple(retry_seconds)
        self._pause_seconds = pause_seconds
        self._jitter = jitter
        self._outage = (around or Surroundings()).topic
        #: Refused events that have been told: one is tried again and again.
        self._told_refused = RecentIds()
        self._closing = False
        self._failures = 0
        self._paused_until = 0.0

    async def publish(self, events: Sequence[PendingEvent], *, key: str) -> None:
        """Return when the topic has accepted the events; raise PublishFailed when it has not.

        `key` is the id of the job or worker. Pass all that stands in its outbox, oldest first: what failed
        before then goes first, and what is on its way already is not sent again.
        """
        if not events:
            return
        loop = asyncio.get_running_loop()
        if (wait := self._paused_until - loop.time()) > 0:
            raise PublishFailed(
                f"The topic has failed; nothing is sent for {wait:.1f} s.", [event.id for event in events]
            )
        lane = self._lanes[zlib.crc32(key.encode("utf-8", "surrogatepass")) % len(self._lanes)]
        done: asyncio.Future[None] = loop.create_future()
        call = _Call(done, len(events))
        for event in events:
            if (item := lane.items.get(event.id)) is not None:
                item.calls.append(call)
            else:
                item = lane.items[event.id] = _Item(event, key, call)
                lane.waiting.append(item)
        if lane.task is None:
            lane.task = loop.create_task(self._drain(lane))
        await done

    async def close(self) -> None:
        """Send what waits, without patience, then close the topic's client."""
        self._closing = True
        tasks = [lane.task for lane in self._lanes if lane.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._topic.close()

    async def _written(self, waiting: Sequence[_Item]) -> None:
        """Those that may go with the next request become JSON: what is large beside the loop."""
        size = 0
        for item in list(waiting[:MAX_REQUEST_EVENTS]):
            if (event := item.event) is not None:
                item.text = await by_size(event.weight, self._text, event)
                item.event = None
            size += len(item.text)
            if size > MAX_REQUEST_BYTES:
                return

    def _text(self, event: PendingEvent) -> str:
        wire = envelope(event, self._schema, self._source)
        text = to_json(wire)
        if len(text) > MAX_REQUEST_BYTES:
            wire = cut(wire)
            _log.warning(
                "Event %s (%s of %s) has %d bytes, the topic takes %d: published without %s.",
                event.id,
                event.type,
                event.subject,
                len(text),
                MAX_REQUEST_BYTES,
                ", ".join(wire["data"].get("truncated", ())),
                extra={"event_id": event.id, "event_type": event.type},
            )
            text = to_json(wire)
        return text

    async def _drain(self, lane: _Lane) -> None:
        batch: list[_Item] = []
        try:
            while lane.waiting:
                await self._written(lane.waiting)
                batch = _take(lane.waiting)
                await self._send(lane, batch)
        except BaseException as error:
            # Nobody may wait for ever, whatever happened: the events still stand in their outboxes.
            _fail_all(lane, f"Publishing stopped: {error!r}")
            if not isinstance(error, Exception):
                raise
            _log.exception("Publishing stopped at %d events.", len(batch))
        finally:
            lane.task = None

    async def _send(self, lane: _Lane, batch: list[_Item]) -> None:
        """Send and settle `batch`; where it cannot be accepted as a whole, its halves."""
        try:
            await self._attempt([item.text for item in batch])
        except NotAcceptable as error:
            self._outage.answered()
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._send(lane, batch[:middle])
                # What follows a refused event of its aggregate has been settled with it.
                if rest := [item for item in batch[middle:] if lane.items.get(item.id) is item]:
                    await self._send(lane, rest)
                return
            self._refused(lane, batch[0], error)
        except TopicRefused as error:
            self._outage.failed(error)
            self._pause(error)
            _fail_all(lane, str(error))
        else:
            self._failures = 0
            self._outage.answered()
            _settle(lane, batch, None)

    async def _attempt(self, texts: list[str]) -> None:
        # A topic that has just failed gets one attempt, to see whether it is back.
        for wait in () if self._failures else self._retry_seconds:
            try:
                return await self._topic.send(texts, self._schema)
            except TopicBusy as error:
                self._outage.failed(error)
                asked = error.retry_after or 0.0
                if self._closing or asked > self._retry_seconds[-1]:
                    raise
                await asyncio.sleep(max(asked, wait * (0.5 + self._jitter())))
        return await self._topic.send(texts, self._schema)

    def _refused(self, lane: _Lane, item: _Item, error: NotAcceptable) -> None:
        """One event that the topic will not have holds up its own aggregate alone."""
        if item.id not in self._told_refused:
            self._told_refused.add([item.id])
            _log.error("Event %s of %s is refused: %s", item.id, item.key, error, extra={"event_id": item.id})
        behind = [other for other in lane.items.values() if other.key == item.key]
        lane.waiting[:] = [other for other in lane.waiting if other.key != item.key]
        _settle(lane, behind, str(error))

    def _pause(self, error: TopicRefused) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._paused_until:  # another lane has met the same failure
            return
        first, last = self._pause_seconds
        pause = min(last, first * 2**self._failures) * (0.75 + self._jitter() / 2)
        pause = max(pause, min(error.retry_after or 0.0, MAX_RETRY_AFTER_SECONDS))
        self._failures = min(self._failures + 1, 10)
        self._paused_until = now + pause


def _take(waiting: list[_Item]) -> list[_Item]:
    """As many of the first as fit into one request, of those that are JSON already."""
    size = count = 0
    for item in waiting[:MAX_REQUEST_EVENTS]:
        if item.event is not None:
            break
        size += len(item.text) + 1
        if size > MAX_REQUEST_BYTES and count:
            break
        count += 1
    batch = waiting[:count]
    del waiting[:count]
    return batch


def _settle(lane: _Lane, items: Iterable[_Item], error: str | None) -> None:
    for item in items:
        if lane.items.get(item.id) is item:
            del lane.items[item.id]
            for call in item.calls:
                call.settle(item.id, error)


def _fail_all(lane: _Lane, error: str) -> None:
    lane.waiting.clear()
    _settle(lane, list(lane.items.values()), error)
