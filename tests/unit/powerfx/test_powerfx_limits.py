"""No expression costs more than its limits allow, however it tries."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from router.rules.powerfx import Limits, PowerFxError, PowerFxSyntaxError, compile_expression, evaluate
from router.rules.powerfx.limits import DEFAULT_LIMITS, Budget
from router.rules.powerfx.patterns import MOST_MEMORY, PROGRAMS, PatternError, compile_pattern
from tests.unit.powerfx.powerfx_hostile import expressions
from tests.yardstick import slower

pytestmark = pytest.mark.timed

HOSTILE = 1_000
#: Of an ordinary machine: three times the longest there.
LONGEST_SECONDS = 0.2


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """Times are those of the evaluator: the parser is made before, and the garbage collector passes over
    the many objects of the test run."""
    evaluate('IsMatch("a", "a") && IsBlank(ParseJSON("null"))', {})
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def outcome_of(expression: str) -> tuple[str, float]:
    """`value` or the error's kind, and the seconds of processor that it took."""
    started = time.thread_time()
    try:
        evaluate(expression, {"job": {"X": "a"}})
        outcome = "value"
    except PowerFxError as error:
        outcome = error.kind
    return outcome, time.thread_time() - started


def test_a_thousand_hostile_expressions_end_in_time() -> None:
    outcomes: dict[str, int] = {}
    slow: list[tuple[float, str]] = []
    for expression in expressions(seed=20240601, count=HOSTILE):
        outcome, seconds = outcome_of(expression)
        if seconds > LONGEST_SECONDS:  # what else took time is not there each time
            again = min(outcome_of(expression)[1] for _ in range(3))
            if again > LONGEST_SECONDS * slower(time.thread_time):
                slow.append((again, expression[:200]))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert slow == []
    assert "Internal" not in outcomes
    assert outcomes["BudgetExceeded"] > 50
    assert outcomes["Syntax"] > 50
    assert outcomes["value"] > 50


@pytest.mark.parametrize(
    "expression",
    [
        "ForAll(Sequence(1000), Sequence(1000))",
        "Sum(Sequence(50000), Sum(Sequence(50000), Value))",
        'With({t: Concat(Sequence(20000), "aaaa")}, t & t)',
        'Substitute(Concat(Sequence(20000), "a"), "a", "bbbbbbbbbbbbbbbbbbbb")',
        'ForAll(Sequence(5000), Concat(Sequence(1000), "abcdefgh"))',
        'CountIf(Sequence(10000), IsMatch(Concat(Sequence(5000), "a"), "(a+)+$"))',
    ],
)
def test_a_budget_ends_what_is_too_much(expression: str) -> None:
    with pytest.raises(PowerFxError) as caught:
        evaluate(expression, {})
    assert caught.value.kind == "BudgetExceeded"


def test_no_expression_catches_its_own_end() -> None:
    with pytest.raises(PowerFxError) as caught:
        evaluate("IfError(Sum(Sequence(50000), Sum(Sequence(50000), Value)), 0)", {})
    assert caught.value.kind == "BudgetExceeded"


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("(", ")"), ("[", "]"), ("{a:", "}"), ("Not(", ")"), ("-", ""), ("If(true,", ")"), ('$"{', '}"'), ("2^", "")],
)
@pytest.mark.parametrize("depth", [70, 200, 290, 2_000])
def test_deep_nesting_is_refused_or_evaluated(opening: str, closing: str, depth: int) -> None:
    expression = opening * depth + "1" + closing * depth
    with contextlib.suppress(PowerFxError):
        evaluate(expression, {})


def test_long_chains_of_and_or_and_text_are_not_deep() -> None:
    assert evaluate(" && ".join(["true"] * 500), {}) is True
    assert evaluate(" || ".join(["false"] * 500), {}) is False
    assert evaluate(" & ".join(['"a"'] * 500), {}) == "a" * 500


def test_each_limit_can_be_set() -> None:
    def fails(expression: str, **limits: Any) -> str:
        with pytest.raises(PowerFxError) as caught:
            evaluate(expression, {}, Limits(**limits))
        return caught.value.kind

    assert fails("1 + 1", expression_length=3) == "Syntax"
    assert fails("1 + (1 + 1)", depth=2) == "Syntax"
    assert fails("Sum(Sequence(100), Value)", steps=100) == "BudgetExceeded"
    assert fails('With({x: "ab"}, x & x & x)', text_length=5) == "BudgetExceeded"
    assert fails("Sequence(11)", table_rows=10) == "BudgetExceeded"
    assert fails('ParseJSON("[1,2,3]")', json_length=5) == "BudgetExceeded"
    assert fails('ParseJSON("[[1]]")', json_depth=1) == "BudgetExceeded"


def test_a_clock_bounds_the_time() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.01
        return now

    with pytest.raises(PowerFxError) as caught:
        evaluate("Sum(Sequence(100), Sum(Sequence(100), Value))", {}, Limits(seconds=0.05, clock=clock))
    assert caught.value.kind == "BudgetExceeded"
    assert "too long" in caught.value.message
    assert evaluate("Sum(Sequence(10), Value)", {}, Limits(seconds=0.05, clock=clock)) == 55


