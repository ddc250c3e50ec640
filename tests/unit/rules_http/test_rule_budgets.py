"""What expressions cost: one purse for a classification or scoring, a thread for what takes long, a bounded cache."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from router.errors import ErrorDetail
from router.offload import off_loop
from router.rules import expressions, purse
from router.rules.check import MOST_EXPRESSIONS, expressions_of, rule_problems
from router.rules.powerfx import PowerFxError, PowerFxSyntaxError, compile_expression, is_compiled
from router.rules.powerfx.cache import MOST_CHARACTERS, CompiledCache
from tests.yardstick import slower

COSTLY = "CountIf(Sequence(40000), Value > {n})"
TEXT = {"job": {"b": "Éx" * 8_000, "c": "中" * 16_000}}


@pytest.fixture
def thread(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Expressions that went to the thread."""
    found: list[str] = []
    in_thread = expressions._in_thread

    def noted(expression: str, *rest: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        found.append(expression)
        return in_thread(expression, *rest)

    monkeypatch.setattr(expressions, "_in_thread", noted)
    return found


async def test_short_ones_are_evaluated_at_once_and_costly_ones_in_the_thread(thread: list[str]) -> None:
    compile_expression("1 + 1")
    assert await expressions.value_of("job.X + 1", {"job": {"X": 2}}) == 3
    assert thread == []
    costly = "Sum(Sequence(20000), Value)"
    assert await expressions.value_of(costly, {}) == 200_010_000
    assert thread == [costly]


async def test_one_purse_spans_all_expressions_of_a_classification() -> None:
    with purse.one_purse() as shared:
        assert await expressions.value_of(COSTLY.format(n=-1), {}) == 40_000
        spent = purse.MOST_STEPS - shared.steps
        assert spent >= 40_000

        async def many() -> None:
            for number in range(100):
                await expressions.value_of(COSTLY.format(n=number), {})

        with pytest.raises(PowerFxError) as caught:
            await many()
        assert caught.value.kind == "BudgetExceeded"
        assert shared.steps < spent
    assert await expressions.value_of(COSTLY.format(n=-1), {}) == 40_000  # another classification has its own


@pytest.mark.timed
@pytest.mark.parametrize(
    "expression",
    [
        'CountIf(Sequence(1900), Lower(job.b) = "x")',
        'CountIf(Sequence(1900), Upper(job.b) = "x")',
        'CountIf(Sequence(1900), Proper(job.b) = "x")',
        'CountIf(Sequence(1900), Trim(job.b) = "x")',
        'CountIf(Sequence(1900), EncodeUrl(job.c) = "x")',
        "CountIf(Sequence(40000), job.c in job.b)",
        "CountIf(Sequence(40000), job.c in [job.b])",
    ],
)
async def test_a_text_function_costs_its_texts_length(expression: str) -> None:
    started = time.process_time()
    with pytest.raises(PowerFxError) as caught:
        await expressions.value_of(expression, TEXT)
    assert caught.value.kind == "BudgetExceeded"
    assert time.process_time() - started < 1.5 * slower(time.thread_time)


async def test_the_loop_turns_while_an_expression_is_evaluated_and_while_one_is_compiled() -> None:
    turns = 0
    ends = False

    async def turn() -> None:
        nonlocal turns
        while not ends:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    long = "+".join(f"(1+{number})" for number in range(800))
    await expressions.compile_all([(long, ("job",))])
    assert turns > 10
    assert is_compiled(long, ("job",))
    turns = 0
    await expressions.value_of(COSTLY.format(n=7), {})
    assert turns > 10
    ends = True
    await turning


async def test_what_the_thread_raises_is_raised() -> None:
    with pytest.raises(PowerFxSyntaxError):
        await expressions.value_of("(1 + " * 60, {})
    with pytest.raises(ZeroDivisionError):
        await off_loop(lambda: 1 / 0)


def test_the_cache_is_bounded_by_characters_and_keeps_what_was_used_last() -> None:
    cache: CompiledCache[str] = CompiledCache()
    for number in range(10):
        cache.put(number, str(number), MOST_CHARACTERS // 4)
        cache.get(0)
    assert 0 in cache
    assert 9 in cache
    assert 5 not in cache
    assert len(cache) == 4
    for number in range(5_000):
        cache.put(("small", number), "", 1)
    assert len(cache) <= 1_024


def test_an_expression_that_does_not_compile_is_remembered_too() -> None:
    for _ in range(2):
        with pytest.raises(PowerFxSyntaxError) as caught:
            compile_expression("1 + + nonsense(", ["job"])
        assert caught.value.position[0] == 1
    assert is_compiled("1 + + nonsense(", ["job"])


def _policy(*texts: str) -> dict[str, Any]:
    rules = [{"kind": "expression", "expression": text} for text in texts]
    return {"workerSelectorAttachments": [{"kind": "conditional", "condition": rule} for rule in rules]}


def test_the_expressions_of_a_policy_are_bounded_together() -> None:
    long = ["+".join(["1"] * 3_900) + f"+{number}" for number in range(9)]
    assert sum(map(len, long)) > MOST_EXPRESSIONS
    found = rule_problems(_policy(*long))
    assert [one.code for one in found] == ["InvalidExpression"]
    assert isinstance(found[0], ErrorDetail)
    assert str(MOST_EXPRESSIONS) in found[0].message
    assert rule_problems(_policy("1", "1", "2")) == []
    assert expressions_of(_policy("1", "1", "2")) == [("1", ("job",)), ("2", ("job",))]
