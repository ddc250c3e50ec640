"""Going through the rows of a table: Filter, LookUp, ForAll, Concat, Distinct, Search."""

from __future__ import annotations

from typing import Any, Final

from router.rules.powerfx import nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Scope
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.functions.rows import (
    column_name,
    first_error,
    is_missing,
    predicate,
    result_rows,
    source,
    spend_on,
)
from router.rules.powerfx.types import BOOLEAN, TEXT, one_column
from router.rules.powerfx.values import from_context, invalid, to_text


def _filter(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 2)
    rows, row_scope = source(compiler, node, scope)
    conditions = [predicate(compiler, arg, row_scope) for arg in node.args[1:]]
    run_rows, spend = rows.run, spend_on(node.args[1:])

    def run(f: Frame) -> Any:
        table = run_rows(f)
        if is_missing(table):
            return table
        spend(f, table)
        kept: list[Any] = []
        frame = f.inner(None)
        for row in table:
            frame.row = row
            for condition in conditions:
                value = condition(frame)
                if value is not True:
                    if value.__class__ is PowerFxError:
                        kept.append(value)
                    break
            else:
                kept.append(row)
        return kept

    return Expr(rows.type, run, node)


def _look_up(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 3)
    rows, row_scope = source(compiler, node, scope)
    condition_expr = compiler.compile(node.args[1], row_scope)
    if condition_expr.type.kind not in ("Boolean", "Blank", "Dynamic", "Any"):
        raise compiler.error(node.args[1], f"true or false is expected, not {condition_expr.type}")
    condition = compiler.coerce(condition_expr, BOOLEAN).run
    result = compiler.compile(node.args[2], row_scope) if len(node.args) > 2 else None
    run_result = result.run if result else None
    run_rows, spend = rows.run, spend_on(node.args[1:2])

    def run(f: Frame) -> Any:
        table = run_rows(f)
        if is_missing(table):
            return table
        spend(f, table)
        frame = f.inner(None)
        for row in table:
            frame.row = row
            value = condition(frame)
            if value is True:
                return run_result(frame) if run_result else row
            if value.__class__ is PowerFxError:
                return value
        return None

    return Expr(result.type if result else row_scope.row, run, node)


def _for_all(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 2)
    rows, row_scope = source(compiler, node, scope, json=True)
    body = compiler.compile(node.args[1], row_scope)
    type, wrap = result_rows(body.type)
    run_rows, run_body, spend = rows.run, body.run, spend_on(node.args[1:])

    def run(f: Frame) -> Any:
        table = run_rows(f)
        if is_missing(table):
            return table
        spend(f, table)
        frame, found = f.inner(None), []
        for row in table:
            frame.row = row
            found.append(run_body(frame))
        errors = [value for value in found if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        return [{"Value": value} for value in found] if wrap else found

    return Expr(type, run, node)


def _concat(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 3)
    rows, row_scope = source(compiler, node, scope)
    body = compiler.compile_as(node.args[1], row_scope, TEXT).run
    separator = compiler.compile_as(node.args[2], scope, TEXT).run if len(node.args) > 2 else None
    run_rows, spend = rows.run, spend_on(node.args[1:2], each=2)

    def run(f: Frame) -> Any:
        table = run_rows(f)
        between = separator(f) if separator else ""
        errors = [value for value in (table, between) if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if table is None:
            return None
        spend(f, table)
        parts: list[str] = []
        frame = f.inner(None)
        for row in table:
            frame.row = row
            value = body(frame)
            if value.__class__ is PowerFxError:
                return value
            parts.append(value or "")
        f.budget.text(sum(map(len, parts)) + len(parts) * len(between or ""))
        return (between or "").join(parts)

    return Expr(TEXT, run, node)


def _distinct(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 2)
    rows, row_scope = source(compiler, node, scope)
    body = compiler.compile(node.args[1], row_scope)
    run_rows, run_body, spend = rows.run, body.run, spend_on(node.args[1:], each=4)

    def run(f: Frame) -> Any:
        table = run_rows(f)
        if is_missing(table):
            return table
        spend(f, table)
        found: dict[Any, Any] = {}
        frame = f.inner(None)
        for row in table:
            if row.__class__ is PowerFxError:
                return row
            frame.row = row
            value = from_context(run_body(frame))
            if value.__class__ is PowerFxError:
                return value
            if value.__class__ in (dict, list):
                return invalid("only plain values can be compared")
            found.setdefault((value.__class__ is bool, value), value)
        return [{"Value": value} for value in found.values()]

    return Expr(one_column(body.type), run, node)


def _search(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    """The rows with a text in any of some columns, in capitals or not."""
    compiler.arity(node, 3, None)
    rows, _ = source(compiler, node, scope)
    run_part = compiler.compile_as(node.args[1], scope, TEXT).run
    names = [column_name(compiler, arg) for arg in node.args[2:]]
    for name, arg in zip(names, node.args[2:], strict=True):
        if rows.type.kind != "Any" and rows.type.columns.get(name) != TEXT:
            raise compiler.error(arg, f"there is no column '{name}' of text")
    run_rows = rows.run

    def run(f: Frame) -> Any:
        table, part = run_rows(f), run_part(f)
        errors = [value for value in (table, part) if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if table is None or not part:
            return table
        part = part.lower()
        f.budget.spend(1 + len(table) * len(names) + len(part))
        kept: list[Any] = []
        for row in table:
            cells = [to_text(from_context(row.get(name))) for name in names] if row.__class__ is dict else []
            broken = row if row.__class__ is PowerFxError else first_error(cells)
            f.budget.spend(sum(len(cell) >> 3 for cell in cells if cell.__class__ is str))
            if broken is not None:
                kept.append(broken)
            elif any(part in cell.lower() for cell in cells if cell):
                kept.append(row)
        return kept

    return Expr(rows.type, run, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Filter": _filter,
    "LookUp": _look_up,
    "ForAll": _for_all,
    "Concat": _concat,
    "Distinct": _distinct,
    "Search": _search,
}
