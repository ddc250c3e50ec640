"""Sum, Average, StdevP, VarP, Min, Max, and the counting functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import arithmetic, coercion, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Run, Scope
from router.rules.powerfx.enums import ENUMS
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.functions.rows import (
    first_error,
    is_missing,
    predicate,
    single_column,
    source,
    spend_on,
)
from router.rules.powerfx.operators import as_number
from router.rules.powerfx.types import DATETIME, DECIMAL, FLOAT, NUMERIC, TEMPORAL, Type
from router.rules.powerfx.values import Convert

_WITH_ROWS: Final = frozenset(
    {
        "AddColumns", "Average", "Concat", "CountIf", "Distinct", "Filter", "ForAll", "LookUp", "Max", "Min", "Sort",
        "SortByColumns", "StdevP", "Sum", "VarP", "With",
    }
)  # fmt: skip
_GIVE_ROWS: Final = frozenset(
    {
        "AddColumns", "DropColumns", "Filter", "FirstN", "LastN", "RenameColumns", "ShowColumns", "Sort",
        "SortByColumns",
    }
)  # fmt: skip
Aggregate = Callable[[list[Any]], Any]


def _sum(values: list[Any]) -> Any:
    if not values:
        return None
    total = values[0]
    add = arithmetic.FLOAT_OPERATIONS["+"] if total.__class__ is float else arithmetic.add
    for value in values[1:]:
        total = add(total, value)
        if total.__class__ is PowerFxError:
            return total
    return total


def _average(values: list[Any]) -> Any:
    total = _sum(values)
    if total is None:
        return arithmetic.division_by_zero()
    if total.__class__ is PowerFxError:
        return total
    count = len(values)
    return total / count if total.__class__ is float else arithmetic.divide(total, Decimal(count))


def _variance(values: list[Any]) -> Any:
    """That of a whole population, in floating point."""
    if not values:
        return arithmetic.division_by_zero()
    mean = math.fsum(values) / len(values)
    return arithmetic.finite(math.fsum((value - mean) ** 2 for value in values) / len(values))


def _deviation(values: list[Any]) -> Any:
    variance = _variance(values)
    return variance if variance.__class__ is PowerFxError else math.sqrt(variance)


def _smallest(values: list[Any]) -> Any:
    return min(values, default=None)


def _largest(values: list[Any]) -> Any:
    return max(values, default=None)


def _kinds(args: list[Expr], dates: bool, function: Aggregate) -> tuple[Type, Type, Convert | None]:
    """The type of the result, the type to compute in, and how to get from this to that."""
    if function in (_variance, _deviation):
        return FLOAT, FLOAT, None
    lead = next((arg.type for arg in args if arg.type.kind != "Blank"), DECIMAL)
    if dates and lead.kind in TEMPORAL:
        return lead, DATETIME, coercion.converter(DATETIME, lead)
    return (FLOAT, FLOAT, None) if lead == FLOAT else (DECIMAL, DECIMAL, None)


def _operand(compiler: Compiler, arg: Expr, target: Type) -> Run:
    if target == DATETIME:
        if arg.type.kind not in NUMERIC | TEMPORAL | {"Text", "Blank", "Dynamic", "Any"}:
            raise compiler.error(arg.node, f"a date is expected, not {arg.type}")
        return compiler.coerce(arg, DATETIME).run
    return as_number(compiler, arg, target, dates=True).run


def _aggregate(function: Aggregate, dates: bool) -> FunctionCompiler:
    def compile_call(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
        compiler.arity(node, 1, None)
        if isinstance(node.args[0], nodes.As):
            return _over_table(compiler, node, scope, function, dates)
        first = compiler.compile(node.args[0], scope)
        if first.type.kind == "Table" or (first.type.kind == "Any" and _is_row_expression(compiler, node, scope)):
            return _over_table(compiler, node, scope, function, dates)
        if first.type.kind == "Dynamic" and not dates:
            raise compiler.error(node.args[0], "a Dynamic value has to be made a table first")
        args = [first, *(compiler.compile(arg, scope) for arg in node.args[1:])]
        type, inner, back = _kinds(args, dates, function)
        runs = [_operand(compiler, arg, inner) for arg in args]

        def run(f: Frame) -> Any:
            values = [arg(f) for arg in runs]
            errors = [value for value in values if value.__class__ is PowerFxError]
            if errors:
                return join_errors(errors)
            return _back(function([value for value in values if value is not None]), back)

        return Expr(type, run, node)

    return compile_call


def _is_row_expression(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> bool:
    """`Sum(workers, Load)` goes through a table of the context, `Sum(job.A, job.B)` does not: the first
    argument tells by its name or function, or the second by a name that only a row can have."""
    if len(node.args) != 2:
        return False
    first = node.args[0]
    if isinstance(first, nodes.Call) and first.name in _GIVE_ROWS:
        return True
    if isinstance(first, nodes.Name) and first.name in compiler.names:
        second = node.args[1]  # `Max(a, b)` compares two names of the context
        return not (isinstance(second, nodes.Name) and compiler.resolves(second.name, scope))
    return _names_a_row(compiler, node.args[1], scope)


def _names_a_row(compiler: Compiler, node: nodes.Node, scope: Scope | None) -> bool:
    if isinstance(node, nodes.Name):
        return node.name == "ThisRecord" or not compiler.resolves(node.name, scope)
    if isinstance(node, nodes.Call) and node.name in _WITH_ROWS and len(node.args) > 1:
        return _names_a_row(compiler, node.args[0], scope)
    if isinstance(node, nodes.Dot) and isinstance(node.left, nodes.Name) and node.left.name in ENUMS:
        return False
    return any(_names_a_row(compiler, child, scope) for child in node.children())


def _back(value: Any, back: Convert | None) -> Any:
    return value if back is None or value.__class__ is PowerFxError else back(value)


def _over_table(compiler: Compiler, node: nodes.Call, scope: Scope | None, function: Aggregate, dates: bool) -> Expr:
    compiler.arity(node, 2, 2)
    rows, row_scope = source(compiler, node, scope)
    body = compiler.compile(node.args[1], row_scope)
    type, inner, back = _kinds([body], dates, function)
    run_body = _operand(compiler, body, inner)
    run_rows, spend = rows.run, spend_on(node.args[1:], each=2)

    def run(f: Frame) -> Any:
        table = run_rows(f)
        if is_missing(table):
            return table
        spend(f, table)
        values = []
        frame = f.inner(None)
        for row in table:
            if row.__class__ is PowerFxError:
                return row
            frame.row = row
            value = run_body(frame)
            if value.__class__ is PowerFxError:
                return value
            if value is not None:
                values.append(value)
        return _back(function(values), back)

    return Expr(type, run, node)


# ---------------------------------------------------------------- counting


def _count_column(numbers_only: bool) -> FunctionCompiler:
    def compile_call(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
        compiler.arity(node, 1, 1)
        arg = compiler.compile(node.args[0], scope)
        name, column = single_column(compiler, arg)
        if numbers_only and column.kind not in NUMERIC | {"Blank", "Any"}:
            raise compiler.error(node.args[0], "a column of numbers is expected")
        run_rows = arg.run

        def run(f: Frame) -> Any:
            rows = run_rows(f)
            if is_missing(rows):
                return Decimal(0) if rows is None else rows
            cells = [row.get(name) if row.__class__ is dict else row for row in rows]
            error = first_error(cells)
            return error if error is not None else Decimal(sum(1 for cell in cells if cell is not None))

        return Expr(DECIMAL, run, node)

    return compile_call


def _count_rows(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 1, 1)
    rows, _ = source(compiler, node, scope, json=True, blank=True)
    run_rows = rows.run
    is_json = rows.type.kind == "Dynamic"

    def run(f: Frame) -> Any:
        table = run_rows(f)
        if is_missing(table):
            return (None if is_json else Decimal(0)) if table is None else table
        error = first_error(table)
        return error if error is not None else Decimal(len(table))

    return Expr(DECIMAL, run, node)


def _count_if(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    compiler.arity(node, 2, None)
    rows, row_scope = source(compiler, node, scope)
    conditions = [predicate(compiler, arg, row_scope) for arg in node.args[1:]]
    run_rows, spend = rows.run, spend_on(node.args[1:])

    def run(f: Frame) -> Any:
        table = run_rows(f)
        if is_missing(table):
            return Decimal(0) if table is None else table
        spend(f, table)
        count = 0
        frame = f.inner(None)
        for row in table:
            frame.row = row
            for condition in conditions:
                value = condition(frame)
                if value is not True:
                    if value.__class__ is PowerFxError:
                        return value
                    break
            else:
                count += 1
        return Decimal(count)

    return Expr(DECIMAL, run, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {
    "Sum": _aggregate(_sum, dates=False),
    "Average": _aggregate(_average, dates=False),
    "Min": _aggregate(_smallest, dates=True),
    "Max": _aggregate(_largest, dates=True),
    "StdevP": _aggregate(_deviation, dates=False),
    "VarP": _aggregate(_variance, dates=False),
    "Count": _count_column(numbers_only=True),
    "CountA": _count_column(numbers_only=False),
    "CountRows": _count_rows,
    "CountIf": _count_if,
}
