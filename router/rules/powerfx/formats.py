"""The formats of Text(): numbers such as `#,##0.00%`, dates such as `yyyy-mm-dd hh:mm AM/PM`."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Final

from router.rules.powerfx import decimals
from router.rules.powerfx.values import clock_text

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
WEEKDAYS: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_DATE_TOKEN = re.compile(r"am/pm|a/p|y+|m+|d+|h+|s+(?:\.0+)?|\"[^\"]*\"|\\.|.", re.IGNORECASE | re.DOTALL)
_LONGEST_FORMAT: Final = 500


@lru_cache(maxsize=256)
def is_date_format(pattern: str) -> bool:
    """Does a format show parts of a date? Text in quotes and escaped characters do not count."""
    bare = re.sub(r"\"[^\"]*\"|\\.", "", pattern).lower()
    return named(pattern) or re.search(r"[ymdhs]", bare) is not None


def named(pattern: str) -> bool:
    return pattern.strip("'").lower() in _NAMED


def is_valid(pattern: str) -> bool:
    """Formats that the compiler refuses: too long ones, and ones that mix numbers with dates."""
    bare = re.sub(r"\"[^\"]*\"|\\.|s+\.0+", "", pattern.lower())
    if len(pattern) > _LONGEST_FORMAT or bare.startswith("/"):
        return False
    return not (is_date_format(pattern) and not named(pattern) and re.search(r"[#0]", bare))


# ---------------------------------------------------------------- dates

_NAMED: Final = {
    "utc": "utc", "longdate": "long", "longdatetime": "long time", "longdatetime24": "long time24",
    "longtime": "ltime", "longtime24": "ltime24", "shortdate": "short", "shortdatetime": "short stime",
    "shortdatetime24": "short stime24", "shorttime": "stime", "shorttime24": "stime24",
}  # fmt: skip


def date_text(value: datetime, pattern: str) -> str:
    style = _NAMED.get(pattern.strip("'").lower())
    return _named_text(value, style) if style else _custom_date(value, pattern)


def _named_text(value: datetime, style: str) -> str:
    if style == "utc":
        return value.isoformat(timespec="milliseconds") + "Z"
    parts = {
        "long": f"{WEEKDAYS[value.weekday()]}, {MONTHS[value.month - 1]} {value.day}, {value.year}",
        "short": f"{value.month}/{value.day}/{value.year}",
        "time": clock_text(value, seconds=True),
        "ltime": clock_text(value, seconds=True),
        "stime": clock_text(value),
        "time24": f"{value.hour}:{value.minute:02d}:{value.second:02d}",
        "ltime24": f"{value.hour}:{value.minute:02d}:{value.second:02d}",
        "stime24": f"{value.hour}:{value.minute:02d}",
    }
    return " ".join(parts[part] for part in style.split())


def _custom_date(value: datetime, pattern: str) -> str:
    tokens = _DATE_TOKEN.findall(pattern)
    kinds = [token.lower() for token in tokens]
    half_day = any(kind in ("am/pm", "a/p") for kind in kinds)
    units = [(index, kind[0]) for index, kind in enumerate(kinds) if kind[0] in "ymdhs" and kind[0].isalpha()]
    minutes = set()
    for place, (index, unit) in enumerate(units):
        if unit == "m" and len(kinds[index]) <= 2:
            before = units[place - 1][1] if place else ""
            after = units[place + 1][1] if place + 1 < len(units) else ""
            if before == "h" or after == "s":
                minutes.add(index)
    return "".join(
        _date_part(value, token, kind, index in minutes, half_day)
        for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
    )


def _date_part(value: datetime, token: str, kind: str, minute: bool, half_day: bool) -> str:
    width = min(len(kind), 2)
    if kind == "am/pm":
        return "AM" if value.hour < 12 else "PM"
    if kind == "a/p":
        return "A" if value.hour < 12 else "P"
    first = kind[0]
    if first == "y":
        return f"{value.year:04d}" if len(kind) > 2 else f"{value.year % 100:02d}"
    if first == "m":
        if minute:
            return f"{value.minute:0{width}d}"
        if len(kind) > 2:
            return MONTHS[value.month - 1][: 3 if len(kind) == 3 else None]
        return f"{value.month:0{width}d}"
    if first == "d":
        if len(kind) > 2:
            return WEEKDAYS[value.weekday()][: 3 if len(kind) == 3 else None]
        return f"{value.day:0{width}d}"
    if first == "h":
        hour = (value.hour % 12 or 12) if half_day else value.hour
        return f"{hour:0{width}d}"
    if first == "s":
        whole, _, fraction = kind.partition(".")
        shown = f"{value.second:0{min(len(whole), 2)}d}"
        return f"{shown}.{value.microsecond:06d}"[: len(shown) + 1 + len(fraction)] if fraction else shown
    if first == '"' or first == "\\":
        return token.strip('"') if first == '"' else token[1:]
    return token


# ---------------------------------------------------------------- numbers


def number_text(value: Decimal | float, pattern: str) -> str:
    """A number in a .NET custom format: one section, or several for positive, negative and zero."""
    exact = value if isinstance(value, Decimal) else Decimal(repr(value))
    sections = _sections(pattern)
    if len(sections) > 1 and exact < 0 and sections[1]:
        return _section_text(exact.copy_negate(), sections[1])
    if len(sections) > 2 and not exact:
        return _section_text(exact, sections[2])
    shown = _section_text(exact.copy_abs(), sections[0])
    has_digit = any(char in "123456789" for char in shown)
    return "-" + shown if exact < 0 and has_digit else shown


@lru_cache(maxsize=256)
def _sections(pattern: str) -> list[str]:
    made, current, quoted = [], "", False
    for char in pattern:
        if char == '"':
            quoted = not quoted
        if char == ";" and not quoted:
            made.append(current)
            current = ""
        else:
            current += char
    return [*made, current]


@lru_cache(maxsize=256)
def _tokens(section: str) -> list[str]:
    return re.findall(r"\"[^\"]*\"|\\.|[eE][+-]?0+|.", section, re.DOTALL)


def _section_text(value: Decimal, section: str) -> str:
    tokens = _tokens(section)
    point = tokens.index(".") if "." in tokens else len(tokens)
    whole = [token for token in tokens[:point] if token in ("0", "#")]
    fraction = [token for token in tokens[point:] if token in ("0", "#")]
    places = [index for index, token in enumerate(tokens[:point]) if token in ("0", "#")]
    grouped = any(token == "," and places and places[0] < i < places[-1] for i, token in enumerate(tokens[:point]))
    scale = sum(1 for i, token in enumerate(tokens[:point]) if token == "," and places and i > places[-1])
    value = decimals.WIDE.scaleb(value, 2 * tokens.count("%") - 3 * scale)
    wide = Context(prec=1200, traps=[])
    digits = format(value.quantize(Decimal(1).scaleb(-len(fraction)), ROUND_HALF_UP, wide), "f")
    left, _, right = digits.partition(".")
    left = left.lstrip("0").rjust(len(whole) - whole.index("0") if "0" in whole else 0, "0")
    needed = max((index + 1 for index, token in enumerate(fraction) if token == "0"), default=0)
    while len(right) > needed and right.endswith("0"):
        right = right[:-1]
    if grouped:
        left = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",", left)
    return _laid_out(tokens, point, left, right, bool(whole or fraction))


def _laid_out(tokens: list[str], point: int, left: str, right: str, has_digits: bool) -> str:
    made, placed_left, placed_right = [], False, False
    for index, token in enumerate(tokens):
        if token in ("0", "#"):
            if index < point and not placed_left:
                made.append(left)
                placed_left = True
            elif index > point and not placed_right:
                made.append(right)
                placed_right = True
        elif token == "." and index == point:
            if not placed_left:
                made.append(left)
                placed_left = True
            if right or not any(later in ("0", "#") for later in tokens[point:]):
                made.append(".")
        elif token == "," and has_digits and index < point:
            continue
        elif token[0] == '"':
            made.append(token.strip('"'))
        else:
            made.append(token[1:] if token[0] == "\\" else token)
    return "".join(made)
