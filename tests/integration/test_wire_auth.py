"""Every operation asks for credentials, and takes only those that hold (docs/behaviour.md, "Authentication")."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import StartRouter
from tests.integration.wire_operations import REQUESTS
from tests.raw_wire import GA, MERGE_PATCH, Answer, RawWire, sign

STRANGER = base64.b64encode(b"s" * 32).decode()


def unauthorized(answer: Answer) -> str:
    """Why, once the refusal has the right form."""
    error = answer.refused(401, "Unauthorized")
    assert "HMAC-SHA256" in answer.headers["WWW-Authenticate"]
    assert set(error) <= {"code", "message", "target", "details"}
    reason: str = error["details"][0]["code"]
    return reason


async def test_no_operation_answers_without_credentials(wire: RawWire) -> None:
    answers = await asyncio.gather(*(wire.send(method, path, signed=False) for _, method, path in REQUESTS))
    assert len(answers) == 43
    assert {unauthorized(answer) for answer in answers} == {"MissingCredentials"}


async def test_no_operation_answers_to_another_key(wire: RawWire) -> None:
    answers = await asyncio.gather(*(wire.send(method, path, key=STRANGER) for _, method, path in REQUESTS))
    assert {unauthorized(answer) for answer in answers} == {"SignatureMismatch"}


async def test_credentials_come_before_everything_else(wire: RawWire) -> None:
    """What a stranger learns is that he is one: no version, body or route is looked at first."""
    for answer in (
        await wire.get("/routing/jobs", version=None, signed=False),
        await wire.patch("/routing/jobs/x", b"{", signed=False),
        await wire.patch("/routing/jobs/x", {}, headers={"Content-Type": "text/plain"}, signed=False),
        await wire.send("PUT", "/routing/jobs/x", signed=False),
        await wire.get("/routing/nothing", signed=False),
        await wire.get(f"/routing/jobs/{'x' * 300}", signed=False),
    ):
        assert unauthorized(answer) == "MissingCredentials"


async def test_a_request_that_is_refused_writes_nothing(wire: RawWire) -> None:
    path = f"/routing/workers/{wire.id()}"
    unauthorized(await wire.patch(path, {"capacity": 1}, key=STRANGER))
    (await wire.get(path)).refused(404, "NotFound")


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("Basic dXNlcjpwYXNz", "UnsupportedScheme"),
        ("Bearer eyJhbGciOiJub25lIn0.e30.", "UnsupportedScheme"),
        ("nonsense", "UnsupportedScheme"),
        ("HMAC-SHA256", "InvalidAuthorizationHeader"),
        ("HMAC-SHA256 Signature=abc", "InvalidAuthorizationHeader"),
        ("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256", "InvalidAuthorizationHeader"),
        ("HMAC-SHA256 SignedHeaders=host&Signature=abc", "InvalidSignedHeaders"),
        ("HMAC-SHA256 SignedHeaders=x-ms-date;host&Signature=abc", "InvalidSignedHeaders"),
        ("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256;accept&Signature=abc", "InvalidSignedHeaders"),
        ("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=", "InvalidAuthorizationHeader"),
        ("HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=é", "SignatureMismatch"),
        ("HMAC-SHA256 SignedHeaders=" + "x" * 5000 + "&Signature=abc", "InvalidAuthorizationHeader"),
    ],
)
async def test_credentials_of_another_form(wire: RawWire, authorization: str, reason: str) -> None:
    answer = await wire.get("/routing/jobs", headers={"Authorization": authorization})
    assert unauthorized(answer) == reason


@pytest.mark.parametrize("header", ["x-ms-date", "x-ms-content-sha256"])
async def test_a_signed_header_that_was_not_sent(wire: RawWire, header: str) -> None:
    assert unauthorized(await wire.get("/routing/jobs", headers={header: ""})) == "MissingSignedHeader"


async def exchange(wire: RawWire, headers: dict[str, str], *, target: str | None = None, body: bytes = b"") -> Answer:
    return await wire.exchange("PATCH", target or TARGET, {"Content-Type": MERGE_PATCH, **headers}, body)


TARGET = f"/routing/workers/signed?api-version={GA}"


@pytest.mark.parametrize("minutes", [-4.9, 0, 4.9])
async def test_a_clock_may_be_off_by_five_minutes(wire: RawWire, minutes: float) -> None:
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    headers = sign(wire.key, "PATCH", TARGET, wire.host, b'{"capacity":1}', now=now)
    answer = await exchange(wire, headers, body=b'{"capacity":1}')
    assert answer.status in (200, 201)


@pytest.mark.parametrize("minutes", [-5.2, 5.2, -60 * 24 * 365])
async def test_and_by_no_more(wire: RawWire, minutes: float) -> None:
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    answer = await exchange(wire, sign(wire.key, "PATCH", TARGET, wire.host, b"{}", now=now), body=b"{}")
    assert unauthorized(answer) == "DateOutOfRange"


@pytest.mark.parametrize("date", ["yesterday", "2026-01-01T00:00:00Z", "x" * 5000, "Tue, 99 Nov 2026 99:99:99 GMT"])
async def test_a_date_that_is_none(wire: RawWire, date: str) -> None:
    headers = {**sign(wire.key, "PATCH", TARGET, wire.host, b"{}"), "x-ms-date": date}
    assert unauthorized(await exchange(wire, headers, body=b"{}")) in ("InvalidDate", "DateOutOfRange")


async def test_date_instead_of_x_ms_date(wire: RawWire) -> None:
    headers = sign(wire.key, "PATCH", TARGET, wire.host, b'{"capacity":1}', date="date")
    assert (await exchange(wire, headers, body=b'{"capacity":1}')).status in (200, 201)


async def test_a_signature_sent_again_is_no_replay(wire: RawWire) -> None:
    headers = sign(wire.key, "PATCH", TARGET, wire.host, b'{"capacity":1}')
    for _ in range(3):
        assert (await exchange(wire, headers, body=b'{"capacity":1}')).status in (200, 201)


async def test_another_body_path_query_method_or_host_than_was_signed(wire: RawWire) -> None:
    headers = sign(wire.key, "PATCH", TARGET, wire.host, b'{"capacity":1}')
    other_body = b'{"capacity":2}'
    other_hash = base64.b64encode(hashlib.sha256(other_body).digest()).decode()
    assert unauthorized(await exchange(wire, headers, body=other_body)) == "ContentHashMismatch"
    assert unauthorized(await exchange(wire, headers, body=b"")) == "ContentHashMismatch"
    rehashed = {**headers, "x-ms-content-sha256": other_hash}
    fine = b'{"capacity":1}'
    for refusal in (
        await exchange(wire, rehashed, body=other_body),
        await exchange(wire, headers, target=TARGET.replace("signed", "other"), body=fine),
        await exchange(wire, headers, target=f"{TARGET}&more=1", body=fine),
        await exchange(wire, headers, target=TARGET.replace(GA, "2024-01-18-preview"), body=fine),
        await exchange(wire, {**headers, "Host": "example.com"}, body=fine),
        await wire.exchange("GET", TARGET, sign(wire.key, "DELETE", TARGET, wire.host), b""),
    ):
        assert unauthorized(refusal) == "SignatureMismatch"


async def test_the_host_is_what_was_sent_even_with_its_port_twice(wire: RawWire) -> None:
    for host in (f"{wire.host}:{wire.port}", "router.example.com", "LOCALHOST", "router.example.com:443"):
        headers = sign(wire.key, "GET", TARGET, host)
        assert (await wire.exchange("GET", TARGET, headers, b"")).status in (200, 404)


async def test_what_the_clients_sign_otherwise_than_they_send(wire: RawWire) -> None:
    """JavaScript signs the query as a form; nothing looser is accepted."""
    sent = f"/routing/jobs?queueId=a%20b~!()&api-version={GA}"
    form = f"/routing/jobs?queueId=a+b%7E%21%28%29&api-version={GA}"
    (await wire.exchange("GET", sent, sign(wire.key, "GET", form, wire.host), b"")).expect(200)
    other = f"/routing/jobs?api-version={GA}&queueId=a%20b~!()"
    unauthorized(await wire.exchange("GET", sent, sign(wire.key, "GET", other, wire.host), b""))
    lower = f"/routing/jobs/a%3ab?api-version={GA}"
    unauthorized(await wire.exchange("GET", lower.replace("%3a", "%3A"), sign(wire.key, "GET", lower, wire.host), b""))


async def test_an_url_that_a_caller_claims_is_not_believed(wire: RawWire) -> None:
    target = f"/routing/jobs/one?api-version={GA}"
    headers = {**sign(wire.key, "GET", target, wire.host), "X-WAWS-Unencoded-URL": target}
    unauthorized(await wire.exchange("GET", target.replace("one", "two"), headers, b""))


@pytest.mark.slow
async def test_two_keys_are_valid_at_a_time(start_router: StartRouter) -> None:
    first, second = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
    router = start_router(environment={"ROUTER_ACCESS_KEYS": f"{first},{second}"})
    async with RawWire(router.port, first) as wire:
        path = await wire.make("Worker", {"capacity": 1})
        await wire.make("Worker", {"capacity": 1})
        (await wire.get(path, key=second)).expect(200)
        unauthorized(await wire.get(path, key=STRANGER))
        # A link that was answered to one key is followed with the other.
        link = (await wire.get("/routing/workers", query={"maxpagesize": 1})).expect(200)["nextLink"]
        (await wire.get(link, key=second)).expect(200)


TENANT, AUDIENCE = "72f988bf-86f1-41af-91ab-2d7cd011db47", "https://router.example.com"
ISSUERS_KEY, ANOTHERS_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


@asynccontextmanager
async def issuer() -> AsyncIterator[str]:
    """The authority of a tenant that shows its signing key as Microsoft Entra ID does."""
    shown = jwt.algorithms.RSAAlgorithm.to_jwk(ISSUERS_KEY.public_key(), as_dict=True)

    async def keys(request: web.Request) -> web.Response:
        return web.json_response({"keys": [{**shown, "kid": "one", "use": "sig"}]})

    app = web.Application()
    app.router.add_get(f"/{TENANT}/discovery/v2.0/keys", keys)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.slow
async def test_tokens_of_the_tenant_and_no_others(start_router: StartRouter) -> None:
    async with issuer() as authority:
        environment = {
            "ROUTER_ENTRA_TENANT_ID": TENANT,
            "ROUTER_ENTRA_AUDIENCE": AUDIENCE,
            "ROUTER_ENTRA_AUTHORITY": authority,
            "ROUTER_RATE_LIMIT": "30",
        }
        router = await asyncio.to_thread(start_router, environment=environment)
        now = datetime.now(UTC).timestamp()
        claims = {"iss": f"{authority}/{TENANT}/v2.0", "aud": AUDIENCE, "exp": now + 600, "nbf": now - 60, "oid": "who"}

        def token(key: Any = ISSUERS_KEY, algorithm: str = "RS256", kid: str = "one", **changes: Any) -> str:
            return jwt.encode({**claims, **changes}, key, algorithm=algorithm, headers={"kid": kid})

        public_key = ISSUERS_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signing = jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"kid": "one"}).rpartition(".")[0]
        mac = base64.urlsafe_b64encode(hmac.digest(public_key, signing.encode(), "sha256")).decode().rstrip("=")
        async with RawWire(router.port, router.key) as wire:

            async def asked(bearer: str) -> Answer:
                headers = {"Authorization": f"Bearer {bearer}"}
                return await wire.send("GET", "/routing/workers", signed=False, headers=headers)

            assert (await asked(token())).expect(200) == {"value": []}
            assert (await asked(token(aud=[f"{AUDIENCE}/"]))).status == 200
            for bearer, reason in (
                (token(aud="https://storage.azure.com"), "InvalidTokenAudience"),
                (token(iss=f"{authority}/another-tenant/v2.0"), "InvalidTokenIssuer"),
                (token(exp=now - 400), "TokenExpired"),
                (token(nbf=now + 400), "TokenNotYetValid"),
                (token(key=ANOTHERS_KEY), "InvalidTokenSignature"),
                (token(kid="two"), "UnknownSigningKey"),
                (token(key=None, algorithm="none"), "InvalidTokenAlgorithm"),
                (f"{signing}.{mac}", "InvalidTokenAlgorithm"),
                ("nonsense", "InvalidToken"),
            ):
                answer = await asked(bearer)
                assert unauthorized(answer) == reason
                assert "Bearer" in answer.headers["WWW-Authenticate"]
                assert bearer not in str(answer.body)
            # Keys go on beside tokens, and each caller has a limit of its own.
            answers = await asyncio.gather(*(wire.get("/routing/workers/none") for _ in range(60)))
            refused = [answer for answer in answers if answer.status != 404]
            assert 0 < len(refused) < 60
            for answer in refused:
                answer.refused(429, "TooManyRequests")
                assert int(answer.headers["Retry-After"]) >= 1
            (await asked(token())).expect(200)
