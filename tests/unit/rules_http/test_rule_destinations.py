"""Where rules may not be led: redirects, forbidden addresses, other names for them, proxies, odd URIs."""

from __future__ import annotations

import pytest

from router.models.rules import FunctionRouterRuleCredential
from router.rules.failure import RuleCallError
from router.rules.http.client import RuleHttpClient
from tests.unit.rules_http.endpoints import PAYLOAD, Endpoint, Names, answer, call, failure, make_client, serving


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
