"""Function and webhook rules against endpoints that behave, fail, hang, flood and try to lead elsewhere."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import socket
import time
import traceback
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from router.models.rules import FunctionRouterRuleCredential
from router.rules.failure import RuleCallError
from router.rules.http.client import RuleHttpClient, RuleHttpLimits

CLIENT_SECRET = "the-client-secret"
SECRETS = ["the-function-key", CLIENT_SECRET, "the-code-in-the-uri", "the-access-token"]
QUICK = RuleHttpLimits(total=2.0, attempt=0.3, retries=2, backoff=0.01, response_bytes=1024 * 1024)
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


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with serving() as endpoint:
        yield endpoint


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


@pytest.fixture
async def client() -> AsyncIterator[RuleHttpClient]:
    async with make_client() as client:
        yield client


@pytest.fixture(autouse=True)
def no_secret_is_ever_logged(caplog: pytest.LogCaptureFixture) -> Any:
    """Every test here runs with all logs on: none may hold a secret."""
    caplog.set_level(logging.DEBUG)
    yield
    told = caplog.text + repr([record.__dict__ for record in caplog.records if record.name != "aiohttp.access"])
    assert not [secret for secret in SECRETS[:2] if secret in told]


@pytest.fixture(autouse=True)
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were dialled. None but loopback is really dialled, not even when a guard fails."""
    addresses: list[str] = []
    real = BaseSelectorEventLoop.sock_connect

    async def connect(loop: BaseSelectorEventLoop, sock: socket.socket, address: tuple[Any, ...]) -> None:
        addresses.append(address[0])
        if not ip_address(address[0]).is_loopback:
            raise ConnectionRefusedError("not loopback")
        await real(loop, sock, address)

    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", connect)
    return addresses


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


# What is sent, what is understood


async def test_a_function_gets_the_labels_and_its_key(client: RuleHttpClient, endpoint: Endpoint) -> None:
    endpoint.answers = [answer(10)]
    assert await call(client, endpoint) == 10
    request = endpoint.requests[0]
    assert request.method == "POST"
    assert request.path_qs == "/api/rule?code=the-code-in-the-uri"
    assert json.loads(endpoint.bodies[0]) == PAYLOAD
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["x-functions-key"] == "the-function-key"
    assert request.headers["x-functions-clientid"] == "default"
    # With `Accept: application/json` ASP.NET would put a text answer, such as `10`, in quotes.
    assert request.headers["Accept"] == "*/*"


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        (None, {}),
        (FunctionRouterRuleCredential(), {}),
        (FunctionRouterRuleCredential(function_key="f"), {"x-functions-key": "f"}),
        (
            FunctionRouterRuleCredential(app_key="a", client_id="c"),
            {"x-functions-key": "a", "x-functions-clientid": "c"},
        ),
        (FunctionRouterRuleCredential(function_key="f", app_key="a"), {"x-functions-key": "f"}),
    ],
)
async def test_credentials_go_into_headers(
    client: RuleHttpClient,
    endpoint: Endpoint,
    credential: FunctionRouterRuleCredential | None,
    expected: dict[str, str],
) -> None:
    endpoint.answers = [answer(1)]
    await client.post_function(endpoint.uri(), credential, PAYLOAD)
    sent = {name.lower(): value for name, value in endpoint.requests[0].headers.items()}
    assert {name: value for name, value in sent.items() if name.startswith("x-functions")} == expected


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b"10", 10),
        (b" 1.5\n", 1.5),
        (b"true", True),
        (b"null", None),
        (b'"a"', "a"),
        (b'[{"key":"a"}]', [{"key": "a"}]),
        (b"\xef\xbb\xbf7", 7),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=utf-8", "application/octet-stream"])
async def test_any_json_is_understood_whatever_it_is_called(
    client: RuleHttpClient, endpoint: Endpoint, body: bytes, result: Any, kind: str
) -> None:
    endpoint.answers = [answer(body, headers={"Content-Type": kind})]
    assert await call(client, endpoint) == result


