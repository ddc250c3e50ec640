"""Bringing events to one subscription: order, parallelism, retries, and giving up.

First attempts go out in the order of publishing, several at a time; events of one lane (`job/1`, the first two parts of
the subject) never overtake each other there. What fails leaves the line and comes back on the retry schedule.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from local.topic.deadletter import DeadLetters
from local.topic.store import Row, Store
from local.topic.subscriptions import Subscription
from local.topic.transport import Letter, Outcome, Transport

_log = logging.getLogger("local.topic")

_WINDOW = 5000  # events of one subscription kept in memory, the rest waits on disk
_WINDOW_BYTES = 32 * 1024 * 1024
_BATCH_BYTES = 1024 * 1024
_PATIENCE_SECONDS = 2.0  # an attempt that takes longer no longer holds up its lane, nor a place among the parallel ones
_MOST_OPEN = 256  # attempts under way, the patient ones included
_PROBE_SECONDS = 0.25


def lane_of(subject: str) -> str:
    """What must stay in order: `job/1/channel/chat` and `job/1/channel/chat/queue/q` are both of `job/1`."""
    return "/".join(subject.split("/", 2)[:2])


@dataclass(slots=True)
class _Item:
    id: int
    published: float
    attempts: int
    lane: str
    data_version: str
    body: str | None  # None after the first attempt: a retry reads it from disk, so a dead subscriber costs no memory
    size: int
    last: Outcome | None = None
    attempted: float | None = None
    settled: bool = False  # for this attempt


@dataclass(slots=True, eq=False)
class _Attempt:
    items: list[_Item]
    first: bool
    patience: asyncio.TimerHandle | None = None
    released: bool = False


@dataclass(slots=True)
class Counts:
    pending: int = 0
    delivered: int = 0
    dead_lettered: int = 0
    failed_attempts: int = 0


@dataclass(slots=True)
class Policy:
    """What is the same for all subscriptions."""

    retry_schedule: tuple[float, ...]
    concurrency: int
    jitter: Callable[[], float] = field(default=lambda: random.uniform(0.9, 1.1))


class Delivery:
    def __init__(
        self, subscription: Subscription, transport: Transport, store: Store, dead: DeadLetters, policy: Policy
    ) -> None:
        self.subscription = subscription
        self.counts = Counts()
        self.unreachable = False
        self._transport, self._store, self._dead, self._policy = transport, store, dead, policy
        self._open = False
        self._ready: deque[_Item] = deque()
        # A lane is here while one of its events is in line or on its first attempt; it holds those behind that one.
        self._lanes: dict[str, deque[_Item]] = {}
        self._waiting = 0  # in `_ready` and `_lanes`
        self._waiting_bytes = 0
        self._on_disk = False  # there are rows after `_last_id` that are not in memory
        self._last_id = 0
        self._retries: list[tuple[float, int, _Item]] = []
        self._due: deque[_Item] = deque()
        self._retry_timer: asyncio.TimerHandle | None = None
        self._busy = {True: 0, False: 0}  # by `first`: retries have places of their own
        self._tasks: set[asyncio.Task[None]] = set()
        self._probe: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    def resume(self, pending: int) -> None:
        """Take over what an earlier process left on disk."""
        self.counts.pending = pending
        self._on_disk = pending > 0

    def start(self) -> None:
        """Deliver from now on; until then events are only kept."""
        self._open = True
        self._pump()

    def offer(self, row: Row) -> None:
        """A new event, already on disk."""
        self.counts.pending += 1
        if self._on_disk or self._is_full():
            self._on_disk = True
            return
        self._line_up(row)

    def kick(self) -> None:
        """Call it after a number of offers."""
        self._pump()

    async def stop(self, grace: float) -> None:
        """Wait a moment for what is under way; the rest stays on disk."""
        self._open = False
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        if self._probe is not None:
            self._probe.cancel()
        tasks = list(self._tasks)
        if tasks and grace > 0:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # In line

    def _is_full(self) -> bool:
        return self._waiting >= _WINDOW or self._waiting_bytes >= _WINDOW_BYTES

    def _line_up(self, row: Row) -> None:
        self._last_id = row.id
        item = _Item(row.id, row.published, row.attempts, row.lane, row.data_version, row.body, len(row.body))
        self._waiting += 1
        self._waiting_bytes += item.size
        lane = self._lanes.get(item.lane)
        if lane is None:
            self._lanes[item.lane] = deque()
            self._ready.append(item)
        else:
            lane.append(item)

    def _refill(self) -> None:
        while self._on_disk and self._waiting < _WINDOW // 2 and not self._is_full():
            rows = self._store.load(self.subscription.name, self._last_id, limit=200)
            self._on_disk = bool(rows)
            for row in rows:
                self._line_up(row)

    def _pump(self) -> None:
        """Start what may start now."""
        if not self._open:
            return
        places = self._policy.concurrency
        while self._due and self._busy[False] < places and len(self._tasks) < _MOST_OPEN:
            self._begin([self._due.popleft()], first=False)
        if self._on_disk:
            self._refill()
        while self._ready and self._busy[True] < places and len(self._tasks) < _MOST_OPEN:
            if self.unreachable and (self._tasks or self._retries or self._due):
                break  # one event at a time finds out whether the subscriber is back
            self._begin(self._take_batch(), first=True)
            if self._on_disk:
                self._refill()

    def _take_batch(self) -> list[_Item]:
        batch: list[_Item] = []
        size = 0
        most = self.subscription.max_events_per_batch
        while self._ready and len(batch) < most and (not batch or size + self._ready[0].size <= _BATCH_BYTES):
            item = self._ready.popleft()
            batch.append(item)
            size += item.size
            lane = self._lanes[item.lane]
            while lane and len(batch) < most and size + lane[0].size <= _BATCH_BYTES:
                follower = lane.popleft()
                batch.append(follower)
                size += follower.size
        self._waiting -= len(batch)
        self._waiting_bytes -= size
        return batch

    # Attempts

    def _begin(self, items: list[_Item], *, first: bool) -> None:
        attempt = _Attempt(items, first)
        for item in items:
            item.settled = False
        self._busy[first] += 1
        loop = asyncio.get_running_loop()
        attempt.patience = loop.call_later(_PATIENCE_SECONDS, self._release, attempt)
        task = loop.create_task(self._run(attempt))
        self._tasks.add(task)

    async def _run(self, attempt: _Attempt) -> None:
        try:
            live = [item for item in attempt.items if not self._give_up_if_expired(item)]
            if live:
                outcome = await self._post(live)
                for item in live:
                    self._settle(item, outcome)
        except Exception:
            # Nothing here is expected to fail; if it does, the event must come back and the others must go on.
            _log.exception("subscription %s: attempt failed", self.subscription.name)
            for item in attempt.items:
                if not item.settled:
                    self._retry(item)
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.discard(task)
            self._release(attempt)

    async def _post(self, items: list[_Item]) -> Outcome:
        letters = []
        for item in items:
            body = item.body if item.body is not None else self._store.body(item.id)
            letters.append(Letter(body, item.data_version, item.attempts))
            item.attempts += 1
            item.attempted = time.time()
        outcome = await self._transport.post(letters)
        if outcome.unreachable:
            self._lost()
        elif self.unreachable:
            self._found()
        return outcome

    def _settle(self, item: _Item, outcome: Outcome) -> None:
        item.last = outcome
        if outcome.delivered:
            self.counts.delivered += 1
            self._finish(item)
            return
        self.counts.failed_attempts += 1
        if outcome.permanent:
            self._give_up(item, f"UndeliverableDueToHttp{outcome.name}")
        elif item.attempts >= self.subscription.max_delivery_attempts:
            self._give_up(item, "MaxDeliveryAttemptsExceeded")
        else:
            self._store.attempted(item.id, item.attempts)
            self._retry(item)

    def _release(self, attempt: _Attempt) -> None:
        """Make room: at the end of an attempt, or when it takes too long to let others wait for it."""
        if not attempt.released:
            attempt.released = True
            if attempt.patience is not None:
                attempt.patience.cancel()
            self._busy[attempt.first] -= 1
            if attempt.first:
                for name in dict.fromkeys(item.lane for item in attempt.items):
                    lane = self._lanes[name]
                    if lane:
                        self._ready.appendleft(lane.popleft())
                    else:
                        del self._lanes[name]
        self._pump()

    # Retries and the end

    def _retry(self, item: _Item) -> None:
        item.settled = True
        item.body = None
        steps = self._policy.retry_schedule
        step = steps[min(max(item.attempts, 1), len(steps)) - 1] * self._policy.jitter()
        loop = asyncio.get_running_loop()
        due = loop.time() + min(step, max(0.0, self._expires(item) - time.time()) + 0.01)
        heapq.heappush(self._retries, (due, item.id, item))
        self._arm()

    def _arm(self) -> None:
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None
        if self._retries and self._open:
            loop = asyncio.get_running_loop()
            self._retry_timer = loop.call_at(self._retries[0][0], self._retries_are_due)

    def _retries_are_due(self) -> None:
        self._retry_timer = None
        now = asyncio.get_running_loop().time() + 0.001
        while self._retries and self._retries[0][0] <= now:
            self._due.append(heapq.heappop(self._retries)[2])
        self._arm()
        self._pump()

    def _expires(self, item: _Item) -> float:
        return item.published + self.subscription.event_time_to_live_minutes * 60

    def _give_up_if_expired(self, item: _Item) -> bool:
        if self._expires(item) > time.time():
            return False
        self._give_up(item, "TimeToLiveExceeded")
        return True

    def _give_up(self, item: _Item, reason: str) -> None:
        event = json.loads(self._transport.delivered_body(item.body or self._store.body(item.id)))
        last = item.last
        self._dead.append(
            self.subscription.name,
            event,
            self.subscription.delivery_schema,
            reason=reason,
            attempts=item.attempts,
            outcome=last.name if last else None,
            status=last.status if last else None,
            published=item.published,
            attempted=item.attempted,
        )
        _log.warning("subscription %s: event %s dead-lettered, %s", self.subscription.name, event.get("id"), reason)
        self.counts.dead_lettered += 1
        self._finish(item)

    def _finish(self, item: _Item) -> None:
        item.settled = True
        self.counts.pending -= 1
        self._store.remove(item.id)

    # A subscriber that refuses connections

    def _lost(self) -> None:
        if not self.unreachable and self._open:
            _log.warning("subscription %s: no connection to its endpoint", self.subscription.name)
            self.unreachable = True
            self._probe = asyncio.get_running_loop().create_task(self._probe_until_found())

    async def _probe_until_found(self) -> None:
        """Look whether the port is open, so that events need not wait for their schedule once it is."""
        host, port = self._transport.host
        while True:
            await asyncio.sleep(_PROBE_SECONDS)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    _, writer = await asyncio.open_connection(host, port)
                writer.close()
                self._found()
                return

    def _found(self) -> None:
        _log.info("subscription %s: its endpoint accepts connections again", self.subscription.name)
        self.unreachable = False
        if self._probe is not None and self._probe is not asyncio.current_task():
            self._probe.cancel()
        self._probe = None
        waiting, self._retries = self._retries, []
        for due, row_id, item in waiting:
            if item.last is not None and item.last.unreachable:
                self._due.append(item)
            else:
                heapq.heappush(self._retries, (due, row_id, item))
        self._arm()
        self._pump()
