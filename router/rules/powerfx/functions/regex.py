"""IsMatch, Match and MatchAll."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import nodes, utf16
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Scope
from router.rules.powerfx.enums import EnumValue
from router.rules.powerfx.errors import PowerFxError
from router.rules.powerfx.limits import DEFAULT_LIMITS, Budget
from router.rules.powerfx.patterns import Pattern, PatternError, compile_pattern
from router.rules.powerfx.types import BOOLEAN, DECIMAL, TEXT, Type, enum, one_column, record, table

_OPTIONS: Final = enum("MatchOptions")
_STEPS_A_MATCH: Final = 40
_LARGEST: Final = 40_000  # instructions of all patterns in one expression


def _constant_text(compiler: Compiler, node: nodes.Node, scope: Scope | None) -> str:
    """The pattern: text that is known at compile time, out of literals, `&`, Match.X and Char()."""
    if isinstance(node, nodes.Chain) and node.operator == "&":
        return "".join(_constant_text(compiler, operand, scope) for operand in node.operands)
    if isinstance(node, nodes.Call) and node.name in ("Char", "UniChar", "Concatenate"):
        if all(compiler.compile(arg, scope).is_constant for arg in node.args):
            value = compiler.compile(node, scope).run(Frame(None, None, {}, Budget(DEFAULT_LIMITS)))
            if value.__class__ is str:
                return str(value)
        raise compiler.error(node, "the pattern must be a constant value")
    expr = compiler.compile(node, scope)
    if expr.constant.__class__ is EnumValue and expr.type.enum == "Match":
        return str(expr.constant.value)
    if expr.constant.__class__ is not str:
        raise compiler.error(node, "the pattern must be a constant value")
    return str(expr.constant)


def _prepare(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> tuple[Expr, Pattern]:
    compiler.arity(node, 2, 3)
    text = compiler.compile_as(node.args[0], scope, TEXT)
    source = _constant_text(compiler, node.args[1], scope)
    options = ""
    if len(node.args) > 2:
        given = compiler.compile(node.args[2], scope)
        if given.type != _OPTIONS or given.constant.__class__ is not EnumValue:
            raise compiler.error(node.args[2], "MatchOptions must be a constant value")
        options = str(given.constant.value)
    try:
        pattern = compile_pattern(source, options)
    except PatternError as problem:
        raise compiler.error(node.args[1], f"the regular expression is not valid: {problem}") from None
    compiler.pattern_size += pattern.cost
    if compiler.pattern_size > _LARGEST:
        raise compiler.error(node.args[1], "the regular expressions are too large")
    return text, pattern


def _search(f: Frame, pattern: Pattern, text: str) -> Any:
    try:
        return pattern.search(text, f.budget)
    except PatternError as problem:
        return _unusable(problem)


def _unusable(problem: PatternError) -> PowerFxError:
    return PowerFxError("NotSupported", f"the regular expression cannot be used on this text: {problem}")


def _is_match(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    arg, pattern = _prepare(compiler, node, scope)
    run_text = arg.run

    def run(f: Frame) -> Any:
        text = run_text(f)
        if text.__class__ is PowerFxError:
            return text
        found = _search(f, pattern, text or "")
        return found if found.__class__ is PowerFxError else found is not None

    return Expr(BOOLEAN, run, node)


def _match(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    arg, pattern = _prepare(compiler, node, scope)
    run_text = arg.run

    def run(f: Frame) -> Any:
        text = run_text(f)
        if text is None or text.__class__ is PowerFxError:
            return text
        found = _search(f, pattern, text)
        if found is None or found.__class__ is PowerFxError:
            return found
        return _row(found, pattern, utf16.length(text[: found.start()]))

    return Expr(record(_columns(pattern)), run, node)


def _columns(pattern: Pattern) -> dict[str, Type]:
    columns: dict[str, Type] = {"FullMatch": TEXT, "StartMatch": DECIMAL}
    if pattern.is_numbered:
        columns["SubMatches"] = one_column(TEXT)
    columns.update(dict.fromkeys(pattern.names, TEXT))
    return columns


def _row(found: Any, pattern: Pattern, start: int) -> dict[str, Any]:
    row: dict[str, Any] = {"FullMatch": found.group(), "StartMatch": Decimal(start + 1)}
    if pattern.is_numbered:
        row["SubMatches"] = [{"Value": found.group(index + 1)} for index in range(pattern.numbered)]
    for name in pattern.names:
        row[name] = found.group(name)
    return row


def _match_all(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
    arg, pattern = _prepare(compiler, node, scope)
    run_text = arg.run

    def run(f: Frame) -> Any:
        text = run_text(f)
        if text is None or text.__class__ is PowerFxError:
            return text
        rows: list[Any] = []
        at = start = 0
        try:
            for found in pattern.search_all(text, f.budget):
                start += utf16.length(text[at : found.start()])
                at = found.start()
                f.budget.spend(_STEPS_A_MATCH)
                if len(rows) == f.budget.limits.table_rows:
                    f.budget.rows(len(rows) + 1)
                rows.append(_row(found, pattern, start))
        except PatternError as problem:
            return _unusable(problem)
        return rows

    return Expr(table(_columns(pattern)), run, node)


FUNCTIONS: Final[dict[str, FunctionCompiler]] = {"IsMatch": _is_match, "Match": _match, "MatchAll": _match_all}
