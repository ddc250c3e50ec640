"""The enumerations that rules can name, such as `TimeUnit.Days`."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from router.rules.powerfx.errors import ERROR_KINDS


@dataclass(frozen=True, slots=True)
class EnumValue:
    """A member of an enumeration. `value` is what it is coerced to: text, or a number."""

    enum: str
    name: str = field(compare=False)
    value: str | Decimal


def _texts(name: str, members: dict[str, str]) -> dict[str, EnumValue]:
    return {member: EnumValue(name, member, value) for member, value in members.items()}


def _numbers(name: str, members: dict[str, int]) -> dict[str, EnumValue]:
    return {member: EnumValue(name, member, Decimal(value)) for member, value in members.items()}


# Before the @: no space, quote, bracket but {}, or any of @<>,;:\\ - after it: words without punctuation, and points.
_WORD_OF_A_HOST: Final = r"(?:[^\s\p{P}<=>+\|]|[\-_\xb7\u05f3\u05f4\u0f0b\u30fb])+"
_EMAIL: Final = (
    r'(?:(?:[^\s@<>,;:\\"\p{Ps}\p{Pe}\p{Pi}\p{Pf}]|[\{\}])+@(?:' + _WORD_OF_A_HOST + r"\.)+" + _WORD_OF_A_HOST + ")"
)
ENUMS: Final[dict[str, dict[str, EnumValue]]] = {
    "ErrorKind": _numbers("ErrorKind", ERROR_KINDS),
    "TimeUnit": _texts(
        "TimeUnit",
        {
            "Years": "years", "Quarters": "quarters", "Months": "months", "Days": "days", "Hours": "hours",
            "Minutes": "minutes", "Seconds": "seconds", "Milliseconds": "milliseconds",
        },
    ),
    "SortOrder": _texts("SortOrder", {"Ascending": "ascending", "Descending": "descending"}),
    "StartOfWeek": _numbers(
        "StartOfWeek",
        {
            "Sunday": 1, "Monday": 2, "MondayZero": 3, "Tuesday": 12, "Wednesday": 13, "Thursday": 14,
            "Friday": 15, "Saturday": 16,
        },
    ),
    "MatchOptions": _texts(
        "MatchOptions",
        {
            "BeginsWith": "^c", "Complete": "^c$", "Contains": "c", "DotAll": "s", "EndsWith": "c$",
            "FreeSpacing": "x", "IgnoreCase": "i", "Multiline": "m", "NumberedSubMatches": "N",
        },
    ),
    "Match": _texts(
        "Match",
        {
            "Any": ".", "Comma": ",", "Digit": r"\d", "Email": _EMAIL, "Hyphen": "-",
            "LeftParen": r"\(", "Letter": r"\p{L}", "MultipleDigits": r"\d+", "MultipleLetters": r"\p{L}+",
            "MultipleNonSpaces": r"\S+", "MultipleSpaces": r"\s+", "NonSpace": r"\S", "OptionalDigits": r"\d*",
            "OptionalLetters": r"\p{L}*", "OptionalNonSpaces": r"\S*", "OptionalSpaces": r"\s*", "Period": r"\.",
            "RightParen": r"\)", "Space": r"\s", "Tab": r"\t",
        },
    ),
    "JSONFormat": _texts(
        "JSONFormat",
        {
            "Compact": "", "IndentFour": "4", "IgnoreBinaryData": "G", "IncludeBinaryData": "B",
            "IgnoreUnsupportedTypes": "I", "FlattenValueTables": "_",
        },
    ),
    "DateTimeFormat": _texts(
        "DateTimeFormat",
        {
            "UTC": "utc", "LongDate": "'longdate'", "LongDateTime": "'longdatetime'",
            "LongDateTime24": "'longdatetime24'", "LongTime": "'longtime'", "LongTime24": "'longtime24'",
            "ShortDate": "'shortdate'", "ShortDateTime": "'shortdatetime'",
            "ShortDateTime24": "'shortdatetime24'", "ShortTime": "'shorttime'", "ShortTime24": "'shorttime24'",
        },
    ),
}  # fmt: skip
