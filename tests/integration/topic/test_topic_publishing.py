"""What the real Event Grid publisher sends to the local topic, and what is refused there."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from azure.core.credentials import AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, generate_sas
from azure.eventgrid import EventGridPublisherClient as SyncPublisher
from azure.eventgrid.aio import EventGridPublisherClient as Publisher

from tests.integration.topic.topic_process import KEY, Subscriber, TopicProcess, an_event, trusted, until


class TestPublishing:
    async def test_the_async_client_s_events_arrive_as_event_grid_delivers_them(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber, "router-job"))
        await topic.start()
        await topic.send(EventGridEvent("job/1/channel/c", "Test.Happened", {"é": [1, None]}, "1.0", id="e1"))
        await until(lambda: subscriber.events)
        headers, body = subscriber.requests[0]
        event = body[0]
        assert event.pop("eventTime").startswith("20")
        topic_id = event.pop("topic")
        assert topic_id.startswith("/subscriptions/")
        assert event == {
            "id": "e1",
            "subject": "job/1/channel/c",
            "eventType": "Test.Happened",
            "data": {"é": [1, None]},
            "dataVersion": "1.0",
            "metadataVersion": "1",
        }
        wanted = {
            "aeg-event-type": "Notification",
            "aeg-subscription-name": "ROUTER-JOB",
            "aeg-delivery-count": "0",
            "aeg-data-version": "1.0",
            "aeg-metadata-version": "1",
            "Content-Type": "application/json; charset=utf-8",
        }
        assert {name: headers.get(name) for name in wanted} == wanted
        assert len(body) == 1

    async def test_the_sync_client_publishes_with_key_and_with_sas_token(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        await topic.start()
        token = generate_sas(topic.endpoint, KEY, datetime.now(UTC) + timedelta(minutes=5))

        def send() -> None:
            with SyncPublisher(topic.endpoint, AzureKeyCredential(KEY)) as publisher:
                publisher.send([an_event(1), an_event(2)])
            with SyncPublisher(topic.endpoint, AzureSasCredential(token)) as publisher:
                publisher.send(an_event(3))

        await asyncio.to_thread(send)
        await until(lambda: len(subscriber.events) == 3)
        assert sorted(subscriber.ids) == ["1", "2", "3"]

    async def test_wrong_keys_and_tokens_are_refused(self, topic: TopicProcess) -> None:
        await topic.start()
        late = generate_sas(topic.endpoint, KEY, datetime.now(UTC) - timedelta(minutes=5))
        foreign = generate_sas(topic.endpoint, base64.b64encode(b"other").decode(), datetime.now(UTC) + timedelta(1))
        elsewhere = generate_sas("http://127.0.0.1:9/api/events", KEY, datetime.now(UTC) + timedelta(1))
        wrong: list[Any] = [AzureKeyCredential("no"), *map(AzureSasCredential, (late, foreign, elsewhere, "x"))]
        for credential in wrong:
            async with Publisher(topic.endpoint, credential) as publisher:
                with pytest.raises(ClientAuthenticationError):
                    await publisher.send(an_event(1))
        status, body = await topic.post(b"[]", aeg_sas_key="no")
        assert (status, body["error"]["code"], body["error"]["details"][0]["code"]) == (401,) + ("Unauthorized",) * 2

    async def test_cloud_events_are_refused_by_an_event_grid_topic(self, topic: TopicProcess) -> None:
        await topic.start()
        with pytest.raises(HttpResponseError, match="unexpected property") as refused:
            await topic.send(CloudEvent(source="/s", type="T", data=1))
        assert refused.value.status_code == 400

    async def test_one_bad_event_refuses_the_whole_request(self, topic: TopicProcess, subscriber: Subscriber) -> None:
        topic.subscribe(trusted(subscriber))
        await topic.start()
        bad = an_event(2)
        del bad["eventTime"]
        status, body = await topic.post(json.dumps([an_event(1), bad]).encode())
        assert status == 400
        assert body["error"]["details"][0]["code"] == "InputJsonInvalid"
        assert "'eventTime'" in body["error"]["message"]
        await topic.send(an_event(3))
        await until(lambda: subscriber.events)
        assert subscriber.ids == ["3"]

    async def test_sizes_up_to_1_mib_pass_and_larger_ones_are_413(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        await topic.start()
        empty = len(json.dumps([an_event(1, pad="")]))
        fits = json.dumps([an_event(1, pad="x" * (1024 * 1024 - empty))]).encode()
        assert len(fits) == 1024 * 1024
        assert (await topic.post(fits))[0] == 200
        await until(lambda: subscriber.events)
        status, body = await topic.post(fits + b" ")
        assert (status, body["error"]["code"]) == (413, "RequestEntityTooLarge")
        with pytest.raises(HttpResponseError) as refused:
            await topic.send(*(an_event(n, pad="x" * 300_000) for n in range(8)))
        assert refused.value.status_code == 413

    async def test_other_content_types_and_paths_are_refused(self, topic: TopicProcess) -> None:
        await topic.start()
        assert (await topic.post(b"[]", Content_Type="text/plain"))[0] == 415
        assert (await topic.post(b"[]"))[0] == 200
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{topic.base}/api/event", json=[]) as answer:
                assert answer.status == 404
            async with session.get(f"{topic.base}/admin/state") as answer:
                assert answer.status == 401

    async def test_nothing_is_written_outside_the_data_folder(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber, "dead"))
        subscriber.answer = lambda events, request: 400
        await topic.start()
        await topic.send(an_event(1))
        await until(lambda: topic.dead_letters("dead"))
        assert await topic.end() == 0
        assert {path.name for path in topic.folder.iterdir()} == {"data", "subscriptions.json"}
