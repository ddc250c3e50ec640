"""What rules send to an endpoint, what they understand of its answer, and what they do with rubbish and floods."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from aiohttp import web

from router.models.rules import FunctionRouterRuleCredential
from router.rules.http.client import RuleHttpClient, RuleHttpLimits
from tests.unit.rules_http.endpoints import PAYLOAD, QUICK, Endpoint, Handler, answer, call, failure, make_client


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
    endpoint.answers = [answer(gzip.compress(b" " * 20_000_000, mtime=0), headers={"Content-Encoding": "gzip"})]
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
