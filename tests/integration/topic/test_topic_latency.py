"""From a request to a subscriber's hands over the local topic, beside a bare HTTP POST of the same run."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.integration.topic.topic_process import KEY, Subscriber, TopicProcess, an_event, trusted


@pytest.mark.slow
async def test_published_to_delivered_takes_at_most_three_bare_posts(
    topic: TopicProcess, subscriber: Subscriber, bare_server: str
) -> None:
    topic.subscribe(trusted(subscriber))
    arrived: dict[str, asyncio.Future[float]] = {}

    def note(events: list[dict[str, Any]], request: web.Request) -> int:
        for event in events:
            arrived[event["id"]].set_result(time.perf_counter())
        return 200

    subscriber.answer = note
    await topic.start()
    times: dict[str, list[float]] = {bare_server: [], topic.endpoint: []}
    async with aiohttp.ClientSession(headers={"aeg-sas-key": KEY}) as session:
        for number in range(400):
            for url, taken in times.items():
                event = an_event(number, pad="x" * 800)
                delivery = arrived[event["id"]] = asyncio.get_running_loop().create_future()
                start = time.perf_counter()
                async with session.post(url, json=[event]) as answer:
                    assert answer.status == 200
                    await answer.read()
                end = time.perf_counter()
                # A bare POST is over when it is answered; an event, when it has arrived and its publisher knows.
                taken.append(max(end, await delivery if url == topic.endpoint else end) - start)
    bare, published = (sorted(taken[50:])[len(taken[50:]) // 2] for taken in times.values())
    print(f"published to delivered {published * 1000:.2f} ms, bare {bare * 1000:.2f} ms, {published / bare:.2f} times")
    assert published <= 3 * bare
