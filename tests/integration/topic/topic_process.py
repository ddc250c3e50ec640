"""The local topic as a process of its own, and a webhook that it delivers to."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from azure.core.credentials import AzureKeyCredential
from azure.eventgrid.aio import EventGridPublisherClient as Publisher

from tests.yardstick import Deadline

ROOT = Path(__file__).parents[3]
KEY = base64.b64encode(b"a key for the tests of the topic").decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], Any] | Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    deadline = Deadline(seconds)
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        assert not deadline.is_over(), "waited in vain"
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


def trusted(subscriber: Subscriber, name: str = "sub", **more: Any) -> dict[str, Any]:
    return {"name": name, "endpoint": subscriber.url, "trusted": True, **more}


def echo_code(events: list[dict[str, Any]], request: web.Request) -> web.Response | None:
    if request.headers["aeg-event-type"] == "SubscriptionValidation":
        return web.json_response({"validationResponse": events[0]["data"]["validationCode"]})
    return None


async def is_at_rest(topic: TopicProcess) -> bool:
    return bool((await topic.state())["pending"] == 0)
