"""The default score (docs/behaviour.md, "Scores"): worked examples, and its laws."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine.scoring import default_score
from tests.unit.engine.engine_records import selector

EXAMPLE = [
    selector("language", "equal", "french"),
    selector("sales", "greaterThanOrEqual", 10),
    selector("cost", "lessThanOrEqual", 10),
]


@pytest.mark.parametrize(
    ("language", "sales", "cost", "score"),
    [("french", 10, 10, 0.667), ("french", 15, 10, 0.707), ("french", 10, 9, 0.675), ("english", 10, 10, 0.333)],
)
def test_the_worked_examples(language: str, sales: int, cost: int, score: float) -> None:
    worker = {"language": language, "sales": sales, "cost": cost, "Id": "w"}
    assert default_score({}, EXAMPLE, worker) == pytest.approx(score, abs=0.0005)


@pytest.mark.parametrize(
    ("job", "worker", "score"),
    [
        ({"a": 1, "b": "x"}, {"a": 1, "b": "x"}, 1.0),
        ({"a": 1, "b": "x", "c": True, "d": 2}, {"a": 1, "b": "y", "c": True}, 0.5),
        ({"a": 1}, {"a": True}, 0.0),
        ({"a": True}, {"a": 1}, 0.0),
        ({"a": 1}, {}, 0.0),
        ({}, {"a": 1}, 0.0),
    ],
)
def test_labels_alone_are_a_share(job: dict[str, Any], worker: dict[str, Any], score: float) -> None:
    assert default_score(job, [], worker) == score


def test_both_are_averaged_over_all_of_them() -> None:
    labels = {"a": 1, "b": 2}
    selectors = [selector("s", "equal", 1), selector("t", "greaterThan", 4)]
    worker = {"a": 1, "s": 1, "t": 4}
    assert default_score(labels, selectors, worker) == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert default_score(labels, selectors, worker, use_labels=False) == pytest.approx(1.5 / 2)
    assert default_score(labels, selectors, worker, use_selectors=False) == pytest.approx(1 / 2)
    assert default_score(labels, selectors, worker, use_labels=False, use_selectors=False) == 0


def test_expired_selectors_do_not_count() -> None:
    expired = selector("a", "equal", 1, status="expired")
    assert default_score({}, [expired, selector("b", "equal", 1)], {"b": 1}) == 1


def test_selectors_that_are_no_numbers_count_as_they_hold() -> None:
    assert default_score({}, [selector("a", "greaterThan", "b")], {"a": "c"}) == 1
    assert default_score({}, [selector("a", "greaterThan", 5)], {}) == 0
    assert default_score({}, [selector("a", "greaterThan", 5)], {"a": True}) == 0


NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = NUMBERS | st.text(max_size=5) | st.booleans()
OPERATORS = ["equal", "notEqual", "lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"]
SELECTORS = st.lists(st.builds(selector, st.sampled_from("abc"), st.sampled_from(OPERATORS), VALUES), max_size=4)
LABELS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(LABELS, SELECTORS, LABELS)
def test_from_0_to_1_whatever_the_values(job: dict[str, Any], selectors: list[Any], worker: dict[str, Any]) -> None:
    assert 0 <= default_score(job, selectors, worker) <= 1


@given(st.sampled_from(OPERATORS[2:]), NUMBERS, NUMBERS, NUMBERS)
def test_further_on_the_right_side_is_never_worse(name: str, value: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    scores = [default_score({}, [selector("a", name, value)], {"a": label}) for label in (low, high)]
    assert scores == sorted(scores, reverse=name.startswith("less"))
