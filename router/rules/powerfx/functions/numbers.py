"""Functions of numbers."""

from __future__ import annotations

import math
import re
from decimal import ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, ROUND_UP, Context, Decimal
from typing import Any, Final

from router.rules.powerfx import arithmetic, decimals
from router.rules.powerfx.compiler import FunctionCompiler
from router.rules.powerfx.decimals import numeric_error
from router.rules.powerfx.functions.scalar import decimal, floating, number, scalar, text
from router.rules.powerfx.types import DECIMAL, FLOAT, TEXT
from router.rules.powerfx.values import invalid


def rounded(value: Any, digits: Any, rounding: str) -> Any:
    """Rounded to a number of digits after (or, negative, before) the point."""
    places = int(max(min(digits, 400), -400))
    if value.__class__ is float:
        if places > 300 or places < -28 or value == 0:
            return value
        exact = Decimal(repr(value))
        return arithmetic.finite(float(_quantized(exact, places, rounding)))
    if places >= 28:
        return value
    if places < -28:
        return decimals.ZERO
    try:
        return decimals.fit(_quantized(value, places, rounding))
    except decimals.TooLarge:
        return numeric_error()


def _quantized(value: Decimal, places: int, rounding: str) -> Decimal:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent <= places:
        return value
    shifted = decimals.WIDE.scaleb(value, places) if abs(places) < 300 else Decimal(0)
    wide = Context(prec=800, Emin=-999999, Emax=999999, traps=[])
    return wide.scaleb(shifted.to_integral_value(rounding), -places)


def _mod(value: Any, divisor: Any) -> Any:
    if value.__class__ is float or divisor.__class__ is float:
        value, divisor = float(value), float(divisor)
        if divisor == 0:
            return arithmetic.division_by_zero()
        rest = math.fmod(value, divisor)
        return rest + divisor if rest and (rest < 0) != (divisor < 0) else rest
    if not divisor:
        return arithmetic.division_by_zero()
    try:
        return decimals.remainder(value, divisor)
    except (decimals.TooLarge, ArithmeticError):
        return numeric_error()


def _abs(value: Any) -> Any:
    return abs(value) if value.__class__ is float else value.copy_abs()


def _sqrt(value: float) -> Any:
    return numeric_error("the root of a negative number") if value < 0 else math.sqrt(value)


def _exp(value: float) -> Any:
    try:
        return math.exp(value)
    except OverflowError:
        return numeric_error()


def _ln(value: float) -> Any:
    return numeric_error("the logarithm of a number that is not positive") if value <= 0 else math.log(value)


def _log(value: float, base: float = 10.0) -> Any:
    if base == 1:
        return arithmetic.division_by_zero()
    if value <= 0 or base <= 0:
        return numeric_error("the logarithm of a number that is not positive")
    if base == 10:
        return math.log10(value)
    return math.log2(value) if base == 2 else math.log(value) / math.log(base)


def _round(value: Any, digits: Any) -> Any:
    return rounded(value, digits, ROUND_HALF_UP)


def _round_up(value: Any, digits: Any) -> Any:
    return rounded(value, digits, ROUND_UP)


def _round_down(value: Any, digits: Any = 0) -> Any:
    return rounded(value, digits, ROUND_DOWN)


def _int(value: Any) -> Any:
    return float(math.floor(value)) if value.__class__ is float else rounded(value, 0, ROUND_FLOOR)


def _power(base: float, exponent: float) -> Any:
    return invalid("not a number") if base != base else arithmetic.power(base, exponent)


_HEX_DIGITS: Final = 10
_HEX: Final = re.compile("[0-9A-Fa-f]*")


def _dec_to_hex(value: Any, places: Any = None) -> Any:
    number, width = math.floor(value), _HEX_DIGITS if places is None else math.floor(places)
    if not -(2**39) <= number < 2**39 or not 1 <= width <= _HEX_DIGITS:
        return numeric_error("the number or the count of places is out of range")
    digits = f"{number % 2**40:X}"
    if number >= 0 and len(digits) > width:
        return numeric_error("the number needs more places")
    return digits if places is None else digits.rjust(width, "0")


def _hex_to_dec(value: str) -> Any:
    if len(value) > _HEX_DIGITS or _HEX.fullmatch(value) is None:
        return numeric_error("the text is not a hexadecimal number of ten digits at most")
    number = int(value or "0", 16)
    return Decimal(number if number < 2**39 else number - 2**40)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Abs": scalar([number()], None, _abs, tables=True),
    "Int": scalar([number()], None, _int, tables=True),
    "Round": scalar([number(), decimal()], None, _round, tables=True),
    "RoundUp": scalar([number(), decimal()], None, _round_up, tables=True),
    "RoundDown": scalar([number(), decimal()], None, _round_down, tables=True),
    "Trunc": scalar([number(), decimal()], None, _round_down, least=1, tables=True),
    "Dec2Hex": scalar([decimal(), decimal()], TEXT, _dec_to_hex, least=1, tables=True),
    "Hex2Dec": scalar([text()], DECIMAL, _hex_to_dec, tables=True),
    "Mod": scalar([number(), number()], None, _mod, tables=True),
    "Sqrt": scalar([floating()], FLOAT, _sqrt, tables=True),
    "Exp": scalar([floating()], FLOAT, _exp, tables=True),
    "Ln": scalar([floating()], FLOAT, _ln, tables=True),
    "Log": scalar([floating(), floating()], FLOAT, _log, least=1, tables=True),
    "Power": scalar([floating(), floating()], FLOAT, _power, tables=True),
}
