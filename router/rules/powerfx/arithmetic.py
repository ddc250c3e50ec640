"""Arithmetic on numbers that are already of one kind, with the errors that Power Fx gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import decimals
from router.rules.powerfx.decimals import TooLarge, numeric_error
from router.rules.powerfx.errors import PowerFxError
from router.rules.powerfx.reading import EPOCH
from router.rules.powerfx.values import invalid, serial, span_of, to_datetime

_MOST_DAYS: Final = 10_675_199  # that a time has in .NET
Operation = Callable[[Any, Any], Any]


def division_by_zero() -> PowerFxError:
    return PowerFxError("Div0", "division by zero")


def finite(number: float) -> Any:
    return number if math.isfinite(number) else numeric_error()


def add(left: Decimal, right: Decimal) -> Any:
    try:
        return decimals.add(left, right)
    except TooLarge:
        return numeric_error()


def subtract(left: Decimal, right: Decimal) -> Any:
    try:
        return decimals.subtract(left, right)
    except TooLarge:
        return numeric_error()


def multiply(left: Decimal, right: Decimal) -> Any:
    try:
        return decimals.multiply(left, right)
    except TooLarge:
        return numeric_error()


def divide(left: Decimal, right: Decimal) -> Any:
    if not right:
        return division_by_zero()
    try:
        return decimals.divide(left, right)
    except TooLarge:
        return numeric_error()


def float_divide(left: float, right: float) -> Any:
    return division_by_zero() if right == 0 else finite(left / right)


def power(left: float, right: float) -> Any:
    if left == 0 and right < 0:
        return division_by_zero()
    try:
        result = math.pow(left, right)
    except (OverflowError, ValueError):
        return numeric_error()
    return finite(result)


DECIMAL_OPERATIONS: Final[dict[str, Operation]] = {"+": add, "-": subtract, "*": multiply, "/": divide}
FLOAT_OPERATIONS: Final[dict[str, Operation]] = {
    "+": lambda a, b: finite(a + b),
    "-": lambda a, b: finite(a - b),
    "*": lambda a, b: finite(a * b),
    "/": float_divide,
    "^": power,
}


# ---------------------------------------------------------------- dates


def move_date(day: date, days: Decimal | float) -> Any:
    """A date and a number of days. The part of a day is kept, though it does not show."""
    found = move_moment(to_datetime(day), days)
    whole = found.__class__ is datetime and not (found.hour or found.minute or found.second or found.microsecond)
    return found.date() if whole else found


def move_moment(moment: datetime, days: Decimal | float) -> Any:
    try:
        return moment + span_of(days)
    except OverflowError:
        return invalid("the date is out of range")


def move_time(time: timedelta, days: Decimal | float) -> Any:
    try:
        return time + span_of(days, _MOST_DAYS)
    except OverflowError:
        return invalid("the time is out of range")


def add_time(day: date | datetime, time: timedelta) -> Any:
    try:
        return to_datetime(day) + time
    except OverflowError:
        return invalid("the date is out of range")


def days_between(left: Any, right: Any) -> Any:
    if left.__class__ is timedelta:
        return serial(left - right)
    return serial(to_datetime(left) - to_datetime(right))


def negate_moment(value: Any) -> Any:
    """Minus a date: as many days before the first day of the calendar as it is after it."""
    if value.__class__ is timedelta:
        return -value
    try:
        found = EPOCH - (to_datetime(value) - EPOCH)
    except OverflowError:
        return invalid("the date is out of range")
    return found if value.__class__ is datetime else found.date()
