"""Entra ID tokens, against an issuer that serves its keys over HTTP here."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from router.api.auth.authenticate import Authenticator
from router.api.auth.entra import EntraTokens, SigningKeys, Verified
from router.api.auth.refusal import Unauthorized
from router.errors import Busy

NOW = datetime(2026, 11, 3, 21, 26, 56, tzinfo=UTC)
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
AUDIENCE = "https://communication.azure.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public(key: rsa.RSAPrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    return jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "use": "sig"} | more


@dataclass
class Issuer:
    """Serves `document` at the keys' address, or `status` alone; counts what it is asked."""

    document: Any
    authority: str = ""
    status: int = 200
    asked: int = 0
    paths: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        self.paths.append(request.path)
        self.reached.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": f"{self.authority}/moved"})
        return web.Response(text=self.document if isinstance(self.document, str) else json.dumps(self.document))

    def tokens(self) -> EntraTokens:
        return EntraTokens(TENANT, [AUDIENCE], authority=self.authority + "/")


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    issuer = Issuer({"keys": [public(KEY, "k1")]})
    app = web.Application()
    app.router.add_get("/{path:.*}", issuer.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.authority = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield issuer
    finally:
        await runner.cleanup()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as issuer:
        yield issuer


def token(
    issuer: Issuer, *, key: Any = KEY, kid: str | None = "k1", alg: str = "RS256", drop: str = "", **changes: Any
) -> str:
    claims = {
        "iss": f"{issuer.authority}/{TENANT}/v2.0",
        "aud": AUDIENCE,
        "exp": NOW.timestamp() + 3600,
        "nbf": NOW.timestamp() - 60,
        "iat": NOW.timestamp() - 60,
        "oid": "an-object-id",
        "sub": "a-subject",
    } | changes
    claims.pop(drop, None)
    return jwt.encode(claims, key, algorithm=alg, headers={"kid": kid} if kid else {})


async def reason(issuer: Issuer, text: str, now: datetime = NOW) -> str:
    with pytest.raises(Unauthorized) as refused:
        await issuer.tokens().verify(text, now)
    assert text not in repr(refused.value.to_wire("/"))
    return refused.value.reason


async def test_a_valid_token_names_its_subject(issuer: Issuer) -> None:
    tokens = issuer.tokens()
    assert await tokens.verify(token(issuer), NOW) == Verified("an-object-id", "an-object-id")
    assert await tokens.verify(token(issuer, drop="oid"), NOW) == Verified("a-subject")
    assert (await tokens.verify(token(issuer, roles=["Router.Read", "b"]), NOW)).roles == ("Router.Read", "b")
    assert (await tokens.verify(token(issuer, roles="Router.Read"), NOW)).roles == ()
    assert issuer.paths == [f"/{TENANT}/discovery/v2.0/keys"]


async def test_the_clients_audience_keeps_a_slash(issuer: Issuer) -> None:
    for audience in (AUDIENCE, AUDIENCE + "/", [AUDIENCE, "other"]):
        assert await issuer.tokens().verify(token(issuer, aud=audience), NOW)


async def test_tokens_of_both_versions_of_the_issuer(issuer: Issuer) -> None:
    assert await issuer.tokens().verify(token(issuer, iss=f"https://sts.windows.net/{TENANT}/"), NOW)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iss": "https://sts.windows.net/another-tenant/"}, "InvalidTokenIssuer"),
        ({"iss": "https://login.microsoftonline.com/common/v2.0"}, "InvalidTokenIssuer"),
        ({"drop": "iss"}, "InvalidTokenIssuer"),
        ({"aud": "https://storage.azure.com"}, "InvalidTokenAudience"),
        ({"aud": AUDIENCE + "//"}, "InvalidTokenAudience"),
        ({"aud": []}, "InvalidTokenAudience"),
        ({"drop": "aud"}, "InvalidTokenAudience"),
        ({"exp": NOW.timestamp() - 301}, "TokenExpired"),
        ({"drop": "exp"}, "TokenExpired"),
        ({"exp": "tomorrow"}, "TokenExpired"),
        ({"exp": True}, "TokenExpired"),
        ({"nbf": NOW.timestamp() + 301}, "TokenNotYetValid"),
        ({"nbf": "now"}, "TokenNotYetValid"),
        ({"key": OTHER_KEY}, "InvalidTokenSignature"),
        ({"kid": "k9"}, "UnknownSigningKey"),
        ({"kid": None}, "UnknownSigningKey"),
        ({"oid": "", "sub": 5}, "InvalidToken"),
    ],
)
async def test_a_token_with_one_fault(issuer: Issuer, changes: dict[str, Any], expected: str) -> None:
    assert await reason(issuer, token(issuer, **changes)) == expected


