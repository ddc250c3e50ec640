"""The signed client against a server that checks signatures as the router does, and that has bad days."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from router.api.auth.hmac import AccessKeys
from router.clock import SystemClock
from router.migrate.client import Client, parse_connection_string
from router.migrate.failure import MigrationError, Refused
from router.migrate.kinds import DISTRIBUTION, QUEUE

KEY = base64.b64encode(b"k" * 32).decode()
Answer = Callable[[web.Request], web.Response]


class Service:
    """Answers what the test tells it to, after the signature has been verified."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.seen: list[tuple[str, str, bytes]] = []

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        AccessKeys((KEY,)).verify(request.method, request.raw_path, True, headers, body, SystemClock().now())
        self.seen.append((request.method, request.raw_path, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def client(service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    async def at_once(seconds: float) -> None:
        pauses.append(seconds)

    pauses: list[float] = []
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", service.serve)
    async with TestServer(app) as server:
        endpoint = parse_connection_string(f"endpoint=http://127.0.0.1:{server.port}/;accesskey={KEY}")
        async with Client(endpoint) as client:
            monkeypatch.setattr("router.migrate.client.asyncio.sleep", at_once)
            client.pauses = pauses  # type: ignore[attr-defined]
            yield client


def answered(status: int = 200, body: Any = None, **headers: str) -> Answer:
    return lambda request: web.json_response(body or {}, status=status, headers=headers)


async def test_ids_with_odd_letters_are_signed_as_sent(client: Client, service: Service) -> None:
    service.answers = [answered(201)]
    await client.upsert(QUEUE, "a b/ü:%?#'", {"name": "ü"}, new=True)
    method, path, body = service.seen[0]
    assert (method, path.partition("?")[0]) == ("PATCH", "/routing/queues/a%20b%2F%C3%BC%3A%25%3F%23%27")
    assert json.loads(body) == {"name": "ü"}


async def test_pages_are_followed_with_the_version_added_once(client: Client, service: Service) -> None:
    service.answers = [
        answered(body={"value": [{"id": "a"}], "nextLink": "/routing/queues?continuationToken=x~y&api-version=old"}),
        answered(body={"value": [{"id": "b"}]}),
    ]
    assert [one["id"] async for one in client.list(QUEUE)] == ["a", "b"]
    assert service.seen[1][1] == "/routing/queues?continuationToken=x~y&api-version=2024-01-18-preview"


async def test_a_link_to_another_host_is_not_followed(client: Client, service: Service) -> None:
    service.answers = [answered(body={"value": [], "nextLink": "https://evil.example/routing/queues?x=1"})]
    with pytest.raises(MigrationError, match="not followed"):
        [one async for one in client.list(QUEUE)]
    assert len(service.seen) == 1


async def test_429_and_503_are_tried_again_after_the_time_asked_for(client: Client, service: Service) -> None:
    service.answers = [answered(429, **{"Retry-After": "7"}), answered(503), answered(200, {"id": "q"})]
    assert await client.upsert(QUEUE, "q", {}) == {"id": "q"}
    pauses: list[float] = client.pauses  # type: ignore[attr-defined]
    assert 7 <= pauses[0] < 9
    assert 0.5 <= pauses[1] < 1


async def test_a_service_that_stays_away_ends_the_run(client: Client, service: Service) -> None:
    service.answers = [answered(503)]
    with pytest.raises(MigrationError, match="Run again to go on"):
        await client.upsert(QUEUE, "q", {})
    assert len(service.seen) == 9


async def test_a_refusal_tells_every_detail_once(client: Client, service: Service) -> None:
    error = {"code": "BadRequest", "message": "Queue is bad.", "details": [{"message": "name is too long"}]}
    service.answers = [answered(400, {"error": error})]
    with pytest.raises(Refused, match=r"400 BadRequest: Queue is bad\. name is too long"):
        await client.upsert(QUEUE, "q", {})
    assert len(service.seen) == 1


async def test_an_older_service_is_spoken_to_in_its_version(client: Client, service: Service) -> None:
    unknown = {"error": {"code": "UnsupportedApiVersionValue", "message": "no"}}
    service.answers = [answered(400, unknown), answered(body={"value": []})]
    await client.settle_version()
    [one async for one in client.list(DISTRIBUTION)]
    assert service.seen[-1][1].endswith("api-version=2023-11-01")


async def test_a_key_that_is_not_accepted_ends_the_run(client: Client, service: Service) -> None:
    service.answers = [answered(401)]
    with pytest.raises(MigrationError, match="does not accept the access key"):
        await client.settle_version()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "endpoint=https://x.example",
        "accesskey=aGk=",
        "endpoint=ftp://x.example;accesskey=aGk=",
        "endpoint=http://x.example;accesskey=aGk=",
        "endpoint=https://x.example;accesskey=not base64!",
    ],
)
def test_a_connection_string_that_is_none_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(MigrationError) as refused:
        parse_connection_string(text)
    assert "aGk=" not in str(refused.value)
    assert "not base64!" not in str(refused.value)


def test_an_endpoint_is_taken_as_clients_take_it() -> None:
    endpoint = parse_connection_string("Endpoint=https://X.example:443/ ; AccessKey=aGk=")
    assert (endpoint.url, endpoint.host) == ("https://x.example", "x.example")
    assert "aGk" not in repr(endpoint)
    assert "hi" not in repr(endpoint)
