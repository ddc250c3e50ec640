"""Results of rules: what fits the place of use, and a reason that quotes no text for what does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from router.models.selectors import LabelOperator, PolicyWorkerSelector, RouterQueueSelector
from router.rules.failure import RuleResultError
from router.rules.results import (
    as_condition,
    as_priority,
    as_queue_selectors,
    as_score,
    as_scores,
    as_worker_selectors,
)


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        (0, 0),
        (-5, -5),
        (1.0, 1),
        (-0.0, 0),
        (Decimal("10.00"), 10),
        (2**31 - 1, 2**31 - 1),
        (-(2**31), -(2**31)),
        (1e3, 1000),
        (Decimal("0e400000"), 0),
        (Decimal("-2147483648.000"), -(2**31)),
        ("2", 2),
        (" -10 ", -10),
        ("+3", 3),
        ("4.0", 4),
        ("1e2", 100),
    ],
)
def test_priorities(value: object, priority: int) -> None:
    result = as_priority(value)
    assert result == priority
    assert type(result) is int


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        None,
        "ten",
        "",
        "1.5",
        "1 0",
        "2147483648",
        "NaN",
        "Infinity",
        "١",
        "9" * 5000,
        "1e999",
        1.5,
        Decimal("1.5"),
        2**31,
        -(2**31) - 1,
        1e300,
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("1e400000"),
        Decimal("-1e999999"),
        Decimal("1e-400000"),
        10**4000,
        [1],
        {"value": 1},
    ],
)
def test_no_priorities(value: object) -> None:
    with pytest.raises(RuleResultError, match="priority must be") as failure:
        as_priority(value)
    assert failure.value.code == "InvalidRuleResult"


@pytest.mark.parametrize(
    ("value", "condition"),
    [(True, True), (False, False), (None, False), ("true", True), ("False", False), (" TRUE ", True)],
)
def test_conditions(value: object, condition: bool) -> None:
    assert as_condition(value) is condition


@pytest.mark.parametrize("value", [0, 1, "yes", "1", "", [], {}, Decimal(1)])
def test_no_conditions(value: object) -> None:
    with pytest.raises(RuleResultError, match="condition must be true or false"):
        as_condition(value)


@pytest.mark.parametrize(
    ("value", "score"), [(200, 200.0), (0.5, 0.5), (Decimal("0.667"), 0.667), (-1, -1.0), ("0.5", 0.5), ("200", 200.0)]
)
def test_scores(value: object, score: float) -> None:
    result = as_score(value)
    assert result == score
    assert type(result) is float


@pytest.mark.parametrize(
    "value", [True, None, "one", "", "nan", "1e999", float("nan"), float("-inf"), 10**400, Decimal("Infinity"), [1]]
)
def test_no_scores(value: object) -> None:
    with pytest.raises(RuleResultError, match="finite number"):
        as_score(value)


def test_batches_have_one_score_for_each_worker() -> None:
    assert as_scores([1, 2.5, Decimal(3)], [{}] * 3) == [1.0, 2.5, 3.0]
    assert as_scores((), []) == []
    for value, complaint in [
        ([1], "each of 2 workers, not 1"),
        ("12", "a list of scores, not a text of 2"),
        (1, "not 1"),
    ]:
        with pytest.raises(RuleResultError, match=complaint):
            as_scores(value, [{}, {}])
    with pytest.raises(RuleResultError, match="finite"):
        as_scores([1, True], [{}, {}])


WORKERS: list[dict[str, Any]] = [{"Id": "w1"}, {"Id": "w2", "skill": 3}]


@pytest.mark.parametrize(
    "value", [{"w2": 0.25, "w1": 1}, {"w1": "1", "w2": "0.25", "other": "x"}, '{"w1": 1, "w2": 0.25}', "[1, 0.25]"]
)
def test_scores_by_worker(value: object) -> None:
    """As Microsoft's sample of batch scoring answers: an object of worker id to score. Or either as a text."""
    assert as_scores(value, WORKERS) == [1.0, 0.25]


@pytest.mark.parametrize("value", [{}, {"w1": 1}, {"W1": 1, "w2": 1}])
def test_no_score_of_a_worker(value: object) -> None:
    with pytest.raises(RuleResultError, match=r"no score for worker 'w[12]'"):
        as_scores(value, WORKERS)
    with pytest.raises(RuleResultError, match="finite"):
        as_scores({"w1": 1, "w2": None}, WORKERS)


def test_a_text_names_the_queue() -> None:
    [selector] = as_queue_selectors("XBOX_QUEUE")
    assert selector == RouterQueueSelector(key="Id", label_operator=LabelOperator.EQUAL, value="XBOX_QUEUE")


@pytest.mark.parametrize("convert", [as_queue_selectors, as_worker_selectors])
def test_labels_are_selectors_of_the_same_ones(convert: Callable[[object], Any]) -> None:
    """As `directMap` yields them."""
    found = convert({"Region": "EU", "Vip": True, "key": 5})
    assert [(one.key, one.label_operator, one.value) for one in found] == [
        ("Region", "equal", "EU"),
        ("Vip", "equal", True),
        ("key", "equal", 5),
    ]


