"""Access-key signatures: what is accepted to the letter, and a clear 401 for each way to get it wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from router.api.auth.encodings import signed_targets
from router.api.auth.hmac import AccessKeys, check_body
from router.api.auth.refusal import Unauthorized
from tests.unit.auth.signed_wire import KEY, OTHER_KEY

NOW = datetime(2026, 11, 3, 21, 26, 56, tzinfo=UTC)
DATE = "Tue, 03 Nov 2026 21:26:56 GMT"
TARGET = "/routing/jobs/j1?api-version=2023-11-01"
NAMES = "x-ms-date;host;x-ms-content-sha256"


def signed(
    *,
    key: str = KEY,
    method: str = "GET",
    target: str = TARGET,
    body: bytes = b"",
    date: str = DATE,
    names: str = NAMES,
    host: str = "router.example",
) -> dict[str, str]:
    content = base64.b64encode(hashlib.sha256(body).digest()).decode()
    values = {"x-ms-date": date, "date": date, "host": host, "x-ms-content-sha256": content}
    order = [name.strip().lower() for name in names.split(";")]
    text = f"{method}\n{target}\n" + ";".join(values.get(name, "") for name in order)
    signature = base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), "sha256")).decode()
    headers = {name: values[name] for name in order if name in values}
    return headers | {"authorization": f"HMAC-SHA256 SignedHeaders={names}&Signature={signature}"}


def verify(
    headers: dict[str, str],
    *,
    method: str = "GET",
    target: str = TARGET,
    body: bytes = b"",
    now: datetime = NOW,
    known: bool = True,
) -> int:
    return AccessKeys([KEY, OTHER_KEY]).verify(method, target, known, headers, body, now)


def refusal(headers: dict[str, str], **changes: object) -> Unauthorized:
    with pytest.raises(Unauthorized) as refused:
        verify(headers, **changes)  # type: ignore[arg-type]
    return refused.value


def test_the_string_to_sign_is_the_one_that_clients_sign() -> None:
    """Spelled out, so that the helper above cannot repeat a mistake of the code it tests."""
    empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    text = f"GET\n/routing/jobs/j1?api-version=2023-11-01\nTue, 03 Nov 2026 21:26:56 GMT;router.example;{empty}"
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    headers = {
        "authorization": f"HMAC-SHA256 SignedHeaders={NAMES}&Signature={base64.b64encode(digest).decode()}",
        "x-ms-date": DATE,
        "host": "router.example",
        "x-ms-content-sha256": empty,
    }
    assert verify(headers) == 0


def test_each_of_two_keys_is_accepted_and_told_apart() -> None:
    assert verify(signed(key=KEY)) == 0
    assert verify(signed(key=OTHER_KEY)) == 1


def test_a_retired_key_is_refused() -> None:
    with pytest.raises(Unauthorized):
        AccessKeys([OTHER_KEY]).verify("GET", TARGET, True, signed(key=KEY), b"", NOW)


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST", "DELETE"])
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\x00binary"])
def test_methods_and_bodies(method: str, body: bytes) -> None:
    assert verify(signed(method=method, body=body), method=method, body=body) == 0


@pytest.mark.parametrize(
    "names",
    [
        "date;host;x-ms-content-sha256",
        "X-MS-Date;Host;X-Ms-Content-SHA256",
        "host;x-ms-content-sha256;x-ms-date",
    ],
)
def test_names_in_any_case_and_order(names: str) -> None:
    assert verify(signed(names=names)) == 0


def test_the_order_of_values_is_the_order_of_names() -> None:
    headers = signed(names="host;x-ms-date;x-ms-content-sha256")
    headers["authorization"] = headers["authorization"].replace("host;x-ms-date", "x-ms-date;host")
    assert refusal(headers).reason == "SignatureMismatch"


@pytest.mark.parametrize("host", ["127.0.0.1:7071:7071", "[::1]:7071", "ROUTER.example"])
def test_the_host_is_a_string(host: str) -> None:
    assert verify(signed(host=host)) == 0


@pytest.mark.parametrize("minutes", [-5, 5])
def test_the_clocks_may_be_five_minutes_apart_and_no_more(minutes: int) -> None:
    edge = NOW + timedelta(minutes=minutes)
    assert verify(signed(), now=edge) == 0
    beyond = edge + timedelta(seconds=1 if minutes > 0 else -1)
    refused = refusal(signed(), now=beyond)
    assert refused.reason == "DateOutOfRange"
    assert DATE in refused.message
    assert f"{beyond:%H:%M:%S} GMT" in refused.message


def test_a_repeated_signature_is_no_replay() -> None:
    headers = signed()
    keys = AccessKeys([KEY])
    for seconds in (0, 10, 299):
        assert keys.verify("GET", TARGET, True, headers, b"", NOW + timedelta(seconds=seconds)) == 0


@pytest.mark.parametrize("date", ["", "yesterday", "2026-11-03T21:26:56Z", "Tue, 99 Nov 2026 21:26:56 GMT", "x" * 5000])
def test_an_unreadable_date(date: str) -> None:
    assert refusal(signed(date=date)).reason == "InvalidDate"


@pytest.mark.parametrize(
    "names",
    [
        "x-ms-date;host",
        "host;x-ms-content-sha256",
        "x-ms-date;x-ms-content-sha256",
        "x-ms-date;date;host",
        "x-ms-date;host;x-ms-content-sha256;accept",
        "x-ms-date;host;host;x-ms-content-sha256",
        ";;",
    ],
)
def test_exactly_the_required_headers_are_signed(names: str) -> None:
    assert refusal(signed(names=names)).reason == "InvalidSignedHeaders"


@pytest.mark.parametrize("name", ["x-ms-date", "host", "x-ms-content-sha256"])
def test_a_signed_header_that_was_not_sent(name: str) -> None:
    headers = signed()
    del headers[name]
    refused = refusal(headers)
    assert refused.reason == "MissingSignedHeader"
    assert f"'{name}'" in refused.message


@pytest.mark.parametrize(
    "authorization",
    [
        "HMAC-SHA256",
        "HMAC-SHA256 ",
        "HMAC-SHA256 Signature=abc",
        f"HMAC-SHA256 SignedHeaders={NAMES}",
        f"HMAC-SHA256 SignedHeaders={NAMES}&Signature=",
        f"HMAC-SHA256 SignedHeaders={'x' * 300}&Signature=abc",
        "HMAC-SHA256 &&&===",
    ],
)
def test_a_malformed_authorization_header(authorization: str) -> None:
    refused = refusal(signed() | {"authorization": authorization})
    assert refused.reason == "InvalidAuthorizationHeader"


@pytest.mark.parametrize("signature", ["abc", "é", "\udcff", "=" * 44, "A" * 100_000])
def test_a_wrong_signature_of_any_form(signature: str) -> None:
    headers = signed() | {"authorization": f"HMAC-SHA256 SignedHeaders={NAMES}&Signature={signature}"}
    assert refusal(headers).reason == "SignatureMismatch"


def test_another_body_than_was_hashed() -> None:
    assert refusal(signed(body=b"{}"), body=b"{ }").reason == "ContentHashMismatch"
    assert refusal(signed(body=b"{}"), body=b"").reason == "ContentHashMismatch"
    assert refusal(signed(), body=b"x").reason == "ContentHashMismatch"
    assert refusal(signed() | {"x-ms-content-sha256": "ü"}).reason == "SignatureMismatch"  # it is signed too
    with pytest.raises(Unauthorized, match="SHA-256"):
        check_body("ü", b"")


@pytest.mark.parametrize(
    "change", [{"method": "DELETE"}, {"target": TARGET + "0"}, {"target": TARGET.replace("j1", "J1")}]
)
def test_another_request_than_was_signed(change: dict[str, str]) -> None:
    assert refusal(signed(), **change).reason == "SignatureMismatch"


def test_another_host_or_date_than_was_signed() -> None:
    assert refusal(signed() | {"host": "other.example"}).reason == "SignatureMismatch"
    later = {"x-ms-date": "Tue, 03 Nov 2026 21:26:57 GMT"}
    assert refusal(signed() | later).reason == "SignatureMismatch"


def test_no_refusal_quotes_a_secret() -> None:
    headers = signed(key=base64.b64encode(b"some other key, 32 bytes long...").decode())
    refused = refusal(headers)
    right = signed()["authorization"].rpartition("=")[0].rpartition("Signature=")[2]
    told = repr(refused.to_wire("/")) + str(refused) + repr(dict(refused.headers))
    for secret in (KEY, OTHER_KEY, right[:12]):
        assert secret not in told


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [([], "not 0"), ([KEY] * 3, "not 3"), (["not base64!"], "not valid base64"), (["YWJj"], "too short")],
)
def test_unusable_keys_are_named_without_being_quoted(keys: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        AccessKeys(keys)
    assert not any(key in str(refused.value) for key in keys)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "target",
    [
        "/routing/jobs/a%3Ab:cancel?q=a%20b~",
        "/routing/jobs/a:b:cancel",
        "/routing/workers/%C3%A9/offers/a%2Fb:accept?a&b=&=c&&x=1%2B1",
        "/routing/jobs/%FF%2525?api-version=%ZZ&x=%",
        "//",
        "*",
        "",
    ],
)
def test_every_alternative_means_the_same_as_the_target(target: str, method: str, known: bool) -> None:
    from urllib.parse import parse_qsl, unquote_to_bytes

    def meaning(text: str) -> tuple[list[bytes], list[tuple[str, str]]]:
        path, _, query = text.partition("?")
        return [unquote_to_bytes(part) for part in path.split("/")], parse_qsl(query, keep_blank_values=True)

    candidates = list(signed_targets(method, target, known))
    assert candidates[0] == target
    assert len(candidates) == len(set(candidates)) <= (2 if known else 8)
    assert all(meaning(candidate) == meaning(target) for candidate in candidates)


def test_a_slash_behind_the_host_in_what_was_signed() -> None:
    """What the Python SDK signs when its endpoint ends with one."""
    headers = signed(host="router.example/") | {"host": "router.example"}
    assert verify(headers) == 0
    assert (
        verify(
            signed(key=OTHER_KEY, host="router.example/", names="host;x-ms-content-sha256;date")
            | {"host": "router.example"}
        )
        == 1
    )


@pytest.mark.parametrize("host", ["router.example//", "/router.example", "router.example/routing", "router", "other/"])
def test_no_other_form_of_the_host(host: str) -> None:
    assert refusal(signed(host=host) | {"host": "router.example"}).reason == "SignatureMismatch"


@pytest.mark.parametrize(
    "change",
    [
        lambda good: f"HMAC-SHA256 x,{good}",
        lambda good: f"{good},{good}",
        lambda good: f"{good}, Bearer x",
        lambda good: f"{good}&Signature={good.rpartition('=')[2]}",
        lambda good: f"{good}&Extra=1",
        lambda good: good.replace("SignedHeaders", "SignedHeaders=x&SignedHeaders"),
        lambda good: good.partition("&")[0],
        lambda good: good.replace("&", "&&"),
    ],
)
def test_credentials_have_one_form(change: Callable[[str], str]) -> None:
    headers = signed()
    assert refusal(headers | {"authorization": change(headers["authorization"])}).reason == "InvalidAuthorizationHeader"


@pytest.mark.parametrize("text", ["", ",", "03 Nov 2026 21:26:56", "Tue, 03 Nov 2026 21:26:56", "2026-11-03T21:26:56Z"])
def test_a_date_has_the_form_of_http(text: str) -> None:
    headers = signed()
    assert refusal(headers | {"x-ms-date": text}).reason == "InvalidDate"
    assert refusal(headers | {"x-ms-date": f"{headers['x-ms-date']},{headers['x-ms-date']}"}).reason == "InvalidDate"
