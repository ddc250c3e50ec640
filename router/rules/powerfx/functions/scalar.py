"""Functions of plain values: their arguments' types, blanks and errors, and their overload for tables.

A function of one kind of argument also takes a table of one column in its place, and then gives a
table of results in the column `Value`; rows that another table lacks become NotApplicable errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from router.rules.powerfx import coercion, nodes
from router.rules.powerfx.compiler import Compiler, Expr, Frame, FunctionCompiler, Run, Scope
from router.rules.powerfx.errors import PowerFxError, join_errors
from router.rules.powerfx.types import DECIMAL, FLOAT, TEXT, UNTYPED, Type, one_column

KEEP: Final = object()  # a blank argument stays blank
BLANK_RESULT: Final = object()  # a blank argument makes the result blank


@dataclass(frozen=True, slots=True)
class Parameter:
    """What an argument is coerced to (`None`: Decimal, or Number where it is one) and what a blank becomes."""

    type: Type | None
    blank: Any = KEEP
    exact: bool = False  # a column in the place of the argument has to be of that type already


def number(blank: Any = None) -> Parameter:
    return Parameter(None, Decimal(0) if blank is None else blank)


def decimal(blank: Any = None) -> Parameter:
    return Parameter(DECIMAL, Decimal(0) if blank is None else blank)


def floating(blank: Any = 0.0) -> Parameter:
    return Parameter(FLOAT, blank)


def text(blank: Any = "", *, exact: bool = False) -> Parameter:
    return Parameter(TEXT, blank, exact)


def _numeric_type(args: Sequence[Expr], parameters: Sequence[Parameter]) -> Type:
    """What the arguments are computed in: Number as soon as one of those that decide is one."""
    types = [
        next(iter(arg.type.columns.values()), DECIMAL) if arg.type.kind == "Table" else arg.type
        for arg, parameter in zip(args, parameters, strict=True)
        if parameter.type is None
    ]
    return FLOAT if FLOAT in types else DECIMAL


def _column(compiler: Compiler, arg: Expr) -> tuple[str, Type]:
    columns = arg.type.columns
    if len(columns) != 1:
        raise compiler.error(arg.node, "a table of one column is expected")
    return next(iter(columns.items()))


#: A shorter text costs no more than the call.
_CHEAP: Final = 64


def _finish(blanks: Sequence[Any], implementation: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    """Errors joined, blanks replaced, then the implementation."""

    def finish(args: list[Any]) -> Any:
        errors = [arg for arg in args if arg.__class__ is PowerFxError]
        if errors:
            return join_errors(errors)
        if None in args:
            for index, arg in enumerate(args):
                if arg is None:
                    blank = blanks[index]
                    if blank is BLANK_RESULT:
                        return None
                    if blank is not KEEP:
                        args[index] = blank
        return implementation(*args)

    return finish


def scalar(
    parameters: Sequence[Parameter],
    result: Type | None,
    implementation: Callable[..., Any],
    *,
    least: int | None = None,
    repeat: bool = False,
    tables: bool = False,
    cost: int = 5,
) -> FunctionCompiler:
    """A function's compiler. `result` None: the numeric type of the first argument. `cost`: what a text costs is its
    length shifted right by so many bits.

    `least` counts the arguments that must be given, `repeat` lets the last parameter stand for any number.
    """
    needed = len(parameters) if least is None else least

    def compile_call(compiler: Compiler, node: nodes.Call, scope: Scope | None) -> Expr:
        compiler.arity(node, needed, None if repeat else len(parameters))
        args = [compiler.compile(arg, scope) for arg in node.args]
        used = [parameters[min(index, len(parameters) - 1)] for index in range(len(args))]
        blanks = [parameter.blank for parameter in used]
        if tables and any(arg.type.kind == "Table" for arg in args):
            return _tabular(compiler, args, used, result, _Priced(implementation, cost), node)
        numeric = _numeric_type(args, used)
        coerced = [compiler.coerce(arg, parameter.type or numeric) for arg, parameter in zip(args, used, strict=True)]
        type = result or numeric
        if type == FLOAT:
            blanks = [float(b) if b.__class__ is Decimal else b for b in blanks]
        return Expr(type, _closure([c.run for c in coerced], blanks, implementation, type == TEXT, cost), node)

    return compile_call


class _Priced:
    """An implementation with what its texts cost."""

    def __init__(self, implementation: Callable[..., Any], cost: int) -> None:
        self.implementation, self.cost = implementation, cost


def _pay(f: Frame, args: list[Any], cost: int) -> None:
    for arg in args:
        if arg.__class__ is str and len(arg) > _CHEAP:
            f.budget.spend(len(arg) >> cost)


def _closure(runs: list[Run], blanks: list[Any], implementation: Callable[..., Any], is_text: bool, cost: int) -> Run:
    finish = _finish(blanks, implementation)

    def run(f: Frame) -> Any:
        args = [arg(f) for arg in runs]
        _pay(f, args, cost)
        value = finish(args)
        if is_text and value.__class__ is str:
            f.budget.text(len(value))
        return value

    return run


def _tabular(
    compiler: Compiler,
    args: list[Expr],
    parameters: list[Parameter],
    result: Type | None,
    priced: _Priced,
    node: nodes.Call,
) -> Expr:
    compiler.loops = True
    numeric = _numeric_type(args, parameters)
    runs: list[Run] = []
    converts: list[tuple[str, Callable[[Any], Any]] | None] = []
    for arg, parameter in zip(args, parameters, strict=True):
        if arg.type.kind == "Table":
            name, column = _column(compiler, arg)
            target = parameter.type or numeric
            convert = coercion.converter(column, target)
            if convert is None or (parameter.exact and column.kind not in (target.kind, "Blank", *UNTYPED)):
                raise compiler.error(arg.node, f"a column of {target} is expected, not of {column}")
            converts.append((name, convert))
            runs.append(arg.run)
        else:
            coerced = compiler.coerce(arg, parameter.type or numeric)
            converts.append(None)
            runs.append(coerced.run)
    type = result or numeric
    blanks: list[Any] = [parameter.blank for parameter in parameters]
    if type == FLOAT:
        blanks = [float(blank) if blank.__class__ is Decimal else blank for blank in blanks]
    finish = _finish(blanks, priced.implementation)
    places = [place for place, convert in enumerate(converts) if convert is not None]

    def run(f: Frame) -> Any:
        given = [arg(f) for arg in runs]
        for value, convert in zip(given, converts, strict=True):
            if convert is not None and (value is None or value.__class__ is PowerFxError):
                return value
        lengths = [len(value) for value, convert in zip(given, converts, strict=True) if convert is not None]
        longest, shortest = max(lengths), min(lengths)
        f.budget.rows(longest * len(given))
        rows: list[Any] = []
        for index in range(longest):
            if index >= shortest:
                rows.append({"Value": PowerFxError("NotApplicable", "the tables are of different lengths")})
                continue
            broken = next(
                (given[place][index] for place in places if given[place][index].__class__ is PowerFxError),
                None,
            )
            if broken is not None or (len(given) == 1 and given[0][index] is None):
                rows.append(broken)  # or a blank
                continue
            cells = [
                value if convert is None else convert[1](_cell(value[index], convert[0]))
                for value, convert in zip(given, converts, strict=True)
            ]
            _pay(f, cells, priced.cost)
            found = finish(cells)
            if found.__class__ is str:
                f.budget.text(len(found))
            rows.append({"Value": found})
        return rows

    return Expr(one_column(type), run, node)


def _cell(row: Any, name: str) -> Any:
    return row.get(name) if row.__class__ is dict else row
