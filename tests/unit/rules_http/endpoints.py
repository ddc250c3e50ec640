"""Endpoints that function and webhook rules call, a name server under a test's control, and the client that calls."""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from router.models.rules import FunctionRouterRuleCredential
from router.rules.failure import RuleCallError
from router.rules.http.client import RuleHttpClient, RuleHttpLimits

CLIENT_SECRET = "the-client-secret"
SECRETS = ["the-function-key", CLIENT_SECRET, "the-code-in-the-uri", "the-access-token"]
QUICK = RuleHttpLimits(total=10.0, attempt=3.0, retries=2, backoff=0.01, response_bytes=1024 * 1024)
#: For endpoints that hang.
HASTY = RuleHttpLimits(total=10.0, attempt=0.2, retries=2, backoff=0.01)
PAYLOAD = {"job": {"Region": "EU", "Größe": 5}}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Endpoint:
    """An HTTP server on loopback; `answers` are given in turn, the last one for ever."""

    port: int = 0
    answers: list[Handler] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def uri(self, path: str = "/api/rule?code=the-code-in-the-uri") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.requests.append(request)
        handler = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await handler(request)


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return web.Response(body=content, status=status, headers=headers)

    return handler


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@asynccontextmanager
async def serving() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    app = web.Application(client_max_size=10 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", endpoint.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint.port = runner.addresses[0][1]
    try:
        yield endpoint
    finally:
        await runner.cleanup()


class Names(AbstractResolver):
    """A name server under a test's control: a list of addresses for each time that it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


def make_client(**changes: Any) -> RuleHttpClient:
    settings: dict[str, Any] = {"allow_http_loopback": True, "limits": QUICK, "jitter": lambda: 0.5} | changes
    return RuleHttpClient(**settings)


CREDENTIAL = FunctionRouterRuleCredential(function_key="the-function-key", client_id="default")


async def call(client: RuleHttpClient, endpoint: Endpoint) -> Any:
    return await client.post_function(endpoint.uri(), CREDENTIAL, PAYLOAD)


async def failure(client: RuleHttpClient, uri: str) -> RuleCallError:
    """The failure of a call, which quotes no secret in any form in which it could be told or logged."""
    with pytest.raises(RuleCallError) as raised:
        await client.post_function(uri, CREDENTIAL, PAYLOAD)
    return checked(raised.value)


def checked(error: RuleCallError) -> RuleCallError:
    told = "".join(traceback.format_exception(error)) + repr(error) + error.reason + error.code
    assert not [secret for secret in SECRETS if secret in told]
    return error
