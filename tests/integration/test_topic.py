"""The local topic as a process of its own, driven by the real Event Grid publisher and by webhooks."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from azure.core.credentials import AzureKeyCredential, AzureSasCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, generate_sas
from azure.eventgrid import EventGridPublisherClient as SyncPublisher
from azure.eventgrid.aio import EventGridPublisherClient as Publisher

ROOT = Path(__file__).parents[2]
KEY = base64.b64encode(b"a key for the tests of the topic").decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], Any] | Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


def an_event(number: object, subject: str | None = None, type: str = "Test.Happened", **data: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "subject": subject if subject is not None else f"job/{number}/channel/chat",
        "eventType": type,
        "eventTime": "2026-02-03T04:05:06.789Z",
        "dataVersion": "1.0",
        "data": data,
    }


class Subscriber:
    """A webhook that records what it gets; `answer` decides what it says."""

    def __init__(self) -> None:
        self.port = free_port()
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.events: list[dict[str, Any]] = []  # acknowledged ones
        self.answer: Callable[[list[dict[str, Any]], web.Request], Any] = lambda events, request: 200
        self.options: Callable[[web.Request], web.Response] = lambda request: web.Response(status=405)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?code=a%2Fb%3D"

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]

    async def start(self) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/hook", self._post)
        app.router.add_route("OPTIONS", "/hook", self._options)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        events = body if isinstance(body, list) else [body]
        self.requests.append((dict(request.headers), body))
        answer = self.answer(events, request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, web.StreamResponse):
            return answer
        if answer in (200, 201, 202, 203, 204):
            self.events.extend(events)
        return web.Response(status=answer)

    async def _options(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), None))
        return self.options(request)


class TopicProcess:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.data = folder / "data"
        self.file = folder / "subscriptions.json"
        self.process: subprocess.Popen[bytes] | None = None
        self.arguments: list[str] = ["--retry-schedule", "0.05,0.1,0.2"]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"{self.base}/api/events"

    def subscribe(self, *subscriptions: dict[str, Any]) -> None:
        fresh = self.folder / "subscriptions.new"
        fresh.write_text(json.dumps(subscriptions))
        fresh.replace(self.file)

    async def start(self, *arguments: str) -> None:
        self.arguments += arguments
        command = [sys.executable, "-m", "local.topic", "--port", str(self.port), "--key", KEY]
        command += ["--data-dir", str(self.data), "--subscriptions", str(self.file), *self.arguments]
        self.process = await asyncio.to_thread(subprocess.Popen, command, cwd=ROOT)
        await until(self._is_healthy)

    async def _is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the topic ended"
        with suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(f"{self.base}/health") as answer:
                return answer.status == 200
        return False

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 10)

    async def state(self, name: str = "sub") -> dict[str, Any]:
        async with (
            aiohttp.ClientSession(headers={"aeg-sas-key": KEY}) as session,
            session.get(f"{self.base}/admin/state") as answer,
        ):
            assert answer.status == 200
            subscriptions: dict[str, dict[str, Any]] = (await answer.json())["subscriptions"]
            return subscriptions.get(name, {})

    async def send(self, *events: Any) -> None:
        async with Publisher(self.endpoint, AzureKeyCredential(KEY)) as publisher:
            await publisher.send(list(events))

    async def post(self, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
        headers = {"aeg-sas-key": KEY, "Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with (
            aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session,
            session.post(self.endpoint, data=body, headers=headers) as answer,
        ):
            text = await answer.text()
            return answer.status, json.loads(text) if text else {}

    def dead_letters(self, name: str = "sub") -> list[dict[str, Any]]:
        path = self.data / "deadletter" / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    one = Subscriber()
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def topic(tmp_path: Path) -> AsyncIterator[TopicProcess]:
    one = TopicProcess(tmp_path)
    one.subscribe()
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        await asyncio.to_thread(one.process.wait)


def trusted(subscriber: Subscriber, name: str = "sub", **more: Any) -> dict[str, Any]:
    return {"name": name, "endpoint": subscriber.url, "trusted": True, **more}


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


class TestDurability:
    async def test_kill_9_twice_with_a_failing_subscriber_loses_nothing_acknowledged(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        dice = random.Random(7)
        subscriber.answer = lambda events, request: 500 if dice.random() < 0.2 else 200
        await topic.start()
        acknowledged: set[str] = set()
        stop = asyncio.Event()

        async def publish(worker: int) -> None:
            async with aiohttp.ClientSession(headers={"aeg-sas-key": KEY}) as session:
                number = 0
                while not stop.is_set():
                    ids = [f"{worker}-{number}-{part}" for part in range(3)]
                    with suppress(aiohttp.ClientError):
                        async with session.post(topic.endpoint, json=[an_event(i) for i in ids]) as answer:
                            if answer.status == 200:
                                acknowledged.update(ids)
                                number += 1
                    await asyncio.sleep(0.002)

        publishers = [asyncio.create_task(publish(worker)) for worker in range(8)]
        for _ in range(2):
            before = len(acknowledged)
            await until(lambda before=before: len(acknowledged) > before + 300)
            await topic.end(signal.SIGKILL)
            await topic.start()
        before = len(acknowledged)
        await until(lambda: len(acknowledged) > before + 300)
        stop.set()
        await asyncio.gather(*publishers)
        await until(lambda: acknowledged <= set(subscriber.ids))
        await until(lambda: _is_at_rest(topic))
        assert topic.dead_letters() == []
        bodies: dict[str, str] = {}
        for event in subscriber.events:
            assert bodies.setdefault(event["id"], json.dumps(event)) == json.dumps(event)

    async def test_what_a_dead_subscriber_missed_is_delivered_after_a_restart(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        await subscriber.stop()
        await topic.start()
        await topic.send(*(an_event(n) for n in range(40)))
        await topic.end(signal.SIGKILL)
        await subscriber.start()
        await topic.start()
        await until(lambda: len(set(subscriber.ids)) == 40)

    async def test_a_full_house_of_waiting_events_outlives_memory_s_window(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        """More than one subscription may keep in memory: the rest must come back from disk, in order."""
        topic.subscribe(trusted(subscriber, maxEventsPerBatch=500))
        await subscriber.stop()
        await topic.start()
        total = 7000
        for start in range(0, total, 500):
            assert (
                await topic.post(json.dumps([an_event(n, "one/lane") for n in range(start, start + 500)]).encode())
            )[0] == 200
        assert (await topic.state())["pending"] == total
        await subscriber.start()
        await until(lambda: len(set(subscriber.ids)) == total)
        assert (await topic.state())["pending"] == 0

    async def test_sigterm_ends_it_quickly_even_when_a_subscriber_hangs(
        self, topic: TopicProcess, subscriber: Subscriber
    ) -> None:
        topic.subscribe(trusted(subscriber))
        release = asyncio.Event()

        async def hang() -> int:
            await release.wait()
            return 200

        subscriber.answer = lambda events, request: hang()
        await topic.start()
        await topic.send(an_event(1))
        await until(lambda: subscriber.requests)
        start = time.monotonic()
        assert await topic.end() == 0
        assert time.monotonic() - start < 2
        release.set()
        subscriber.answer = lambda events, request: 200
        await topic.start()
        await until(lambda: (subscriber.ids or [""])[-1] == "1")


async def _is_at_rest(topic: TopicProcess) -> bool:
    return bool((await topic.state())["pending"] == 0)


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
        await until(lambda: _is_at_rest(topic))

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


def echo_code(events: list[dict[str, Any]], request: web.Request) -> web.Response | None:
    if request.headers["aeg-event-type"] == "SubscriptionValidation":
        return web.json_response({"validationResponse": events[0]["data"]["validationCode"]})
    return None


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


BARE_SERVER = """
import sys
from aiohttp import web

async def answer(request):
    await request.json()
    return web.Response()

app = web.Application()
app.router.add_post("/hook", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


@pytest.fixture
async def bare_server() -> AsyncIterator[str]:
    """A webhook in a process of its own, since a subscriber is no part of its publisher either."""
    port = free_port()
    process = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", BARE_SERVER, str(port)])
    url = f"http://127.0.0.1:{port}/hook"

    async def answers() -> bool:
        with suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.post(url, json=[]) as answer:
                return answer.status == 200
        return False

    await until(answers)
    yield url
    process.kill()
    await asyncio.to_thread(process.wait)


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
