"""Equality and order."""

from __future__ import annotations

import operator as op
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import decimals, dynamic, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, Run
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.reading import EPOCH
from router.rules.powerfx.types import (
    AGGREGATE,
    ANY,
    BOOLEAN,
    DATETIME,
    DECIMAL,
    FLOAT,
    NUMERIC,
    TEMPORAL,
    TIME,
    Type,
)
from router.rules.powerfx.values import to_datetime

_ORDERED: Final = NUMERIC | TEMPORAL | {"Blank", "Dynamic", "Any"}
_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {"<": op.lt, "<=": op.le, ">": op.gt, ">=": op.ge}


def common_type(left: Type, right: Type) -> Type | None:
    """The type in which two values of these types compare, or None."""
    a, b = left.kind, right.kind
    if a in NUMERIC or b in NUMERIC:
        other = b if a in NUMERIC else a
        if other in NUMERIC:
            return FLOAT if "Number" in (a, b) else DECIMAL
        if other in TEMPORAL or other in ("Blank", "Dynamic", "Any") or "ErrorKind" in (left.enum, right.enum):
            return left if a in NUMERIC else right
        return None
    if a in TEMPORAL and b in TEMPORAL:
        return TIME if a == b == "Time" else DATETIME  # a Date may carry a part of a day
    if left == right:
        return None if a == "Dynamic" else left
    if "Guid" in (a, b) and "Any" not in (a, b):
        return None
    if "Dynamic" in (a, b) and "Blank" in (a, b):
        return ANY
    if a in ("Blank", "Dynamic", "Any"):
        return None if b in AGGREGATE else right
    if b in ("Blank", "Dynamic", "Any"):
        return None if a in AGGREGATE else left
    return None


def compile_equality(compiler: Compiler, node: nodes.Binary, operator: str, left: Expr, right: Expr) -> Expr:
    kinds = {left.type.kind, right.type.kind}
    equal = operator == "="
    if "Any" in kinds and not kinds & AGGREGATE:
        return Expr(BOOLEAN, _label_equality(left, right, equal), node)
    type = common_type(left.type, right.type)
    if type is None or kinds & AGGREGATE:
        raise compiler.error(node, f"{left.type} and {right.type} cannot be compared")
    a, b = compiler.coerce(left, type).run, compiler.coerce(right, type).run

    def run(f: Frame) -> Any:
        one, other = a(f), b(f)
        if one.__class__ is PowerFxError or other.__class__ is PowerFxError:
            return _errors(one, other)
        return (one == other) is equal

    return Expr(BOOLEAN, run, node)


def _label_equality(left: Expr, right: Expr, equal: bool) -> Run:
    a, b = left.run, right.run
    compare = dynamic.comparable
    if right.is_constant and right.constant.__class__ in (bool, str, Decimal):
        constant, kind = right.constant, right.constant.__class__

        def with_constant(f: Frame) -> Any:
            one = a(f)
            if one.__class__ is kind:
                return (one == constant) is equal
            if one.__class__ is PowerFxError:
                return one
            return compare(one, constant) is equal

        return with_constant

    def run(f: Frame) -> Any:
        one, other = a(f), b(f)
        if one.__class__ is PowerFxError or other.__class__ is PowerFxError:
            return _errors(one, other)
        return compare(one, other) is equal

    return run


def _errors(one: Any, other: Any) -> PowerFxError:
    return join_errors(value for value in (one, other) if value.__class__ is PowerFxError)


def compile_order(compiler: Compiler, node: nodes.Binary, operator: str, left: Expr, right: Expr) -> Expr:
    for expr in (left, right):
        if expr.type.kind not in _ORDERED and expr.type.enum != "ErrorKind":
            raise compiler.error(expr.node, f"a number or a date is expected, not {expr.type}")
    kinds = {left.type.kind, right.type.kind}
    if kinds <= {"Dynamic"}:
        raise compiler.error(node, f"'{operator}' is not valid on two values of type Dynamic")
    type = DECIMAL if "Enum" in kinds else common_type(left.type, right.type) or DECIMAL
    compare = _ORDER[operator]
    if type == ANY and "Any" in kinds:
        return Expr(BOOLEAN, _label_order(left.run, right.run, compare), node)
    if type.kind in ("Blank", "Dynamic") or (type == ANY and "Any" not in kinds):
        type = DECIMAL
    a, b = compiler.coerce(left, type).run, compiler.coerce(right, type).run
    zero: Any = decimals.ZERO
    if type.kind in TEMPORAL:
        zero = {"Date": EPOCH.date(), "DateTime": EPOCH, "Time": timedelta()}[type.kind]

    def run(f: Frame) -> Any:
        one, other = a(f), b(f)
        if one.__class__ is PowerFxError or other.__class__ is PowerFxError:
            return _errors(one, other)
        return compare(zero if one is None else one, zero if other is None else other)

    return Expr(BOOLEAN, run, node)


def _label_order(a: Run, b: Run, compare: Callable[[Any, Any], bool]) -> Run:
    """Two labels: as dates if one of them is a date, else as numbers."""

    def run(f: Frame) -> Any:
        one, other = a(f), b(f)
        if isinstance(one, (date, datetime)) or isinstance(other, (date, datetime)):
            one, other = to_datetime(one), to_datetime(other)
            zero: Any = EPOCH
        else:
            one, other = dynamic.to_decimal(one), dynamic.to_decimal(other)
            zero = decimals.ZERO
        if one.__class__ is PowerFxError or other.__class__ is PowerFxError:
            return _errors(one, other)
        return compare(zero if one is None else one, zero if other is None else other)

    return run