# Rubbish and floods


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>oops</html>",
        b"{",
        b"1 2",
        b"NaN",
        b"-Infinity",
        b"\xff\xfe1",
        b"[" * 200_000,
        b"9" * 5000,
        gzip.compress(b"1", mtime=0),
    ],
    ids=lambda body: repr(body[:12]),
)
async def test_rubbish(client: RuleHttpClient, endpoint: Endpoint, body: bytes) -> None:
    endpoint.answers = [answer(body)]
    error = await failure(client, endpoint.uri())
    assert error.code == "RuleAnswerInvalid"
    assert error.reason == "The function at 127.0.0.1 answered with something other than JSON."
    assert len(endpoint.requests) == 1


async def test_an_answer_that_unpacks_to_a_flood_is_not_unpacked(client: RuleHttpClient, endpoint: Endpoint) -> None:
    endpoint.answers = [answer(gzip.compress(b" " * 100_000_000, mtime=0), headers={"Content-Encoding": "gzip"})]
    assert (await failure(client, endpoint.uri())).code == "RuleAnswerInvalid"
    assert endpoint.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_hundred_megabytes_are_cut_off(client: RuleHttpClient, endpoint: Endpoint, announced: bool) -> None:
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        if announced:
            response.content_length = 100 * 1024 * 1024
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" " * 1024 * 1024)
            sent += 1
        return response

    endpoint.answers = [flood]
    started = time.monotonic()
    error = await failure(client, endpoint.uri())
    assert error.code == "RuleAnswerTooLong"
    assert "more than 1048576 bytes" in error.reason
    assert time.monotonic() - started < QUICK.total
    assert sent < 50
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("announced", [True, False])
async def test_the_limit_is_on_the_byte(endpoint: Endpoint, announced: bool) -> None:
    def answers(body: bytes) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            if announced:
                response.content_length = len(body)
            await response.prepare(request)
            await response.write(body)
            return response

        return handler

    async with make_client(limits=RuleHttpLimits(response_bytes=1000)) as client:
        endpoint.answers = [answers(b" " * 999 + b"1"), answers(b" " * 1000 + b"1")]
        assert await call(client, endpoint) == 1
        assert (await failure(client, endpoint.uri())).code == "RuleAnswerTooLong"


# Statuses, retries, time


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


async def test_a_time_out_is_tried_again(client: RuleHttpClient, endpoint: Endpoint) -> None:
    endpoint.answers = [hang, answer(7)]
    assert await call(client, endpoint) == 7
    assert len(endpoint.requests) == 2


async def test_an_endpoint_that_hangs(client: RuleHttpClient, endpoint: Endpoint) -> None:
    endpoint.answers = [hang]
    started = time.monotonic()
    error = await failure(client, endpoint.uri())
    assert (error.code, error.reason) == ("RuleTimedOut", "The function at 127.0.0.1 did not answer within 0.3 s.")
    assert time.monotonic() - started < QUICK.total
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


# Leading elsewhere


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(client: RuleHttpClient, endpoint: Endpoint, status: int) -> None:
    async with serving() as other:
        other.answers = [answer(1)]
        for location in ("http://169.254.169.254/metadata/instance?api-version=2021-02-01", other.uri()):
            endpoint.answers = [answer(b"", status, {"Location": location})]
            error = await failure(client, endpoint.uri())
            assert error.code == "RuleRedirected"
            assert f"answered {status}; redirects are not followed" in error.reason
        assert other.requests == []


FORBIDDEN = [
    "169.254.169.254",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "168.63.129.16",
    "[::ffff:169.254.169.254]",
    "0.0.0.0",
    "224.0.0.1",
]


