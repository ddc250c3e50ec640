"""From publish() to a subscriber's hands over the local topic, beside a bare HTTP POST of the same run."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from router.clock import SystemClock
from router.events.envelope import EventSchema, envelope
from router.events.publisher import EventPublisher
from router.events.topic import Topic
from router.models.events import PendingEvent
from tests.integration.topic.topic_process import KEY, Subscriber, TopicProcess, trusted

TIMES = 400


def an_event(number: int) -> PendingEvent:
    return PendingEvent(
        id=f"event-{number}",
        type="RouterJobQueued",
        subject=f"job/{number}/channel/voice/queue/1",
        time=SystemClock().now(),
        data={"jobId": str(number), "labels": {f"label-{place}": "x" * 40 for place in range(12)}},
    )


class Publishing:
    """Events and bare POSTs in turns."""

    def __init__(self, publisher: EventPublisher, bare_server: str, arrived: dict[str, asyncio.Future[float]]) -> None:
        self.publisher = publisher
        self.bare_server = bare_server
        self.arrived = arrived

    async def round(self, session: aiohttp.ClientSession) -> float:
        bare: list[float] = []
        published: list[float] = []
        for _ in range(TIMES):
            event = an_event(len(self.arrived))
            body = json.dumps([envelope(event, EventSchema.EVENT_GRID)])
            start = time.perf_counter()
            async with session.post(self.bare_server, data=body) as answer:
                await answer.read()
            bare.append(time.perf_counter() - start)

            delivery = self.arrived[event.id] = asyncio.get_running_loop().create_future()
            start = time.perf_counter()
            await self.publisher.publish([event], key="job-1")
            # Over when it has arrived and its publisher knows.
            published.append(max(time.perf_counter(), await delivery) - start)
        ours, floor = (sorted(taken[50:])[len(taken[50:]) // 2] for taken in (published, bare))
        print(f"published to delivered {ours * 1000:.2f} ms, bare {floor * 1000:.2f} ms, {ours / floor:.2f} times")
        return ours / floor


@pytest.mark.slow
async def test_published_to_delivered_takes_at_most_three_bare_posts(
    topic: TopicProcess,
    subscriber: Subscriber,
    bare_server: str,
) -> None:
    arrived: dict[str, asyncio.Future[float]] = {}

    def note(events: list[dict[str, Any]], request: web.Request) -> int:
        for event in events:
            arrived[event["id"]].set_result(time.perf_counter())
        return 200

    subscriber.answer = note
    topic.subscribe(trusted(subscriber))
    await topic.start()
    publisher = EventPublisher(Topic(topic.endpoint, key=KEY))
    publishing = Publishing(publisher, bare_server, arrived)
    # An event passes three processes and a bare POST two: on a machine that others keep busy a round says more of
    # them than of us, so one good round of three will do.
    async with aiohttp.ClientSession() as session:
        ratios = [await publishing.round(session)]
        while ratios[-1] > 3 and len(ratios) < 3:
            ratios.append(await publishing.round(session))
    await publisher.close()
    assert ratios[-1] <= 3, ratios
