"""Functions that turn one kind of value into another: Text, Value, Decimal, Float, Boolean, GUID."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import coercion, digits, formats, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Run, Scope
from router.rules.powerfx.enums import EnumValue
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.functions.scalar import BLANK_RESULT, Parameter, scalar
from router.rules.powerfx.types import BOOLEAN, DECIMAL, FLOAT, GUID, TEMPORAL, TEXT, UNTYPED, Type
from router.rules.powerfx.values import (
    JsonNumber,
    bounded,
    invalid,
    moment_of,
    serial,
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
            return Expr(target, in_culture(number.run, culture(compiler, node.args[1], scope)), node)
        return Expr(target, number.run, node)

    return compile_call


def in_culture(run: Run, run_culture: Run) -> Run:
    """A conversion with the name of a culture; a blank needs none."""

    def checked(f: Frame) -> Any:
        value = run(f)
        if value is None:
            return None
        name = run_culture(f)
        errors = [found for found in (value, name) if found.__class__ is PowerFxError]
        return join_errors(errors) if errors else value

    return checked


# The languages of two letters. A culture of another two letters is in .NET one that has no forms of its own.
_LANGUAGES: Final = (
    " aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv "
    "dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig "
    "ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh "
    "mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru "
    "rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug "
    "uk ur uz ve vi vo wa wo xh yi yo za zh zu "
)


def culture(compiler: Compiler, node: nodes.Node, scope: Scope | None, *, neutral: bool = False) -> Run:
    """The name of a culture: en-US, or an error. One that is constant and another is refused.

    `neutral`: also one without forms of its own, in which dates are read as in en-US.
    """

    def is_known(name: str) -> bool:
        small = name.lower()
        return small in ("en-us", "en", "") or (
            neutral and len(small) == 2 and small.isascii() and small.isalpha() and f" {small} " not in _LANGUAGES
        )

    given = compiler.compile(node, scope)
    if given.type.kind not in ("Text", "Blank", *UNTYPED):
        raise compiler.error(node, f"the name of a culture is expected, not {given.type}")
    run = compiler.coerce(given, TEXT).run

    def checked(f: Frame) -> Any:
        name = run(f)
        if name.__class__ is str and not is_known(name):
            return PowerFxError("BadLanguageCode", "the only culture is en-US")
        return name

    if given.is_constant and not is_known(given.constant or ""):
        raise compiler.error(node, "the only culture is en-US")
    return checked


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
    if arg.type.kind in ("Text", "Boolean", "Guid", "Enum"):
        raise compiler.error(node.args[1], f"a value of type {arg.type} takes no format")
    pattern = compiler.compile(node.args[1], scope)
    if pattern.type.kind not in ("Text", "Blank", *UNTYPED) and pattern.type.enum != "DateTimeFormat":
        raise compiler.error(node.args[1], f"a format is text or of DateTimeFormat, not {pattern.type}")
    if pattern.constant.__class__ is str and formats.parse(pattern.constant) is None:
        raise compiler.error(node.args[1], "the format is not valid")
    runs = [pattern.run]
    if len(node.args) > 2:
        runs.append(culture(compiler, node.args[2], scope))
    if arg.type.kind == "Dynamic":
        arg = Expr(arg.type, _number_if_possible(arg), node)
    run_value = arg.run

    def formatted_text(f: Frame) -> Any:
        found = [run_value(f), *(run(f) for run in runs)]
        errors = [value for value in found if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if any(value is None or value == "" for value in found[1:]):
            return ""
        text = _formatted(found[0], found[1])
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


def _formatted(value: Any, style: Any) -> Any:
    if isinstance(value, (str, bool)):  # a label
        number = to_decimal(value)
        value = to_datetime(value) if number.__class__ is PowerFxError and isinstance(value, str) else number
    if value.__class__ is PowerFxError:
        return value
    value = Decimal(0) if value is None else value
    if not isinstance(value, (Decimal, float, date, timedelta)):
        return invalid("only numbers and dates take a format")
    if isinstance(style, EnumValue):
        moment = _as_moment(value)
        return moment if moment.__class__ is PowerFxError else formats.named_date_text(moment, str(style.value))
    format = formats.parse(str(to_text(style)))
    if format is None:
        return invalid("the format is not valid")
    is_date = isinstance(value, (date, timedelta))
    number = float(serial(value)) if isinstance(value, (date, timedelta)) else value
    if not format.shows_digits if is_date else format.shows_dates:
        moment = _as_moment(value)
        if moment.__class__ is PowerFxError:
            return moment
        text = formats.date_text(moment, format, (number > 0) - (number < 0))
        return invalid("a second has seven decimals at most") if text is None else text
    if format.standard:
        return invalid("the format is not valid")
    return digits.number_text(number, format.layouts)


def _as_moment(value: Any) -> Any:
    try:
        return to_datetime(value) if isinstance(value, (date, timedelta)) else moment_of(value)
    except OverflowError:
        return invalid("the date is out of range")


def _guid(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    arg = compiler.compile(node.args[0], scope)
    if arg.type.kind in TEMPORAL or coercion.converter(arg.type, GUID) is None:
        if arg.type.kind not in UNTYPED and coercion.converter(arg.type, TEXT) is None:
            raise compiler.error(node.args[0], f"a GUID cannot be made of {arg.type}")
        arg = compiler.coerce(arg, TEXT)
    return Expr(GUID, compiler.coerce(arg, GUID).run, node)


def _language(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 0, 0)
    return compiler.constant(TEXT, "en-US", node)


_plain_boolean = scalar([Parameter(BOOLEAN, BLANK_RESULT)], BOOLEAN, bool, tables=True)
FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Text": _text,
    "Value": _converted(DECIMAL, 2),
    "Decimal": _converted(DECIMAL, 2),
    "Float": _converted(FLOAT, 2),
    "Boolean": _plain_boolean,
    "GUID": _guid,
    "Language": _language,
}
