"""The edges of HTTP triggers: queries, request targets, responses."""

from __future__ import annotations

import pytest

from local.host.http_trigger import encode_answer, parse_query
from local.host.server import origin_form
from local.host.worker import HttpAnswer


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("a=1&b=x%20y+z", {"a": "1", "b": "x y z"}),
        ("a=1&a=2&A=3", {"a": "1,2,3"}),
        ("a=&b&c=1", {"c": "1"}),
    ],
)
def test_query_parameters_as_the_platform_gives_them(query: str, params: dict[str, str]) -> None:
    assert parse_query(query) == params


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://host:1/a%2Fb?x=%20", "/a%2Fb?x=%20"),
        ("https://host", "/"),
        ("http://host?x=1", "/?x=1"),
        ("*", "/"),
    ],
)
def test_a_target_in_absolute_form(target: str, path: str) -> None:
    assert origin_form(target) == path


def test_an_answer_on_the_wire() -> None:
    answer = HttpAnswer(
        201,
        {"content-type": "application/json", "ETag": '"1"', "X-A": "1", "x-a": "2", "Content-Length": "9"},
        ["a=1", "b=2"],
        '{"ä": 1}'.encode(),
    )
    response = encode_answer(answer)
    assert (response.status, response.body) == (201, '{"ä": 1}'.encode())
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["ETag"] == '"1"'
    assert response.headers.getall("X-A") == ["2"], "of a repeated header the last wins"
    assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert "Content-Length" not in response.headers
