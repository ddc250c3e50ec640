"""Subscriptions of the local topic: filters, and a file that changes while it runs."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.integration.topic.topic_process import (
    Subscriber,
    TopicProcess,
    an_event,
    free_port,
    is_at_rest,
    trusted,
    until,
)


class TestSubscriptions:
    async def test_filters(self, topic: TopicProcess, subscriber: Subscriber) -> None:
        topic.subscribe(
            trusted(subscriber, "types", includedEventTypes=["A", "B"]),
            trusted(subscriber, "subjects", subjectBeginsWith="JOB/1", subjectEndsWith="/Chat"),
            trusted(subscriber, "exact", subjectBeginsWith="JOB/1", isSubjectCaseSensitive=True),
        )
        await topic.start()
        await topic.send(an_event(1, "job/1/chat", "C"), an_event(2, "job/2/chat", "A"), an_event(3, "job/12/x", "B"))
        await until(lambda: len(subscriber.requests) == 3)
        got = Counter((headers["aeg-subscription-name"], body[0]["id"]) for headers, body in subscriber.requests)
        assert got == Counter({("SUBJECTS", "1"): 1, ("TYPES", "2"): 1, ("TYPES", "3"): 1})
        assert (await topic.state("exact"))["pending"] == 0

    async def test_the_file_is_followed_while_running(self, topic: TopicProcess, subscriber: Subscriber) -> None:
        await topic.start()
        await topic.send(an_event(1))
        topic.subscribe(trusted(subscriber))
        await until(topic.state)
        await topic.send(an_event(2))
        await until(lambda: subscriber.ids == ["2"])
        topic.file.write_text('[{"name": ')
        await topic.send(an_event(3))
        await until(lambda: subscriber.ids == ["2", "3"])
        topic.subscribe(trusted(subscriber), trusted(subscriber, "second"))
        await until(lambda: topic.state("second"))
        assert (await topic.state())["delivered"] == 2
        topic.subscribe()
        await until(lambda: _is_gone(topic))

    async def test_a_new_endpoint_gets_what_the_old_one_missed(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe({"name": "sub", "endpoint": f"http://127.0.0.1:{free_port()}/", "trusted": True})
        await topic.start()
        await topic.send(*(an_event(n) for n in range(20)))
        topic.subscribe(trusted(subscriber))
        await until(lambda: len(subscriber.ids) == 20)
        await until(lambda: is_at_rest(topic))

    async def test_a_file_that_comes_late_finds_the_events_kept(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe({"name": "sub", "endpoint": f"http://127.0.0.1:{free_port()}/", "trusted": True})
        await topic.start()
        await topic.send(an_event(1))
        await topic.end(signal.SIGKILL)
        topic.file.unlink()
        await topic.start()
        assert await topic.state() == {}
        topic.subscribe(trusted(subscriber))
        await until(lambda: subscriber.ids == ["1"])

    async def test_a_bad_file_is_refused_at_the_start(self, topic: TopicProcess) -> None:
        topic.file.write_text('[{"name": "x", "endpoint": "ftp://x"}]')
        with pytest.raises(AssertionError, match="ended"):
            await topic.start()


async def _is_gone(topic: TopicProcess) -> bool:
    return not await topic.state()
