"""Keys and tokens, as the publisher's library makes them and as others do."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from azure.eventgrid import generate_sas

from local.topic.auth import check_credentials
from local.topic.errors import PublishError

KEY = base64.b64encode(b"first").decode()
OTHER = base64.b64encode(b"second").decode()
ENDPOINT = "http://127.0.0.1:7000/api/events"
SOON = datetime.now(UTC) + timedelta(hours=1)


def check(headers: dict[str, str], keys: tuple[str, ...] = (KEY, OTHER)) -> None:
    check_credentials(headers, keys, 7000)


def token(expires: str, endpoint: str = ENDPOINT, key: str = KEY) -> str:
    unsigned = f"r={quote(endpoint, safe='')}&e={quote(expires, safe='')}"
    signature = base64.b64encode(hmac.new(base64.b64decode(key), unsigned.encode(), hashlib.sha256).digest())
    return f"{unsigned}&s={quote(signature, safe='')}"


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_each_key_is_good(key: str) -> None:
    check({"aeg-sas-key": key})
    check({"aeg-sas-token": generate_sas(ENDPOINT, key, SOON)})
    check({"authorization": f"SharedAccessSignature {generate_sas(ENDPOINT, key, SOON)}"})


@pytest.mark.parametrize("form", ["%m/%d/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S.%f+00:00"])
def test_times_of_other_languages(form: str) -> None:
    check({"aeg-sas-token": token(SOON.strftime(form))})
    with pytest.raises(PublishError):
        check({"aeg-sas-token": token((SOON - timedelta(hours=2)).strftime(form))})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"aeg-sas-key": ""},
        {"aeg-sas-key": KEY[:-1]},
        {"aeg-sas-key": "\udcff"},
        {"aeg-sas-token": ""},
        {"aeg-sas-token": KEY},
        {"aeg-sas-token": "r=x&s=y"},
        {"aeg-sas-token": token("soon")},
        {"aeg-sas-token": token(SOON.isoformat(), "http://127.0.0.1:7001/api/events")},
        {"aeg-sas-token": token(SOON.isoformat(), "http://example.org:7000/api/events")},
        {"aeg-sas-token": token(SOON.isoformat(), "http://[127.0.0.1:x/")},
        {"aeg-sas-token": token(SOON.isoformat(), key=base64.b64encode(b"third").decode())},
        {"aeg-sas-token": token(SOON.isoformat()).replace("events", "event")},
        {"authorization": f"Bearer {KEY}"},
    ],
)
def test_the_rest_is_not(headers: dict[str, str]) -> None:
    with pytest.raises(PublishError) as refused:
        check(headers)
    assert refused.value.status == 401


def test_a_key_that_is_not_base64_signs_no_tokens_but_is_a_key() -> None:
    check({"aeg-sas-key": "plain text"}, ("plain text",))
    with pytest.raises(PublishError):
        check({"aeg-sas-token": token(SOON.isoformat())}, ("plain text",))