async def test_clocks_may_differ_a_little(issuer: Issuer) -> None:
    assert await issuer.tokens().verify(token(issuer, exp=NOW.timestamp() - 299, nbf=NOW.timestamp() + 299), NOW)


async def test_other_algorithms_are_refused_whatever_they_verify_with(issuer: Issuer) -> None:
    claims = jwt.decode(token(issuer), options={"verify_signature": False})

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    unsigned = f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims)}."
    signing = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(claims)}"
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.digest(pem, signing.encode(), hashlib.sha256)
    confused = f"{signing}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    elliptic = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "k1"})
    for text in (unsigned, confused, elliptic, token(issuer, alg="RS512"), token(issuer, alg="PS256")):
        assert await reason(issuer, text) == "InvalidTokenAlgorithm"


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "....", "é.é.é", "x" * 20_000])
async def test_rubbish_is_no_token(issuer: Issuer, text: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        await issuer.tokens().verify(text, NOW)
    assert refused.value.reason == "InvalidToken"
    assert issuer.asked == 0


async def test_a_changed_claim_breaks_the_signature(issuer: Issuer) -> None:
    head, _, signature = token(issuer).split(".")
    _, body, _ = token(issuer, oid="somebody-else").split(".")
    assert await reason(issuer, f"{head}.{body}.{signature}") == "InvalidTokenSignature"


async def test_a_new_key_is_found_and_an_old_one_forgotten(issuer: Issuer) -> None:
    tokens = issuer.tokens()
    await tokens.verify(token(issuer), NOW)
    issuer.document = {"keys": [public(OTHER_KEY, "k2")]}
    later = NOW + timedelta(seconds=31)
    assert await tokens.verify(token(issuer, key=OTHER_KEY, kid="k2"), later)
    assert issuer.asked == 2
    with pytest.raises(Unauthorized):
        await tokens.verify(token(issuer), later)


async def test_invented_ids_do_not_drive_fetches(issuer: Issuer) -> None:
    tokens = issuer.tokens()
    for number in range(50):
        with pytest.raises(Unauthorized):
            await tokens.verify(token(issuer, kid=f"invented-{number}"), NOW + timedelta(seconds=number / 2))
    assert issuer.asked == 1


async def test_many_callers_wait_for_one_fetch(issuer: Issuer) -> None:
    issuer.gate = asyncio.Event()
    tokens = issuer.tokens()
    waiting = [asyncio.create_task(tokens.verify(token(issuer), NOW)) for _ in range(20)]
    await issuer.reached.wait()
    issuer.gate.set()
    assert [one.subject for one in await asyncio.gather(*waiting)] == ["an-object-id"] * 20
    assert issuer.asked == 1


async def test_keys_are_renewed_with_age_and_outlive_a_pause_of_the_issuer(issuer: Issuer) -> None:
    tokens = issuer.tokens()

    async def works(hours: float) -> bool:
        at = NOW + timedelta(hours=hours)
        return bool(await tokens.verify(token(issuer, exp=at.timestamp() + 60), at))

    assert await works(0)
    assert await works(5.9)
    assert issuer.asked == 1
    assert await works(6.1)
    assert issuer.asked == 2
    issuer.status = 503
    assert await works(29)
    with pytest.raises(Busy):
        await works(30.2)
    issuer.status = 200
    assert await works(30.3)


@pytest.mark.parametrize(
    "document", ["", "<html>", "[]", "{}", '{"keys": 5}', '{"keys": [5, {}, {"kty": "RSA"}]}', "x" * 300_000]
)
async def test_keys_that_cannot_be_read_are_our_fault_not_the_callers(
    issuer: Issuer, document: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.document = document
    with pytest.raises(Busy) as refused:
        await issuer.tokens().verify(token(issuer), NOW)
    assert refused.value.status == 503
    (record,) = caplog.records
    assert "could not be read from 127.0.0.1: " in record.getMessage()


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_an_issuer_that_fails(issuer: Issuer, status: int, caplog: pytest.LogCaptureFixture) -> None:
    issuer.status = status
    tokens, text = issuer.tokens(), token(issuer)
    for _ in range(2):
        with pytest.raises(Busy):
            await tokens.verify(text, NOW)
    assert issuer.asked == 1
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith(f"could not be read from 127.0.0.1: it answered {status}")
    assert text not in caplog.text


async def test_an_issuer_that_hangs_or_is_not_there(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    issuer.gate = asyncio.Event()
    keys = SigningKeys(issuer.authority, timeout=0.1)
    with pytest.raises(Busy):
        await EntraTokens(TENANT, [AUDIENCE], authority=issuer.authority, keys=keys).verify(token(issuer), NOW)
    issuer.gate.set()
    keys = SigningKeys("http://127.0.0.1:1/keys")
    with pytest.raises(Busy):
        await EntraTokens(TENANT, [AUDIENCE], authority=issuer.authority, keys=keys).verify(token(issuer), NOW)
    hung, not_there = (record.getMessage() for record in caplog.records)
    assert hung.rpartition(": ")[2].lower().startswith(("timeout", "connection timeout"))
    assert "Cannot connect" in not_there


async def test_odd_keys_do_not_take_the_others_with_them(issuer: Issuer) -> None:
    odd = [5, {"kty": "EC", "kid": "e"}, public(OTHER_KEY, "enc", use="enc"), {"kty": "RSA", "kid": "broken", "n": "!"}]
    issuer.document = {"keys": [*odd, public(KEY, "k1")]}
    tokens = issuer.tokens()
    assert await tokens.verify(token(issuer), NOW)
    with pytest.raises(Unauthorized):
        await tokens.verify(token(issuer, key=OTHER_KEY, kid="enc"), NOW)


async def test_through_the_gate(issuer: Issuer) -> None:
    gate = Authenticator(None, issuer.tokens())
    for scheme in ("Bearer", "bearer"):
        headers = {"authorization": f"{scheme} {token(issuer)}"}
        caller = await gate.authenticate("GET", "/", True, headers, NOW)
        assert (caller.kind, caller.subject, caller.id) == ("entra", "an-object-id", "entra:an-object-id")
    with pytest.raises(Unauthorized) as refused:
        await gate.authenticate("GET", "/", True, {"authorization": "Bearer x"}, NOW)
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"


def _raw(header: str, claims: str) -> str:
    """A token of these two texts, signed with the tenant's key."""

    def part(text: bytes) -> str:
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    signing = f"{part(header.encode())}.{part(claims.encode())}"
    return (
        f"{signing}.{part(jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(signing.encode(), KEY))}"
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400, "-1", '"9999999999"', "[]"])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
async def test_a_time_is_a_number_of_seconds(issuer: Issuer, name: str, number: str) -> None:
    claims = json.loads(base64.urlsafe_b64decode(token(issuer).split(".")[1] + "=="))
    del claims[name]
    text = f'{json.dumps(claims)[:-1]}, "{name}": {number}}}'
    given = _raw('{"alg": "RS256", "kid": "k1"}', text)
    assert await reason(issuer, given) in ("InvalidToken", "TokenExpired", "TokenNotYetValid")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "=",
        lambda text: text + "==",
        lambda text: text.replace(".", "=.", 1),
        lambda text: f"{text}, Bearer {text}",
        lambda text: f"{text} ",
        lambda text: f"\udcff{text}",
        lambda text: text.replace(".", ".\ud800", 1),
        lambda text: f"{text}.{text}",
        lambda text: text[:-1] + ("B" if text[-1] != "B" else "C"),
    ],
)
async def test_a_token_has_one_form(issuer: Issuer, change: Callable[[str], str]) -> None:
    good = token(issuer)
    assert await issuer.tokens().verify(good, NOW)
    assert await reason(issuer, change(good)) in ("InvalidToken", "InvalidTokenSignature")