def test_the_same_expression_is_compiled_once() -> None:
    assert compile_expression("1 + job.X", ["job"]) is compile_expression("1 + job.X", ["job"])
    assert compile_expression("1 + job.X", ["job"]) is not compile_expression("1 + job.X", ["job", "worker"])


@pytest.mark.parametrize("text", ["\x00", "\ud800", "a\u202eb", "'" * 3, "$" * 50, "/*", "#", "1e", "1..2"])
def test_odd_characters_are_refused(text: str) -> None:
    with pytest.raises(PowerFxSyntaxError):
        evaluate(text, {})


LONG = 'Concat(Sequence(9000), "abcdefgh<p>")'


@pytest.mark.parametrize(
    "expression",
    [
        f"ForAll(Sequence(100), EncodeHTML({LONG.replace('9000', '6000')}))",
        f"ForAll(Sequence(100), PlainText({LONG}))",
        f"With({{t: {LONG}}}, CountIf(Sequence(50), Len(PlainText(t)) > Value))",
        f"With({{t: {LONG}}}, CountIf(Sequence(50), Len(EncodeHTML(Left(t, 30000))) > Value))",
        f'CountIf(Sequence(500), CountRows(MatchAll({LONG}, "p")) > Value)',
        f'MatchAll({LONG}, "[a-z]{{1,2}}")',
        f'With({{t: {LONG}}}, CountIf(Sequence(500), CountRows(Search([{{a: t}}], "zz", a)) > 0))',
        f'With({{t: {LONG}}}, CountIf(Sequence(500), CountRows(Search([{{a: "b"}}], t, a)) > 0))',
        "Summarize(Sequence(50000), Value, Sum(ThisGroup, Value) As s)",
        "ForAll(Sequence(5000), Summarize(Sequence(100), Value, CountRows(ThisGroup) As n))",
        'ForAll(Sequence(5000), ColumnNames(ParseJSON("{""a"": 1, ""b"": 2}")))',
        'ForAll(Sequence(5000), AsType(ParseJSON("[1,2,3,4,5,6,7,8,9]"), Type([Number])))',
        f'With({{t: {LONG} & "é"}}, Sort(ForAll(Sequence(500), t & Value), Value))',
        "ForAll(Sequence(40000), Patch({a: 1, b: 2, c: 3}, {d: Value, e: 5}))",
        "Sum(ForAll(Sequence(9000), StdevP(Sequence(100), Value)), Value)",
    ],
)
def test_what_goes_through_long_texts_and_many_rows_is_paid_for(expression: str) -> None:
    with pytest.raises(PowerFxError) as caught:
        evaluate(expression, {})
    assert caught.value.kind == "BudgetExceeded"


@pytest.mark.parametrize(
    "piece", ["<!--", "<!-->", "<td", "<header>", "<", "< ", "<p>", "&amp;", "&", "<style>x</style>", "-- ", "<script"]
)
@pytest.mark.parametrize("function", ["PlainText", "EncodeHTML"])
def test_no_piece_of_html_is_slow(piece: str, function: str) -> None:
    text = piece * (60_000 // len(piece)) + ">"
    started = time.thread_time()
    with contextlib.suppress(PowerFxError):
        evaluate(f"Len({function}(t))", {"t": text})
    assert time.thread_time() - started < LONGEST_SECONDS * slower(time.thread_time)


@pytest.mark.parametrize("call", ["Mid(text, 3)", "Left(text, 50000)", "Right(text, 50000)", "Len(text)"])
def test_what_python_does_in_one_piece_with_a_long_text_is_short(call: str) -> None:
    """A thread that is in the middle of one piece does not give back the interpreter when another asks."""
    expression = compile_expression(call, ["text"])
    text = "\U0001f600" * 45_000

    def took() -> float:
        started = time.thread_time()
        expression.evaluate({"text": text})
        return time.thread_time() - started

    assert min(took() for _ in range(5)) < 0.005 * slower(time.thread_time)


def test_what_patterns_grow_to_is_bounded() -> None:
    """A program takes memory while it searches. What is kept of all is bounded, and what has gone is made anew."""
    text = "".join("abé"[number * number * 7 % 3] for number in range(2_000))
    expressions = [f'IsMatch(job.X, "(a|b|é)*a(a|b|é){{{2 + number % 8}}}x{number}")' for number in range(400)]
    for x in (text, "abcab" * 100):
        for expression in [*expressions, *expressions[:3]]:
            assert evaluate(expression, {"job": {"X": x}}) is False
            assert PROGRAMS.size <= MOST_MEMORY


def test_a_program_for_all_letters_costs_its_size_and_one_that_is_too_large_is_made_once() -> None:
    accents = "é" * 10
    small = " && ".join(f'!IsMatch(job.X, "\\w{{2}}\\d{number}")' for number in range(8))
    assert evaluate(small, {"job": {"X": accents}}) is True
    too_large = compile_pattern(r"\w{1,300}", "c")
    for steps in (DEFAULT_LIMITS.steps, 1):
        with pytest.raises(PatternError, match="too large"):
            too_large.search(accents, Budget(replace(DEFAULT_LIMITS, steps=steps)))
