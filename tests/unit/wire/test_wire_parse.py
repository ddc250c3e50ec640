"""Bodies: size, content type, JSON."""

from __future__ import annotations

from typing import Any

import pytest

from router.errors import RouterError
from router.models.jobs import CancelJobOptions, CloseJobOptions, ReclassifyJobOptions
from router.wire.parse import MAX_BODY_BYTES, MAX_DEPTH, parse_json, parse_options, parse_patch

JSON = "application/json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b'{"a":1,}',
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b"[-1E+0400]",
        b"[" + b"9" * 400 + b"]",
        b"[" + b"9" * 5000 + b"]",
        b'["\\ud800"]',
        b'["\\udc00\\ud800"]',
        b'{"\\ud800":1}',
        b'["\xff"]',
        b'["\xed\xa0\x80"]',
        b"\xef\xbb\xbf{}",
        b"['a']",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * 150 + b"1" + b"}" * 150,
        b"[" * 100_000,
        b"not json",
        b'"\x01"',
    ],
)
def test_invalid_json_is_refused(body: bytes) -> None:
    with pytest.raises(RouterError) as caught:
        parse_json(body)
    assert (caught.value.status, caught.value.code) == (400, "InvalidJson")


def nested(depth: int) -> list[Any]:
    """Empty arrays in one another."""
    return [nested(depth - 1)] if depth > 1 else []


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, nested(MAX_DEPTH)),
        (b'["\\ud83d\\ude00", "\\u0000", 1e300, 1.5, -0.0]', ["\U0001f600", "\0", 1e300, 1.5, -0.0]),
        (b"[[],[]]" * 1, [[], []]),
        (b"[" + b"[]," * 200 + b"1e3]", [*[[]] * 200, 1000.0]),
        ("\u00e9".join(['"', '"']).encode(), "\u00e9"),
    ],
)
def test_valid_json_is_read(body: bytes, value: object) -> None:
    assert parse_json(body) == value


@pytest.mark.parametrize(
    "content_type",
    [
        "application/merge-patch+json",
        "application/json",
        "application/json; charset=utf-8",
        "Application/Merge-Patch+JSON;charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/json ; odata=none",
    ],
)
def test_patch_content_types(content_type: str) -> None:
    assert parse_patch(b'{"name":"a"}', content_type) == {"name": "a"}


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/json-patch+json", "application/xml", "application/json; charset=utf-16"],
)
def test_other_content_types_are_415(content_type: str | None) -> None:
    with pytest.raises(RouterError) as caught:
        parse_patch(b"{}", content_type)
    assert (caught.value.status, caught.value.code) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"a"', b"true"])
def test_a_patch_is_an_object(body: bytes) -> None:
    with pytest.raises(RouterError) as caught:
        parse_patch(body, JSON)
    assert (caught.value.status, caught.value.code) == (400, "BadRequest")


def test_a_patch_needs_a_body() -> None:
    with pytest.raises(RouterError, match="InvalidJson"):
        parse_patch(b"", JSON)


def test_bodies_over_a_mebibyte_are_413() -> None:
    frame = b'{"name":"%s"}'
    body = frame % (b"x" * (MAX_BODY_BYTES - len(frame) + 2))
    assert len(body) == MAX_BODY_BYTES
    assert parse_patch(body, JSON)["name"]
    for parse in (lambda: parse_patch(body + b" ", JSON), lambda: parse_options(body + b" ", JSON, CancelJobOptions)):
        with pytest.raises(RouterError) as caught:
            parse()
        assert caught.value.status == 413


@pytest.mark.parametrize("content_type", [None, JSON, "text/plain"])
@pytest.mark.parametrize("body", [b"", b"  \r\n"])
def test_no_body_means_no_options(body: bytes, content_type: str | None) -> None:
    assert parse_options(body, content_type, CancelJobOptions) == CancelJobOptions()
    assert parse_options(body, content_type, ReclassifyJobOptions) == ReclassifyJobOptions()


def test_options_are_read_whatever_their_case() -> None:
    options = parse_options(b'{"Note":"n","DISPOSITIONCODE":"d","unknown":1}', JSON, CancelJobOptions)
    assert options == CancelJobOptions(note="n", disposition_code="d")
    assert parse_options(b"null", JSON, CancelJobOptions) == CancelJobOptions()
    assert parse_options(b'{"note":null}', JSON, CancelJobOptions) == CancelJobOptions()


def test_wrong_options_are_refused() -> None:
    with pytest.raises(RouterError) as caught:
        parse_options(b'{"closeAt":"tomorrow","note":1}', JSON, CloseJobOptions)
    assert [detail.target for detail in caught.value.details] == ["closeAt", "note"]
    for body, content_type, status in ((b"[]", JSON, 400), (b"{}", "text/plain", 415), (b"{", JSON, 400)):
        with pytest.raises(RouterError) as caught:
            parse_options(body, content_type, CloseJobOptions)
        assert caught.value.status == status
