"""Reading numbers, dates and times out of text, as the en-US culture of .NET does."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final

EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - all values here are UTC without a zone
_NUMBER = re.compile(
    r"(?P<lead>[\s$(+-]*)(?P<digits>\d[\d,]*\.?\d*|\.\d+)(?P<exponent>[eE][+-]?\d{1,6})?(?P<trail>[\s$)+-]*)"
)
_MONTH_NAMES: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
_MONTHS: Final = {name[:length]: number for number, name in enumerate(_MONTH_NAMES, 1) for length in (3, len(name))}
_WEEKDAYS: Final = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_TIME = re.compile(
    r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?\s*(am|pm|a|p)?\s*(z|gmt|utc|[+-]\d{1,2}(?::?\d{2})?)?"
)
_HOUR_ONLY = re.compile(r"(\d{1,2})\s*(am|pm)")
_ISO_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_US_DATE = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{1,2})")
_DAY_FIRST = re.compile(r"(\d{1,2})[\s-]+([a-z]+)\.?,?[\s-]+(\d{4}|\d{2})")
_MONTH_FIRST = re.compile(r"([a-z]+)\.?[\s-]+(\d{1,2}),?[\s-]+(\d{4}|\d{2})")
_MONTH_YEAR = re.compile(r"([a-z]+)\.?,?\s+(\d{4})")
_YEAR_MONTH = re.compile(r"(\d{4})[-/](\d{1,2})")
_LONG_TIME = re.compile(r"(\d{1,5}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?")
JSON_DATE: Final = re.compile(r"[0-9]{4}-[0-1][0-9]-[0-3][0-9](T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{0,7})?Z?)?")
_JSON_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,7}))?")
_MAX_TEXT = 200
EXACT: Final = Context(prec=300, Emin=-9_999_999, Emax=9_999_999, traps=[])


def number(text: str) -> Decimal | None:
    """The exact value of a text such as ` -1,234.5e3 `, `$ 12`, `(12)` or `%10`; None if it is no number.

    A sign may stand before or after the one percent sign, which is at an end; what is left is a number
    with an optional sign, currency sign or parentheses of its own.
    """
    if len(text) > _MAX_TEXT:
        return None
    body, negative, percent = text.strip(), False, False
    for _ in range(2):
        if body and not percent and (body[0] == "%") != (body[-1] == "%"):
            body, percent = (body[1:] if body[0] == "%" else body[:-1]).strip(), True
            if body[:1] == "%" or body[-1:] == "%":
                return None
        elif body and body[0] in "+-":
            negative, body = body[0] == "-", body[1:].strip()
            if body[:1] in ("+", "-"):
                return None
    value = _styled_number(body)
    if value is None:
        return None
    if negative:
        value = value.copy_negate()
    return EXACT.scaleb(value, -2) if percent else value


def _styled_number(text: str) -> Decimal | None:
    match = _NUMBER.fullmatch(text)
    if match is None or text[0] in "+-":
        return None
    sign, currency, open_parenthesis = "", False, False
    for char in match["lead"]:
        if char in "+-(":
            if sign:
                return None
            sign, open_parenthesis = char, char == "("
        elif char == "$":
            if currency:
                return None
            currency = True
        elif sign and not currency:
            return None
    for char in match["trail"]:
        if char in "+-":
            if sign:
                return None
            sign = char
        elif char == ")":
            if not open_parenthesis:
                return None
            open_parenthesis = False
        elif char == "$":
            if currency:
                return None
            currency = True
    if open_parenthesis:
        return None
    value = Decimal(match["digits"].replace(",", "") + (match["exponent"] or ""))
    return value.copy_negate() if sign and sign in "-(" else value


def _clock(text: str) -> tuple[timedelta, timedelta | None] | None:
    """The time of day of a text, with its offset from UTC if it names one."""
    match = _TIME.fullmatch(text)
    if match is None:
        only = _HOUR_ONLY.fullmatch(text)
        if only is None or not 1 <= int(only[1]) <= 12:
            return None
        return timedelta(hours=int(only[1]) % 12 + (12 if only[2] == "pm" else 0)), None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if minute > 59 or second > 59:
        return None
    half = match[5]
    if half:
        if not 0 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    elif hour > 23:
        return None
    fraction = int((match[4] or "0").ljust(7, "0")) // 10
    offset: timedelta | None = None
    zone = match[6]
    if zone:
        offset = timedelta()
        if zone[0] in "+-":
            digits = zone[1:].replace(":", "")
            hours, minutes = (int(digits), 0) if len(digits) <= 2 else (int(digits[:-2]), int(digits[-2:]))
            offset = timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=fraction), offset


def _year(text: str) -> int:
    year = int(text)
    if len(text) > 2:
        return year
    return year + (2000 if year < 50 else 1900)


def _calendar(text: str) -> tuple[date, int] | None:
    """The date at the beginning of a text, and where it ends."""
    found: tuple[int, int, int] | None = None
    match = _ISO_DATE.match(text)
    if match:
        found = int(match[1]), int(match[2]), int(match[3])
    elif match := _US_DATE.match(text):
        found = _year(match[3]), int(match[1]), int(match[2])
    elif match := _DAY_FIRST.match(text):
        found = _year(match[3]), _MONTHS.get(match[2], 0), int(match[1])
    elif match := _MONTH_FIRST.match(text):
        found = _year(match[3]), _MONTHS.get(match[1], 0), int(match[2])
    elif match := _MONTH_YEAR.match(text):
        found = int(match[2]), _MONTHS.get(match[1], 0), 1
    elif match := _YEAR_MONTH.match(text):
        found = int(match[1]), int(match[2]), 1
    if match is None or found is None:
        return None
    try:
        return date(*found), match.end()
    except ValueError:
        return None


@lru_cache(maxsize=256)
def moment(text: str) -> datetime | None:
    """A date, a time (on the first day of the calendar) or both; None if the text is neither."""
    if len(text) > _MAX_TEXT:
        return None
    text = " ".join(text.lower().split())
    for name in _WEEKDAYS:
        for prefix in (name, name[:3]):
            if text.startswith((prefix + ",", prefix + " ")):
                text = text[len(prefix) :].lstrip(", ")
                break
    day = _calendar(text)
    if day is None:
        clock = _clock(text)
        return EPOCH + clock[0] if clock else None
    calendar_day, end = day
    rest = text[end:]
    start = datetime(calendar_day.year, calendar_day.month, calendar_day.day)  # noqa: DTZ001 - UTC without a zone
    if not rest.strip(" z"):
        return start
    if rest[0] not in "t ,":
        return None
    clock = _clock(rest[1:].strip(" ,"))
    if clock is None:
        return None
    try:
        return start + clock[0] - (clock[1] or timedelta())
    except OverflowError:
        return None


def time_of_day(text: str) -> timedelta | None:
    """The time in a text. Without a date it may be of more than 24 hours."""
    found = moment(text)
    if found is not None:
        return timedelta(hours=found.hour, minutes=found.minute, seconds=found.second, microseconds=found.microsecond)
    match = _LONG_TIME.fullmatch(text.strip())
    if match is None or int(match[2]) > 59 or int(match[3] or 0) > 59:
        return None
    fraction = int((match[4] or "0").ljust(7, "0")) // 10
    return timedelta(hours=int(match[1]), minutes=int(match[2]), seconds=int(match[3] or 0), microseconds=fraction)


def json_moment(text: str) -> datetime | None:
    """The strict ISO form that is asked of a date in JSON."""
    return moment(text) if len(text) < 40 and JSON_DATE.fullmatch(text) else None


def json_time(text: str) -> timedelta | None:
    match = _JSON_TIME.fullmatch(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3]) > 59:
        return None
    fraction = int((match[4] or "0").ljust(7, "0")) // 10
    return timedelta(hours=int(match[1]), minutes=int(match[2]), seconds=int(match[3]), microseconds=fraction)