@pytest.mark.parametrize("operator", ["GreaterThanOrEqual", "greater-than-or-equal", "GreaterThanEqual"])
@pytest.mark.parametrize("name", ["labelOperator", "operator", "Operator"])
def test_operators_in_every_documented_form(name: str, operator: str) -> None:
    [selector] = as_worker_selectors([{"key": "English", name: operator, "value": 7, "expiresAfterSeconds": None}])
    assert selector.label_operator is LabelOperator.GREATER_THAN_OR_EQUAL


def test_selectors_as_a_text_of_json() -> None:
    [selector] = as_worker_selectors('[{"key": "a", "labelOperator": "equal", "value": 1}]')
    assert selector.value == 1


def test_queue_selectors() -> None:
    value = [
        {"key": "Region", "labelOperator": "equal", "value": "EU"},
        {"Key": "Size", "LabelOperator": "GreaterThanOrEqual", "VALUE": Decimal("5"), "unknown": 1},
        {"key": "Any", "labelOperator": "notEqual", "value": None},
    ]
    assert as_queue_selectors(value) == [
        RouterQueueSelector(key="Region", label_operator=LabelOperator.EQUAL, value="EU"),
        RouterQueueSelector(key="Size", label_operator=LabelOperator.GREATER_THAN_OR_EQUAL, value=5),
        RouterQueueSelector(key="Any", label_operator=LabelOperator.NOT_EQUAL),
    ]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (Decimal("5.00"), 5),
        (Decimal("2.50"), 2.5),
        (Decimal("-0"), 0),
        (Decimal("999999999999999999"), 999999999999999999),
        (Decimal("1e18"), 1e18),
        (Decimal("1e29"), 1e29),
        (Decimal("1e-400000"), 0.0),
    ],
)
def test_decimals_become_the_numbers_of_json(given: Decimal, plain: int | float) -> None:
    (selector,) = as_queue_selectors({"key": "a", "labelOperator": "equal", "value": given})
    assert selector.value == plain
    assert type(selector.value) is type(plain)


@pytest.mark.parametrize("value", [Decimal("1e400000"), Decimal("NaN"), Decimal("-Infinity")])
def test_a_decimal_beyond_every_bound_is_refused_at_once(value: Decimal) -> None:
    started = time.thread_time()
    for read in (as_priority, as_score, as_queue_selectors, lambda v: as_scores([v], [{"Id": "w"}])):
        with pytest.raises(RuleResultError) as failure:
            read({"key": "a", "labelOperator": "equal", "value": value} if read is as_queue_selectors else value)
        assert len(failure.value.reason) < 200
    assert time.thread_time() - started < 0.5


def test_a_single_selector_is_a_list_of_one() -> None:
    assert len(as_queue_selectors({"key": "a", "labelOperator": "equal", "value": 1})) == 1
    assert as_queue_selectors([]) == []


def test_worker_selectors_start_active_and_keep_their_duration() -> None:
    value = [
        {
            "key": "Id",
            "labelOperator": "equal",
            "value": "w1",
            "expiresAfterSeconds": Decimal("45.5"),
            "expedite": True,
            "status": "expired",
            "expiresAt": "2026-01-01T00:00:00Z",
        }
    ]
    assert as_worker_selectors(value) == [
        PolicyWorkerSelector(
            key="Id", label_operator=LabelOperator.EQUAL, value="w1", expires_after_seconds=45.5, expedite=True
        )
    ]


@pytest.mark.parametrize("convert", [as_queue_selectors, as_worker_selectors])
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (None, "list of selectors, not blank"),
        ("", "list of selectors, not a text of 0 characters"),
        (3, "not 3"),
        (["x"], "Selector 0 must be an object"),
        ([{"labelOperator": "equal", "value": 1}], "Selector 0, key"),
        ([{"key": "a", "labelOperator": "equal"}, {"key": "a", "value": 1}], "Selector 1, labelOperator"),
        ([{"key": "a", "labelOperator": "like", "value": 1}], "labelOperator"),
        ([{"key": 5, "labelOperator": "equal", "value": 1}], "key"),
        ([{"key": "a", "labelOperator": "equal", "value": [1]}], "value"),
        ([{"key": "a", "labelOperator": "equal", "value": float("nan")}], "value"),
        ([{"key": "a", "labelOperator": "equal", "value": "\ud800"}], "value"),
        ([{"key": "a\udfff", "labelOperator": "equal", "value": 1}], "key"),
        ({"a": "\ud83d"}, "value"),
        ('[{"key": "a", "labelOperator": "equal", "value": "\\ud800"}]', "value"),
        ([{"key": "a", "labelOperator": "equal", "value": 1}] * 101, "101 selectors; at most 100"),
    ],
)
def test_no_selectors(convert: Callable[[object], Any], value: object, complaint: str) -> None:
    with pytest.raises(RuleResultError, match=complaint):
        convert(value)


@pytest.mark.parametrize(
    "convert",
    [as_priority, as_condition, as_score, as_worker_selectors, lambda value: as_scores(value, [{}])],
)
def test_a_text_in_a_result_is_never_quoted(convert: Callable[[object], Any]) -> None:
    for value in (
        "the-function-key",
        ["the-function-key"],
        [{"key": ["the-function-key"]}],
        [{"key": "k", "labelOperator": "the-function-key"}],
    ):
        with pytest.raises(RuleResultError) as failure:
            convert(value)
        assert "the-function-key" not in str(failure.value)
