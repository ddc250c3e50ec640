"""Subscriptions that somebody who runs has made: for a time, by a route that wants the key."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.integration.topic.topic_process import KEY, Subscriber, TopicProcess, an_event, trusted, until


async def lease(
    topic: TopicProcess, name: str, body: Any, *, seconds: str = "30", method: str = "PUT", key: str = KEY
) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(headers={"aeg-sas-key": key}) as session,
        session.request(method, f"{topic.base}/admin/subscriptions/{name}?seconds={seconds}", json=body) as answer,
    ):
        return answer.status, await answer.text()


def body_of(subscriber: Subscriber, **more: Any) -> dict[str, Any]:
    return {"endpoint": subscriber.url, "trusted": True, **more}


async def test_it_gets_events_until_it_is_ended_and_the_file_goes_on(
    topic: TopicProcess, subscriber: Subscriber
) -> None:
    topic.subscribe(trusted(subscriber, "filed"))
    await topic.start()
    assert (await lease(topic, "mine", body_of(subscriber, subjectBeginsWith="job/2/")))[0] == 200
    await topic.send(an_event(1), an_event(2))
    await until(lambda: sorted(subscriber.ids) == ["1", "2", "2"])
    topic.subscribe(trusted(subscriber, "filed"), trusted(subscriber, "other"))
    await until(lambda: topic.state("other"))
    assert (await topic.state("mine"))["delivered"] == 1, "a file that changes leaves it alone"
    assert (await lease(topic, "mine", None, method="DELETE"))[0] == 204
    assert await topic.state("mine") == {}
    assert (await lease(topic, "mine", None, method="DELETE"))[0] == 404


async def test_it_ends_by_itself_unless_it_is_asked_for_again(topic: TopicProcess, subscriber: Subscriber) -> None:
    await topic.start()
    await lease(topic, "short", body_of(subscriber), seconds="1")
    await lease(topic, "long", body_of(subscriber), seconds="1")
    await lease(topic, "long", body_of(subscriber), seconds="60")

    async def only_the_long_one() -> bool:
        return await topic.state("short") == {}

    await until(only_the_long_one)
    assert await topic.state("long") != {}


async def test_what_is_refused(topic: TopicProcess, subscriber: Subscriber) -> None:
    topic.subscribe(trusted(subscriber, "filed"))
    await topic.start()
    assert (await lease(topic, "mine", body_of(subscriber), key="d3Jvbmc="))[0] == 401
    assert (await lease(topic, "mine", None, key="d3Jvbmc=", method="DELETE"))[0] == 401
    assert (await lease(topic, "Filed", body_of(subscriber)))[0] == 409
    status, text = await lease(topic, "mine", {"endpoint": "ftp://there"})
    assert (status, "not an http or https URL" in text) == (400, True)
    assert (await lease(topic, "mine", ["no object"]))[0] == 400
    for seconds in ("0", "nan", "99999", "soon"):
        assert (await lease(topic, "mine", body_of(subscriber), seconds=seconds))[0] == 400
    assert await topic.state("mine") == {}


@pytest.mark.parametrize("name", ["a%20b", "-a", "a" * 65])
async def test_a_name_that_is_none(topic: TopicProcess, subscriber: Subscriber, name: str) -> None:
    await topic.start()
    assert (await lease(topic, name, body_of(subscriber)))[0] == 400
