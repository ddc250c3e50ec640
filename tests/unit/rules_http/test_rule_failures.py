"""Rules whose endpoints fail, hang, drip or do not speak HTTP: statuses, retries, time."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from aiohttp import web

from router.rules.http.client import RuleHttpClient, RuleHttpLimits
from tests.unit.rules_http.endpoints import HASTY, Endpoint, answer, call, failure, hang, make_client, serving


@pytest.mark.parametrize("status", [201, 202, 204, 400, 403, 404, 408, 409, 429])
async def test_other_statuses_than_200_fail_at_once(client: RuleHttpClient, endpoint: Endpoint, status: int) -> None:
    endpoint.answers = [answer(1, status)]
    error = await failure(client, endpoint.uri())
    assert error.reason == f"The function at 127.0.0.1 answered {status}, not 200."
    assert len(endpoint.requests) == 1


async def test_a_refused_credential_is_said(client: RuleHttpClient, endpoint: Endpoint) -> None:
    endpoint.answers = [answer(1, 401)]
    assert (await failure(client, endpoint.uri())).code == "RuleUnauthorized"
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 599])
async def test_server_errors_are_tried_again(client: RuleHttpClient, endpoint: Endpoint, status: int) -> None:
    endpoint.answers = [answer(b"", status), answer(b"", status), answer(7)]
    assert await call(client, endpoint) == 7
    assert len(endpoint.requests) == 3


async def test_but_not_for_ever(client: RuleHttpClient, endpoint: Endpoint) -> None:
    endpoint.answers = [answer(b"", 503)]
    error = await failure(client, endpoint.uri())
    assert (error.code, error.reason) == ("RuleServerError", "The function at 127.0.0.1 answered 503, not 200.")
    assert len(endpoint.requests) == 3


async def test_the_wait_between_tries_grows_and_varies(endpoint: Endpoint) -> None:
    limits = RuleHttpLimits(retries=2, backoff=0.1)
    endpoint.answers = [answer(b"", 503)]
    took = []
    for jitter in (0.0, 0.99):
        async with make_client(limits=limits, jitter=lambda jitter=jitter: jitter) as client:
            started = time.monotonic()
            await failure(client, endpoint.uri())
            took.append(time.monotonic() - started)
    assert took[0] >= 0.1 * 0.5 + 0.2 * 0.5
    assert took[1] >= 0.1 * 1.49 + 0.2 * 1.49


async def test_a_time_out_is_tried_again(endpoint: Endpoint) -> None:
    endpoint.answers = [hang, answer(7)]
    async with make_client(limits=HASTY) as client:
        assert await call(client, endpoint) == 7
    assert len(endpoint.requests) == 2


async def test_an_endpoint_that_hangs(endpoint: Endpoint) -> None:
    endpoint.answers = [hang]
    started = time.monotonic()
    async with make_client(limits=HASTY) as client:
        error = await failure(client, endpoint.uri())
    assert (error.code, error.reason) == ("RuleTimedOut", "The function at 127.0.0.1 did not answer within 0.2 s.")
    assert time.monotonic() - started < HASTY.total
    assert len(endpoint.requests) == 3


async def test_everything_together_is_bounded(endpoint: Endpoint) -> None:
    endpoint.answers = [hang]
    limits = RuleHttpLimits(total=0.3, attempt=30, retries=2)
    async with make_client(limits=limits) as client:
        started = time.monotonic()
        error = await failure(client, endpoint.uri())
        assert (error.code, error.reason) == ("RuleTimedOut", "The rule took longer than 0.3 s.")
        assert time.monotonic() - started < 5


async def test_a_drip_is_a_hang(endpoint: Endpoint) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.02)

    endpoint.answers = [drip]
    async with make_client(limits=RuleHttpLimits(attempt=0.2, retries=0)) as client:
        assert (await failure(client, endpoint.uri())).code == "RuleTimedOut"


async def test_an_endpoint_that_hangs_delays_nothing_else(endpoint: Endpoint) -> None:
    endpoint.answers = [hang]
    async with make_client(limits=RuleHttpLimits(total=20, attempt=20)) as client, serving() as good:
        good.answers = [answer(1)]
        stuck = [asyncio.create_task(call(client, endpoint)) for _ in range(100)]
        try:
            for _ in range(20):
                assert await asyncio.wait_for(call(client, good), 5) == 1
        finally:
            for task in stuck:
                task.cancel()
            await asyncio.gather(*stuck, return_exceptions=True)


async def test_nobody_there(client: RuleHttpClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}/?code=the-code-in-the-uri"
        error = await failure(client, uri)
    assert (error.code, error.reason) == ("RuleUnreachable", "The function at 127.0.0.1 cannot be reached.")


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    ],
)
async def test_what_does_not_speak_http(client: RuleHttpClient, said: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await failure(client, f"http://127.0.0.1:{port}/?code=the-code-in-the-uri")
    assert error.code == "RuleUnreachable"
