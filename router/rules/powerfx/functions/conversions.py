"""Functions that turn one kind of value into another: Text, Value, Decimal, Float, Boolean, GUID."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import coercion, formats, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Scope
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.functions.scalar import BLANK_RESULT, Parameter, scalar
from router.rules.powerfx.types import BOOLEAN, DECIMAL, FLOAT, GUID, TEMPORAL, TEXT, UNTYPED, Type
from router.rules.powerfx.values import (
    JsonNumber,
    bounded,
    invalid,
    moment_of,
    serial,
    time_as_moment,
    to_datetime,
    to_decimal,
    to_text,
)


def _converted(target: Type, most: int) -> FunctionCompiler:
    """Value, Decimal and Float: a number out of anything that can be read as one, with a culture at most."""

    def compile_call(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
        compiler.arity(node, 1, most)
        arg = compiler.compile(node.args[0], scope)
        if arg.type.kind in ("Record", "Table", "Guid"):
            raise compiler.error(node.args[0], f"a number cannot be made of {arg.type}")
        number = compiler.coerce(arg, target)
        if len(node.args) > 1:
            _culture(compiler, node.args[1], scope)
        return Expr(target, number.run, node)

    return compile_call


def _culture(compiler: Compiler, node: nodes.Node, scope: Scope | None) -> None:
    culture = compiler.compile_as(node, scope, TEXT)
    if culture.is_constant and (culture.constant or "").lower() not in ("en-us", "en", ""):
        raise compiler.error(node, "the only culture is en-US")


def _text(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 3)
    arg = compiler.compile(node.args[0], scope)
    if arg.type.kind in ("Record", "Table"):
        raise compiler.error(node.args[0], f"text cannot be made of {arg.type}")
    if len(node.args) == 1:
        if arg.type.kind == "Enum":
            run = arg.run
            return Expr(TEXT, lambda f: to_text(run(f)), node)
        return Expr(TEXT, compiler.coerce(arg, TEXT).run, node)
    if arg.type.kind in ("Text", "Boolean", "Guid"):
        raise compiler.error(node.args[1], f"a value of type {arg.type} takes no format")
    pattern = compiler.compile_as(node.args[1], scope, TEXT)
    if pattern.constant.__class__ is str and not formats.is_valid(pattern.constant):
        raise compiler.error(node.args[1], "the format is not valid")
    if len(node.args) > 2:
        _culture(compiler, node.args[2], scope)
    if arg.type.kind == "Dynamic":
        arg = Expr(arg.type, _number_if_possible(arg), node)
    run_value, run_pattern = arg.run, pattern.run

    def formatted_text(f: Frame) -> Any:
        value, style = run_value(f), run_pattern(f)
        errors = [found for found in (value, style) if found.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if not style:
            return ""
        text = _formatted(value, style)
        if text.__class__ is str:
            f.budget.text(len(text))
        return text

    return Expr(TEXT, formatted_text, node)


def _number_if_possible(arg: Expr) -> Callable[[Frame], Any]:
    run = arg.run

    def number(f: Frame) -> Any:
        value = run(f)
        if value.__class__ is JsonNumber:
            return bounded(value)
        return to_decimal(value) if isinstance(value, (str, bool)) else value

    return number


def _formatted(value: Any, style: str) -> Any:
    if not formats.is_valid(style):
        return invalid("the format is not valid")
    if formats.is_date_format(style):
        if isinstance(value, str):
            value = to_datetime(value)
        elif value is None or isinstance(value, (Decimal, float)):
            value = moment_of(value or Decimal(0))
        elif isinstance(value, timedelta):
            value = time_as_moment(value)
        elif isinstance(value, date):
            value = to_datetime(value)
        if value.__class__ is PowerFxError:
            return value
        return formats.date_text(value, style) if isinstance(value, datetime) else invalid("a date is expected")
    if isinstance(value, (date, timedelta)):
        value = serial(value)
    elif isinstance(value, (str, bool)):
        value = to_decimal(value)
    if value.__class__ is PowerFxError:
        return value
    if value is None or isinstance(value, (Decimal, float)):
        return formats.number_text(Decimal(0) if value is None else value, style)
    return invalid("only numbers and dates take a format")


def _guid(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    arg = compiler.compile(node.args[0], scope)
    if arg.type.kind in TEMPORAL or coercion.converter(arg.type, GUID) is None:
        if arg.type.kind not in UNTYPED and coercion.converter(arg.type, TEXT) is None:
            raise compiler.error(node.args[0], f"a GUID cannot be made of {arg.type}")
        arg = compiler.coerce(arg, TEXT)
    return Expr(GUID, compiler.coerce(arg, GUID).run, node)


_plain_boolean = scalar([Parameter(BOOLEAN, BLANK_RESULT)], BOOLEAN, bool, tables=True)
FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Text": _text,
    "Value": _converted(DECIMAL, 2),
    "Decimal": _converted(DECIMAL, 2),
    "Float": _converted(FLOAT, 2),
    "Boolean": _plain_boolean,
    "GUID": _guid,
}
