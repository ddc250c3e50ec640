"""From the syntax tree to closures, checking the types on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from router.rules.powerfx import coercion, decimals, dynamic, nodes
from router.rules.powerfx.enums import ENUMS
from router.rules.powerfx.errors import PowerFxError, PowerFxSyntaxError, join_errors
from router.rules.powerfx.limits import Budget
from router.rules.powerfx.types import (
    ANY,
    BOOLEAN,
    DECIMAL,
    DYNAMIC,
    TEXT,
    Type,
    enum,
    one_column,
    record,
    table,
    table_of,
)
from router.rules.powerfx.values import from_context


class Frame:
    """Where a closure runs: the row of the innermost scope, the frames around it, the context."""

    __slots__ = ("budget", "context", "outer", "row")

    def __init__(self, row: Any, outer: Frame | None, context: Mapping[str, Any], budget: Budget) -> None:
        self.row = row
        self.outer = outer
        self.context = context
        self.budget = budget

    def inner(self, row: Any) -> Frame:
        return Frame(row, self, self.context, self.budget)


Run = Callable[[Frame], Any]
NOT_CONSTANT: Final = object()
_MOST_WORK: Final = 20_000  # an expression of the greatest length has fewer nodes


@dataclass(slots=True)
class Expr:
    """A compiled expression: its type, its closure, and its value if it is a constant."""

    type: Type
    run: Run
    node: nodes.Node
    constant: Any = NOT_CONSTANT

    @property
    def is_constant(self) -> bool:
        return self.constant is not NOT_CONSTANT


@dataclass(slots=True, eq=False)
class Scope:
    """The names of a row. With an alias (`As`) its columns are reached through that name only."""

    row: Type
    alias: str | None
    parent: Scope | None
    has_this_record: bool = True


FunctionCompiler = Callable[["Compiler", nodes.Call, "Scope | None"], Expr]
OperatorCompiler = Callable[["Compiler", nodes.Node, "Scope | None"], Expr]


class Compiler:
    """Compiles one expression."""

    def __init__(
        self,
        text: str,
        names: Mapping[str, Type],
        functions: Mapping[str, FunctionCompiler],
        compile_operator: OperatorCompiler,
    ) -> None:
        self.text = text
        self.names = names
        self.functions = functions
        self.compile_operator = compile_operator
        self.work = 0
        self.pattern_size = 0
        self.loops = False  # does it go through tables?

    def error(self, node: nodes.Node, message: str) -> PowerFxSyntaxError:
        return PowerFxSyntaxError(message, node.start, self.text)

    # ------------------------------------------------------------ nodes

    def compile(self, node: nodes.Node, scope: Scope | None) -> Expr:
        self.work += 1
        if self.work > _MOST_WORK:
            raise self.error(node, "the expression takes too long to compile")
        compiled: Expr = _COMPILE[type(node)](self, node, scope)
        return compiled

    def coerce(self, expr: Expr, target: Type) -> Expr:
        """The expression as a value of another type, or a compile error."""
        convert = coercion.converter(expr.type, target)
        if convert is None:
            raise self.error(expr.node, f"{target} is expected, not {expr.type}")
        if coercion.is_identity(convert):
            return expr if expr.type == target else Expr(target, expr.run, expr.node, expr.constant)
        if expr.is_constant:
            value = convert(expr.constant)
            return Expr(target, lambda f: value, expr.node, value)
        run = expr.run
        return Expr(target, lambda f: convert(run(f)), expr.node)

    def compile_as(self, node: nodes.Node, scope: Scope | None, target: Type) -> Expr:
        return self.coerce(self.compile(node, scope), target)

    def unify(self, exprs: list[Expr], lead: int = 0) -> tuple[Type, list[Expr]]:
        """The common type of alternatives, `lead` naming the one that decides, and all coerced to it."""
        agreed = exprs[lead].type
        for expr in exprs:
            found = coercion.unify(agreed, expr.type)
            if found is None:
                raise self.error(expr.node, f"the types {agreed} and {expr.type} do not agree")
            agreed = found
        return agreed, [self.coerce(expr, agreed) for expr in exprs]

    # ------------------------------------------------------------ leaves

    def number(self, node: nodes.Number, scope: Scope | None) -> Expr:
        try:
            value = decimals.parse(node.text)
        except decimals.TooLarge:
            raise self.error(node, "the number is too large") from None
        return self.constant(DECIMAL, value, node)

    def constant(self, type: Type, value: Any, node: nodes.Node) -> Expr:
        return Expr(type, lambda f: value, node, value)

    def text_literal(self, node: nodes.Text, scope: Scope | None) -> Expr:
        return self.constant(TEXT, node.value, node)

    def boolean(self, node: nodes.Boolean, scope: Scope | None) -> Expr:
        return self.constant(BOOLEAN, node.value, node)

    def name(self, node: nodes.Name, scope: Scope | None) -> Expr:
        name, hops, current = node.name, 0, scope
        loose: list[int] = []
        while current is not None:
            if current.alias is not None:
                if name == current.alias:
                    return Expr(current.row, _row_at(hops), node)
            elif name == "ThisRecord" and current.has_this_record:
                return Expr(current.row, _row_at(hops), node)
            elif current.row.kind == "Record" and name in current.row.columns:
                return Expr(current.row.columns[name], _column_at(hops, name), node)
            elif current.row.kind == "Any":
                loose.append(hops)
            hops, current = hops + 1, current.parent
        if name in self.names:
            return Expr(self.names[name], lambda f: from_context(f.context.get(name)), node)
        if loose:
            return Expr(ANY, _open_column(loose, name), node)
        raise self.error(node, f"'{name}' is not known here")

    def resolves(self, name: str, scope: Scope | None) -> bool:
        """Is a name known before there are values? That of an open row's column is not."""
        while scope is not None:
            if name == scope.alias or (scope.alias is None and name in scope.row.columns):
                return True
            scope = scope.parent
        return name in self.names

    def dot(self, node: nodes.Dot, scope: Scope | None) -> Expr:
        name = node.name
        if isinstance(node.left, nodes.Name) and node.left.name in ENUMS and not self.resolves(node.left.name, scope):
            member = ENUMS[node.left.name].get(name)
            if member is None:
                raise self.error(node, f"'{node.left.name}' has no member '{name}'")
            return self.constant(enum(node.left.name), member, node)
        left = self.compile(node.left, scope)
        run, kind = left.run, left.type.kind
        if kind == "Any":
            return Expr(ANY, _label_getter(node.left, run, name, self, scope), node)
        if kind == "Dynamic":
            return Expr(DYNAMIC, lambda f: dynamic.field_of_json(run(f), name), node)
        column = left.type.columns.get(name) if kind == "Record" else None
        if column is None:
            raise self.error(node, f"there is no '{name}' in a value of type {left.type}")

        def field(f: Frame) -> Any:
            value = run(f)
            return value.get(name) if value.__class__ is dict else value

        return Expr(column, field, node)

    # ------------------------------------------------------------ aggregates

    def record(self, node: nodes.Record, scope: Scope | None) -> Expr:
        fields = [(name, self.compile(value, scope)) for name, value in node.fields]
        types = {name: expr.type for name, expr in fields}
        if len(types) != len(fields):
            raise self.error(node, "a record has a field twice")
        runs = [(name, expr.run) for name, expr in fields]
        return Expr(record(types), lambda f: {name: run(f) for name, run in runs}, node)

    def table(self, node: nodes.Table, scope: Scope | None) -> Expr:
        if not node.items:
            return Expr(table({}), lambda f: [], node)
        agreed, items = self.unify([self.compile(item, scope) for item in node.items])
        runs = [item.run for item in items]
        count = len(runs)
        if agreed.kind == "Record":

            def rows(f: Frame) -> Any:
                f.budget.rows(count)
                return [run(f) for run in runs]

            return Expr(table_of(agreed), rows, node)

        def values(f: Frame) -> Any:
            f.budget.rows(count)
            return [{"Value": run(f)} for run in runs]

        return Expr(one_column(agreed), values, node)

    def interpolated(self, node: nodes.Interpolated, scope: Scope | None) -> Expr:
        parts = [self.compile_as(part, scope, TEXT) for part in node.parts]
        if len(parts) == 1:
            return parts[0]
        return concatenate(node, parts)

    def alias(self, node: nodes.As, scope: Scope | None) -> Expr:
        raise self.error(node, "'As' belongs to the first argument of a function that goes through a table")

    def call(self, node: nodes.Call, scope: Scope | None) -> Expr:
        function = self.functions.get(node.name)
        if function is None:
            raise self.error(node, f"there is no function '{node.name}'")
        return function(self, node, scope)

    def operator(self, node: nodes.Node, scope: Scope | None) -> Expr:
        return self.compile_operator(self, node, scope)

    # ------------------------------------------------------------ for functions

    def arity(self, node: nodes.Call, least: int, most: int | None) -> None:
        given = len(node.args)
        if given < least or (most is not None and given > most):
            wanted = str(least) if most == least else f"{least} or more" if most is None else f"{least} to {most}"
            raise self.error(node, f"'{node.name}' takes {wanted} arguments, not {given}")

    def rows_and_scope(self, node: nodes.Node, scope: Scope | None) -> tuple[Expr, str | None]:
        """The first argument of a function with a row scope, and its alias."""
        if isinstance(node, nodes.As):
            return self.compile(node.operand, scope), node.name
        return self.compile(node, scope), None


