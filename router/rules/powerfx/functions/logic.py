"""Conditions, blanks and errors: If, Switch, And, Or, Not, Coalesce, IsBlank, IfError, Error, With."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import coercion, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Run, Scope
from router.rules.powerfx.dynamic import comparable, to_table
from router.rules.powerfx.enums import EnumValue
from router.rules.powerfx.errors import ERROR_KINDS, KIND_NAMES, PowerFxError, join_errors
from router.rules.powerfx.operators import logical, negation
from router.rules.powerfx.reading import number
from router.rules.powerfx.relations import common_type
from router.rules.powerfx.types import (
    BLANK,
    BOOLEAN,
    DECIMAL,
    ERROR_RECORD,
    ERROR_TABLE,
    NUMERIC,
    TEMPORAL,
    TEXT,
    UNTYPED,
    record,
    row_of,
)
from router.rules.powerfx.values import invalid, to_decimal, to_text

_BOOLEAN_SOURCES: Final = frozenset({"Decimal", "Number", "Text", "Boolean", "Blank", "Dynamic", "Any"})


def _condition(compiler: Compiler, node: nodes.Node, scope: Scope | None) -> Expr:
    expr = compiler.compile(node, scope)
    if expr.type.kind not in _BOOLEAN_SOURCES:
        raise compiler.error(node, f"true or false is expected, not {expr.type}")
    return compiler.coerce(expr, BOOLEAN)


def _if(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, None)
    args = node.args
    pairs = len(args) // 2
    conditions = [_condition(compiler, args[2 * index], scope).run for index in range(pairs)]
    branches = [compiler.compile(args[2 * index + 1], scope) for index in range(pairs)]
    if len(args) % 2:
        branches.append(compiler.compile(args[-1], scope))
    type, branches = compiler.unify(branches)
    results = [branch.run for branch in branches]
    default = results[pairs] if len(args) % 2 else _blank
    if pairs == 1:
        condition, then = conditions[0], results[0]

        def run_one(f: Frame) -> Any:
            value = condition(f)
            if value is True:
                return then(f)
            return value if value.__class__ is PowerFxError else default(f)

        return Expr(type, run_one, node)
    cases = list(zip(conditions, results, strict=False))

    def run(f: Frame) -> Any:
        for condition, result in cases:
            value = condition(f)
            if value is True:
                return result(f)
            if value.__class__ is PowerFxError:
                return value
        return default(f)

    return Expr(type, run, node)


def _blank(f: Frame) -> Any:
    return None


def _switch(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 3, None)
    subject = compiler.compile(node.args[0], scope)
    rest = node.args[1:]
    pairs = len(rest) // 2
    matches, branches = [], []
    for index in range(pairs):
        match = compiler.compile(rest[2 * index], scope)
        matches.append(_matcher(compiler, subject, match))
        branches.append(compiler.compile(rest[2 * index + 1], scope))
    if len(rest) % 2:
        branches.append(compiler.compile(rest[-1], scope))
    type, branches = compiler.unify(branches)
    results = [branch.run for branch in branches]
    default = results[pairs] if len(rest) % 2 else _blank
    cases = list(zip(matches, results, strict=False))
    run_subject = subject.run

    def run(f: Frame) -> Any:
        value = run_subject(f)  # an error is told by the first match, together with one of its own
        for match, result in cases:
            found = match(f, value)
            if found is True:
                return result(f)
            if found.__class__ is PowerFxError:
                return found
        return default(f)

    return Expr(type, run, node)


def _are_number_and_date(one: str, other: str) -> bool:
    return {one, other} & NUMERIC != set() and {one, other} & TEMPORAL != set()


def _matcher(compiler: Compiler, subject: Expr, match: Expr) -> Any:
    """A function that tells whether the subject's value equals the match."""
    run = match.run
    if "Any" in (subject.type.kind, match.type.kind):

        def compare(f: Frame, value: Any) -> Any:
            other = run(f)
            return _error_of(value, other) or comparable(value, other)

        return compare
    type = common_type(subject.type, match.type)
    if type is None or type.kind in ("Record", "Table") or _are_number_and_date(subject.type.kind, match.type.kind):
        raise compiler.error(match.node, f"{subject.type} and {match.type} cannot be compared")
    convert = coercion.converter(subject.type, type)
    coerced = compiler.coerce(match, type).run

    def equal(f: Frame, value: Any) -> Any:
        other = coerced(f)
        mine = convert(value) if convert is not None and value.__class__ is not PowerFxError else value
        error = _error_of(mine, other)
        return mine == other if error is None else error

    return equal


def _error_of(*values: Any) -> PowerFxError | None:
    errors = [value for value in values if value.__class__ is PowerFxError]
    return join_errors(errors) if errors else None