async def test_names_are_there_once_and_extensions_are_not_known(issuer: Issuer) -> None:
    claims = base64.urlsafe_b64decode(token(issuer).split(".")[1] + "==").decode()
    assert await issuer.tokens().verify(_raw('{"alg": "RS256", "kid": "k1"}', claims), NOW)
    for header, text in (
        ('{"alg": "RS256", "alg": "RS256", "kid": "k1"}', claims),
        ('{"alg": "RS256", "kid": "k1"}', f'{claims[:-1]}, "oid": "another"}}'),
        ('{"alg": "RS256", "kid": "k1", "crit": ["b64"], "b64": false}', claims),
        ('["RS256"]', claims),
        ('{"alg": "RS256", "kid": "k1"}', "[1]"),
        ('{"alg": "RS256", "kid": "k1"}', "[" * 5_000),
        ('{"alg": "RS256", "kid": "k1", "x": "\\ud800"}', claims),
        ('{"alg": "RS256", "kid": "k1"}', f'{claims[:-1]}, "roles": ["\\udfff"]}}'),
        ('{"alg": "RS256", "kid": "k1"}', f'{{"\\ud83d": 1, {claims[1:]}'),
        ('{"alg": "RS256", "kid": "k1"}', claims.replace('"oid":"', '"oid":"\\ud800')),
    ):
        assert await reason(issuer, _raw(header, text)) == "InvalidToken", header
