"""Deliveries of the local topic: retries, order, batches, and what is given up."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter

import pytest

from tests.integration.topic.topic_process import (
    Subscriber,
    TopicProcess,
    an_event,
    echo_code,
    free_port,
    trusted,
    until,
)


class TestDelivery:
    async def test_failures_are_retried_and_counted(self, topic: TopicProcess, subscriber: Subscriber) -> None:
        topic.subscribe(trusted(subscriber))
        answers = iter([500, 404, 429, 302, 204])
        subscriber.answer = lambda events, request: next(answers)
        await topic.start()
        await topic.send(an_event(1))
        await until(lambda: subscriber.events)
        assert [headers["aeg-delivery-count"] for headers, _ in subscriber.requests] == ["0", "1", "2", "3", "4"]
        state = await topic.state()
        assert (state["delivered"], state["failedAttempts"], state["pending"]) == (1, 4, 0)

    async def test_a_failing_event_never_blocks_others(self, topic: TopicProcess, subscriber: Subscriber) -> None:
        topic.subscribe(trusted(subscriber))
        subscriber.answer = lambda events, request: 500 if events[0]["id"].startswith("bad") else 200
        await topic.start()
        await topic.send(*(an_event(f"bad{n}", "job/1") for n in range(30)), *(an_event(n, "job/1") for n in range(50)))
        await until(lambda: len(subscriber.events) == 50)
        assert subscriber.ids == [str(n) for n in range(50)]
        assert (await topic.state())["pending"] == 30

    async def test_first_attempts_keep_the_order_of_each_aggregate(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        dice = random.Random(3)
        open_now: Counter[str] = Counter()
        most = 0

        async def slowly() -> int:
            nonlocal most
            open_now["all"] += 1
            most = max(most, open_now["all"])
            await asyncio.sleep(dice.random() / 50)
            open_now["all"] -= 1
            return 200

        subscriber.answer = lambda events, request: slowly()
        await topic.start()
        sent: dict[str, list[str]] = {}
        for round_ in range(10):
            events = [
                an_event(f"{job}.{round_}.{part}", f"job/{job}/channel/c/{part}") for job in range(20) for part in "ab"
            ]
            for event in events:
                sent.setdefault(event["subject"].split("/")[1], []).append(event["id"])
            await topic.send(*events)
        await until(lambda: len(subscriber.events) == 400)
        got: dict[str, list[str]] = {}
        for event in subscriber.events:
            got.setdefault(event["subject"].split("/")[1], []).append(event["id"])
        assert got == sent
        assert 4 < most <= 16

    async def test_batches_are_as_large_as_allowed(self, topic: TopicProcess, subscriber: Subscriber) -> None:
        topic.subscribe(trusted(subscriber, maxEventsPerBatch=7))
        await topic.start()
        await topic.send(*(an_event(n) for n in range(70)))
        await until(lambda: len(subscriber.events) == 70)
        assert max(len(body) for _, body in subscriber.requests) == 7
        assert len(subscriber.requests) == 10

    async def test_a_subscriber_that_comes_back_gets_its_events_at_once(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        await subscriber.stop()
        await topic.start("--retry-schedule", "600")
        await topic.send(*(an_event(n) for n in range(50)))
        assert (await until(topic.state))["pending"] == 50
        await until(lambda: _is_unreachable(topic))
        await subscriber.start()
        await until(lambda: len(set(subscriber.ids)) == 50, 5)
        assert not await _is_unreachable(topic)


async def _is_unreachable(topic: TopicProcess) -> bool:
    return bool((await topic.state())["unreachable"])


class TestDeadLetters:
    @pytest.mark.parametrize(
        ("status", "is_trusted", "reason"),
        [
            (400, False, "UndeliverableDueToHttpBadRequest"),
            (413, False, "UndeliverableDueToHttpRequestEntityTooLarge"),
            (403, True, "UndeliverableDueToHttpForbidden"),
            (401, False, "UndeliverableDueToHttpUnauthorized"),
        ],
    )
    async def test_hopeless_answers_are_not_retried(
        self, topic: TopicProcess, subscriber: Subscriber, status: int, is_trusted: bool, reason: str
    ) -> None:
        topic.subscribe(trusted(subscriber) | {"trusted": is_trusted})
        subscriber.answer = lambda events, request: (
            echo_code(events, request) or (status if events[0]["id"] == "bad" else 200)
        )
        await topic.start()
        await topic.send(an_event("bad"), an_event("good"))
        (letter,) = await until(topic.dead_letters)
        await until(lambda: subscriber.ids == ["good"])
        assert letter["id"] == "bad"
        assert letter["data"] == {}
        assert (letter["deadLetterReason"], letter["deliveryAttempts"]) == (reason, 1)
        assert letter["lastHttpStatusCode"] == status
        assert letter["publishTime"] <= letter["lastDeliveryAttemptTime"]
        state = await topic.state()
        assert (state["pending"], state["delivered"], state["deadLettered"]) == (0, 1, 1)
        await topic.end(signal.SIGKILL)

    async def test_an_event_is_given_up_after_its_attempts(self, topic: TopicProcess, subscriber: Subscriber) -> None:
        topic.subscribe(trusted(subscriber, maxDeliveryAttempts=3))
        subscriber.answer = lambda events, request: 503
        await topic.start()
        await topic.send(an_event(1))
        (letter,) = await until(topic.dead_letters)
        assert (letter["deadLetterReason"], letter["deliveryAttempts"]) == ("MaxDeliveryAttemptsExceeded", 3)
        assert (letter["lastDeliveryOutcome"], letter["lastHttpStatusCode"]) == ("ServiceUnavailable", 503)
        assert len(subscriber.requests) == 3

    async def test_attempts_before_a_kill_count(self, topic: TopicProcess, subscriber: Subscriber) -> None:
        topic.subscribe(trusted(subscriber, maxDeliveryAttempts=4))
        subscriber.answer = lambda events, request: 503
        await topic.start("--retry-schedule", "0.05,0.05,600")
        await topic.send(an_event(1))
        await until(lambda: len(subscriber.requests) == 3)
        assert await topic.end() == 0
        await topic.start()
        (letter,) = await until(topic.dead_letters)
        assert letter["deliveryAttempts"] == 4
        assert len(subscriber.requests) == 4

    async def test_an_event_is_given_up_when_its_time_is_over(self, topic: TopicProcess) -> None:
        nobody = {"name": "sub", "endpoint": f"http://127.0.0.1:{free_port()}/", "trusted": True}
        topic.subscribe(nobody | {"eventTimeToLiveMinutes": 0.01})
        await topic.start()
        await topic.send(an_event(1), an_event(2))
        letters = await until(lambda: len(topic.dead_letters()) == 2 and topic.dead_letters())
        assert {letter["deadLetterReason"] for letter in letters} == {"TimeToLiveExceeded"}
        assert letters[0]["lastDeliveryOutcome"] == "SocketError"
