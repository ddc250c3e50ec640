"""Changing the columns of a table or record: AddColumns, DropColumns, ShowColumns, RenameColumns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from router.rules.powerfx import nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Run, Scope
from router.rules.powerfx.dynamic import to_record, to_table
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.functions.rows import column_name
from router.rules.powerfx.types import ANY, Type, record, row_of

_Change = Callable[[dict[str, Any], Frame], dict[str, Any]]


def _target(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> tuple[Expr, Scope]:
    compiler.arity(node, 2, None)
    compiler.loops = True
    expr, alias = compiler.rows_and_scope(node.args[0], scope)
    if expr.type.kind not in ("Record", "Table", "Any"):
        raise compiler.error(node.args[0], f"a table or a record is expected, not {expr.type}")
    return expr, Scope(row_of(expr.type), alias, scope)


def _changed(node: nodes.Call, expr: Expr, columns: Mapping[str, Type], change: _Change, system: bool) -> Expr:
    run_expr: Run = expr.run
    weight = 2 + sum(arg.size for arg in node.args[1:])
    is_open = expr.type == ANY

    def apply(row: Any, f: Frame) -> Any:
        return change(row, f) if row.__class__ is dict else row

    def run(f: Frame) -> Any:
        value = run_expr(f)
        if is_open:
            value = to_table(value) if value.__class__ is list else to_record(value)
        if value.__class__ is not list:
            return value if value is None or value.__class__ is PowerFxError else apply(value, f)
        f.budget.spend(len(value) * weight)
        return [apply(row, f) for row in value]

    if is_open:
        return Expr(ANY, run, node)
    return Expr(Type(expr.type.kind, columns, expr.type.enum if system else ""), run, node)


def _add(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 3, None)
    expr, row_scope = _target(compiler, node, scope)
    if expr.type.enum:
        raise compiler.error(node.args[0], "columns cannot be added to a system record")
    if len(node.args) % 2 == 0:
        raise compiler.error(node, "'AddColumns' takes pairs of a name and an expression")
    columns = dict(expr.type.columns)
    added: list[tuple[str, Run]] = []
    for index in range(1, len(node.args), 2):
        name = column_name(compiler, node.args[index])
        value = compiler.compile(node.args[index + 1], row_scope)
        if name in columns:
            raise compiler.error(node.args[index], f"there is a column '{name}' already")
        columns[name] = value.type
        added.append((name, value.run))

    def change(row: dict[str, Any], f: Frame) -> dict[str, Any]:
        frame = f.inner(row)
        return {**row, **{name: run(frame) for name, run in added}}

    return _changed(node, expr, columns, change, system=False)


def _existing(compiler: Compiler, node: nodes.Node, expr: Expr, columns: Mapping[str, Type]) -> str:
    name = column_name(compiler, node)
    if name not in columns and expr.type != ANY:
        raise compiler.error(node, f"there is no column '{name}'")
    return name


def _drop(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    expr, _ = _target(compiler, node, scope)
    columns = dict(expr.type.columns)
    dropped = set()
    for arg in node.args[1:]:
        name = _existing(compiler, arg, expr, columns)
        columns.pop(name, None)
        dropped.add(name)

    def change(row: dict[str, Any], f: Frame) -> dict[str, Any]:
        return {name: value for name, value in row.items() if name not in dropped}

    return _changed(node, expr, columns, change, system=True)


def _show(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    expr, _ = _target(compiler, node, scope)
    names = [_existing(compiler, arg, expr, expr.type.columns) for arg in node.args[1:]]
    columns = {name: expr.type.columns.get(name, ANY) for name in names}
    return _changed(node, expr, columns, lambda row, f: {name: row.get(name) for name in columns}, system=False)


def _rename(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    expr, _ = _target(compiler, node, scope)
    if len(node.args) % 2 == 0:
        raise compiler.error(node, "'RenameColumns' takes pairs of names")
    if expr.type.enum:
        raise compiler.error(node.args[0], "columns of a system record cannot be renamed")
    columns = dict(expr.type.columns)
    renamed: list[tuple[str, str]] = []
    for index in range(1, len(node.args), 2):
        old = _existing(compiler, node.args[index], expr, columns)
        new = column_name(compiler, node.args[index + 1])
        if new in columns and new != old:
            raise compiler.error(node.args[index + 1], f"there is a column '{new}' already")
        columns[new] = columns.pop(old, ANY)
        renamed.append((old, new))

    def change(row: dict[str, Any], f: Frame) -> dict[str, Any]:
        made = dict(row)
        for old, new in renamed:
            made[new] = made.pop(old, None)
        return made

    return _changed(node, expr, columns, change, system=False)


def _patch(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    """Records merged into one, where the later ones win. There is no table to change."""
    compiler.arity(node, 2, None)
    args = [compiler.compile(arg, scope) for arg in node.args]
    is_open = any(arg.type == ANY for arg in args)
    columns: dict[str, Type] = {}
    for arg in args:
        if arg.type.kind not in ("Record", "Any", "Blank") or arg.type.enum:
            raise compiler.error(arg.node, f"a record is expected, not {arg.type}")
        columns.update(arg.type.columns)
    runs = [arg.run for arg in args]

    def run(f: Frame) -> Any:
        found = [run(f) for run in runs]
        made: dict[str, Any] = {}
        errors = []
        for value in found:
            part = to_record(value) if is_open else value
            if part.__class__ is PowerFxError:
                errors.append(part)
            elif part is not None:
                f.budget.spend(1 + len(part))
                made.update(part)
        return join_errors(errors) if errors else made

    return Expr(ANY if is_open else record(columns), run, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "AddColumns": _add,
    "DropColumns": _drop,
    "Patch": _patch,
    "ShowColumns": _show,
    "RenameColumns": _rename,
}
