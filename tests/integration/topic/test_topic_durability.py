"""What the local topic has acknowledged outlives it, its subscribers and kill -9."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from contextlib import suppress

import aiohttp

from tests.integration.topic.topic_process import KEY, Subscriber, TopicProcess, an_event, is_at_rest, trusted, until
from tests.yardstick import slower


class TestDurability:
    async def test_kill_9_twice_with_a_failing_subscriber_loses_nothing_acknowledged(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        dice = random.Random(7)
        subscriber.answer = lambda events, request: 500 if dice.random() < 0.2 else 200
        await topic.start()
        acknowledged: set[str] = set()
        stop = asyncio.Event()

        async def publish(worker: int) -> None:
            async with aiohttp.ClientSession(headers={"aeg-sas-key": KEY}) as session:
                number = 0
                while not stop.is_set():
                    ids = [f"{worker}-{number}-{part}" for part in range(3)]
                    with suppress(aiohttp.ClientError):
                        async with session.post(topic.endpoint, json=[an_event(i) for i in ids]) as answer:
                            if answer.status == 200:
                                acknowledged.update(ids)
                                number += 1
                    await asyncio.sleep(0.002)

        publishers = [asyncio.create_task(publish(worker)) for worker in range(8)]
        for _ in range(2):
            before = len(acknowledged)
            await until(lambda before=before: len(acknowledged) > before + 300)
            await topic.end(signal.SIGKILL)
            await topic.start()
        before = len(acknowledged)
        await until(lambda: len(acknowledged) > before + 300)
        stop.set()
        await asyncio.gather(*publishers)
        await until(lambda: acknowledged <= set(subscriber.ids))
        await until(lambda: is_at_rest(topic))
        assert topic.dead_letters() == []
        bodies: dict[str, str] = {}
        for event in subscriber.events:
            assert bodies.setdefault(event["id"], json.dumps(event)) == json.dumps(event)

    async def test_what_a_dead_subscriber_missed_is_delivered_after_a_restart(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        await subscriber.stop()
        await topic.start()
        await topic.send(*(an_event(n) for n in range(40)))
        await topic.end(signal.SIGKILL)
        await subscriber.start()
        await topic.start()
        await until(lambda: len(set(subscriber.ids)) == 40)

    async def test_a_full_house_of_waiting_events_outlives_memory_s_window(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        """More than one subscription may keep in memory: the rest must come back from disk, in order."""
        topic.subscribe(trusted(subscriber, maxEventsPerBatch=500))
        await subscriber.stop()
        await topic.start()
        total = 7000
        for start in range(0, total, 500):
            assert (
                await topic.post(json.dumps([an_event(n, "one/lane") for n in range(start, start + 500)]).encode())
            )[0] == 200
        assert (await topic.state())["pending"] == total
        await subscriber.start()
        await until(lambda: len(set(subscriber.ids)) == total)
        assert (await topic.state())["pending"] == 0

    async def test_sigterm_ends_it_quickly_even_when_a_subscriber_hangs(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        release = asyncio.Event()

        async def hang() -> int:
            await release.wait()
            return 200

        subscriber.answer = lambda events, request: hang()
        await topic.start()
        await topic.send(an_event(1))
        await until(lambda: subscriber.requests)
        start = time.monotonic()
        assert await topic.end() == 0
        assert time.monotonic() - start < 2 * slower()
        release.set()
        subscriber.answer = lambda events, request: 200
        await topic.start()
        await until(lambda: (subscriber.ids or [""])[-1] == "1")
