"""Which web pages may call the API (docs/behaviour.md, "Requests of web pages")."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from router.api.cors import Cors
from router.api.gate import every_answer
from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Caller

PAGE = "https://desk.example.com"
CORS = Cors(frozenset({PAGE, "http://localhost:3000"}))
ASKED = {"origin": PAGE, "access-control-request-method": "PATCH"}


def test_without_origins_nothing_is_said() -> None:
    assert Cors().headers({"origin": PAGE}) == {}
    assert Cors().preflight("OPTIONS", ASKED) is None


@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
def test_an_allowed_page_may_read_answers(origin: str) -> None:
    headers = CORS.headers({"origin": origin})
    assert headers["access-control-allow-origin"] == origin
    assert headers["vary"] == "Origin"
    assert "x-ms-error-code" in headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    "origin", ["https://desk.example.com.evil", "http://desk.example.com", "https://desk.example.com:444", "null", ""]
)
def test_any_other_page_may_not(origin: str) -> None:
    assert CORS.headers({"origin": origin}) == {"vary": "Origin"}
    assert CORS.preflight("OPTIONS", {**ASKED, "origin": origin}) is None


def test_the_question_before_a_request() -> None:
    headers = CORS.preflight("OPTIONS", {**ASKED, "access-control-request-headers": "authorization,x-ms-date"})
    assert headers is not None
    assert headers["access-control-allow-origin"] == PAGE
    assert headers["access-control-allow-headers"] == "authorization,x-ms-date"
    assert {"GET", "PATCH", "POST", "DELETE"} == set(headers["access-control-allow-methods"].split(", "))


@pytest.mark.parametrize(
    ("method", "headers"),
    [("GET", ASKED), ("OPTIONS", {"origin": PAGE}), ("OPTIONS", {"access-control-request-method": "GET"})],
)
def test_what_is_no_such_question(method: str, headers: Mapping[str, str]) -> None:
    assert CORS.preflight(method, headers) is None


@pytest.mark.parametrize("asked", ["a\r\nset-cookie: x", "a;b", "x" * 3000, ""])
def test_headers_that_are_no_names_are_not_repeated(asked: str) -> None:
    headers = CORS.preflight("OPTIONS", {**ASKED, "access-control-request-headers": asked})
    assert headers is not None
    assert "access-control-allow-headers" not in headers


def test_any_page_where_that_is_set() -> None:
    assert Cors(frozenset({"*"})).headers({"origin": "https://x.example"})["access-control-allow-origin"] == "*"


@in_virtual_time
async def test_answers_of_operations_and_refusals_have_them() -> None:
    call = Caller()
    call.gate.cors = CORS
    for answer in (
        await call("GetQueues", headers={"origin": PAGE}),
        await call("GetQueue", "x", headers={"origin": PAGE}),
    ):
        assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize(
    ("host", "promised"),
    [
        ("localhost:7071", False),
        ("LOCALHOST", False),
        ("127.0.0.1:7072", False),
        ("[::1]:7072", False),
        ("localhost.evil.example", True),
        ("127.0.0.1.example", True),
        ("router.example.com", True),
        ("", True),
    ],
)
def test_https_is_asked_for_everywhere_but_on_this_machine(host: str, promised: bool) -> None:
    headers = every_answer({"host": host} if host else {}, "id")
    assert ("strict-transport-security" in headers) is promised
    assert headers["x-content-type-options"] == "nosniff"
