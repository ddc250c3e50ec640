"""The local topic asks a webhook whether it wants events before it sends any."""

from __future__ import annotations

import signal

import aiohttp
import pytest
from aiohttp import web
from azure.core.messaging import CloudEvent

from tests.integration.topic.topic_process import Subscriber, TopicProcess, an_event, echo_code, trusted, until


class TestHandshake:
    async def test_nothing_is_delivered_before_the_code_comes_back(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber) | {"trusted": False})
        willing = False
        subscriber.answer = lambda events, request: (
            echo_code(events, request) or 200
            if willing or request.headers["aeg-event-type"] == "Notification"
            else web.Response(status=503)
        )
        await topic.start()
        await topic.send(an_event(1))
        await until(lambda: len(subscriber.requests) >= 3)
        assert {headers["aeg-event-type"] for headers, _ in subscriber.requests} == {"SubscriptionValidation"}
        headers, (event,) = subscriber.requests[0]
        assert event["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
        assert set(event["data"]) == {"validationCode", "validationUrl"}
        assert (headers["aeg-subscription-name"], (await topic.state())["validated"]) == ("SUB", False)
        willing = True
        await until(lambda: subscriber.ids == ["1"])
        await topic.end(signal.SIGKILL)
        subscriber.requests.clear()
        await topic.start()
        await topic.send(an_event(2))
        await until(lambda: "2" in subscriber.ids)
        assert all(headers["aeg-event-type"] == "Notification" for headers, _ in subscriber.requests)

    async def test_the_validation_url_may_be_followed_later(self, topic: TopicProcess, subscriber: Subscriber) -> None:
        topic.subscribe(trusted(subscriber) | {"trusted": False})
        subscriber.answer = lambda events, request: (
            web.Response() if request.headers["aeg-event-type"] == "SubscriptionValidation" else 200
        )
        await topic.start()
        await topic.send(an_event(1))
        await until(lambda: subscriber.requests)
        url = subscriber.requests[0][1][0]["data"]["validationUrl"]
        async with aiohttp.ClientSession() as session:
            async with session.get(url[:-1] + ("0" if url[-1] != "0" else "1")) as answer:
                assert answer.status == 400
            assert subscriber.events == []
            async with session.get(url) as answer:
                assert answer.status == 200
        await until(lambda: subscriber.ids == ["1"])
        assert (await topic.state())["validated"]

    @pytest.mark.parametrize("by_callback", [False, True])
    async def test_cloud_events_webhooks_are_asked_with_options(
        self, topic: TopicProcess, subscriber: Subscriber, by_callback: bool
    ) -> None:
        topic.subscribe(trusted(subscriber) | {"trusted": False})
        allowed = {} if by_callback else {"WebHook-Allowed-Origin": "eventgrid.azure.net"}
        subscriber.options = lambda request: web.Response(headers=allowed)
        await topic.start("--schema", "CloudEvents")
        await topic.send(CloudEvent(source="/s", type="T", id="c", data=1))
        await until(lambda: subscriber.requests)
        headers = subscriber.requests[0][0]
        assert headers["WebHook-Request-Origin"] == "eventgrid.azure.net"
        if by_callback:
            assert subscriber.events == []
            async with (
                aiohttp.ClientSession() as session,
                session.get(headers["WebHook-Request-Callback"]) as answer,
            ):
                assert answer.status == 200
        await until(lambda: subscriber.ids == ["c"])
