"""The decimal arithmetic of .NET: 96-bit integers with a scale of 0 to 28, rounded half to even."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation
from typing import Final

from router.rules.powerfx.errors import PowerFxError

MAX: Final = Decimal("79228162514264337593543950335")
_ROUND_UP_TO_MAX: Final = Decimal("79228162514264337593543950335.5")
WIDE: Final = Context(prec=64, rounding=ROUND_HALF_EVEN, Emin=-999999, Emax=999999, traps=[])
_EXACT: Final = Context(prec=28, Emin=-999999, Emax=999999, traps=[Inexact])
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)


class TooLarge(ArithmeticError):
    """The number does not fit a decimal."""


def fit(number: Decimal) -> Decimal:
    """The nearest number that a .NET decimal holds, or TooLarge."""
    if not number.is_finite():
        raise TooLarge
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    count = len(digits)
    if -28 <= exponent <= 0 and count <= 28:
        return number
    if count + exponent > 29:
        if not number:
            return ZERO
        raise TooLarge
    if exponent > 0:
        number = number.quantize(ONE, context=WIDE)
        if number.copy_abs() >= _ROUND_UP_TO_MAX:
            raise TooLarge
        return number
    places = min(28, 28 - number.adjusted())  # rounded once: to 29 digits, or 28 where they do not fit
    rounded = number.quantize(ONE.scaleb(-places), context=WIDE)
    if places and rounded.scaleb(places, WIDE).copy_abs() > MAX:
        rounded = number.quantize(ONE.scaleb(1 - places), context=WIDE)
    elif rounded.copy_abs() > MAX:
        if number.copy_abs() >= _ROUND_UP_TO_MAX:
            raise TooLarge
        rounded = MAX.copy_sign(number)
    return rounded


def from_float(number: float) -> Decimal:
    """A float as .NET converts it: 15 significant digits."""
    return fit(Decimal(f"{number:.15g}"))


def parse(text: str) -> Decimal:
    try:
        return fit(Decimal(text))
    except InvalidOperation as problem:
        raise TooLarge from problem


def add(left: Decimal, right: Decimal) -> Decimal:
    try:  # exact sums of up to 28 digits, that is nearly all, need no further look
        total = _EXACT.add(left, right)
        return total if total.adjusted() < 28 else fit(total)
    except Inexact:
        return fit(WIDE.add(left, right))


def subtract(left: Decimal, right: Decimal) -> Decimal:
    try:
        total = _EXACT.subtract(left, right)
        return total if total.adjusted() < 28 else fit(total)
    except Inexact:
        return fit(WIDE.subtract(left, right))


def multiply(left: Decimal, right: Decimal) -> Decimal:
    return fit(WIDE.multiply(left, right))


def divide(left: Decimal, right: Decimal) -> Decimal:
    """`right` is not zero."""
    return fit(WIDE.divide(left, right))


def negated(number: Decimal | float) -> Decimal | float:
    """Without the rounding that Python's minus does."""
    if isinstance(number, float):
        return -number
    return number.copy_negate() if number else number


def remainder(left: Decimal, right: Decimal) -> Decimal:
    """With the sign of the divisor, as Mod() has it; `right` is not zero."""
    rest = WIDE.remainder(left, right)
    if rest and (rest < 0) != (right < 0):
        rest = WIDE.add(rest, right)
    return fit(rest)


def to_text(number: Decimal) -> str:
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def numeric_error(message: str = "the number is too large") -> PowerFxError:
    return PowerFxError("Numeric", message)
