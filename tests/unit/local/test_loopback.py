"""Local pages answer loopback names alone."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from local.loopback import is_local


def asked(*headers: tuple[str, str]) -> bool:
    return is_local(make_mocked_request("GET", "/metrics-explorer", headers=CIMultiDict(headers)))


@pytest.mark.parametrize("host", ["localhost:7071", "LOCALHOST", "127.0.0.1:7071", "127.9.8.7", "[::1]:7071", "[::1]"])
def test_loopback_names(host: str) -> None:
    assert asked(("Host", host))
    assert asked(("Host", host), ("Origin", f"http://{host}"))


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "localhost.evil.example", "evil.localhost", "127.0.0.1.evil.example", "127.0.0.1@evil.example",
        "127.0.0.256", "127.1", "2130706433", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "10.0.0.1", "localhost:7071:1",
        "localhost ", "localhost:", "\xff", "localhost\u3002",
    ],
)  # fmt: skip
def test_other_names(host: str) -> None:
    assert not asked(("Host", host))


@pytest.mark.parametrize(
    "origin", ["null", "", "http://evil.example", "http://localhost.evil.example", "file://localhost"]
)
def test_a_foreign_origin(origin: str) -> None:
    assert not asked(("Host", "localhost:7071"), ("Origin", origin))
    assert not asked(("Host", "localhost:7071"), ("Origin", "http://localhost:7071"), ("Origin", origin))


def test_two_hosts_and_no_host() -> None:
    assert not asked(("Host", "localhost"), ("Host", "localhost"))
    assert not asked()


@pytest.mark.parametrize("target", ["http://evil.example/metrics-explorer", "http://localhost:7071/metrics-explorer"])
def test_a_target_in_absolute_form(target: str) -> None:
    assert not is_local(make_mocked_request("GET", target, headers=CIMultiDict(Host="localhost:7071")))
