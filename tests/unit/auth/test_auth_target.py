"""The raw target: trusted where the platform vouches for it, and only if it means what will be carried out."""

from __future__ import annotations

import pytest
from azure.functions import HttpRequest

from router.api.auth.target import RequestTarget, TargetReader


def read(reader: TargetReader, url: str, unencoded: str | None = None) -> RequestTarget:
    headers = {} if unencoded is None else {"X-WAWS-Unencoded-URL": unencoded}
    request = HttpRequest("GET", url, headers=headers, body=b"")
    return reader.read(request.url, request.headers)


APP_SERVICE = TargetReader(on_app_service=True)
LOCAL = TargetReader(on_app_service=False, url_is_raw=True)


def test_the_local_host_passes_it_in_the_url() -> None:
    url = "http://127.0.0.1:7071:7071/routing/jobs/a%2Fb%3Ac:d?api-version=1&x=%20"
    assert read(LOCAL, url) == RequestTarget("/routing/jobs/a%2Fb%3Ac:d?api-version=1&x=%20", True)


def test_path_and_query() -> None:
    target = read(LOCAL, "http://h/a%2Fb?x=1?2")
    assert (target.path, target.query) == ("/a%2Fb", "x=1?2")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h", "/"),
        ("http://h?x=1", "/?x=1"),
        ("/a?b", "/a?b"),
        ("https://h//a", "//a"),
        ("http://h/http://x", "/http://x"),
    ],
)
def test_odd_urls(url: str, expected: str) -> None:
    assert read(LOCAL, url).value == expected


@pytest.mark.parametrize(
    ("raw", "rebuilt"),
    [
        ("/routing/jobs/a%3Ab?x=%20", "/routing/jobs/a:b?x=%20"),
        ("/routing/jobs/a%2Fb", "/routing/jobs/a/b"),
        ("/routing/jobs/a%2Fb", "/routing/jobs/a%2Fb"),
        ("/routing/jobs/%2Fb", "/routing/jobs/b"),
        ("/routing/jobs/a%5Cb", "/routing/jobs/a/b"),
        ("/routing/jobs/a%2520b", "/routing/jobs/a%20b"),
        ("/routing/jobs/100%25", "/routing/jobs/100%25"),
        ("/routing/jobs/%E6%9D%B1", "/routing/jobs/%E6%9D%B1"),
    ],
)
def test_app_service_tells_the_raw_target(raw: str, rebuilt: str) -> None:
    assert read(APP_SERVICE, f"https://h{rebuilt}", raw) == RequestTarget(raw, True)


@pytest.mark.parametrize(
    "forged",
    ["/routing/jobs/other?x=1", "/routing/jobs/j1?x=2", "/routing/jobs/j1", "https://h/routing/jobs/j1?x=1", "", "*"],
)
def test_a_raw_target_that_means_another_resource_is_not_believed(forged: str) -> None:
    assert read(APP_SERVICE, "https://h/routing/jobs/j1?x=1", forged) == RequestTarget("/routing/jobs/j1?x=1", False)


def test_without_the_header_the_target_is_not_known() -> None:
    assert read(APP_SERVICE, "https://h/a?b") == RequestTarget("/a?b", False)


def test_elsewhere_the_header_is_any_callers_and_ignored() -> None:
    for known in (True, False):
        reader = TargetReader(on_app_service=False, url_is_raw=known)
        assert read(reader, "https://h/a:b", "/a%3Ab") == RequestTarget("/a:b", known)
