"""The publisher over azure-eventgrid and HTTP: what reaches a topic, and what happens when the topic is not there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken

from local.options import ROOT
from router.events.envelope import EventSchema
from router.events.publisher import EventPublisher, PublishFailed
from router.events.topic import Topic, TopicBusy
from router.models.events import PendingEvent
from tests.yardstick import slower

KEY = "dGhlIHRvcGljJ3Mga2V5"
MOMENT = datetime(2024, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
RETRY_SECONDS = (0.05, 0.2)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Server:
    """A topic's endpoint on a port of its own, which can go away and come back on the same one."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], str, list[dict[str, Any]]]] = []
        self.answers: list[web.Response] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/events"

    @property
    def ids(self) -> list[str]:
        return [event["id"] for _, _, events in self.requests for event in events]

    async def start(self) -> None:
        app = web.Application(client_max_size=2**21)
        app.router.add_post("/api/events", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        await self.gate.wait()
        if self.answers:
            return self.answers.pop(0)
        self.requests.append((dict(request.headers), request.query_string, json.loads(body)))
        return web.Response()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    server.gate.set()
    await server.stop()


@pytest.fixture
async def publisher(server: Server) -> AsyncIterator[EventPublisher]:
    publisher = EventPublisher(Topic(server.url, key=KEY), retry_seconds=RETRY_SECONDS)
    yield publisher
    await publisher.close()


def event(number: int, **changes: Any) -> PendingEvent:
    values: dict[str, Any] = {
        "id": f"event-{number}",
        "type": "RouterJobDeleted",
        "subject": f"job/job-{number}/channel/voice",
        "time": MOMENT,
        "data": {"jobId": f"job-{number}", "labels": {"Ü": "ä€😀", "n": 1.5, "b": True}},
    }
    return PendingEvent.model_validate({**values, **changes})


async def test_what_the_topic_gets(server: Server, publisher: EventPublisher) -> None:
    await publisher.publish([event(1)], key="job-1")
    ((headers, query, events),) = server.requests
    assert headers["aeg-sas-key"] == KEY
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert query == "api-version=2018-01-01"
    assert events == [
        {
            "id": "event-1",
            "subject": "job/job-1/channel/voice",
            "eventType": "Microsoft.Communication.RouterJobDeleted",
            "eventTime": "2024-01-31T12:00:00.123456+00:00",
            "dataVersion": "1.0",
            "data": {"jobId": "job-1", "labels": {"Ü": "ä€😀", "n": 1.5, "b": True}},
        }
    ]


async def test_cloud_events(server: Server) -> None:
    publisher = EventPublisher(Topic(server.url, key=KEY), schema=EventSchema.CLOUD_EVENTS, source="/routers/one")
    await publisher.publish([event(1, traceparent=TRACE), event(2)], key="job-1")
    await publisher.close()
    ((headers, _, events),) = server.requests
    assert headers["Content-Type"].startswith("application/cloudevents-batch+json")
    assert [(sent["id"], sent["specversion"], sent["source"]) for sent in events] == [
        ("event-1", "1.0", "/routers/one"),
        ("event-2", "1.0", "/routers/one"),
    ]
    assert events[0]["traceparent"] == TRACE
    assert "traceparent" not in events[1]
    assert datetime.fromisoformat(events[0]["time"]) == MOMENT


@pytest.mark.parametrize("end", ["", "/"])
async def test_an_endpoint_without_a_path(server: Server, end: str) -> None:
    publisher = EventPublisher(Topic(server.url.removesuffix("/api/events") + end, key=KEY))
    await publisher.publish([event(1)], key="job-1")
    await publisher.close()
    assert server.ids == ["event-1"]


FIRST_REQUEST = """
import asyncio
import sys
from router.events.topic import Topic, TopicRefused
from router.events.envelope import EventSchema
from router.storage import azure  # has loaded what both need
from tests.loop_holds import measured

async def first() -> None:
    topic = Topic("http://127.0.0.1:9", key="a2V5")
    try:
        await topic.send(["{}"], EventSchema.EVENT_GRID)
    except TopicRefused:
        pass
    await topic.close()

with measured() as holds:
    asyncio.run(first())
print(holds.longest(), "azure.eventgrid.aio" in sys.modules)
"""


@pytest.mark.timed
def test_the_first_request_does_not_hold_up_others_while_the_client_is_loaded() -> None:
    """That takes a hundred milliseconds or more of the processor."""
    found = subprocess.run([sys.executable, "-c", FIRST_REQUEST], capture_output=True, text=True, check=True, cwd=ROOT)
    longest, loaded = found.stdout.split()
    assert loaded == "True"
    assert float(longest) < 30 * slower(time.thread_time)


class Identity:
    """Stands for the app's identity; the SDK sends its token over TLS only."""

    def __init__(self) -> None:
        self.scopes: list[tuple[str, ...]] = []

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        self.scopes.append(scopes)
        return AccessToken("a token", 2**31)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Identity:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass


async def test_a_token_never_goes_over_plain_http(server: Server) -> None:
    publisher = EventPublisher(Topic(server.url, credential=Identity()), retry_seconds=RETRY_SECONDS)
    with pytest.raises(PublishFailed, match="TLS protected"):
        await publisher.publish([event(1)], key="job-1")
    await publisher.close()
    assert server.requests == []


async def test_a_burst_goes_in_few_requests_and_in_order(server: Server, publisher: EventPublisher) -> None:
    server.gate.clear()
    calls = [
        asyncio.create_task(publisher.publish([event(n * 10 + step) for step in range(3)], key=f"job-{n}"))
        for n in range(100)
    ]
    await asyncio.sleep(0)
    server.gate.set()
    await asyncio.gather(*calls)
    assert len(server.requests) <= 8
    assert len(server.ids) == 300
    for n in range(100):
        places = [server.ids.index(f"event-{n * 10 + step}") for step in range(3)]
        assert places == sorted(places)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_failing_answer_is_tried_again(server: Server, publisher: EventPublisher, status: int) -> None:
    server.answers = [web.Response(status=status), web.Response(status=status)]
    await publisher.publish([event(1)], key="job-1")
    assert server.ids == ["event-1"]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_is_not_tried_again(server: Server, publisher: EventPublisher, status: int) -> None:
    server.answers = [web.Response(status=status), web.Response(status=status)]
    with pytest.raises(PublishFailed, match=str(status)):
        await publisher.publish([event(1)], key="job-1")
    assert len(server.answers) == 1


async def test_events_follow_when_the_topic_is_back(server: Server, publisher: EventPublisher) -> None:
    await publisher.publish([event(1)], key="job-1")
    await server.stop()
    outbox = [event(2), event(3)]
    with pytest.raises(PublishFailed) as raised:
        await publisher.publish(outbox, key="job-1")
    assert raised.value.unpublished == ("event-2", "event-3")
    outbox.append(event(4))
    with pytest.raises(PublishFailed):
        await publisher.publish(outbox, key="job-1")

    await server.start()
    async with asyncio.timeout(10):
        while outbox:
            try:
                await publisher.publish(outbox, key="job-1")
                outbox = []
            except PublishFailed:
                await asyncio.sleep(0.05)
    assert server.ids == ["event-1", "event-2", "event-3", "event-4"]


async def test_a_topic_that_is_down_costs_a_caller_little(server: Server, publisher: EventPublisher) -> None:
    await server.stop()
    loop = asyncio.get_running_loop()
    started = loop.time()
    failures = await asyncio.gather(
        *(publisher.publish([event(n)], key=f"job-{n}") for n in range(50)), return_exceptions=True
    )
    assert all(isinstance(failure, PublishFailed) for failure in failures)
    # Generous beside the waits of the retries, far below one attempt's time limit.
    assert loop.time() - started < 2.0
    started = loop.time()
    with pytest.raises(PublishFailed):
        await publisher.publish([event(1)], key="job-1")
    assert loop.time() - started < RETRY_SECONDS[0], "nothing is tried while it pauses"


async def test_a_request_too_large_is_halved(server: Server, publisher: EventPublisher) -> None:
    server.answers = [web.Response(status=413)]
    await publisher.publish([event(n) for n in range(5)], key="job-1")
    assert server.ids == [f"event-{n}" for n in range(5)]
    assert len(server.requests) == 2


async def test_an_answer_that_is_cut_off_is_tried_again(server: Server, publisher: EventPublisher) -> None:
    class Gone(web.Response):
        async def prepare(self, request: web.BaseRequest) -> Any:
            assert request.transport is not None
            request.transport.close()
            return None

    server.answers = [Gone()]
    await publisher.publish([event(1)], key="job-1")
    assert server.ids == ["event-1"]


async def test_a_topic_that_restarts_is_waited_for(server: Server) -> None:
    tried = asyncio.Queue[None]()

    class Watched(Topic):
        async def send(self, events: Sequence[str], schema: EventSchema) -> None:
            try:
                await super().send(events, schema)
            except TopicBusy:
                tried.put_nowait(None)
                raise

    publisher = EventPublisher(Watched(server.url, key=KEY))
    await publisher.publish([event(1)], key="job-1")
    await server.stop()
    waiting = [asyncio.create_task(publisher.publish([event(n)], key="job-1")) for n in (2, 3, 4)]
    async with asyncio.timeout(10):
        for _ in range(3):
            await tried.get()
    assert not any(call.done() for call in waiting)
    await server.start()
    await asyncio.gather(*waiting)
    await publisher.close()
    assert server.ids == ["event-1", "event-2", "event-3", "event-4"]
