"""The edges of HTTP triggers: queries, request targets, responses."""

from __future__ import annotations

import azure.functions as func
import pytest

from local.host.http_trigger import encode_response, parse_query
from local.host.server import origin_form


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


def test_a_response_keeps_its_type_and_its_headers() -> None:
    response = encode_response(
        func.HttpResponse('{"ä": 1}', status_code=201, mimetype="application/json", headers={"ETag": '"1"'})
    )
    assert response.status == 201
    assert response.body == '{"ä": 1}'.encode()
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["ETag"] == '"1"'


def test_of_a_repeated_header_the_last_wins_except_cookies() -> None:
    returned = func.HttpResponse("x")
    for name, value in (
        ("X-A", "1"),
        ("X-A", "2"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Length", "9"),
    ):
        returned.headers.add(name, value)
    response = encode_response(returned)
    assert response.headers.getall("X-A") == ["2"]
    assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Content-Length" not in response.headers


def test_text_nothing_and_the_rest() -> None:
    assert encode_response("ä").body == "ä".encode()
    assert encode_response(None).status == 204
    with pytest.raises(TypeError):
        encode_response({"a": 1})
