"""Trigonometric functions, of angles in radians."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from router.rules.powerfx import arithmetic, nodes
from router.rules.powerfx.compiler import Compiler, Expr, FunctionCompiler, Scope
from router.rules.powerfx.decimals import numeric_error
from router.rules.powerfx.functions.scalar import floating, scalar
from router.rules.powerfx.types import FLOAT


def _within_one(function: Callable[[float], float]) -> Callable[[float], Any]:
    return lambda value: function(value) if -1 <= value <= 1 else numeric_error("the number is not between -1 and 1")


def _cot(angle: float) -> Any:
    tangent = math.tan(angle)
    return arithmetic.float_divide(1.0, tangent)


def _atan2(x: float, y: float) -> Any:
    return arithmetic.division_by_zero() if x == 0 and y == 0 else math.atan2(y, x)


def _one(function: Callable[[float], Any]) -> FunctionCompiler:
    return scalar([floating()], FLOAT, function, tables=True)


def _pi(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 0, 0)
    return compiler.constant(FLOAT, math.pi, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Acos": _one(_within_one(math.acos)),
    "Acot": _one(lambda value: math.pi / 2 - math.atan(value)),
    "Asin": _one(_within_one(math.asin)),
    "Atan": _one(math.atan),
    "Atan2": scalar([floating(), floating()], FLOAT, _atan2, tables=True),
    "Cos": _one(math.cos),
    "Cot": _one(_cot),
    "Degrees": _one(lambda value: arithmetic.finite(value * 180 / math.pi)),
    "Pi": _pi,
    "Radians": _one(lambda value: value / 180 * math.pi),
    "Sin": _one(math.sin),
    "Tan": _one(math.tan),
}
