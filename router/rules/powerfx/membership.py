"""`in` and `exactin`: text within text, a value in a column, a record in a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from router.rules.powerfx import coercion, dynamic, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.types import BOOLEAN, TEXT, Type
from router.rules.powerfx.values import from_context, to_text

Test = Callable[[Any, Any], Any]


def compile_in(compiler: Compiler, node: nodes.Binary, operator: str, left: Expr, right: Expr) -> Expr:
    exact = operator == "exactin"
    kind = right.type.kind
    test: Test
    if kind == "Any" and left.type.kind not in ("Record", "Table"):
        test = _in_label(exact)
    elif kind == "Table":
        left, test = _in_table(compiler, left, right, exact)
    elif kind == "Record" or left.type.kind in ("Record", "Table"):
        raise compiler.error(node, f"'{operator}' is not valid on {left.type} and {right.type}")
    else:
        if kind not in ("Text", "Blank", "Dynamic") and left.type.kind not in ("Text", "Blank", "Any"):
            raise compiler.error(right.node, "text is expected")
        left, right = compiler.coerce(left, TEXT), compiler.coerce(right, TEXT)
        test = _contains(exact)
    a, b = left.run, right.run

    def run(f: Frame) -> Any:
        one, other = a(f), b(f)
        errors = [value for value in (one, other) if value.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        length = len(one) >> 6 if one.__class__ is str else 0
        if other.__class__ is list:
            f.budget.spend(len(other) * (1 + length) + (sum(map(_letters, other)) >> 6))
        elif other.__class__ is str:
            f.budget.spend(length + (len(other) >> 6))
        return test(one, other)

    return Expr(BOOLEAN, run, node)


def _letters(row: Any) -> int:
    """Of a row of one column, or of a label's item."""
    if row.__class__ is dict:
        return sum(len(cell) for cell in row.values() if cell.__class__ is str)
    return len(row) if row.__class__ is str else 0


def _contains(exact: bool) -> Test:
    if exact:
        return lambda part, text: (part or "") in (text or "")
    return lambda part, text: (part or "").lower() in (text or "").lower()


def _same(exact: bool) -> Callable[[Any, Any], bool]:
    def same(one: Any, other: Any) -> bool:
        if one.__class__ is str and other.__class__ is str and not exact:
            return bool(one.lower() == other.lower())
        return bool(one == other)

    return same


def _in_table(compiler: Compiler, left: Expr, right: Expr, exact: bool) -> tuple[Expr, Test]:
    columns = right.type.columns
    if left.type.kind == "Record":
        if left.type.columns.keys() != columns.keys() or coercion.unify(left.type, Type("Record", columns)) is None:
            raise compiler.error(left.node, "the record does not fit the table")
        return left, lambda row, rows: any(other == row for other in rows or ())
    if left.type.kind == "Table" or len(columns) != 1:
        raise compiler.error(right.node, "a table of one column is expected")
    ((name, column),) = columns.items()
    same = _same(exact)
    if left.type.kind == "Any" or column.kind == "Any":
        base = same

        def same(one: Any, other: Any) -> bool:
            return base(one, other) or dynamic.comparable(one, other)

    elif left.type != column:
        left = compiler.coerce(left, column)

    def test(value: Any, rows: Any) -> Any:
        for row in rows or ():
            if row.__class__ is PowerFxError:
                return row
            if row is None:
                continue
            other = row.get(name)
            if other.__class__ is PowerFxError:
                return other
            if same(value, other):
                return True
        return False

    return left, test


def _in_label(exact: bool) -> Test:
    """The right side is a value of the context: a list, or something to read as text."""
    contains, same = _contains(exact), _same(exact)

    def test(value: Any, container: Any) -> Any:
        if container.__class__ is list:
            items = [from_context(item) for item in container if not isinstance(item, Mapping)]
            return any(same(value, item) or dynamic.comparable(value, item) for item in items)
        part, text = to_text(value), to_text(container)
        errors = [found for found in (part, text) if found.__class__ is PowerFxError]
        return join_errors(errors) if errors else contains(part, text)

    return test
