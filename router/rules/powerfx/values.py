"""Converting one value into another kind. Blank (None) and errors pass through unchanged.

Kinds at run time: Decimal, float, str, bool, date, datetime (UTC, no zone), timedelta (a time),
UUID, EnumValue, dict (a record), list (a table), None (blank), PowerFxError.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import decimals, reading
from router.rules.powerfx.enums import EnumValue
from router.rules.powerfx.errors import PowerFxError
from router.rules.powerfx.reading import EPOCH
from router.rules.powerfx.types import ANY, Type

Convert = Callable[[Any], Any]
DAY: Final = timedelta(days=1)
MICROSECONDS_A_DAY: Final = 86_400_000_000
_HEX: Final = r"[0-9a-fA-F]"
_DASHED: Final = f"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"
_GUID: Final = re.compile(rf"\s*(?:{_HEX}{{32}}|{_DASHED}|\{{{_DASHED}\}}|\({_DASHED}\))\s*")
_MICRO: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class JsonNumber:
    """A number out of ParseJSON: exact, of any size, and with the text that it had."""

    text: str
    number: Decimal


def invalid(message: str) -> PowerFxError:
    return PowerFxError("InvalidArgument", message)


# ---------------------------------------------------------------- numbers


def serial(value: date | timedelta) -> Decimal:
    """The number of days that stands for a date or a time."""
    if isinstance(value, timedelta):
        span = value
    elif isinstance(value, datetime):
        span = value - EPOCH
    else:
        return Decimal((value - EPOCH.date()).days)
    return decimals.divide(Decimal(span // _MICRO), Decimal(MICROSECONDS_A_DAY))


def to_decimal(value: Any) -> Any:
    cls = value.__class__
    if cls is Decimal or value is None or cls is PowerFxError:
        return value
    try:
        if cls is bool:
            return decimals.ONE if value else decimals.ZERO
        if cls is str:
            if not value:
                return None
            found = reading.number(value)
            return invalid(f"'{value[:40]}' is not a number") if found is None else decimals.fit(found)
        if cls is float:
            return decimals.from_float(value)
        if cls is EnumValue:
            return to_decimal(value.value)
        if isinstance(value, (date, timedelta)):
            return serial(value)
    except decimals.TooLarge:
        return invalid("the number is too large for a decimal")
    return invalid("a number is expected")


def to_float(value: Any) -> Any:
    cls = value.__class__
    if cls is float or value is None or cls is PowerFxError:
        return value
    if cls is Decimal:
        return float(value)
    if cls is str:
        if not value:
            return None
        found = reading.number(value)
        number = math.nan if found is None else float(found)
        return number if math.isfinite(number) else invalid(f"'{value[:40]}' is not a number")
    number = to_decimal(value)
    return float(number) if number.__class__ is Decimal else number


# ---------------------------------------------------------------- text


def float_text(value: float) -> str:
    """As .NET writes a double: the shortest digits that read back, exponents from 1E+17 and 1E-05."""
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    exact = Decimal(repr(value))
    exponent = exact.adjusted()
    if -5 < exponent < 17:
        return decimals.to_text(exact)
    sign = "-" if value < 0 else ""
    figures = "".join(map(str, exact.normalize().as_tuple().digits))
    head = figures[0] + ("." + figures[1:] if len(figures) > 1 else "")
    return f"{sign}{head}E{'+' if exponent > 0 else '-'}{abs(exponent):02d}"


def clock_text(value: datetime, seconds: bool = False) -> str:
    hour = value.hour % 12 or 12
    tail = f":{value.second:02d}" if seconds else ""
    return f"{hour}:{value.minute:02d}{tail} {'AM' if value.hour < 12 else 'PM'}"


def time_as_moment(value: timedelta) -> datetime:
    """A time of any length on the first day of the calendar, modulo 24 hours."""
    return EPOCH + value % DAY


def to_text(value: Any) -> Any:
    cls = value.__class__
    if cls is str or value is None or cls is PowerFxError:
        return value
    if cls is Decimal:
        return decimals.to_text(value)
    if cls is bool:
        return "true" if value else "false"
    if cls is float:
        return float_text(value)
    if cls is datetime:
        return f"{value.month}/{value.day}/{value.year:04d} {clock_text(value)}"
    if cls is date:
        return f"{value.month}/{value.day}/{value.year:04d}"
    if cls is timedelta:
        return clock_text(time_as_moment(value))
    if cls is uuid.UUID:
        return str(value)
    if cls is EnumValue:
        return value.name if value.enum == "ErrorKind" else to_text(value.value)
    return invalid("text is expected")


# ---------------------------------------------------------------- logic


def to_boolean(value: Any) -> Any:
    cls = value.__class__
    if cls is bool or value is None or cls is PowerFxError:
        return value
    if cls is Decimal or cls is float:
        return bool(value != 0)
    if cls is str:
        text = value.lower()
        if text == "true":
            return True
        if text == "false":
            return False
        return None if not text else invalid(f"'{value[:40]}' is neither true nor false")
    return invalid("true or false is expected")


# ---------------------------------------------------------------- dates


def moment_of(days: Decimal | float) -> Any:
    """The moment that a number of days stands for."""
    try:
        return EPOCH + span_of(days)
    except (OverflowError, ValueError):
        return invalid("the date is out of range")


def span_of(days: Decimal | float, most: int = 4_000_000) -> timedelta:
    """A number of days, exact to the millisecond as .NET has it. OverflowError if there are too many."""
    exact = Decimal(days)
    if exact.copy_abs() > most:
        raise OverflowError
    milliseconds = exact * 86_400_000
    return timedelta(milliseconds=int(milliseconds.to_integral_value("ROUND_HALF_UP")))


def to_datetime(value: Any) -> Any:
    cls = value.__class__
    if cls is datetime or value is None or cls is PowerFxError:
        return value
    if cls is date:
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - UTC without a zone
    if cls is str:
        if not value:
            return None
        found = reading.moment(value)
        return invalid(f"'{value[:40]}' is not a date") if found is None else found
    if cls is Decimal or cls is float:
        return moment_of(value)
    if cls is timedelta:
        return EPOCH + value
    return invalid("a date is expected")


def to_date(value: Any) -> Any:
    if value.__class__ is date:
        return value
    found = to_datetime(value)
    return found.date() if found.__class__ is datetime else found


def to_time(value: Any) -> Any:
    cls = value.__class__
    if cls is timedelta or value is None or cls is PowerFxError:
        return value
    if cls is datetime or cls is date:
        return to_datetime(value) - EPOCH
    if cls is str:
        if not value:
            return None
        span = reading.time_of_day(value)
        return invalid(f"'{value[:40]}' is not a time") if span is None else span
    if cls is Decimal or cls is float:
        try:
            return span_of(value)
        except OverflowError:
            return invalid("the time is out of range")
    return invalid("a time is expected")


def to_guid(value: Any) -> Any:
    cls = value.__class__
    if cls is uuid.UUID or value is None or cls is PowerFxError:
        return value
    if cls is str:
        return uuid.UUID(value.strip(" ()")) if _GUID.fullmatch(value) else invalid(f"'{value[:40]}' is not a GUID")
    return invalid("a GUID is expected")


# ---------------------------------------------------------------- the context and the result


def _float_of(value: int | Decimal) -> Any:
    try:
        number = float(value)
    except (OverflowError, ValueError):  # a signalling NaN is the latter
        number = math.inf
    return number if math.isfinite(number) else invalid("the number is too large")


def _fitted(value: Decimal) -> Any:
    try:
        return decimals.fit(value)
    except decimals.TooLarge:
        return _float_of(value)


def bounded(value: JsonNumber) -> Any:
    """A number of JSON as one that can be computed with: a decimal, a float, or an error."""
    return _fitted(value.number)


def from_context(value: Any) -> Any:
    """A value of the caller's as the evaluator has it. Numbers become decimals where they fit."""
    cls = value.__class__
    if cls is str or cls is bool or value is None or cls is dict or cls is list:
        return value
    if cls is Decimal:
        return _fitted(value)
    if cls is JsonNumber:
        return bounded(value)
    if cls is int:
        return Decimal(value) if -(10**28) < value < 10**28 else _float_of(value)
    if cls is float:
        if not math.isfinite(value):
            return None
        return Decimal(repr(value)) if 1e-20 < abs(value) < 1e20 or not value else value
    if cls in (date, timedelta, uuid.UUID, PowerFxError):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
    if isinstance(value, time):
        return timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, str):  # an enumeration of the caller's, for instance
        return str(value)
    return invalid(f"a value of type {cls.__name__} cannot be used in an expression")


def to_result(value: Any, type: Type) -> Any:
    """A value of the evaluator's as the caller gets it."""
    cls = value.__class__
    if cls is Decimal or cls is bool or cls is str or value is None:
        return value
    if cls is datetime:
        return value.date() if type.kind == "Date" else value
    if cls is JsonNumber:
        return bounded(value)
    if cls is timedelta:
        return time_as_moment(value).time()
    if cls is EnumValue:
        return value.value
    if cls is list:
        return [to_result(row, type) for row in value]
    if isinstance(value, Mapping):
        columns = type.columns
        return {name: to_result(field, columns.get(name, ANY)) for name, field in value.items()}
    return value