@pytest.mark.parametrize("host", FORBIDDEN)
async def test_literal_addresses_that_are_never_called(host: str, dialled: list[str]) -> None:
    async with make_client(allow_private_networks=True) as client:
        error = await failure(client, f"https://{host}/?code=the-code-in-the-uri")
    assert error.code == "RuleAddressForbidden"
    assert "has an address that rules must not call" in error.reason
    assert dialled == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "10.0.0.4", "192.168.1.1", "[fd12::1]", "[::ffff:127.0.0.1]"]
)
async def test_loopback_and_private_addresses_without_their_settings(host: str) -> None:
    async with make_client(allow_http_loopback=False) as client:
        error = await failure(client, f"https://{host}:1/?code=the-code-in-the-uri")
    assert error.code == "RuleAddressForbidden"


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1"])
async def test_other_spellings_of_loopback(host: str) -> None:
    async with make_client(allow_http_loopback=False) as client:
        error = await failure(client, f"https://{host}:1/")
    assert error.code in ("RuleAddressForbidden", "RuleUnreachable")


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]
)
async def test_names_that_lead_to_forbidden_addresses(address: str) -> None:
    names = Names([address])
    async with make_client(resolver=names, allow_private_networks=True) as client:
        error = await failure(client, "https://innocent.example/?code=the-code-in-the-uri")
    assert (error.code, names.asked) == ("RuleAddressForbidden", ["innocent.example"])
    assert error.reason == "The function at innocent.example has an address that rules must not call."


async def test_a_name_that_changes_its_address_between_calls(endpoint: Endpoint) -> None:
    """DNS rebinding: whatever a name led to before, each address is judged when it is dialled."""
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    endpoint.answers = [answer(1, headers={"Connection": "close"})]
    async with make_client(resolver=names) as client:
        uri = f"http://localhost:{endpoint.port}/?code=the-code-in-the-uri"
        assert await client.post_function(uri, None, PAYLOAD) == 1
        session = client._session
        assert session is not None
        session.connector.clear_dns_cache()  # type: ignore[union-attr]  # its ten seconds are over
        assert (await failure(client, uri)).code == "RuleAddressForbidden"
    assert len(names.asked) == 2
    assert len(endpoint.requests) == 1


async def test_the_judged_address_is_the_dialled_one(endpoint: Endpoint, dialled: list[str]) -> None:
    """The name is asked for once for each connection: there is no second look-up to answer otherwise."""
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    endpoint.answers = [answer(1)]
    async with make_client(resolver=names) as client:
        await client.post_function(f"http://localhost:{endpoint.port}/", None, PAYLOAD)
    assert (names.asked, dialled) == (["localhost"], ["127.0.0.1"])


async def test_a_forbidden_address_among_good_ones_is_passed_over(endpoint: Endpoint) -> None:
    endpoint.answers = [answer(1)]
    async with make_client(resolver=Names(["169.254.169.254", "127.0.0.1"])) as client:
        assert await client.post_function(f"http://localhost:{endpoint.port}/", None, PAYLOAD) == 1


async def test_a_private_network_by_setting(dialled: list[str]) -> None:
    async with make_client(resolver=Names(["10.0.0.4"]), allow_private_networks=True) as client:
        error = await failure(client, "https://internal.example/")
    assert (error.code, dialled) == ("RuleUnreachable", ["10.0.0.4"])


async def test_the_environments_proxies_are_not_used(
    client: RuleHttpClient, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as proxy:
        proxy.answers = [answer(2)]
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        endpoint.answers = [answer(1)]
        assert await call(client, endpoint) == 1


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("http://public.example/x?code=the-code-in-the-uri", "at public.example must be https"),
        ("http://127.0.0.2/?code=the-code-in-the-uri", "must be https"),
        ("ftp://h/?code=the-code-in-the-uri", "at h must be https"),
        ("file:///etc/passwd", "absolute https"),
        ("/relative?code=the-code-in-the-uri", "absolute https"),
        ("", "absolute https"),
        ("https://?code=the-code-in-the-uri", "absolute https"),
        ("https://h:99999/?code=the-code-in-the-uri", "absolute https"),
        ("https://user:the-code-in-the-uri@h/", "user name or a password"),
        ("https://h/" + "x" * 2048, "longer than 2048"),
    ],
)
async def test_uris_that_are_not_called(client: RuleHttpClient, uri: str, complaint: str) -> None:
    error = await failure(client, uri)
    assert error.code == "RuleUriInvalid"
    assert complaint in error.reason


async def test_plain_http_to_loopback_is_for_development_only(endpoint: Endpoint) -> None:
    async with make_client(allow_http_loopback=False, allow_private_networks=True) as client:
        assert (await failure(client, endpoint.uri())).code == "RuleUriInvalid"
    assert endpoint.requests == []


