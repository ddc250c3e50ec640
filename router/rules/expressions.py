"""Expressions, compiled and evaluated without holding the event loop: short ones at once, others in a thread."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from router.offload import off_loop
from router.rules import purse as purses
from router.rules.powerfx import PowerFxError, PowerFxSyntaxError, compile_expression, evaluate, is_compiled
from router.rules.powerfx.errors import BUDGET_EXCEEDED, BudgetError
from router.rules.powerfx.limits import DEFAULT_LIMITS, Budget
from router.rules.purse import Purse

#: What an expression may cost where it is asked for: a few milliseconds at most.
_AT_ONCE: Final = replace(DEFAULT_LIMITS, steps=2_000, seconds=0.004, clock=time.perf_counter)
#: A longer text is compiled in the thread: a character takes some ten microseconds.
_SHORT: Final = 200
#: Made with the first expression, which takes longer than many of them.
_PARSER: Final = "router.rules.powerfx.grammar"
#: Together they take so many steps to compile that nothing else could be evaluated.
_STEPS_A_CHARACTER: Final = 10


async def value_of(expression: str, context: Mapping[str, Any]) -> Any:
    """What the expression yields, from the purse of what goes on here. Raises PowerFxError."""
    purse = purses.current()
    if is_compiled(expression, context) or (len(expression) <= _SHORT and _PARSER in sys.modules):
        budget = Budget(replace(_AT_ONCE, steps=min(_AT_ONCE.steps, purse.steps)) if purse.steps < 2_000 else _AT_ONCE)
        try:
            return evaluate(expression, context, budget=budget)
        except PowerFxError as error:
            if error.kind != BUDGET_EXCEEDED or purse.steps <= _AT_ONCE.steps:
                raise
        finally:
            purse.steps -= budget.limits.steps - max(budget.left, 0)
    return await off_loop(_in_thread, expression, context, purse)


def _in_thread(expression: str, context: Mapping[str, Any], purse: Purse) -> Any:
    started = time.thread_time()
    steps = min(DEFAULT_LIMITS.steps, purse.steps)
    if not is_compiled(expression, context):
        steps -= _STEPS_A_CHARACTER * len(expression)
    limits = replace(
        DEFAULT_LIMITS,
        steps=max(steps, 0),
        seconds=max(purse.seconds, 0.0),
        clock=time.thread_time,
        pause=time.sleep,
    )
    budget = Budget(limits)
    try:
        if steps <= 0 or purse.seconds <= 0:
            raise PowerFxError(BUDGET_EXCEEDED, "the expressions of the policy take too many steps together")
        return evaluate(expression, context, budget=budget)
    except BudgetError as problem:
        raise PowerFxError(BUDGET_EXCEEDED, str(problem)) from None
    finally:
        purse.steps -= limits.steps - max(budget.left, 0)
        purse.seconds -= time.thread_time() - started


async def compile_all(expressions: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    """Compiles them where that holds nobody up: whoever asks for them next finds them. `expressions` with the names
    that they may use."""
    missing = [(text, names) for text, names in expressions if not is_compiled(text, names)]
    if sum(len(text) for text, _ in missing) <= _SHORT and (not missing or _PARSER in sys.modules):
        return
    for text, names in missing:
        await off_loop(_compile, text, names)


def _compile(text: str, names: tuple[str, ...]) -> None:
    with suppress(PowerFxSyntaxError):
        compile_expression(text, names)
