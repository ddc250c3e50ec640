"""Reading numbers, dates and times out of text, as the en-US culture of .NET does."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final

# What .NET takes for white space: the separators of Unicode, and the controls from tab to carriage return.
WHITE: Final = "\t\n\v\f\r\x85 \xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - all values here are UTC without a zone
_NUMBER = re.compile(
    r"(?P<lead>[\s$(+-]*)(?P<digits>\d[\d,]*\.?\d*|\.\d+)(?P<exponent>[eE][+-]?\d{1,6})?(?P<trail>[\s$)+-]*)",
    re.ASCII,
)
_MONTH_NAMES: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip
_MONTHS: Final = {name[:length]: number for number, name in enumerate(_MONTH_NAMES, 1) for length in (3, len(name))}
_WEEKDAYS: Final = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_TIME = re.compile(
    r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?\s*(am|pm|a|p)?"
    r"\s*(z|gmt|utc|[+-]\d{1,2}(?::?\d{2})?)?",
    re.ASCII,
)
_HOUR_ONLY = re.compile(r"(\d{1,2})\s*(am|pm)", re.ASCII)
_PART: Final = r"(\d{4}|\d{1,2}|[a-z]+)"
_BETWEEN: Final = r"(?:\s*[-/.,]\s*|\s+)"
_THREE_PARTS: Final = re.compile(f"{_PART}{_BETWEEN}{_PART}{_BETWEEN}{_PART}(?![\\w:])", re.ASCII)
_TWO_PARTS: Final = re.compile(f"{_PART}{_BETWEEN}{_PART}", re.ASCII)
_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ISO_UP_TO_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?=t\d{2}:\d{2})|\d{4}-\d{2}-\d{2}(?=z?$)", re.ASCII)
# What the parts of a date are, by their forms: N a number of one or two digits, Y one of four, M a month's name.
_ORDERS: Final = {
    "NNN": ("mdy",), "NNY": ("mdy",), "YNN": ("ymd",), "NMY": ("dmy",), "NMN": ("dmy", "ymd"), "MNY": ("mdy",),
    "MNN": ("mdy", "myd"), "YMN": ("ymd",), "NY": ("my",), "YN": ("ym",), "MY": ("my",), "YM": ("ym",),
}  # fmt: skip
_CLOCK_FIRST: Final = re.compile(
    r"\s*0*(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?[\s:.]*(?:[ap]\.?m?\.?|[zx])?\s*",
    re.ASCII | re.IGNORECASE,
)
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
    body, negative, percent = text.strip(WHITE), False, False
    for _ in range(2):
        if body and not percent and (body[0] == "%") != (body[-1] == "%"):
            body, percent = (body[1:] if body[0] == "%" else body[:-1]).strip(WHITE), True
            if body[:1] == "%" or body[-1:] == "%":
                return None
        elif body and body[0] in "+-":
            negative, body = body[0] == "-", body[1:].strip(WHITE)
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


def _clock(text: str) -> tuple[timedelta, timedelta] | None:
    """The time of day of a text, and its offset from UTC."""
    match = _TIME.fullmatch(text)
    if match is None:
        only = _HOUR_ONLY.fullmatch(text)
        if only is None or not 1 <= int(only[1]) <= 12:
            return None
        return timedelta(hours=int(only[1]) % 12 + (12 if only[2] == "pm" else 0)), timedelta()
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    half = match[5] or ""
    if minute > 59 or second > 59 or hour > 23 or (half.startswith("a") and hour > 12):
        return None
    if half and hour <= 12:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    span = timedelta(hours=hour, minutes=minute, seconds=second, microseconds=_microseconds(match[4]))
    zone = match[6] or ""
    if zone[:1] not in ("+", "-"):
        return span, timedelta()
    digits = zone[1:].replace(":", "")
    hours, minutes = (int(digits), 0) if len(digits) <= 2 else (int(digits[:-2]), int(digits[-2:]))
    return span, timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)


def _microseconds(fraction: str | None) -> int:
    return int((fraction or "0").ljust(7, "0")) // 10


def _calendar(text: str) -> tuple[date, int] | None:
    """The date at the beginning of a text, and where it ends. A date without a year depends on the day on which
    it is read, and a month without a day has no time of day: such texts are none."""
    if three := _THREE_PARTS.match(text):
        found = _date_of(three.groups())
        if found:
            return found, three.end()
    two = _TWO_PARTS.match(text)
    if two and text[two.end() :].strip() in _UTC:
        found = _date_of(two.groups())
        if found:
            return found, two.end()
    return None


def _date_of(parts: tuple[str, ...]) -> date | None:
    forms = "".join("Y" if len(part) == 4 and part.isdigit() else "N" if part.isdigit() else "M" for part in parts)
    for order in _ORDERS.get(forms, ()):
        given = dict(zip(order, parts, strict=True))
        month = given["m"]
        year = int(given["y"])
        if len(given["y"]) <= 2:
            year += 2000 if year < 50 else 1900
        try:
            number = int(month) if month.isdigit() else _MONTHS.get(month, 0)
            return date(year, number, int(given.get("d", "1")))
        except ValueError:
            continue
    return None


_UTC: Final = ("", "z", "gmt", "utc")


def _without_weekday(text: str) -> tuple[str, int | None]:
    for number, name in enumerate(_WEEKDAYS):
        for prefix in (name, name[:3]):
            if text.startswith((prefix + ",", prefix + " ")):
                return text[len(prefix) :].lstrip(", "), number
    return text, None


@lru_cache(maxsize=256)
def moment(text: str) -> datetime | None:
    """A date, a time (on the first day of the calendar) or both; None if the text is neither."""
    if len(text) > _MAX_TEXT:
        return None
    if _ISO_DATE.fullmatch(text):  # the most common of all
        found = _date_of(tuple(text.split("-")))
        return datetime(found.year, found.month, found.day) if found else None  # noqa: DTZ001 - UTC without a zone
    text, weekday = _without_weekday(" ".join(text.lower().split()))
    day = _calendar(text)
    iso = _ISO_UP_TO_TIME.match(text)
    if day is None and iso:
        found = _date_of(tuple(iso.group().split("-")))
        day = (found, iso.end()) if found else None
    try:
        if day is None:
            clock = _clock(text)
            return EPOCH + clock[0] - clock[1] if clock else None
        calendar_day, end = day
        if weekday is not None and calendar_day.weekday() != weekday:
            return None
        rest = text[end:]
        start = datetime(calendar_day.year, calendar_day.month, calendar_day.day)  # noqa: DTZ001 - UTC without a zone
        if rest.strip() in _UTC:
            return start
        if rest[0] not in " ," and not (iso and rest[0] == "t"):
            return None
        clock = _clock(rest[1:].strip(" ,"))
        return start + clock[0] - clock[1] if clock else None
    except OverflowError:
        return None


def time_of_day(text: str) -> timedelta | None:
    """The time in a text that is a date or a time; or a clock at its beginning, whose hours, minutes and seconds
    may be more than there are, and after which the mark of a half day does not count."""
    found = moment(text)
    if found is not None:
        return timedelta(hours=found.hour, minutes=found.minute, seconds=found.second, microseconds=found.microsecond)
    match = _CLOCK_FIRST.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        return None
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=_microseconds(match[4]))


def json_moment(text: str) -> datetime | None:
    """The strict ISO form that is asked of a date in JSON."""
    return moment(text) if len(text) < 40 and JSON_DATE.fullmatch(text) else None


def json_time(text: str) -> timedelta | None:
    match = _JSON_TIME.fullmatch(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3]) > 59:
        return None
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3])
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=_microseconds(match[4]))
