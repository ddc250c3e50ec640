"""The topic as a whole: it joins the store, the subscriptions and their deliveries."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from local.topic.deadletter import DeadLetters
from local.topic.delivery import Delivery, Policy, lane_of
from local.topic.handshake import Handshake
from local.topic.options import Options
from local.topic.schemas import Event, Schema
from local.topic.store import Row, Store
from local.topic.subscriptions import Subscription, SubscriptionsError, SubscriptionsFile
from local.topic.transport import Transport, new_session

_log = logging.getLogger("local.topic")

_WATCH_SECONDS = 0.25
_GRACE_SECONDS = 0.5


class NameTaken(Exception):
    """The subscriptions file has one of that name."""


@dataclass(slots=True)
class _Lease:
    """A subscription that somebody who runs has made; it ends when it is not asked for again in time."""

    subscription: Subscription
    ends: float  # time.monotonic()


@dataclass(slots=True)
class _Subscriber:
    delivery: Delivery
    handshake: Handshake | None


class Topic:
    def __init__(self, options: Options) -> None:
        self._options = options
        options.data_dir.mkdir(parents=True, exist_ok=True)
        self._store = Store(options.data_dir / "events.sqlite3", self._deliver)
        self._dead = DeadLetters(options.data_dir / "deadletter")
        self._file = SubscriptionsFile(options.subscriptions, options.schema)
        self._policy = Policy(options.retry_schedule, options.concurrency)
        self._subscribers: dict[str, _Subscriber] = {}
        self._filed: list[Subscription] = []
        self._leases: dict[str, _Lease] = {}
        self._applying = asyncio.Lock()
        self._received = 0
        self._session: aiohttp.ClientSession | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises `SubscriptionsError` if the first reading of the file fails: later ones only keep what was."""
        left = self._store.input_schema()
        if left not in (None, self._options.schema):
            raise SubscriptionsError(
                f"{self._options.data_dir} holds undelivered events in {left}, and this topic takes "
                f"{self._options.schema}. Start once more with ROUTER_EVENTGRID_SCHEMA={Schema(left).setting}, until "
                "they are delivered, or delete that folder, and them with it"
            )
        self._store.set_input_schema(self._options.schema)
        self._session = new_session(self._options.delivery_timeout)
        subscriptions = self._file.read_if_changed()
        if subscriptions is not None:
            self._filed = subscriptions
            await self._apply()
        self._watch = asyncio.get_running_loop().create_task(self._watch_file())

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await asyncio.gather(*(self._stop(subscriber, _GRACE_SECONDS) for subscriber in self._subscribers.values()))
        if self._session is not None:
            await self._session.close()
        await self._store.close()

    async def publish(self, events: Sequence[Event]) -> None:
        """Returns when each event is on disk for each subscription that wants it; one that nobody wants is dropped."""
        now = time.time()
        rows = [
            Row(0, name, now, 0, _storable(lane_of(event.subject)), _storable(event.data_version), event.body)
            for event in events
            for name, subscriber in self._subscribers.items()
            if subscriber.delivery.subscription.wants(event)
        ]
        if rows:
            await self._store.add(rows)
        self._received += len(events)

    async def lease(self, subscription: Subscription, seconds: float) -> None:
        """Subscribe for so many seconds, or for so many more. Raises `NameTaken`."""
        name = subscription.name
        if any(filed.name.lower() == name.lower() for filed in self._filed):
            raise NameTaken(name)
        earlier = self._leases.get(name)
        self._leases[name] = _Lease(subscription, time.monotonic() + seconds)
        if earlier is None or earlier.subscription != subscription:
            await self._apply()

    async def end_lease(self, name: str) -> bool:
        """Says whether there was one; its undelivered events go with it."""
        if self._leases.pop(name, None) is None:
            return False
        await self._apply()
        return True

    def follow_validation_url(self, name: str, code: str) -> bool:
        subscriber = self._subscribers.get(name)
        if subscriber is None or subscriber.handshake is None:
            return False
        return subscriber.handshake.follow(code)

    def state(self) -> dict[str, Any]:
        return {
            "received": self._received,
            "subscriptions": {
                name: {
                    "endpoint": subscriber.delivery.subscription.endpoint,
                    "validated": subscriber.handshake is None,
                    "problem": subscriber.handshake.problem if subscriber.handshake else None,
                    "unreachable": subscriber.delivery.unreachable,
                    "pending": subscriber.delivery.counts.pending,
                    "inFlight": subscriber.delivery.in_flight,
                    "delivered": subscriber.delivery.counts.delivered,
                    "failedAttempts": subscriber.delivery.counts.failed_attempts,
                    "deadLettered": subscriber.delivery.counts.dead_lettered,
                }
                for name, subscriber in self._subscribers.items()
            },
        }

    def _deliver(self, rows: Sequence[Row]) -> None:
        touched: dict[str, Delivery] = {}
        for row in rows:
            subscriber = self._subscribers.get(row.subscription)
            if subscriber is not None:
                touched[row.subscription] = subscriber.delivery
                subscriber.delivery.offer(row)
        for delivery in touched.values():
            delivery.kick()

    async def _watch_file(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                subscriptions = self._file.read_if_changed()
                if subscriptions is not None:
                    self._filed = subscriptions
                if self._end_leases() or subscriptions is not None:
                    await self._apply()
            except SubscriptionsError as error:
                _log.error("subscriptions file not followed, the former one still counts: %s", error)
            except Exception:
                _log.exception("subscriptions file not followed, the former one still counts")

    def _end_leases(self) -> bool:
        """Forgets leases that are over, or whose name the file has now; says whether there were any."""
        now, filed = time.monotonic(), {subscription.name.lower() for subscription in self._filed}
        over = [name for name, lease in self._leases.items() if lease.ends <= now or name.lower() in filed]
        for name in over:
            del self._leases[name]
        return bool(over)

    async def _apply(self) -> None:
        async with self._applying:  # a lease may come while the file is followed
            await self._follow([*self._filed, *(lease.subscription for lease in self._leases.values())])

    async def _follow(self, subscriptions: Sequence[Subscription]) -> None:
        wanted = {subscription.name: subscription for subscription in subscriptions}
        for name, subscriber in list(self._subscribers.items()):
            if wanted.get(name) == subscriber.delivery.subscription:
                del wanted[name]
                continue
            # A changed one stops too. It keeps its place meanwhile, so that what is published now reaches the disk,
            # from where its new self takes everything over.
            await self._stop(subscriber, _GRACE_SECONDS)
            if name not in wanted:
                del self._subscribers[name]
        pending = self._store.counts()
        for name in pending.keys() - {subscription.name for subscription in subscriptions}:
            _log.warning("subscription %s: is no more, and %d undelivered events with it", name, pending[name])
        self._store.keep_only([subscription.name for subscription in subscriptions])
        for name, subscription in wanted.items():
            self._subscribers[name] = self._new_subscriber(subscription, pending.get(name, 0))

    def _new_subscriber(self, subscription: Subscription, pending: int) -> _Subscriber:
        assert self._session is not None
        transport = Transport(subscription, self._session, self._options.schema)
        delivery = Delivery(subscription, transport, self._store, self._dead, self._policy)
        delivery.resume(pending)
        delivery.counts.dead_lettered = self._dead.count(subscription.name)
        subscriber = _Subscriber(delivery, None)
        schema = subscription.delivery_schema
        if subscription.trusted or self._store.is_validated(subscription.name, subscription.endpoint, schema):
            delivery.start()
        else:

            def validated() -> None:
                subscriber.handshake = None
                self._store.set_validated(subscription.name, subscription.endpoint, schema)
                delivery.start()

            subscriber.handshake = Handshake(
                subscription,
                self._session,
                topic_endpoint=self._options.endpoint,
                topic_id=self._options.topic_id,
                schedule=self._options.retry_schedule,
                validated=validated,
            )
        address = subscription.endpoint.partition("?")[0]  # the query of a webhook's address is often a key
        _log.info("subscription %s: %s, %d events waiting", subscription.name, address, pending)
        return subscriber

    async def _stop(self, subscriber: _Subscriber, grace: float) -> None:
        if subscriber.handshake is not None:
            await subscriber.handshake.stop()
        await subscriber.delivery.stop(grace)


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # JSON may escape half a surrogate pair; sqlite has no place for it
