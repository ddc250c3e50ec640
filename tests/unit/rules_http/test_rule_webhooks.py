"""Webhook rules: a token of the authorization server, kept, renewed and under the same guards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from router.rules.failure import RuleCallError
from router.rules.http.client import RuleHttpClient, RuleHttpLimits
from tests.unit.rules_http.endpoints import (
    CLIENT_SECRET,
    PAYLOAD,
    Endpoint,
    answer,
    checked,
    hang,
    make_client,
    serving,
)


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
