"""Requests of @azure/communication-common with @azure-rest/core-client, recorded by `record_javascript.mjs`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from router.api.auth.hmac import AccessKeys
from router.api.auth.refusal import Unauthorized
from tests.unit.auth.signed_wire import KEY, OTHER_KEY, Received, rebuilt

RECORDED: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "javascript_requests.json").read_text("utf-8")
)
KEYS = AccessKeys([KEY, OTHER_KEY])


def requests(version: str) -> Iterator[tuple[Received, datetime]]:
    for entry in RECORDED[version]:
        request = Received(entry["method"], entry["target"], entry["headers"], entry["body"].encode())
        yield request, parsedate_to_datetime(request.headers["x-ms-date"])


def verify(request: Received, now: datetime, *, known: bool = True, target: str | None = None) -> int:
    return KEYS.verify(request.method, target or request.target, known, request.headers, request.body, now)


def test_the_recordings_hold_each_version_with_its_oddities() -> None:
    assert list(RECORDED) == ["2.2.0", "2.3.0", "2.3.1", "2.4.0", "2.5.0"]
    assert all(len(entries) == 50 for entries in RECORDED.values())
    doubled = {version for version in RECORDED if RECORDED[version][0]["headers"]["host"].count(":") == 2}
    assert doubled == {"2.2.0", "2.3.0", "2.3.1", "2.4.0"}


@pytest.mark.parametrize("version", RECORDED)
def test_every_request_verifies(version: str) -> None:
    assert [verify(request, now) for request, now in requests(version)] == [0] * 50


@pytest.mark.parametrize("version", RECORDED)
def test_requests_verify_where_the_platform_rebuilt_the_url(version: str) -> None:
    verified = 0
    for request, now in requests(version):
        # An id with a literal percent sign or a backslash cannot be told from its decoded form there.
        if not any(letter in unquote(request.target.partition("?")[0]) for letter in "%\\"):
            assert verify(request, now, known=False, target=rebuilt(request.target)) == 0
            verified += 1
    assert verified == 42


@pytest.mark.parametrize(("version", "signed_otherwise"), [("2.2.0", 5), ("2.3.0", 4), ("2.4.0", 4), ("2.5.0", 4)])
def test_some_queries_are_signed_otherwise_than_sent(
    version: str, signed_otherwise: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spaces and `~!()` in a query, and in 2.2.0 a URL without a query: the alternative is needed."""
    monkeypatch.setattr("router.api.auth.hmac.signed_targets", lambda verb, target, known, paths: [target])
    refused = 0
    for request, now in requests(version):
        try:
            verify(request, now)
        except Unauthorized:
            refused += 1
    assert refused == signed_otherwise


@pytest.mark.parametrize("version", RECORDED)
def test_a_changed_query_value_is_refused(version: str) -> None:
    for request, now in requests(version):
        with pytest.raises(Unauthorized, match="signature does not match"):
            verify(request, now, target=request.target + ("&" if "?" in request.target else "?") + "status=all")
