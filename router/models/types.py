"""The base model and the scalar types of the wire: times, labels, bounded numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

INT32_MAX: Final = 2**31 - 1
INT32_MIN: Final = -(2**31)
MAX_LABELS: Final = 100
_NOT_LOOKED_AT: Final = 6_000
MAX_KEY_LENGTH: Final = 256
MAX_TEXT_LENGTH: Final = 16_384
MAX_SECONDS: Final = 10 * 365 * 24 * 3600.0

#: Doubles up to this hold every whole number.
_EXACT: Final = 2.0**53

LabelScalar = str | int | float | bool

_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d+))? *(Z|z|[+-]([01]\d|2[0-3]):?[0-5]\d)?", re.ASCII
)


class Model(BaseModel):
    """A frozen value with camelCase names on the wire; unknown fields are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", allow_inf_nan=False
    )


def parse_time(value: Any) -> datetime:
    """A time as clients send it: RFC 3339, `Z` or an offset or none (UTC), fractions of any length,
    years from 0001. Digits beyond the microsecond are cut; a leap second is the start of the second after it.
    Raises ValueError."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if not isinstance(value, str) or not (match := _TIME.fullmatch(value)):
        raise ValueError("must be an RFC 3339 time such as 2024-01-31T12:00:00Z")
    day, time, fraction, zone, _ = match.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    text = f"{day}T{time}.{(fraction or '0')[:6]:0<6}{zone}"
    if len(time) == 5:
        text = f"{day}T{time}:00.{(fraction or '0')[:6]:0<6}{zone}"
    leap = time[6:] == "60"
    if leap:
        text = f"{day}T{time[:6]}59{zone}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"is not a time: {error}") from error
    try:
        moment = moment.astimezone(UTC)
        return _after_leap_second(moment) if leap else moment
    except OverflowError:  # year 1 east of Greenwich, year 9999 west of it
        return datetime.min.replace(tzinfo=UTC) if moment.year < 5000 else datetime.max.replace(tzinfo=UTC)


def _after_leap_second(before: datetime) -> datetime:
    """The second after a leap second, given the one before it, in UTC. Raises ValueError where none can be."""
    after = before + timedelta(seconds=1)
    if (after.day, after.hour, after.minute) != (1, 0, 0):
        raise ValueError("is not a time: a leap second ends the last day of a month in UTC")
    return after


def same_on_wire(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same. Python holds True == 1; on the wire these are two values, while 1 and 1.0
    are one."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one == other and all(same_on_wire(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return isinstance(other, list) and one == other and all(map(same_on_wire, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def whole_numbers(value: Any) -> Any:
    """The JSON value with `60` for `60.0`, as the service writes numbers. Beyond 2^53 they are left as they are."""
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() and -_EXACT <= value <= _EXACT else value
    if kind is dict:
        return {key: whole_numbers(item) for key, item in value.items()}
    if kind is list:
        return [whole_numbers(item) for item in value]
    return value


def format_time(moment: datetime) -> str:
    """As the service writes times: `2023-11-03T21:26:56.854593+00:00`, no fraction when it is zero."""
    text = moment.isoformat()
    if moment.microsecond:
        head, tail = text[:-6].rstrip("0"), text[-6:]
        return head + tail
    return text


Time = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

Int32 = Annotated[int, Strict(), Field(ge=INT32_MIN, le=INT32_MAX)]
#: What a client may give as a priority; what a rule yields may be any int32, so a stored one is checked as that.
PRIORITIES: Final = (-100, 100)
Priority = Annotated[
    Int32,
    WithJsonSchema({"type": "integer", "format": "int32", "minimum": PRIORITIES[0], "maximum": PRIORITIES[1]}),
]
PositiveInt32 = Annotated[int, Strict(), Field(ge=1, le=INT32_MAX)]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict(), Field(max_length=MAX_TEXT_LENGTH)]
Name = Annotated[str, Strict(), Field(max_length=MAX_KEY_LENGTH)]
Seconds = Annotated[float, Strict(), Field(gt=0, le=MAX_SECONDS)]


def check_id(value: str) -> str:
    """An id (docs/behaviour.md, "Ids"): 1 to 256 characters, no control characters, not `.` or `..`."""
    if not 1 <= len(value) <= 256:
        raise ValueError("must have 1 to 256 characters")
    if value in (".", ".."):
        raise ValueError("must not be '.' or '..'")
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 or 0xD800 <= ord(letter) < 0xE000 for letter in value):
        raise ValueError("must not have control characters")
    return value


Id = Annotated[
    str,
    Strict(),
    AfterValidator(check_id),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 256}),
]


def is_text(value: str) -> bool:
    """Whether UTF-8 can hold it. Half of a surrogate pair, which JSON can name (`"\\ud800"`), it cannot."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_label(value: Any) -> LabelScalar:
    """A label, tag or selector value: a string, a finite number or a boolean."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > MAX_TEXT_LENGTH:
            raise ValueError(f"must have at most {MAX_TEXT_LENGTH} characters")
        if not is_text(value):
            raise ValueError("must not have halves of surrogate pairs")
        return value
    if isinstance(value, int):
        if abs(value) > 2**63:
            raise ValueError("is a number out of range")
        return value
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError("must be a finite number")
        return value
    raise ValueError("must be a string, a number or a boolean")


LabelValue = Annotated[
    Any,
    BeforeValidator(check_label),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": MAX_TEXT_LENGTH}, {"type": "number"}, {"type": "boolean"}]}
    ),
]


def check_labels(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(value) > MAX_LABELS:
        raise PydanticCustomError("too_long", "too many entries", {"max_length": MAX_LABELS})
    for key in value:
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise ValueError(f"must have keys of 1 to {MAX_KEY_LENGTH} characters")
    return value


def _not_too_many(value: Any) -> Any:
    """Of very many none is looked at: what is wrong with each would take longer to tell than it is worth."""
    if isinstance(value, Mapping) and len(value) > _NOT_LOOKED_AT:
        raise PydanticCustomError("too_long", "too many entries", {"max_length": MAX_LABELS})
    return value


Labels = Annotated[
    dict[str, LabelValue],
    BeforeValidator(_not_too_many),
    AfterValidator(check_labels),
    Field(
        json_schema_extra={
            "maxProperties": MAX_LABELS,
            "propertyNames": {"minLength": 1, "maxLength": MAX_KEY_LENGTH},
        }
    ),
]


def with_id_label(labels: Mapping[str, Any], id: str) -> dict[str, Any]:
    """Labels with the label `Id` that every queue and worker has; clients cannot change it."""
    return {**labels, "Id": id}
