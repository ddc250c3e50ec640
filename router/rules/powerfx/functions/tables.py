"""Making tables, and taking rows out of them: Table, First, Last, FirstN, LastN, Index, Sequence, IsEmpty."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import arithmetic, coercion, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Scope
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.functions.rows import is_missing, rows_of_json, source
from router.rules.powerfx.types import (
    BOOLEAN,
    DECIMAL,
    DYNAMIC,
    FLOAT,
    Type,
    one_column,
    row_of,
    table,
    table_of,
)
from router.rules.powerfx.values import invalid


def _table(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    args = [compiler.compile(arg, scope) for arg in node.args]
    if len(args) == 1 and args[0].type.kind == "Dynamic":
        return _table_of_json(node, args[0])
    agreed: Type | None = None
    for arg in args:
        if arg.type.kind == "Blank":
            continue
        if arg.type.kind not in ("Record", "Table"):
            raise compiler.error(arg.node, f"a record or a table is expected, not {arg.type}")
        rows = table_of(arg.type)
        found = rows if agreed is None else coercion.unify(agreed, rows)
        if found is None:
            raise compiler.error(arg.node, "the rows of the table do not agree")
        agreed = found
    type = agreed or table({})
    parts = []
    for arg in args:
        is_table = arg.type.kind == "Table"
        parts.append((compiler.coerce(arg, type if is_table else row_of(type)).run, is_table))

    def run(f: Frame) -> Any:
        rows: list[Any] = []
        for part, is_table in parts:
            value = part(f)
            if is_table and value.__class__ is list:
                rows.extend(value)
            elif is_table and value.__class__ is PowerFxError:
                return value
            elif is_table and value is None:
                continue
            else:
                rows.append(value)
        f.budget.rows(len(rows))
        return rows

    return Expr(type, run, node)


def _table_of_json(node: nodes.Call, arg: Expr) -> Expr:
    run_json = arg.run

    def run(f: Frame) -> Any:
        items = rows_of_json(run_json(f))
        if is_missing(items):
            return items
        f.budget.rows(len(items))
        return [{"Value": item} for item in items]

    return Expr(one_column(DYNAMIC), run, node)


def _end(index: int) -> FunctionCompiler:
    def compile_call(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
        compiler.arity(node, 1, 1)
        rows, row_scope = source(compiler, node, scope, json=True, blank=True)
        run_rows = rows.run

        def run(f: Frame) -> Any:
            value = run_rows(f)
            if is_missing(value):
                return value
            return value[index] if value else None

        return Expr(row_scope.row, run, node)

    return compile_call


def _count(compiler: Compiler, node: nodes.Node, scope: Scope | None) -> Any:
    return compiler.compile_as(node, scope, DECIMAL).run


def _ends(from_end: bool) -> FunctionCompiler:
    def compile_call(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
        compiler.arity(node, 2, 2)
        rows, _ = source(compiler, node, scope, json=True, blank=True)
        run_rows, run_count = rows.run, _count(compiler, node.args[1], scope)

        def run(f: Frame) -> Any:
            value, count = run_rows(f), run_count(f)
            errors = [found for found in (value, count) if found.__class__ is PowerFxError]
            if errors:
                return join_errors(errors)
            if value is None:
                return None
            number = int(max(min(count or 0, len(value)), 0))
            f.budget.rows(number)
            return value[len(value) - number :] if from_end else value[:number]

        return Expr(rows.type, run, node)

    return compile_call


def _index(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, 2)
    rows, row_scope = source(compiler, node, scope, json=True, blank=True)
    run_rows, run_place = rows.run, _count(compiler, node.args[1], scope)

    def run(f: Frame) -> Any:
        value, place = run_rows(f), run_place(f)
        errors = [found for found in (value, place) if found.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if place is None or place < 1 or (value is not None and place >= len(value) + 1):
            return invalid("there is no such row")
        if value is None:
            return None
        return value[int(place) - 1]

    return Expr(row_scope.row, run, node)


def _is_empty(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    rows, _ = source(compiler, node, scope, json=True, blank=True)
    run_rows = rows.run

    def run(f: Frame) -> Any:
        value = run_rows(f)
        return value if value.__class__ is PowerFxError else not value

    return Expr(BOOLEAN, run, node)


def _sequence(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 3)
    count = compiler.compile_as(node.args[0], scope, DECIMAL).run
    given = [compiler.compile(arg, scope) for arg in node.args[1:]]
    type = FLOAT if any(arg.type == FLOAT for arg in given) else DECIMAL
    runs = [compiler.coerce(arg, type).run for arg in given]
    one: Any = 1.0 if type == FLOAT else Decimal(1)
    operations = arithmetic.FLOAT_OPERATIONS if type == FLOAT else arithmetic.DECIMAL_OPERATIONS
    add = operations["+"]

    def run(f: Frame) -> Any:
        values = [count(f), *(arg(f) for arg in runs)]
        errors = [value for value in values if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        number, start, step = (*(one * 0 if value is None else value for value in values), one, one)[:3]
        if number < 0 or number > 50_000:
            return invalid("the number of rows is out of range")
        f.budget.rows(int(number))
        if (
            start.__class__ is Decimal
            and start == int(start)
            and step == int(step)
            and max(abs(start), abs(step)) < 10**18
        ):
            begin, stride = int(start), int(step)
            return [{"Value": Decimal(begin + stride * index)} for index in range(int(number))]
        rows: list[Any] = []
        value = start
        for _ in range(int(number)):
            rows.append({"Value": value})
            value = value if value.__class__ is PowerFxError else add(value, step)
        return rows

    return Expr(one_column(type), run, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Table": _table,
    "First": _end(0),
    "Last": _end(-1),
    "FirstN": _ends(from_end=False),
    "LastN": _ends(from_end=True),
    "Index": _index,
    "IsEmpty": _is_empty,
    "Sequence": _sequence,
}
