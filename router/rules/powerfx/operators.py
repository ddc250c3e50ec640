"""The operators: which types they take, and the closures they become."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import arithmetic, decimals, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, Run, Scope, concatenate
from router.rules.powerfx.enums import EnumValue
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.membership import compile_in
from router.rules.powerfx.reading import EPOCH
from router.rules.powerfx.relations import compile_equality, compile_order
from router.rules.powerfx.types import (
    BOOLEAN,
    DATETIME,
    DECIMAL,
    FLOAT,
    TEMPORAL,
    TEXT,
    TIME,
    Type,
)

_PLAIN: Final = frozenset({"Decimal", "Number", "Text", "Boolean", "Blank", "Dynamic", "Any"})
_ENUMS_THAT_JOIN: Final = frozenset({"MatchOptions", "JSONFormat"})
_HUNDRED: Final = Decimal(100)


def compile_operator(compiler: Compiler, node: nodes.Node, scope: Scope | None) -> Expr:
    if isinstance(node, nodes.Chain):
        operands = [compiler.compile(operand, scope) for operand in node.operands]
        if node.operator == "&":
            return _join(compiler, node, operands)
        return logical(compiler, node, node.operator, operands)
    if isinstance(node, nodes.Unary):
        operand = compiler.compile(node.operand, scope)
        if node.operator == "Not":
            return negation(compiler, node, operand)
        return _minus(compiler, node, operand) if node.operator == "-" else _percent(compiler, node, operand)
    assert isinstance(node, nodes.Binary)
    left, right = compiler.compile(node.left, scope), compiler.compile(node.right, scope)
    operator = node.operator
    if operator in ("=", "<>"):
        return compile_equality(compiler, node, operator, left, right)
    if operator in ("<", "<=", ">", ">="):
        return compile_order(compiler, node, operator, left, right)
    if operator in ("in", "exactin"):
        return compile_in(compiler, node, operator, left, right)
    if operator in "+-" and (left.type.kind in TEMPORAL or right.type.kind in TEMPORAL):
        return _dates(compiler, node, operator, left, right)
    return _arithmetic(compiler, node, operator, left, right)


# ---------------------------------------------------------------- text


def _join(compiler: Compiler, node: nodes.Node, operands: list[Expr]) -> Expr:
    first = operands[0].type
    if first.kind == "Enum" and first.enum in _ENUMS_THAT_JOIN and all(o.type == first for o in operands):
        if not all(operand.is_constant for operand in operands):
            raise compiler.error(node, f"{first.enum} must be a constant value")
        joined = "".join(str(operand.constant.value) for operand in operands)
        value = EnumValue(first.enum, "", joined)
        return Expr(first, lambda f: value, node, value)
    return concatenate(node, [compiler.coerce(operand, TEXT) for operand in operands])


# ---------------------------------------------------------------- logic


def _as_boolean(compiler: Compiler, operand: Expr) -> Expr:
    if operand.type.kind not in _PLAIN:
        raise compiler.error(operand.node, f"true or false is expected, not {operand.type}")
    return compiler.coerce(operand, BOOLEAN)


def logical(compiler: Compiler, node: nodes.Node, operator: str, operands: list[Expr]) -> Expr:
    """`And` and `Or`, which stop at the first operand that decides."""
    runs = [_as_boolean(compiler, operand).run for operand in operands]
    decisive = operator == "Or"

    def run(f: Frame) -> Any:
        for operand in runs:
            value = operand(f)
            if value.__class__ is PowerFxError:
                return value
            if bool(value) is decisive:
                return decisive
        return not decisive

    return Expr(BOOLEAN, run, node)


def negation(compiler: Compiler, node: nodes.Node, operand: Expr) -> Expr:
    inner = _as_boolean(compiler, operand).run

    def run(f: Frame) -> Any:
        value = inner(f)
        return value if value.__class__ is PowerFxError else not value

    return Expr(BOOLEAN, run, node)


# ---------------------------------------------------------------- numbers


def as_number(compiler: Compiler, operand: Expr, target: Type, dates: bool) -> Expr:
    kind = operand.type.kind
    if kind in _PLAIN or (dates and kind in TEMPORAL) or operand.type.enum == "ErrorKind":
        return compiler.coerce(operand, target)
    raise compiler.error(operand.node, f"a number is expected, not {operand.type}")


def apply(left: Run, right: Run, operation: Callable[[Any, Any], Any], number: type, zero: Any) -> Run:
    """The closure of a binary operation on numbers: a blank is zero, errors are joined."""

    def run(f: Frame) -> Any:
        a, b = left(f), right(f)
        if a.__class__ is number and b.__class__ is number:
            return operation(a, b)
        errors = [value for value in (a, b) if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        return operation(zero if a is None else a, zero if b is None else b)

    return run


def _arithmetic(compiler: Compiler, node: nodes.Binary, operator: str, left: Expr, right: Expr) -> Expr:
    is_float = operator == "^" or left.type == FLOAT or right.type == FLOAT
    target = FLOAT if is_float else DECIMAL
    a = as_number(compiler, left, target, dates=operator != "^")
    if operator == "-" and right.type != FLOAT:  # a - b is a + (-b), and the negation is a decimal
        right = as_number(compiler, right, DECIMAL, dates=True)
    b = as_number(compiler, right, target, dates=operator != "^")
    if is_float:
        return Expr(FLOAT, apply(a.run, b.run, arithmetic.FLOAT_OPERATIONS[operator], float, 0.0), node)
    operation = arithmetic.DECIMAL_OPERATIONS[operator]
    return Expr(DECIMAL, apply(a.run, b.run, operation, Decimal, decimals.ZERO), node)


def _minus(compiler: Compiler, node: nodes.Unary, operand: Expr) -> Expr:
    if operand.type.kind in TEMPORAL:
        return Expr(operand.type, _mapped(operand.run, arithmetic.negate_moment, None), node)
    target = FLOAT if operand.type == FLOAT else DECIMAL
    number = as_number(compiler, operand, target, dates=False)
    if number.constant.__class__ is Decimal:
        return compiler.constant(DECIMAL, decimals.negated(number.constant), node)
    return Expr(target, _mapped(number.run, decimals.negated, decimals.ZERO), node)


def _percent(compiler: Compiler, node: nodes.Unary, operand: Expr) -> Expr:
    if operand.type == FLOAT:
        return Expr(FLOAT, _mapped(operand.run, lambda value: value / 100, 0.0), node)
    number = as_number(compiler, operand, DECIMAL, dates=True)
    return Expr(DECIMAL, _mapped(number.run, lambda value: arithmetic.divide(value, _HUNDRED), decimals.ZERO), node)


def _mapped(inner: Run, operation: Callable[[Any], Any], blank: Any) -> Run:
    def run(f: Frame) -> Any:
        value = inner(f)
        if value is None:
            return blank
        return value if value.__class__ is PowerFxError else operation(value)

    return run


# ---------------------------------------------------------------- dates


def _dates(compiler: Compiler, node: nodes.Binary, operator: str, left: Expr, right: Expr) -> Expr:
    a, b = left.type.kind, right.type.kind
    if a in TEMPORAL and b in TEMPORAL:
        return _two_dates(compiler, node, operator, left, right)
    if a in TEMPORAL:
        moment, number = left, as_number(compiler, right, DECIMAL, dates=False)
    else:
        moment, number = right, as_number(compiler, left, DECIMAL, dates=False)
        if operator == "-":
            operands = [number.run, moment.run] if left.type.kind == "Text" else []
            return Expr(right.type, _unsupported(operands), node)
    moves: dict[str, Callable[[Any, Any], Any]] = {
        "Date": arithmetic.move_date,
        "DateTime": arithmetic.move_moment,
        "Time": arithmetic.move_time,
    }
    move = moves[moment.type.kind]
    run_moment, run_number = moment.run, number.run
    from_epoch = _first_moment(moment.type)
    negative = operator == "-"

    def run(f: Frame) -> Any:
        when, days = run_moment(f), run_number(f)
        errors = [value for value in (when, days) if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        days = decimals.ZERO if days is None else days
        return move(from_epoch if when is None else when, decimals.negated(days) if negative else days)

    return Expr(moment.type, run, node)


def _unsupported(operands: list[Run]) -> Run:
    def run(f: Frame) -> Any:
        errors = [value for value in (operand(f) for operand in operands) if value.__class__ is PowerFxError]
        return join_errors(errors) if errors else PowerFxError("NotSupported", "a date cannot be taken from a number")

    return run


def _first_moment(type: Type) -> Any:
    if type == TIME:
        return timedelta()
    return EPOCH if type == DATETIME else EPOCH.date()


def _two_dates(compiler: Compiler, node: nodes.Binary, operator: str, left: Expr, right: Expr) -> Expr:
    a, b = left.type, right.type
    operation: Callable[[Any, Any], Any]
    if operator == "-" and (b == TIME) == (a == TIME):
        result, operation = DECIMAL, arithmetic.days_between
    elif operator == "-" and b == TIME:
        result, operation = DATETIME, lambda day, time: arithmetic.add_time(day, -time)
    elif operator == "+" and a == b == TIME:
        result, operation = TIME, lambda one, other: one + other
    elif operator == "+" and b == TIME:
        result, operation = DATETIME, arithmetic.add_time
    elif operator == "+" and a == TIME:
        result, operation = DATETIME, lambda time, day: arithmetic.add_time(day, time)
    else:
        raise compiler.error(node, f"'{operator}' is not valid on {a} and {b}")
    blank_a, blank_b = _first_moment(a), _first_moment(b)
    run_a, run_b = left.run, right.run

    def run(f: Frame) -> Any:
        one, other = run_a(f), run_b(f)
        errors = [value for value in (one, other) if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        return operation(blank_a if one is None else one, blank_b if other is None else other)

    return Expr(result, run, node)
