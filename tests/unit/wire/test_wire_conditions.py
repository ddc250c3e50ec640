"""Conditional requests."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import BadRequest, ConditionNotMet
from router.wire.conditions import Conditions, http_date, parse_http_date, quote_etag, read_conditions

NOW = datetime(2023, 11, 3, 21, 26, 56, 854593, UTC)


def _holds(conditions: Conditions, etag: str | None = "abc", modified: datetime | None = NOW) -> bool:
    try:
        conditions.check(etag, modified if etag is not None else None)
    except ConditionNotMet:
        return False
    return True


def test_what_does_not_hold_is_412() -> None:
    with pytest.raises(ConditionNotMet, match='its ETag is "abc"') as caught:
        Conditions(if_match='"x"').check("abc", NOW)
    assert (caught.value.status, caught.value.code) == (412, "ConditionNotMet")


@pytest.mark.parametrize(
    ("header", "exists", "missing"),
    [
        ("*", True, False),
        ('"abc"', True, False),
        ("abc", True, False),
        ('"x", "abc"', True, False),
        ('"x","y" , "abc"', True, False),
        ('"x"', False, False),
        ('"ABC"', False, False),
        ('W/"abc"', False, False),
        ('W/"abc", "abc"', True, False),
        ('"a,abc"', False, False),
        ('""', False, False),
        ('"x", *', True, False),
        ('"*"', False, False),
        ('"abc', False, False),
        ('"abc"x', False, False),
        (",", False, False),
    ],
)
def test_if_match(header: str, exists: bool, missing: bool) -> None:
    assert _holds(Conditions(if_match=header)) is exists
    assert _holds(Conditions(if_match=header), None) is missing


@pytest.mark.parametrize(
    ("header", "exists"),
    [
        ("*", False),
        ("*,*", False),  # as a header that was sent twice arrives
        ('"x", *', False),
        ('"abc"', False),
        ('W/"abc"', False),
        ('"x"', True),
        ('"x", "abc"', False),
    ],
)
def test_if_none_match(header: str, exists: bool) -> None:
    assert _holds(Conditions(if_none_match=header)) is exists
    assert _holds(Conditions(if_none_match=header), None)


def test_if_unmodified_since_has_whole_seconds() -> None:
    since = http_date(NOW)
    assert _holds(Conditions(if_unmodified_since=since))
    assert _holds(Conditions(if_unmodified_since=http_date(NOW + timedelta(days=1))))
    assert not _holds(Conditions(if_unmodified_since=http_date(NOW - timedelta(seconds=1))))
    assert _holds(Conditions(if_unmodified_since=http_date(NOW - timedelta(days=1))), None)


def test_a_date_that_is_none_is_ignored() -> None:
    assert _holds(Conditions(if_unmodified_since="yesterday"))


def test_if_match_outdoes_if_unmodified_since() -> None:
    assert _holds(Conditions(if_match='"abc"', if_unmodified_since="Fri, 03 Nov 2000 21:26:56 GMT"))


def test_all_conditions_must_hold() -> None:
    assert not _holds(Conditions(if_match='"abc"', if_none_match="*"))
    assert not _holds(Conditions(if_none_match="*", if_unmodified_since=http_date(NOW)))


def test_headers_are_read() -> None:
    headers = {"if-match": '"a"', "if-none-match": "*", "if-unmodified-since": "x"}
    assert read_conditions(headers) == Conditions('"a"', "*", "x")
    assert not read_conditions({"content-type": "x"})


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_condition_is_refused(name: str, value: str) -> None:
    """As no condition it would let the write through that it was to keep back."""
    with pytest.raises(BadRequest) as caught:
        read_conditions({name.lower(): value})
    assert [detail.target for detail in caught.value.details] == [name]
    assert name in caught.value.message


def test_an_empty_date_is_ignored_as_any_other_that_is_none() -> None:
    assert _holds(read_conditions({"if-unmodified-since": ""}))


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_the_three_forms_of_a_date(text: str) -> None:
    assert parse_http_date(text) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "x", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 28:49:37 GMT"]
)
def test_what_is_no_date(text: str) -> None:
    assert parse_http_date(text) is None


@given(st.datetimes(min_value=datetime(1, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_dates_round_trip(moment: datetime) -> None:
    text = http_date(moment)
    assert parse_http_date(text) == moment.replace(microsecond=0)
    assert text == email.utils.format_datetime(moment, usegmt=True)


def test_etags_are_strong() -> None:
    assert quote_etag("abc") == '"abc"'