@pytest.mark.parametrize("key", ["a\r\nHost: evil", "a\nb", "é", "a\x00b"])
async def test_a_key_that_no_header_can_carry(client: RuleHttpClient, endpoint: Endpoint, key: str) -> None:
    with pytest.raises(RuleCallError) as raised:
        await client.post_function(endpoint.uri(), FunctionRouterRuleCredential(function_key=key), PAYLOAD)
    assert raised.value.code == "RuleCredentialInvalid"
    assert key not in raised.value.reason
    assert endpoint.requests == []


async def test_a_client_can_be_closed_twice_and_never_opened(endpoint: Endpoint) -> None:
    unused = make_client()
    await unused.close()
    endpoint.answers = [answer(1)]
    client = make_client()
    await call(client, endpoint)
    await client.close()
    await client.close()


# Webhooks


class Webhook:
    """A webhook with its authorization server."""

    def __init__(self, endpoint: Endpoint, server: Endpoint) -> None:
        self.endpoint, self.server = endpoint, server

    async def call(self, client: RuleHttpClient, secret: str = CLIENT_SECRET, who: str = "an-id") -> Any:
        return await client.post_webhook(self.endpoint.uri(), self.server.uri("/token"), who, secret, PAYLOAD)

    def tokens(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.endpoint.requests]


@pytest.fixture
async def webhook(endpoint: Endpoint) -> AsyncIterator[Webhook]:
    async with serving() as server:
        endpoint.answers = [answer(5)]
        server.answers = [answer({"access_token": "the-access-token", "token_type": "Bearer", "expires_in": 3600})]
        yield Webhook(endpoint, server)


async def test_a_webhook_gets_a_token_of_the_authorization_server(client: RuleHttpClient, webhook: Webhook) -> None:
    assert await webhook.call(client) == 5
    form = parse_qs(webhook.server.bodies[0].decode())
    assert form == {
        "grant_type": ["client_credentials"],
        "client_id": ["an-id"],
        "client_secret": ["the-client-secret"],
    }
    assert webhook.server.requests[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert webhook.tokens() == ["Bearer the-access-token"]
    assert json.loads(webhook.endpoint.bodies[0]) == PAYLOAD


async def test_without_an_authorization_server_there_is_no_token(client: RuleHttpClient, endpoint: Endpoint) -> None:
    endpoint.answers = [answer(5)]
    assert await client.post_webhook(endpoint.uri(), None, None, None, PAYLOAD) == 5
    assert "Authorization" not in endpoint.requests[0].headers


@pytest.mark.parametrize(("who", "secret"), [(None, "the-client-secret"), ("an-id", None), ("", "")])
async def test_a_webhook_without_its_credential(
    client: RuleHttpClient, webhook: Webhook, who: str | None, secret: str | None
) -> None:
    with pytest.raises(RuleCallError) as raised:
        await client.post_webhook(webhook.endpoint.uri(), webhook.server.uri(), who, secret, PAYLOAD)
    assert checked(raised.value).code == "RuleCredentialMissing"


async def test_a_token_is_kept_until_shortly_before_it_expires(webhook: Webhook) -> None:
    now = 1000.0
    async with make_client(monotonic=lambda: now) as client:
        for at, fetched in [(1000, 1), (1000 + 3539, 1), (1000 + 3541, 2), (1000 + 3542, 2)]:
            now = float(at)
            await webhook.call(client)
            assert len(webhook.server.requests) == fetched


@pytest.mark.parametrize(
    ("expires_in", "kept", "gone"),
    [
        ("3600", 3539, 3541),
        (60, 29, 31),
        (None, 239, 241),
        ("soon", 239, 241),
        (0, -1, 0),
        (-5, -1, 0),
        (1e999, 239, 241),
    ],
)
async def test_odd_lives_of_tokens(webhook: Webhook, expires_in: Any, kept: float, gone: float) -> None:
    now = 0.0
    webhook.server.answers = [
        answer(
            {"access_token": "t", "expires_in": expires_in}
            if expires_in != 1e999
            else b'{"access_token": "t", "expires_in": 1e999}'
        )
    ]
    async with make_client(monotonic=lambda: now) as client:
        await webhook.call(client)
        now = kept
        if kept > 0:
            await webhook.call(client)
            assert len(webhook.server.requests) == 1
        now = gone
        await webhook.call(client)
        assert len(webhook.server.requests) == 2


async def test_each_credential_has_a_token_of_its_own(client: RuleHttpClient, webhook: Webhook) -> None:
    for who, secret in [("a", "s"), ("b", "s"), ("a", "t"), ("a", "s")]:
        await webhook.call(client, secret, who)
    assert len(webhook.server.requests) == 3


async def test_many_callers_wait_for_one_token(client: RuleHttpClient, webhook: Webhook) -> None:
    assert await asyncio.gather(*(webhook.call(client) for _ in range(20))) == [5] * 20
    assert len(webhook.server.requests) == 1


async def test_a_revoked_token_is_replaced_once(client: RuleHttpClient, webhook: Webhook) -> None:
    webhook.endpoint.answers = [answer(5), answer(1, 401), answer(6), answer(1, 401)]
    assert await webhook.call(client) == 5
    assert await webhook.call(client) == 6
    assert (len(webhook.server.requests), len(webhook.endpoint.requests)) == (2, 3)
    with pytest.raises(RuleCallError) as raised:
        await webhook.call(client)
    assert checked(raised.value).code == "RuleUnauthorized"
    assert (len(webhook.server.requests), len(webhook.endpoint.requests)) == (3, 5)


async def test_a_fresh_token_that_is_refused_is_not_replaced(client: RuleHttpClient, webhook: Webhook) -> None:
    webhook.endpoint.answers = [answer(1, 401)]
    with pytest.raises(RuleCallError) as raised:
        await webhook.call(client)
    assert checked(raised.value).code == "RuleUnauthorized"
    assert (len(webhook.server.requests), len(webhook.endpoint.requests)) == (1, 1)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "a\r\nb"},
        {"access_token": "x" * 20_000},
    ],
)
async def test_an_answer_without_a_token(client: RuleHttpClient, webhook: Webhook, body: Any) -> None:
    webhook.server.answers = [answer(body)]
    with pytest.raises(RuleCallError) as raised:
        await webhook.call(client)
    assert checked(raised.value).code == "RuleTokenInvalid"
    assert webhook.endpoint.requests == []


