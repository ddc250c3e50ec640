"""Sort and SortByColumns. Blanks come last, text is in the order of collation.py."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

from router.rules.powerfx import coercion, collation, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Run, Scope
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.functions.rows import single_column, source, spend_on
from router.rules.powerfx.types import TEXT, enum
from router.rules.powerfx.values import JsonNumber, from_context, invalid, to_datetime

_ORDER: Final = enum("SortOrder")


def sort_key(value: Any) -> Any:
    """A key by which values of one kind sort; those of different kinds (labels) sort by kind first."""
    cls = value.__class__
    if cls is JsonNumber:
        return 1, value.number
    if cls is bool:
        return 0, value
    if cls is str:
        return 2, *collation.key(value)
    if cls is date or cls is datetime:
        return 3, to_datetime(value)
    if cls is dict or cls is list:
        return None
    return (4, str(value)) if value.__class__.__name__ == "UUID" else (1, value)


def _sorted(rows: list[Any], keys: list[Any], descending: bool) -> Any:
    """The rows by their keys, or the first error. Stable in both directions."""
    given: list[tuple[Any, Any]] = []
    blank: list[Any] = []
    for row, key in zip(rows, keys, strict=True):
        if key.__class__ is PowerFxError:
            return key
        if key is None:
            blank.append(row)
            continue
        comparable = sort_key(key)
        if comparable is None:
            return invalid("only plain values can be sorted")
        given.append((comparable, row))
    given.sort(key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in given] + blank


def _spend_on_texts(f: Frame, keys: list[Any]) -> None:
    """Pays for the keys of long texts, and of those that are not plain ASCII."""
    f.budget.spend(sum(len(key) >> (5 if key.isascii() else 0) for key in keys if key.__class__ is str))


def _order(compiler: Compiler, expr: Expr) -> Run:
    if expr.type.kind in ("Text", "Any"):
        run = compiler.coerce(expr, TEXT).run
        return lambda f: _direction(run(f))
    return compiler.coerce(expr, _ORDER).run


def _direction(text: Any) -> Any:
    if text is None or text.__class__ is PowerFxError:
        return text
    return str(text) if text.lower() in ("ascending", "descending") else invalid("there is no such order")


def _is_descending(order: Any) -> bool:
    name = order if isinstance(order, str) else getattr(order, "value", "")
    return str(name).lower() == "descending"


def _sort(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 3)
    rows, row_scope = source(compiler, node, scope)
    body = compiler.compile(node.args[1], row_scope)
    if body.type.kind in ("Record", "Table"):
        raise compiler.error(node.args[1], f"a plain value is expected, not {body.type}")
    given = compiler.compile(node.args[2], scope) if len(node.args) > 2 else None
    if given is not None and given.type.kind == "Text":
        raise compiler.error(given.node, "SortOrder.Ascending or SortOrder.Descending is expected, not text")
    order = _order(compiler, given) if given is not None else None
    run_rows, run_key, spend = rows.run, body.run, spend_on(node.args[1:2], each=5)

    def run(f: Frame) -> Any:
        table, direction = run_rows(f), order(f) if order else None
        errors = [value for value in (table, direction) if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if table is None:
            return None
        spend(f, table)
        keys = [row if row.__class__ is PowerFxError else run_key(f.inner(row)) for row in table]
        if not any(key.__class__ is not PowerFxError and key is not None for key in keys):
            found = next((key for key in keys if key.__class__ is PowerFxError), None)
            return table if found is None else found
        _spend_on_texts(f, keys)
        return _sorted(table, keys, _is_descending(direction))

    return Expr(rows.type, run, node)


def _sort_by_columns(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, None)
    rows, _ = source(compiler, node, scope)
    orders = [compiler.compile(arg, scope) for arg in node.args[2::2]]
    if len(node.args) == 3 and orders[0].type.kind == "Table":
        return _by_order_table(compiler, node, scope, rows, orders[0])
    columns: list[tuple[Run, Run | None]] = []
    for index in range(1, len(node.args), 2):
        column = _column(compiler, node.args[index], scope, rows)
        order = _order(compiler, orders[index // 2]) if index + 1 < len(node.args) else None
        columns.append((column, order))
    run_rows, spend = rows.run, spend_on(node.args[1:], each=4)

    def run(f: Frame) -> Any:
        table = run_rows(f)
        orders = [(column(f), order(f) if order else None) for column, order in columns]
        found = [table, *(value for pair in orders for value in pair)]
        errors = [value for value in found if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if table is None:
            return None
        spend(f, table)
        for name, order in reversed(orders):
            keys = [_cell(row, name) for row in table]
            _spend_on_texts(f, keys)
            table = _sorted(table, keys, _is_descending(order))
            if table.__class__ is PowerFxError:
                return table
        return table

    return Expr(rows.type, run, node)


def _cell(row: Any, name: str) -> Any:
    return from_context(row.get(name)) if row.__class__ is dict else row


def _column(compiler: Compiler, node: nodes.Node, scope: Scope | None, rows: Expr) -> Run:
    """The name of a column: an identifier, or text that is computed."""
    columns = rows.type.columns
    is_open = rows.type.kind == "Any"
    if isinstance(node, nodes.Name) and (node.name in columns or (is_open and not compiler.resolves(node.name, scope))):
        name = node.name
        if name in columns and columns[name].kind in ("Record", "Table"):
            raise compiler.error(node, f"a column of plain values is expected, not of {columns[name]}")
        return lambda f: name
    expr = compiler.compile_as(node, scope, TEXT)
    if expr.constant.__class__ is str and not is_open and expr.constant not in columns:
        raise compiler.error(node, f"there is no column '{expr.constant}'")
    run = expr.run

    def column(f: Frame) -> Any:
        value = run(f)
        if value.__class__ is PowerFxError or is_open or value in columns:
            return value
        return PowerFxError("InvalidFunctionUsage", f"there is no column '{value}'")

    return column


def _by_order_table(compiler: Compiler, node: nodes.Call, scope: Scope | None, rows: Expr, order: Expr) -> Expr:
    name, type = single_column(compiler, order)
    column = _column(compiler, node.args[1], scope, rows)
    if isinstance(node.args[1], nodes.Name):
        wanted = rows.type.columns.get(node.args[1].name, type)
        if coercion.unify(wanted, type) is None:
            raise compiler.error(node.args[2], f"a column of {wanted} is expected, not of {type}")
    run_rows, run_order, spend = rows.run, order.run, spend_on(node.args[1:], each=4)

    def run(f: Frame) -> Any:
        table, wanted, key = run_rows(f), run_order(f), column(f)
        errors = [value for value in (table, wanted, key) if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if table is None:
            return None
        places: dict[Any, int] = {}
        for row in wanted or ():
            cell = row.get(name) if row.__class__ is dict else row
            if cell.__class__ is PowerFxError:
                return cell
            if cell in places:
                return invalid("a value stands twice in the order")
            places[cell] = len(places)
        spend(f, table)
        cells = [_cell(row, key) for row in table]
        error = next((cell for cell in cells if cell.__class__ is PowerFxError), None)
        if error is not None:
            return error
        ranked = sorted(zip(cells, range(len(table)), strict=True), key=_rank(places))
        return [table[index] for _, index in ranked]

    return Expr(rows.type, run, node)


def _rank(places: dict[Any, int]) -> Callable[[tuple[Any, int]], tuple[int, int]]:
    last = len(places)

    def rank(pair: tuple[Any, int]) -> tuple[int, int]:
        cell, index = pair
        known = not isinstance(cell, (dict, list))
        return places.get(cell, last) if known else last, index

    return rank


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {"Sort": _sort, "SortByColumns": _sort_by_columns}