def _and_or(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    return logical(compiler, node, node.name, [compiler.compile(arg, scope) for arg in node.args])


def _not(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    return negation(compiler, node, compiler.compile(node.args[0], scope))


def _blank_function(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 0, 0)
    return Expr(BLANK, _blank, node)


def _coalesce(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, None)
    type, args = compiler.unify([compiler.compile(arg, scope) for arg in node.args])
    runs = [arg.run for arg in args]

    def run(f: Frame) -> Any:
        for arg in runs:
            value = arg(f)
            if value is not None and value != "":
                return value
        return None

    return Expr(type, run, node)


def _test(node: nodes.Call, run: Run, test: Any, of_error: Any) -> Expr:
    def closure(f: Frame) -> Any:
        value = run(f)
        if value.__class__ is PowerFxError:
            return value if of_error is None else of_error
        return test(value)

    return Expr(BOOLEAN, closure, node)


def _is_blank_value(value: Any) -> bool:
    return value is None or value == ""


def _is_blank(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    return _test(node, compiler.compile(node.args[0], scope).run, _is_blank_value, None)


def _is_error(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    return _test(node, compiler.compile(node.args[0], scope).run, lambda value: False, True)


def _is_blank_or_error(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    return _test(node, compiler.compile(node.args[0], scope).run, _is_blank_value, True)


def _is_numeric_value(value: Any) -> bool:
    if value is None or value.__class__ is bool:
        return False
    return value.__class__ is not str or number(value) is not None


def _is_numeric(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    arg = compiler.compile(node.args[0], scope)
    if arg.type.kind in ("Record", "Table", "Guid"):
        return _test(node, arg.run, lambda value: False, None)
    return _test(node, arg.run, _is_numeric_value, None)


# ---------------------------------------------------------------- errors


def error_record(kind: str, message: str) -> dict[str, Any]:
    """An error as IfError shows it. The kind's text is its number, unlike that of a literal ErrorKind."""
    number = ERROR_KINDS.get(kind)
    if number is None:
        number = int(kind) if kind.lstrip("-").isdigit() else 0
    return {"Kind": EnumValue("ErrorKind", str(number), Decimal(number)), "Message": message}


def _if_error(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, None)
    args = node.args
    count = len(args)
    inner = Scope(record({"FirstError": ERROR_RECORD, "AllErrors": ERROR_TABLE}), None, scope, False)
    exprs = [compiler.compile(arg, inner if index % 2 else scope) for index, arg in enumerate(args)]
    last_value = count - 1 if count % 2 else count - 2
    possible = [index for index in range(count) if index % 2 or index == last_value]
    type, agreed = compiler.unify([exprs[index] for index in possible], lead=possible.index(last_value))
    for index, expr in zip(possible, agreed, strict=True):
        exprs[index] = expr
    runs = [expr.run for expr in exprs]

    def run(f: Frame) -> Any:
        value: Any = None
        for index in range(0, count - 1, 2):
            value = runs[index](f)
            if value.__class__ is PowerFxError:
                rows = [error_record(kind, message) for kind, message in value.details]
                return runs[index + 1](f.inner({"FirstError": rows[0], "AllErrors": rows}))
        return runs[-1](f) if count % 2 else value

    return Expr(type, run, node)


def _error(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    arg = compiler.compile(node.args[0], scope)
    kind = arg.type.kind
    if kind in ("Record", "Table"):
        _check_error_record(compiler, arg)
    elif kind not in ("Text", *UNTYPED):
        raise compiler.error(arg.node, f"a record or text is expected, not {arg.type}")
    else:
        arg = compiler.coerce(arg, TEXT) if kind == "Dynamic" else arg
    run = arg.run

    def closure(f: Frame) -> Any:
        value = run(f)
        if value.__class__ is PowerFxError or value is None:
            return value if value is not None else PowerFxError("Custom", "")
        if value.__class__ is list:
            rows = [row for row in to_table(value) if row is not None]
            return join_errors(_made(row) for row in rows) if rows else invalid("no error is given")
        return _made(value) if value.__class__ is dict else PowerFxError("Custom", str(value))

    return Expr(BLANK, closure, node)


def _check_error_record(compiler: Compiler, arg: Expr) -> None:
    columns = arg.type.columns
    kind = columns.get("Kind")
    if kind is None:
        raise compiler.error(arg.node, "an error has a field Kind")
    if coercion.converter(kind, DECIMAL) is None:
        raise compiler.error(arg.node, "the Kind of an error is a number")
    for name, type in columns.items():
        if name not in ("Kind", "Message", "Details", "Source", "Observed", "Notify", "Control"):
            raise compiler.error(arg.node, f"an error has no field '{name}' of type {type}")


def _made(row: Any) -> PowerFxError:
    if row.__class__ is PowerFxError:
        return row
    number = to_decimal(row.get("Kind"))
    if number.__class__ is PowerFxError:
        return number
    message = row.get("Message")
    name = KIND_NAMES.get(int(number or 0), str(int(number or 0)))
    if message.__class__ is PowerFxError:
        return message
    return PowerFxError(name, str(to_text(message)) if message is not None else "")


# ---------------------------------------------------------------- scopes


def _with(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 2)
    source, alias = compiler.rows_and_scope(node.args[0], scope)
    if source.type.kind not in ("Record", "Any", "Blank"):
        raise compiler.error(node.args[0], f"a record is expected, not {source.type}")
    type = source.type if source.type.kind != "Blank" else record({})
    body = compiler.compile(node.args[1], Scope(row_of(type), alias, scope))
    run_source, run_body = source.run, body.run

    def run(f: Frame) -> Any:
        value = run_source(f)
        if value is None or value.__class__ is PowerFxError:
            return value
        return run_body(f.inner(value))

    return Expr(body.type, run, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "If": _if,
    "Switch": _switch,
    "And": _and_or,
    "Or": _and_or,
    "Not": _not,
    "Blank": _blank_function,
    "Coalesce": _coalesce,
    "IsBlank": _is_blank,
    "IsError": _is_error,
    "IsBlankOrError": _is_blank_or_error,
    "IsNumeric": _is_numeric,
    "IfError": _if_error,
    "Error": _error,
    "With": _with,
}
