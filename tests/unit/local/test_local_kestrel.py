"""What the web server of the platform refuses before any function is asked."""

from __future__ import annotations

import pytest
from aiohttp import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from local.host.kestrel import refused_by_the_web_server


def refused(target: str, host: str) -> int | None:
    headers = CIMultiDictProxy(CIMultiDict(Host=host))
    raw = ((b"Host", host.encode()),)
    return refused_by_the_web_server(
        RawRequestMessage("GET", target, HttpVersion11, headers, raw, False, None, False, False, URL(target))
    )


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("/health", "any.example", None),
        ("http://localhost:7071/health", "localhost:7071", None),
        ("http://LOCALHOST:80/health", "localhost", None),
        ("https://localhost/health", "localhost:443", None),
        ("http://evil.example/console", "localhost:7071", 400),
        ("http://localhost:7071@evil.example/console", "localhost:7071", 400),
        ("http://localhost:7071/console", "evil.example", 400),
        ("http://localhost:7072/console", "localhost:7071", 400),
        ("http:///console", "localhost", 400),
    ],
)
def test_a_target_in_absolute_form_names_the_host_of_the_header(target: str, host: str, status: int | None) -> None:
    assert refused(target, host) == status