def concatenate(node: nodes.Node, parts: list[Expr]) -> Expr:
    """The operands, all text, one after the other; a blank is empty text."""
    if all(part.is_constant for part in parts):
        value = "".join(part.constant or "" for part in parts)
        return Expr(TEXT, lambda f: value, node, value)
    runs = [part.run for part in parts]

    def run(f: Frame) -> Any:
        found = [part(f) for part in runs]
        try:
            text = "".join(found)
        except TypeError:
            errors = [part for part in found if part.__class__ is PowerFxError]
            if errors:
                return join_errors(errors)
            text = "".join(part or "" for part in found)
        f.budget.text(len(text))
        return text

    return Expr(TEXT, run, node)


def _row_at(hops: int) -> Run:
    if hops == 0:
        return lambda f: f.row

    def run(f: Frame) -> Any:
        frame: Any = f
        for _ in range(hops):
            frame = frame.outer
        return frame.row

    return run


def _column_at(hops: int, name: str) -> Run:
    row_at = _row_at(hops)

    def run(f: Frame) -> Any:
        row = row_at(f)
        return row.get(name) if row.__class__ is dict else row

    return run


def _open_column(hops: list[int], name: str) -> Run:
    """A name that may be a column of several open rows: of the innermost that has it (see rows.shaped)."""
    rows = [_row_at(hop) for hop in hops]
    outermost = rows.pop()

    def run(f: Frame) -> Any:
        for row_at in rows:
            row = row_at(f)
            if row.__class__ is PowerFxError:
                return row
            if row.__class__ is dict and name in row:
                return from_context(row[name])
        return dynamic.field_of_label(outermost(f), name)

    return run


def _label_getter(node: nodes.Node, run: Run, name: str, compiler: Compiler, scope: Scope | None) -> Run:
    get = dynamic.field_of_label
    if isinstance(node, nodes.Name) and scope is None:  # `job.Region`, the most common of all
        first = node.name

        def label(f: Frame) -> Any:
            value = f.context.get(first)
            if value.__class__ is dict:
                return from_context(value.get(name))
            return get(from_context(value), name)

        return label
    return lambda f: get(run(f), name)


_COMPILE: Final[dict[type[nodes.Node], Any]] = {
    nodes.Number: Compiler.number,
    nodes.Text: Compiler.text_literal,
    nodes.Boolean: Compiler.boolean,
    nodes.Name: Compiler.name,
    nodes.Dot: Compiler.dot,
    nodes.Record: Compiler.record,
    nodes.Table: Compiler.table,
    nodes.Interpolated: Compiler.interpolated,
    nodes.As: Compiler.alias,
    nodes.Call: Compiler.call,
    nodes.Unary: Compiler.operator,
    nodes.Binary: Compiler.operator,
    nodes.Chain: Compiler.operator,
}
