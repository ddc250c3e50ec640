"""What the functions of tables share: their sources, and the scope of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from router.rules.powerfx import dynamic, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, Run, Scope
from router.rules.powerfx.errors import PowerFxError
from router.rules.powerfx.types import ANY, BOOLEAN, Type, one_column, row_of, table
from router.rules.powerfx.values import invalid


def rows_of_json(value: Any) -> Any:
    """The elements of a JSON array; null is blank, anything else an error."""
    if value is None or value.__class__ is list or value.__class__ is PowerFxError:
        return value
    return invalid("the JSON value is not an array")


def source(
    compiler: Compiler, node: nodes.Call, scope: Scope | None, *, json: bool = False, blank: bool = False
) -> tuple[Expr, Scope]:
    """The table that a function goes through, and the scope of one of its rows.

    `json` lets in an array out of ParseJSON, `blank` the type of Blank().
    """
    compiler.loops = True
    first = node.args[0]
    expr, alias = compiler.rows_and_scope(first, scope)
    kind = expr.type.kind
    run = expr.run
    if kind == "Any":
        expr = Expr(ANY, open_rows(run, scope), first)
    elif kind == "Dynamic" and json:
        expr = Expr(expr.type, lambda f: rows_of_json(run(f)), first)
    elif kind == "Blank" and blank:
        expr = Expr(table({}), run, first)
    elif kind != "Table":
        raise compiler.error(first, f"a table is expected, not {expr.type}")
    return expr, Scope(row_of(expr.type), alias, scope)


def open_rows(run: Run, scope: Scope | None) -> Run:
    """The rows of a table whose columns are known at run time only.

    Within another such row every row gets all columns of the table: a name belongs to the inner row where
    any row of that table has it, as with declared columns, and to the outer row where none has.
    """
    outer = scope
    while outer is not None and (outer.row.kind != "Any" or outer.alias is not None):
        outer = outer.parent
    if outer is None:
        return lambda f: dynamic.to_table(run(f))

    def shaped(f: Frame) -> Any:
        rows = dynamic.to_table(run(f))
        if rows.__class__ is not list:
            return rows
        records = [row for row in rows if row.__class__ is dict]
        if not records or all(row.keys() == records[0].keys() for row in records):
            return rows
        columns: dict[str, None] = {}
        for row in records:
            columns.update(dict.fromkeys(row))
        f.budget.spend(len(records) * (1 + len(columns) // 8))
        bare = dict.fromkeys(columns)
        return [{**bare, **row} if row.__class__ is dict else row for row in rows]

    return shaped


def is_missing(rows: Any) -> bool:
    """A blank or an error in the place of a table."""
    return rows is None or rows.__class__ is PowerFxError


def spend_on(bodies: Sequence[nodes.Node], each: int = 1) -> Callable[[Frame, list[Any]], None]:
    """Pays for going through all rows: by the size of what is evaluated for each, and `each` for the rest."""
    price = each + sum(body.size for body in bodies)

    def spend(f: Frame, rows: list[Any]) -> None:
        f.budget.spend(1 + len(rows) * price)

    return spend


def predicate(compiler: Compiler, node: nodes.Node, scope: Scope) -> Run:
    expr = compiler.compile(node, scope)
    if expr.type.kind not in ("Boolean", "Decimal", "Number", "Text", "Blank", "Dynamic", "Any"):
        raise compiler.error(node, f"true or false is expected, not {expr.type}")
    return compiler.coerce(expr, BOOLEAN).run


def column_name(compiler: Compiler, node: nodes.Node) -> str:
    if not isinstance(node, nodes.Name):
        raise compiler.error(node, "the name of a column is expected")
    return node.name


def single_column(compiler: Compiler, expr: Expr) -> tuple[str, Type]:
    columns = expr.type.columns
    if expr.type.kind != "Table" or len(columns) != 1:
        raise compiler.error(expr.node, "a table of one column is expected")
    return next(iter(columns.items()))


def result_rows(type: Type) -> tuple[Type, bool]:
    """The type of a table whose rows are values of a type, and whether they have to be wrapped."""
    if type.kind in ("Record", "Blank"):  # rows of blanks are blank themselves
        return table(type.columns), False
    return one_column(type), True


def first_error(rows: list[Any]) -> PowerFxError | None:
    return next((row for row in rows if row.__class__ is PowerFxError), None)
