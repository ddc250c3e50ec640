"""CloudEvents on the local topic, in and out."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent

from tests.integration.topic.topic_process import Subscriber, TopicProcess, an_event, trusted, until


class TestCloudEvents:
    async def test_a_cloud_events_topic_delivers_cloud_events(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber), trusted(subscriber, "batches", maxEventsPerBatch=10))
        await topic.start("--schema", "CloudEvents")
        event = CloudEvent(source="/router", type="T", data={"a": 1}, subject="job/1", id="c1", extensions={"ext": "x"})
        await topic.send(event)
        await until(lambda: len(subscriber.events) == 2)
        by_type = {headers["Content-Type"].split(";")[0]: (headers, body) for headers, body in subscriber.requests}
        headers, single = by_type["application/cloudevents+json"]
        assert headers["aeg-event-type"] == "Notification"
        assert by_type["application/cloudevents-batch+json"][1] == [single]
        assert single.pop("time")
        assert single == {
            "id": "c1",
            "source": "/router",
            "type": "T",
            "specversion": "1.0",
            "subject": "job/1",
            "data": {"a": 1},
            "ext": "x",
        }
        with pytest.raises(HttpResponseError) as refused:
            await topic.send(an_event(1))
        assert refused.value.status_code == 400

    async def test_an_event_grid_event_becomes_a_cloud_event_on_demand(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber, deliverySchema="CloudEventSchemaV1_0"))
        await topic.start("--topic-id", "/the/topic")
        await topic.send(an_event("e", a=1))
        await until(lambda: subscriber.events)
        assert subscriber.events[0] == {
            "id": "e",
            "source": "/the/topic",
            "specversion": "1.0",
            "type": "Test.Happened",
            "subject": "job/e/channel/chat",
            "time": "2026-02-03T04:05:06.789Z",
            "dataversion": "1.0",
            "data": {"a": 1},
        }
