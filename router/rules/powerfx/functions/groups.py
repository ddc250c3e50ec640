"""Summarize: the rows of a table in groups."""

from __future__ import annotations

from typing import Any, Final

from router.rules.powerfx import nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Run, Scope
from router.rules.powerfx.errors import PowerFxError
from router.rules.powerfx.functions.rows import is_missing, source
from router.rules.powerfx.types import ANY, Type, record, table, table_of
from router.rules.powerfx.values import from_context, invalid


def _summarize(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    """Names of columns to group by, and expressions over `ThisGroup` with the names of their columns."""
    compiler.arity(node, 2, None)
    rows, _ = source(compiler, node, scope)
    is_open = rows.type.kind == "Any"
    group = Scope(record({"ThisGroup": ANY if is_open else table_of(rows.type)}), None, scope, has_this_record=False)
    columns: dict[str, Type] = {}
    keys: list[str] = []
    made: list[tuple[str, Run]] = []
    for arg in node.args[1:]:
        name = arg.name if isinstance(arg, (nodes.Name, nodes.As)) else None
        if name is None:
            raise compiler.error(arg, "the name of a column is expected, or an expression and 'As'")
        if name in columns:
            raise compiler.error(arg, f"there is a column '{name}' already")
        if isinstance(arg, nodes.As):
            body = compiler.compile(arg.operand, group)
            columns[name] = body.type
            made.append((name, body.run))
        else:
            if not is_open and name not in rows.type.columns:
                raise compiler.error(arg, f"there is no column '{name}'")
            columns[name] = rows.type.columns.get(name, ANY)
            if columns[name].kind in ("Record", "Table"):
                raise compiler.error(arg, f"a column of plain values is expected, not of {columns[name]}")
            keys.append(name)
    if not keys:
        raise compiler.error(node, "'Summarize' needs a column to group by")
    run_rows, price = rows.run, 6 + 4 * len(keys)

    def run(f: Frame) -> Any:
        found = run_rows(f)
        if is_missing(found):
            return found
        f.budget.spend(1 + len(found) * price)
        groups: dict[Any, tuple[dict[str, Any], list[Any]]] = {}
        for row in found:
            if row.__class__ is PowerFxError:
                return row
            if row is None:
                continue
            cells = {key: from_context(row.get(key)) for key in keys}
            for cell in cells.values():
                if cell.__class__ is PowerFxError:
                    return cell
                if cell.__class__ in (dict, list):
                    return invalid("only plain values can be compared")
            place = tuple((cell.__class__ is bool, cell) for cell in cells.values())
            groups.setdefault(place, (cells, []))[1].append(row)
        f.budget.rows(len(groups))
        frame, summary = f.inner(None), []
        for cells, members in groups.values():
            f.budget.spend(4 + sum(arg.size for arg in node.args[1:]))
            frame.row = {"ThisGroup": members}
            summary.append({**cells, **{name: body(frame) for name, body in made}})
        return summary

    return Expr(table(columns), run, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {"Summarize": _summarize}
