"""The two entrances: compile an expression once, evaluate it often.

The parser, the checker and the functions are imported with the first expression, so that importing
this package costs next to nothing where no rule has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from router.rules.powerfx.cache import CompiledCache
from router.rules.powerfx.errors import BUDGET_EXCEEDED, BudgetError, PowerFxError, PowerFxSyntaxError
from router.rules.powerfx.limits import DEFAULT_LIMITS, Budget, Limits
from router.rules.powerfx.types import ANY, Type

if TYPE_CHECKING:
    from router.rules.powerfx.compiler import Frame, Run

Names = Mapping[str, Type] | Iterable[str]


def _on_a_stack_of_its_own(run: Run) -> Run:
    """A closure that starts at the beginning of a large piece of the interpreter's stack.

    CPython keeps Python frames in pieces of 16 KB. A loop whose calls happen to cross the border of two
    pieces takes a piece from the operating system and gives it back with each of its calls, and is ten
    times slower for it, depending on nothing but the depth of the caller. A function that declares a large
    frame gets a piece that has room for all that it calls.
    """

    def start(f: Frame) -> Any:
        return run(f)

    start.__code__ = start.__code__.replace(co_stacksize=_LARGE_FRAME)
    return start


_LARGE_FRAME = 8_300  # slots of 8 bytes: more than half of the 128 KB that are then taken


class Compiled:
    """An expression that has passed the checker."""

    __slots__ = ("_frame", "_result", "_run", "limits", "text", "type")

    def __init__(self, text: str, type: Type, run: Run, loops: bool, limits: Limits) -> None:
        self.text = text
        self.type = type
        self.limits = limits
        self._run = _on_a_stack_of_its_own(run) if loops else run
        from router.rules.powerfx.compiler import Frame
        from router.rules.powerfx.values import to_result

        self._frame = Frame
        self._result = to_result

    def evaluate(self, context: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value of the expression. A runtime error is raised, as is an exceeded limit. With `budget` it spends from
        that, and not from one of its own."""
        try:
            value = self._run(self._frame(None, None, context, budget or Budget(self.limits)))
        except BudgetError as problem:
            raise PowerFxError(BUDGET_EXCEEDED, str(problem)) from None
        except (RecursionError, MemoryError):
            raise PowerFxError(BUDGET_EXCEEDED, "the expression needs too much memory") from None
        except Exception as problem:  # a fault of this package must not take more down than one rule
            raise PowerFxError("Internal", f"the expression failed: {type(problem).__name__}") from problem
        if value.__class__ is PowerFxError:
            raise PowerFxError(value.kind, value.message, value.details)
        result = self._result(value, self.type)
        if result.__class__ is PowerFxError:
            raise PowerFxError(result.kind, result.message, result.details)
        return result


def _typed(names: Names) -> tuple[tuple[str, Type], ...]:
    if isinstance(names, Mapping):
        return tuple(sorted(names.items(), key=lambda pair: pair[0]))
    return tuple((name, ANY) for name in sorted(names))


_CACHE: CompiledCache[Compiled | PowerFxSyntaxError] = CompiledCache()


def _compiled(text: str, names: tuple[tuple[str, Type], ...], limits: Limits) -> Compiled:
    key = (text, names, limits)
    found = _CACHE.get(key)
    if found is None:
        try:
            found = _compiled_anew(text, names, limits)
        except PowerFxSyntaxError as problem:
            # Another one: this one holds the frames in which it was raised, and with them all that was parsed.
            found = PowerFxSyntaxError(problem.message, problem.offset, text)
        _CACHE.put(key, found, len(text))
    if isinstance(found, PowerFxSyntaxError):
        raise PowerFxSyntaxError(found.message, found.offset, text)
    return found


def _compiled_anew(text: str, names: tuple[tuple[str, Type], ...], limits: Limits) -> Compiled:
    from router.rules.powerfx import grammar
    from router.rules.powerfx.compiler import Compiler
    from router.rules.powerfx.functions import FUNCTIONS
    from router.rules.powerfx.operators import compile_operator

    try:
        tree = grammar.parse(text, limits)
        compiler = Compiler(text, dict(names), FUNCTIONS, compile_operator)
        expr = compiler.compile(tree, None)
    except RecursionError:
        raise PowerFxSyntaxError("the expression is nested too deeply", 0, text) from None
    except BudgetError as problem:
        raise PowerFxSyntaxError(str(problem), 0, text) from None
    return Compiled(text, expr.type, expr.run, compiler.loops, limits)


def compile_expression(expression: str, names: Names = (), limits: Limits = DEFAULT_LIMITS) -> Compiled:
    """Parse and check an expression, or raise PowerFxSyntaxError.

    `names` are those of the context. A name without a type, as those of labels, fits everywhere and is
    converted at run time. Compiled expressions are cached by their text.
    """
    return _compiled(expression, _typed(names), limits)


def is_compiled(expression: str, names: Names, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Whether `compile_expression` with these names, or `evaluate` with such a context, finds it in the cache."""
    return (expression, tuple((name, ANY) for name in sorted(names)), limits) in _CACHE


def evaluate(
    expression: str,
    context: Mapping[str, Any],
    limits: Limits = DEFAULT_LIMITS,
    budget: Budget | None = None,
) -> Any:
    """Compile (or find in the cache) and evaluate in one step. The context's keys are the known names."""
    compiled = _compiled(expression, tuple((name, ANY) for name in sorted(context)), limits)
    return compiled.evaluate(context, budget)
