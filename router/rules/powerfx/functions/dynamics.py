"""Values out of ParseJSON: what types they are of, and their columns. IsType, AsType, Column, ColumnNames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import dynamic, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Scope
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.types import (
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    DYNAMIC,
    FLOAT,
    GUID,
    TEXT,
    TIME,
    Type,
    one_column,
    record,
    table,
    table_of,
)
from router.rules.powerfx.values import JsonNumber, from_context, invalid, to_guid

Read = Callable[[Any, Frame], Any]


def _text(value: Any) -> Any:
    return value if value.__class__ is str else invalid("the JSON value is no text")


def _boolean(value: Any) -> Any:
    return value if value.__class__ is bool else invalid("the JSON value is neither true nor false")


def _number(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        is_number = value.__class__ is JsonNumber or isinstance(value, (Decimal, float))
        return convert(value) if is_number else invalid("the JSON value is no number")

    return read


def _guid(value: Any) -> Any:
    return to_guid(value) if value.__class__ is str else invalid("the JSON value is no GUID")


def _moment(value: Any) -> Any:
    return value if isinstance(value, datetime) else dynamic.json_to_datetime(value)


_NAMED: Final[dict[str, tuple[Type, Callable[[Any], Any]]]] = {
    "Boolean": (BOOLEAN, _boolean),
    "Date": (DATE, dynamic.json_to_date),
    "DateTime": (DATETIME, _moment),
    "Decimal": (DECIMAL, _number(dynamic.to_decimal)),
    "Dynamic": (DYNAMIC, lambda value: value),
    "GUID": (GUID, _guid),
    "Number": (FLOAT, _number(dynamic.to_float)),
    "Text": (TEXT, _text),
    "Time": (TIME, dynamic.json_to_time),
    "UntypedObject": (DYNAMIC, lambda value: value),
}


def _type_of(compiler: Compiler, node: nodes.Node, *, nested: bool = False) -> tuple[Type, Read]:
    """A type as it is written - `Number`, `Type({a: Text})`, `Type([Date])` - and the reader of its values."""
    if isinstance(node, nodes.Name) and node.name in _NAMED:
        type, convert = _NAMED[node.name]
        return type, lambda value, f: value if value is None or value.__class__ is PowerFxError else convert(value)
    if isinstance(node, nodes.Call) and node.name == "Type" and len(node.args) == 1 and not nested:
        return _type_of(compiler, node.args[0], nested=True)
    if nested and isinstance(node, nodes.Record):
        fields = {name: _type_of(compiler, value, nested=True) for name, value in node.fields}
        return record({name: field[0] for name, field in fields.items()}), _record_reader(fields)
    if nested and isinstance(node, nodes.Table) and len(node.items) == 1:
        type, read = _type_of(compiler, node.items[0], nested=True)
        wrap = type.kind != "Record"
        return one_column(type) if wrap else table_of(type), _table_reader(read, wrap)
    raise compiler.error(node, "the name of a type or Type(...) is expected")


def _record_reader(fields: Mapping[str, tuple[Type, Read]]) -> Read:
    def read(value: Any, f: Frame) -> Any:
        if value is None or value.__class__ is PowerFxError:
            return value
        if value.__class__ is not dict:
            return invalid("the JSON value is not an object")
        f.budget.spend(4 + 4 * len(fields))
        return {name: field[1](value.get(name), f) for name, field in fields.items()}

    return read


def _table_reader(read_row: Read, wrap: bool) -> Read:
    def read(value: Any, f: Frame) -> Any:
        if value is None or value.__class__ is PowerFxError:
            return value
        if value.__class__ is not list:
            return invalid("the JSON value is not an array")
        f.budget.rows(len(value))
        f.budget.spend(4 * len(value))
        rows = [read_row(item, f) for item in value]
        return [{"Value": row} for row in rows] if wrap else rows

    return read


def _first_error(value: Any) -> PowerFxError | None:
    if value.__class__ is PowerFxError:
        return value
    parts = value if value.__class__ is list else value.values() if value.__class__ is dict else ()
    return next((found for found in map(_first_error, parts) if found is not None), None)


def _typed(
    compiler: Compiler, node: nodes.Call, scope: Scope | None
) -> tuple[Type, Callable[[Frame], tuple[Any, Any]]]:
    """The type, and what gives a value before and after its reading."""
    compiler.arity(node, 2, 2)
    arg = compiler.compile(node.args[0], scope)
    if arg.type.kind not in ("Dynamic", "Any", "Blank"):
        raise compiler.error(node.args[0], f"a value of ParseJSON is expected, not {arg.type}")
    type, read = _type_of(compiler, node.args[1])
    run_value = arg.run

    def run(f: Frame) -> tuple[Any, Any]:
        value = run_value(f)
        if value is None or value.__class__ is PowerFxError:
            return value, value
        return value, read(value, f)

    return type, run


def _as_type(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    type, read = _typed(compiler, node, scope)

    def run(f: Frame) -> Any:
        found = read(f)[1]
        error = _first_error(found)
        return found if error is None else error

    return Expr(type, run, node)


def _is_type(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    _, read = _typed(compiler, node, scope)

    def run(f: Frame) -> Any:
        value, found = read(f)
        return value if value is None or value.__class__ is PowerFxError else _first_error(found) is None

    return Expr(BOOLEAN, run, node)


def _object(compiler: Compiler, node: nodes.Node, scope: Scope | None) -> Expr:
    arg = compiler.compile(node, scope)
    if arg.type.kind not in ("Dynamic", "Any", "Blank"):
        raise compiler.error(node, f"a value of ParseJSON is expected, not {arg.type}")
    return arg


def _column(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 2)
    arg = _object(compiler, node.args[0], scope)
    is_label = arg.type.kind == "Any"
    run_value, run_name = arg.run, compiler.compile_as(node.args[1], scope, TEXT).run

    def run(f: Frame) -> Any:
        value, name = run_value(f), run_name(f)
        errors = [found for found in (value, name) if found.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if value is None:
            return None
        if value.__class__ is not dict:
            return invalid("the value is not an object")
        found = value.get(name or "")
        return from_context(found) if is_label else found

    return Expr(arg.type, run, node)


def _column_names(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    run_value = _object(compiler, node.args[0], scope).run

    def run(f: Frame) -> Any:
        value = run_value(f)
        if value is None or value.__class__ is PowerFxError:
            return value
        if value.__class__ is not dict:
            return invalid("the value is not an object")
        f.budget.rows(len(value))
        return [{"Value": name} for name in value]

    return Expr(table({"Value": TEXT}), run, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "AsType": _as_type,
    "Column": _column,
    "ColumnNames": _column_names,
    "IsType": _is_type,
}
