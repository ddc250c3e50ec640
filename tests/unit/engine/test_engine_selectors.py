"""Which labels satisfy a selector, and when a selector expires."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine.selectors import all_selectors, describe, expire, first_failing, holds, next_expiry, of_policy, start
from router.models.selectors import LabelOperator, PolicyWorkerSelector, SelectorStatus
from tests.unit.engine.engine_records import NOW, job, later, selector

OPERATORS = {
    "equal": operator.eq,
    "notEqual": operator.ne,
    "lessThan": operator.lt,
    "lessThanOrEqual": operator.le,
    "greaterThan": operator.gt,
    "greaterThanOrEqual": operator.ge,
}
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=8)


@pytest.mark.parametrize("name", OPERATORS)
@given(label=NUMBERS, value=NUMBERS)
def test_numbers_compare_numerically(name: str, label: float, value: float) -> None:
    assert holds(selector("k", name, value), {"k": label}) is OPERATORS[name](label, value)


@pytest.mark.parametrize("name", OPERATORS)
@given(label=TEXTS, value=TEXTS)
def test_texts_compare_ordinally(name: str, label: str, value: str) -> None:
    assert holds(selector("k", name, value), {"k": label}) is OPERATORS[name](label, value)


def test_texts_are_case_sensitive_and_not_numbers() -> None:
    assert not holds(selector("k", "equal", "French"), {"k": "french"})
    assert holds(selector("k", "lessThan", "9"), {"k": "10"}), "as texts"
    assert holds(selector("k", "equal", 10), {"k": 10.0})


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("label", [True, False])
@pytest.mark.parametrize("value", [True, False])
def test_booleans_know_equality_alone(name: str, label: bool, value: bool) -> None:
    expected = {"equal": label == value, "notEqual": label != value}.get(name, False)
    assert holds(selector("k", name, value), {"k": label}) is expected


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(("label", "value"), [(1, True), (True, 1), ("1", 1), (1, "1"), ("true", True), (0, False)])
def test_other_types_satisfy_only_not_equal(name: str, label: Any, value: Any) -> None:
    assert holds(selector("k", name, value), {"k": label}) is (name == "notEqual")


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("value", [5, "text", True, None])
def test_a_missing_label_satisfies_only_not_equal(name: str, value: Any) -> None:
    assert holds(selector("k", name, value), {"other": value}) is (name == "notEqual")
    assert holds(selector("k", name, value), {"K": 5}) is (name == "notEqual"), "keys are case-sensitive"


@given(st.sampled_from(list(OPERATORS)), NUMBERS | TEXTS, NUMBERS | TEXTS)
def test_opposites(name: str, label: Any, value: Any) -> None:
    """Of like types, exactly one of an operator and its opposite holds."""
    opposite = {"equal": "notEqual", "lessThan": "greaterThanOrEqual", "greaterThan": "lessThanOrEqual"}
    both = {**opposite, **{other: one for one, other in opposite.items()}}
    found = holds(selector("k", name, value), {"k": label}), holds(selector("k", both[name], value), {"k": label})
    if isinstance(label, str) == isinstance(value, str):
        assert sum(found) == 1


def test_the_first_active_one_that_fails() -> None:
    good, expired = selector("a", "equal", 1), selector("b", "equal", 1, status="expired")
    bad, worse = selector("c", "equal", 1), selector("d", "equal", 1)
    assert first_failing([good, expired, bad, worse], {"a": 1}) is bad
    assert first_failing([good, expired], {"a": 1}) is None


class TestExpiry:
    def test_time_counts_from_the_enqueueing(self) -> None:
        timed, lasting = selector("a", "equal", 1, expires_after_seconds=90.5), selector("b", "equal", 1)
        started = start([timed, lasting], NOW)
        assert [one.expires_at for one in started] == [later(90.5), None]
        assert started[1] is lasting

    def test_at_its_moment_and_once(self) -> None:
        stand = start([selector("a", "equal", 1, expires_after_seconds=10), selector("b", "equal", 1)], NOW)
        assert expire(stand, later(9.999999)) == (stand, [])
        stand, gone = expire(stand, later(10))
        assert [one.key for one in gone] == ["a"]
        assert [one.status for one in stand] == [SelectorStatus.EXPIRED, SelectorStatus.ACTIVE]
        assert expire(stand, later(11)) == (stand, [])

    def test_the_next_one(self) -> None:
        first = selector("a", "equal", 1, expires_at=later(5), status="expired")
        second, third = selector("b", "equal", 1, expires_at=later(20)), selector("c", "equal", 1, expires_at=later(10))
        record = job(requested_worker_selectors=[first, second], attached_worker_selectors=[third])
        assert all_selectors(record.job) == (first, second, third)
        assert next_expiry(record.job) == later(10)
        assert next_expiry(job().job) is None

    def test_a_policys_selector_has_not_started(self) -> None:
        one = of_policy(
            PolicyWorkerSelector(key="a", label_operator="lessThan", value=3, expires_after_seconds=5, expedite=True)
        )
        assert (one.key, one.label_operator, one.value) == ("a", LabelOperator.LESS_THAN, 3)
        assert (one.expires_after_seconds, one.expedite, one.expires_at, one.active) == (5, True, None, True)


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (selector("skill", "greaterThanOrEqual", 7), "skill >= 7"),
        (selector("a b", "notEqual", True), "a b <> true"),
        (selector("x", "lessThan", "y"), "x < y"),
        (selector("x", "equal", False), "x = false"),
    ],
)
def test_as_people_write_it(one: Any, text: str) -> None:
    assert describe(one) == text