async def test_the_authorization_server_is_under_the_same_guards(webhook: Webhook) -> None:
    async with make_client() as client:
        for uri, code in [
            ("https://169.254.169.254/token", "RuleAddressForbidden"),
            ("http://public.example/token", "RuleUriInvalid"),
        ]:
            with pytest.raises(RuleCallError) as raised:
                await client.post_webhook(webhook.endpoint.uri(), uri, "an-id", CLIENT_SECRET, PAYLOAD)
            assert checked(raised.value).code == code
            assert "authorization server" in raised.value.reason
        for status, code, tries in [
            (401, "RuleUnauthorized", 1),
            (302, "RuleRedirected", 1),
            (500, "RuleServerError", 3),
        ]:
            webhook.server.requests.clear()
            webhook.server.answers = [
                answer({"error": "the-client-secret"}, status, {"Location": "http://169.254.169.254/"})
            ]
            with pytest.raises(RuleCallError) as raised:
                await webhook.call(client)
            assert checked(raised.value).code == code
            assert len(webhook.server.requests) == tries
    assert webhook.endpoint.requests == []


async def test_a_failed_token_is_asked_for_again(client: RuleHttpClient, webhook: Webhook) -> None:
    good = webhook.server.answers[0]
    webhook.server.answers = [answer({}), good]
    with pytest.raises(RuleCallError):
        await webhook.call(client)
    assert await webhook.call(client) == 5


async def test_tokens_and_calls_share_one_total(webhook: Webhook) -> None:
    webhook.server.answers = [hang]
    async with make_client(limits=RuleHttpLimits(total=0.3, attempt=30)) as client:
        with pytest.raises(RuleCallError) as raised:
            await webhook.call(client)
    assert checked(raised.value).reason == "The rule took longer than 0.3 s."
