"""The publisher against a topic moved by hand: batches, order, retries, and whom a failure holds up."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from router.events.envelope import MAX_REQUEST_BYTES, EventSchema, to_json
from router.events.publisher import EventPublisher, PublishFailed
from router.events.topic import NotAcceptable, TopicBusy, TopicClosed, TopicRefused
from tests.eventually import turns
from tests.memory_router import in_virtual_time
from tests.unit.events.event_samples import pending


class HandTopic:
    """Takes requests as scripted; holds them while `gate` is closed."""

    def __init__(self) -> None:
        self.requests: list[list[str]] = []
        self.bodies: list[list[dict[str, Any]]] = []
        self.accepted: list[str] = []
        self.errors: list[TopicRefused] = []
        self.poison: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.busy = self.most_busy = 0
        self.closed = False

    async def send(self, texts: Sequence[str], schema: EventSchema) -> None:
        events = [json.loads(text) for text in texts]
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        ids = [event["id"] for event in events]
        self.requests.append(ids)
        self.bodies.append(events)
        try:
            await self.gate.wait()
            if self.errors:
                raise self.errors.pop(0)
            if self.poison & set(ids):
                raise NotAcceptable("The topic answered 400: no")
            self.accepted += ids
        finally:
            self.busy -= 1

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def topic() -> HandTopic:
    return HandTopic()


def quick(topic: HandTopic, **options: Any) -> EventPublisher:
    return EventPublisher(topic, retry_seconds=(0.001, 0.001), pause_seconds=(0.01, 0.02), **options)


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (nothing tells when)
            await asyncio.sleep(0)


async def test_one_event_leaves_at_once(topic: HandTopic) -> None:
    await quick(topic).publish([pending(1)], key="job-1")
    assert topic.requests == [["event-1"]]


async def test_nothing_is_no_request(topic: HandTopic) -> None:
    await quick(topic).publish([], key="job-1")
    assert topic.requests == []


async def test_what_waits_goes_together_and_in_order(topic: HandTopic) -> None:
    topic.gate.clear()
    publisher = quick(topic, lanes=1)
    first = asyncio.create_task(publisher.publish([pending(0)], key="job-0"))
    await until(lambda: topic.requests)
    calls = [asyncio.create_task(publisher.publish([pending(n)], key=f"job-{n % 3}")) for n in range(1, 10)]
    await turns()
    topic.gate.set()
    await asyncio.gather(first, *calls)
    assert topic.requests == [["event-0"], [f"event-{n}" for n in range(1, 10)]]
    assert topic.most_busy == 1


async def test_lanes_send_beside_each_other_but_an_aggregate_stays_in_its_own(topic: HandTopic) -> None:
    topic.gate.clear()
    publisher = quick(topic, lanes=4)
    calls = [asyncio.create_task(publisher.publish([pending(n)], key=f"job-{n}")) for n in range(40)]
    await until(lambda: len(topic.requests) == 4)
    late = asyncio.create_task(publisher.publish([pending(100)], key="job-0"))
    await asyncio.sleep(0)
    assert topic.busy == 4
    topic.gate.set()
    await asyncio.gather(*calls, late)
    assert topic.accepted.index("event-0") < topic.accepted.index("event-100")
    assert sorted(topic.accepted) == sorted([f"event-{n}" for n in range(40)] + ["event-100"])


async def test_an_event_on_its_way_is_not_sent_again(topic: HandTopic) -> None:
    topic.gate.clear()
    publisher = quick(topic)
    first = asyncio.create_task(publisher.publish([pending(1)], key="job-1"))
    await until(lambda: topic.requests)
    second = asyncio.create_task(publisher.publish([pending(1), pending(2)], key="job-1"))
    await asyncio.sleep(0)
    topic.gate.set()
    await asyncio.gather(first, second)
    assert topic.requests == [["event-1"], ["event-2"]]


async def test_a_request_fits_the_limit(topic: HandTopic) -> None:
    big = [pending(n, data={"jobId": "j", "labels": {"x": "y" * 300_000}}) for n in range(7)]
    await quick(topic).publish(big, key="job-1")
    assert [len(request) for request in topic.requests] == [3, 3, 1]
    assert topic.accepted == [f"event-{n}" for n in range(7)]
    assert all(len(to_json(body)) <= MAX_REQUEST_BYTES + 2 for body in topic.bodies)


async def test_an_event_over_the_limit_is_cut_and_named(topic: HandTopic, caplog: pytest.LogCaptureFixture) -> None:
    event = pending(1, data={"jobId": "j", "labels": {"x": "é" * 200_000}, "tags": {"a": 1}})
    await quick(topic).publish([event], key="job-1")
    assert topic.bodies[0][0]["data"] == {"jobId": "j", "labels": {}, "tags": {"a": 1}, "truncated": ["labels"]}
    assert "event-1" in caplog.text


async def test_a_hiccup_is_tried_again(topic: HandTopic) -> None:
    topic.errors = [TopicBusy("503"), TopicBusy("503")]
    await quick(topic).publish([pending(1)], key="job-1")
    assert topic.requests == [["event-1"]] * 3


@in_virtual_time
async def test_a_topic_that_is_down_fails_soon_then_at_once_then_is_tried_again(topic: HandTopic) -> None:
    publisher = quick(topic)
    topic.errors = [TopicBusy("down")] * 3
    with pytest.raises(PublishFailed) as raised:
        await publisher.publish([pending(1), pending(2)], key="job-1")
    assert raised.value.unpublished == ("event-1", "event-2")
    assert len(topic.requests) == 3
    with pytest.raises(PublishFailed):
        await publisher.publish([pending(3)], key="job-2")
    assert len(topic.requests) == 3, "nothing is sent while it pauses"

    async with asyncio.timeout(5):
        while True:
            try:
                await publisher.publish([pending(1), pending(2)], key="job-1")
                break
            except PublishFailed:
                await asyncio.sleep(0.002)
    assert topic.accepted == ["event-1", "event-2"]
    topic.errors = [TopicBusy("a hiccup")]
    await publisher.publish([pending(4)], key="job-1")
    assert topic.accepted[-1] == "event-4", "it is patient again"


async def test_what_waits_behind_a_failed_request_fails_with_it(topic: HandTopic) -> None:
    topic.gate.clear()
    topic.errors = [TopicClosed("401")]
    publisher = quick(topic, lanes=1)
    first = asyncio.create_task(publisher.publish([pending(1)], key="job-1"))
    await until(lambda: topic.requests)
    second = asyncio.create_task(publisher.publish([pending(2)], key="job-1"))
    await asyncio.sleep(0)
    topic.gate.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [PublishFailed, PublishFailed]
    assert topic.accepted == []
    assert len(topic.requests) == 1, "a wrong key is not tried again"


async def test_a_long_retry_after_is_believed(topic: HandTopic) -> None:
    topic.errors = [TopicBusy("429", retry_after=20)]
    publisher = quick(topic)
    with pytest.raises(PublishFailed):
        await publisher.publish([pending(1)], key="job-1")
    assert len(topic.requests) == 1
    with pytest.raises(PublishFailed, match=r"for (19|20)\.\d s"):
        await publisher.publish([pending(1)], key="job-1")


async def test_a_refused_event_holds_up_its_own_aggregate_alone(topic: HandTopic) -> None:
    topic.poison = {"event-3"}
    publisher = quick(topic, lanes=1)
    topic.gate.clear()
    calls = [asyncio.create_task(publisher.publish([pending(n)], key=f"job-{n % 2}")) for n in range(8)]
    await until(lambda: topic.requests)
    await asyncio.sleep(0)
    topic.gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    failed = [n for n, result in enumerate(results) if isinstance(result, PublishFailed)]
    assert failed == [3, 5, 7], "what follows it in its aggregate stays in the outbox"
    assert topic.accepted == [f"event-{n}" for n in (0, 1, 2, 4, 6)]


async def test_what_waits_behind_a_refused_event_of_its_aggregate_is_not_sent(topic: HandTopic) -> None:
    topic.poison = {"event-1"}
    publisher = quick(topic, lanes=1)
    topic.gate.clear()
    first = asyncio.create_task(publisher.publish([pending(1)], key="job-1"))
    await until(lambda: topic.requests)
    behind = asyncio.create_task(publisher.publish([pending(2)], key="job-1"))
    beside = asyncio.create_task(publisher.publish([pending(3)], key="job-2"))
    await asyncio.sleep(0)
    topic.gate.set()
    results = await asyncio.gather(first, behind, beside, return_exceptions=True)
    assert [type(result) for result in results] == [PublishFailed, PublishFailed, type(None)]
    assert topic.requests == [["event-1"], ["event-3"]]


async def test_a_part_that_was_accepted_is_not_called_unpublished(topic: HandTopic) -> None:
    topic.poison = {"event-2"}
    with pytest.raises(PublishFailed) as raised:
        await quick(topic).publish([pending(1), pending(2), pending(3)], key="job-1")
    assert raised.value.unpublished == ("event-2", "event-3")
    assert topic.accepted == ["event-1"]


async def test_a_caller_that_goes_away_takes_nothing_with_it(topic: HandTopic) -> None:
    topic.gate.clear()
    publisher = quick(topic, lanes=1)
    first = asyncio.create_task(publisher.publish([pending(1)], key="job-1"))
    await until(lambda: topic.requests)
    second = asyncio.create_task(publisher.publish([pending(2)], key="job-1"))
    await asyncio.sleep(0)
    first.cancel()
    topic.gate.set()
    await second
    assert topic.accepted == ["event-1", "event-2"]


async def test_a_fault_of_ours_leaves_nobody_waiting(topic: HandTopic, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(HandTopic):
        async def send(self, texts: Sequence[str], schema: EventSchema) -> None:
            raise RuntimeError("a fault")

    publisher = quick(Broken())
    for number in (1, 2):
        with pytest.raises(PublishFailed, match="a fault"):
            await publisher.publish([pending(number)], key="job-1")
    assert "a fault" in caplog.text


async def test_close_sends_what_waits(topic: HandTopic) -> None:
    topic.gate.clear()
    publisher = quick(topic, schema=EventSchema.CLOUD_EVENTS)
    call = asyncio.create_task(publisher.publish([pending(1)], key="job-1"))
    await until(lambda: topic.requests)
    closing = asyncio.create_task(publisher.close())
    await asyncio.sleep(0)
    assert not topic.closed
    topic.gate.set()
    await asyncio.gather(call, closing)
    assert topic.accepted == ["event-1"]
    assert topic.closed


async def test_closing_does_not_wait_for_a_topic_that_is_down(topic: HandTopic) -> None:
    publisher = EventPublisher(topic, retry_seconds=(0.01, 3600.0))
    topic.errors = [TopicBusy("down"), TopicBusy("down")]
    topic.gate.clear()
    call = asyncio.create_task(publisher.publish([pending(1)], key="job-1"))
    await until(lambda: topic.requests)
    closing = asyncio.create_task(publisher.close())
    await asyncio.sleep(0)
    topic.gate.set()
    async with asyncio.timeout(5):
        await closing
    with pytest.raises(PublishFailed):
        await call


async def test_a_large_event_becomes_json_beside_the_loop_in_its_turn(
    topic: HandTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, str] = {}

    def noting(value: Any) -> str:
        threads[value["id"]] = threading.current_thread().name
        return to_json(value)

    monkeypatch.setattr("router.events.publisher.to_json", noting)
    publisher = quick(topic)
    large = {"labels": {f"k{number}": "x" * 15_000 for number in range(10)}}
    events = [pending(1), pending(2).model_copy(update={"data": large}), pending(3)]
    await asyncio.gather(*(publisher.publish(events[: number + 1], key="job") for number in range(3)))
    assert topic.accepted == [event.id for event in events]
    here = threading.current_thread().name
    assert [threads[event.id] == here for event in events] == [True, False, True]
