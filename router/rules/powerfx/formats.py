"""The formats of Text(): numbers such as `#,##0.00%`, dates such as `yyyy-mm-dd hh:mm AM/PM`.

`parse` reads a format once and refuses what Power Fx refuses; `digits.py` lays out the numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from router.rules.powerfx import digits
from router.rules.powerfx.digits import Layout, Token
from router.rules.powerfx.values import clock_text

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
WEEKDAYS: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_LONGEST_FORMAT: Final = 500
_QUOTED: Final = r"\"(?P<quoted>[^\"]*)\"|\\(?P<escaped>.)"
_HALF: Final = "(?P<half>[aA][mM]/[pP][mM]|[aA]/[pP])"
_PIECE: Final = re.compile(f"{_QUOTED}|{_HALF}|.", re.DOTALL)
_FRACTION: Final = re.compile(r"[sS]\.?0+")
_STANDARD: Final = re.compile(r"[A-Za-z]\d{0,9}")
_DATE_CHARACTERS: Final = frozenset("mMdDyYhHsSaApP")
_LITERAL_IN_NUMBERS: Final = frozenset("pP")  # there they are no part of AM/PM
_UNQUOTED: Final = frozenset("z$bcfnpxBCFNPX")  # as the first character a literal, not the name of a format of .NET
_REFUSED: Final = frozenset("?[_*@]")


class Format(NamedTuple):
    """A format that is valid, by its sections as numbers and as dates are written in them.

    `standard` says that .NET takes the text for the name of one of its own formats, which it does not know.
    """

    layouts: list[Layout | None]
    dates: list[list[Token]]
    shows_dates: bool
    shows_digits: bool
    standard: bool


@dataclass(slots=True)
class _Reader:
    """Reads a format from left to right. Commas have four meanings, by what is around them: a literal, the
    grouping of digits, a division by a thousand, and nothing."""

    tokens: list[Token]
    dates: bool = False
    digits: bool = False
    recent_digits: bool = False  # since the last point
    point: Token | None = None
    exponent: bool = False
    colon: bool = False
    sections: int = 0
    scaling: list[Token] | None = None  # commas right after a digit, which scale unless a digit follows

    def read(self, pattern: str) -> bool:
        has_point = "." in pattern
        for match in _PIECE.finditer(pattern):
            if not self._piece(match, pattern, has_point):
                return False
        return self._finish(pattern)

    def _piece(self, match: re.Match[str], pattern: str, has_point: bool) -> bool:
        text = match.group()
        if match["quoted"] is not None or match["escaped"] is not None:
            self._add("literal", match["quoted"] if match["quoted"] is not None else match["escaped"])
            return not self.exponent
        if match["half"] is not None:
            self._add("half", text)
            return text in ("AM/PM", "A/P")
        if text in "0#":
            if self.colon and not self.dates:
                return False
            self._digit(text, has_point)
        elif text in _DATE_CHARACTERS and not (text in _LITERAL_IN_NUMBERS and (self.digits or match.start() == 0)):
            self.dates = True
            self._add("char", text)
        elif text == "," and not self.dates:
            self._comma()
        elif text == "." and not self.dates:
            if self.exponent:
                return False
            self._point()
        elif text in _REFUSED or text in '"\\':
            return False
        elif text == ";":
            self.sections += 1
            self._add("section", text)
            return self.sections <= 2
        elif text in "eE" and pattern[match.end() : match.end() + 1] in ("+", "-"):
            self.exponent = True
            self._add("char", text)
        else:
            self.colon = self.colon or text == ":"
            self._add("percent" if text == "%" else "char", text)
            return not (text == "%" and self.exponent)
        return True

    def _add(self, kind: str, text: str) -> None:
        self.tokens.append(Token(kind, text))

    def _digit(self, text: str, has_point: bool) -> None:
        if self.scaling and has_point and self.point is None:
            followers = {id(one): other for one, other in zip(self.tokens, [*self.tokens[1:], None], strict=True)}
            for comma in self.scaling:
                following = followers[id(comma)]
                if following is not None and following.kind != "digit":
                    self._remove(comma)
        self.scaling = None
        self.digits = self.recent_digits = True
        self._add("digit", text)

    def _remove(self, token: Token) -> None:
        self.tokens = [other for other in self.tokens if other is not token]

    def _comma(self) -> None:
        before = self.tokens[-1] if self.tokens else None
        if not self.recent_digits and self.point is None:
            if before is None or before.kind != "comma literal":
                self._add("comma literal", ",")
        elif self.digits:
            if before is not None and (before.kind == "digit" or any(before is comma for comma in self.scaling or ())):
                self._add("comma", ",")
                self.scaling = [*(self.scaling or ()), self.tokens[-1]]
            elif before is None or before.kind not in ("comma", "comma literal"):
                self._add("comma" if before is not None and before.kind == "point" else "comma literal", ",")

    def _point(self) -> None:
        self._add("point", ".")
        self.point = self.tokens[-1]
        self.recent_digits = False
        if self.scaling and self.scaling[-1] is not self.tokens[-2]:
            for comma in self.scaling:
                self._remove(comma)
            self.scaling = None

    def _finish(self, pattern: str) -> bool:
        if self.dates:
            bare = re.sub(f"{_QUOTED}|{_HALF}", "-", pattern)
            return not re.search("[0#]", _FRACTION.sub("", bare)) and not re.search("[mM]{5}", bare)
        if pattern[-1:] in ("e", "E") or re.search(r"[eE]\+$", pattern) or (self.digits and "/" in pattern):
            return False
        if self.scaling and self.point is not None:
            for comma in self.scaling:
                self._remove(comma)
            place = next(index for index, token in enumerate(self.tokens) if token is self.point)
            self.tokens[place:place] = self.scaling
            if not self.recent_digits:  # the first of them is shown then, and the point is not
                self.tokens[place] = Token("comma literal", ",")
        elif self.digits and self.point is not None and not self.recent_digits:
            self.tokens = [Token("literal", ".") if token is self.point else token for token in self.tokens]
        return True


@lru_cache(maxsize=256)
def parse(pattern: str) -> Format | None:
    """The format, or None for one that Power Fx refuses: too long ones, and ones that mix numbers with dates,
    have more than three sections, or ask for what it does not know (`General`, `0/0`, `[h]`, `mmmmm`, `am/pm`)."""
    if len(pattern) > _LONGEST_FORMAT or pattern[:1] == "/" or pattern in ("g", "G") or "general" in pattern.lower():
        return None
    standard = _STANDARD.fullmatch(pattern) is not None and pattern[0] not in _UNQUOTED
    reader = _Reader([])
    if not reader.read(pattern) or (standard and pattern[0] in "eEgGrR" and not reader.dates):
        return None
    shows_digits = reader.digits and not reader.dates
    sections = digits.sections(reader.tokens)
    layouts = [digits.layout(section) for section in sections]
    if not sections[-1]:  # in a date the end of a section is one only before another
        sections = sections[:-1] if len(sections) > 2 else [reader.tokens]
    dates = [_date_parts(section) for section in sections]
    return Format(layouts, dates, reader.dates, shows_digits, standard and not reader.dates)


# ---------------------------------------------------------------- dates

_NAMED: Final = {
    "utc": "utc", "'longdate'": "long", "'longdatetime'": "long time", "'longdatetime24'": "long time24",
    "'longtime'": "time", "'longtime24'": "time24", "'shortdate'": "short", "'shortdatetime'": "short stime",
    "'shortdatetime24'": "short stime24", "'shorttime'": "stime", "'shorttime24'": "stime24",
}  # fmt: skip
# An `m` is a minute before seconds and after hours, where at least one character stands between.
_MINUTE_BEFORE_SECOND: Final = re.compile("[mM][^dDyYhH]+[sS]")
_MINUTE_AFTER_HOUR: Final = re.compile("[hH][^dDyYmM]+[mM]")
_MINUTE: Final = "\x00"
_HELD: Final = "\x01"  # stands for a literal, or AM/PM
_DATE_PART: Final = re.compile(f"[dD]+|[mM]+|[yY]+|[hH]+|{_MINUTE}+|[sS]+|0+|.", re.DOTALL)


def named_date_text(value: datetime, name: str) -> str:
    """A date in one of the formats of the enumeration DateTimeFormat."""
    style = _NAMED[name]
    if style == "utc":
        return value.isoformat(timespec="milliseconds") + "Z"
    parts = {
        "long": f"{WEEKDAYS[value.weekday()]}, {MONTHS[value.month - 1]} {value.day}, {value.year:04d}",
        "short": f"{value.month}/{value.day}/{value.year:04d}",
        "time": clock_text(value, seconds=True),
        "stime": clock_text(value),
        "time24": f"{value.hour}:{value.minute:02d}:{value.second:02d}",
        "stime24": f"{value.hour}:{value.minute:02d}",
    }
    return " ".join(parts[part] for part in style.split())


def _date_parts(section: list[Token]) -> list[Token]:
    """The parts of a section: dates, literals, AM/PM. Kinds: date, literal, half."""
    held = [token for token in section if token.kind in ("half", "literal")]
    plain = "".join(
        _HELD if token.kind in ("half", "literal") else "\\," if token.kind == "comma literal" else token.text
        for token in section
    )
    while match := _MINUTE_BEFORE_SECOND.search(plain):
        plain = plain[: match.start()] + _MINUTE + plain[match.start() + 1 :]
    while match := _MINUTE_AFTER_HOUR.search(plain):
        plain = plain[: match.end() - 1] + _MINUTE + plain[match.end() :]
    given = iter(held)
    return [next(given) if part == _HELD else Token("date", part) for part in _DATE_PART.findall(plain)]


def date_text(value: datetime, format: Format, sign: int) -> str | None:
    """A date in a format of one's own; None if it asks for too small a part of a second. `sign` is that of
    the date as a number and chooses the section."""
    count = len(format.dates)
    parts = format.dates[0 if count == 1 or sign > 0 or (sign == 0 and count == 2) else 1 if sign < 0 else 2]
    half_day = any(part.kind == "half" for part in parts)
    made: list[str] = []
    for kind, text in parts:
        if kind == "half":
            made.append(("AM" if value.hour < 12 else "PM")[: 2 if len(text) > 3 else 1])
        elif kind == "literal":
            made.append(text)
        elif text[0] == "0" and len(text) > 7:
            return None
        else:
            made.append(_date_part(value, text, half_day))
    return "".join(made)


def _date_part(value: datetime, part: str, half_day: bool) -> str:
    count, width = len(part), min(len(part), 2)
    match part[0].lower():
        case "y":
            return f"{value.year:04d}" if count > 2 else f"{value.year % 100:02d}"
        case "m":
            return MONTHS[value.month - 1][: 3 if count == 3 else None] if count > 2 else f"{value.month:0{width}d}"
        case "d":
            return WEEKDAYS[value.weekday()][: 3 if count == 3 else None] if count > 2 else f"{value.day:0{width}d}"
        case "h":
            return f"{(value.hour % 12 or 12) if half_day else value.hour:0{width}d}"
        case "s":
            return f"{value.second:0{width}d}"
        case "0":
            return f"{value.microsecond:06d}0"[:count]
    return f"{value.minute:0{width}d}" if part[0] == _MINUTE else part
