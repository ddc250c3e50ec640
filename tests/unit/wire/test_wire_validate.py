"""Every invalid field is named, by its path on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.errors import RouterError
from router.models.jobs import RouterJobInput
from router.models.policies import ClassificationPolicy, DistributionPolicy, ExceptionPolicy
from router.models.queues import RouterQueue
from router.models.workers import RouterWorkerInput
from router.wire.names import canonicalise
from router.wire.validate import MAX_DETAILS, validate


def refused(model: Any, document: dict[str, Any]) -> dict[str, str]:
    """Path to `code: message` of each detail."""
    with pytest.raises(RouterError) as caught:
        validate(model, document)
    error = caught.value
    assert (error.status, error.code) == (400, "BadRequest")
    found = {}
    for detail in error.details:
        assert detail.target is not None
        assert detail.target in detail.message
        found[detail.target] = f"{detail.code}: {detail.message}"
    assert len(found) == len(error.details)
    return found


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (DistributionPolicy, "mode"),
        (RouterQueue, "distributionPolicyId"),
        (RouterJobInput, "channelId"),
        (RouterWorkerInput, "capacity"),
    ],
)
def test_what_creation_requires(model: Any, field: str) -> None:
    assert refused(model, {}) == {field: f"MissingField: '{field}' is required."}


JOB: dict[str, Any] = {"channelId": "c", "queueId": "q"}
SELECTOR = {"key": "k", "labelOperator": "equal"}


@pytest.mark.parametrize(
    ("field", "value", "target", "accepted"),
    [
        ("channelId", "", "channelId", "1 to 256 characters"),
        ("channelId", "x" * 257, "channelId", "1 to 256 characters"),
        ("queueId", "..", "queueId", "'.' or '..'"),
        ("queueId", "a\nb", "queueId", "control characters"),
        ("queueId", 5, "queueId", "a string, not 5"),
        ("priority", 2**31, "priority", "at most 2147483647, not 2147483648"),
        ("priority", -(2**31) - 1, "priority", "at least -2147483648"),
        ("priority", True, "priority", "an integer, not true"),
        ("priority", "1", "priority", 'an integer, not "1"'),
        ("priority", 1.5, "priority", "an integer, not 1.5"),
        ("labels", [], "labels", "an object, not []"),
        ("labels", {"a": {"b": 1}}, "labels.a", 'a string, a number or a boolean, not {"b":1}'),
        ("labels", {"a b.c": None}, 'labels["a b.c"]', "not null"),
        ("labels", {str(n): n for n in range(101)}, "labels", "at most 100 entries, not 101"),
        ("labels", {"": 1}, "labels", "keys of 1 to 256"),
        ("tags", {"a": [1]}, "tags.a", "not [1]"),
        ("notes", [{}], "notes[0].message", "required"),
        ("notes", ["x"], "notes[0]", "an object"),
        ("notes", [{"message": "m", "addedAt": "soon"}], "notes[0].addedAt", "RFC 3339"),
        ("notes", [{"message": "m", "addedAt": "2023-02-30T00:00:00Z"}], "notes[0].addedAt", "not a time"),
        ("notes", [{"message": "m", "addedAt": "2023-11-03T21:26:56Z\n"}], "notes[0].addedAt", "RFC 3339"),
        ("notes", [{"message": "m", "addedAt": "2023-11-03T21:26:56+24:00"}], "notes[0].addedAt", "RFC 3339"),
        ("notes", [{"message": "m", "addedAt": "2023-11-03T21:26:56+01:60"}], "notes[0].addedAt", "RFC 3339"),
        ("notes", [{"message": "m", "addedAt": "2016-12-30T23:59:60Z"}], "notes[0].addedAt", "a leap second ends"),
        ("notes", [{"message": "m", "addedAt": "2016-12-31T22:59:60Z"}], "notes[0].addedAt", "a leap second ends"),
        ("notes", [{"message": "m", "addedAt": "2016-12-31T23:59:61Z"}], "notes[0].addedAt", "not a time"),
        ("notes", {}, "notes", "an array"),
        ("matchingMode", {}, "matchingMode.kind", "'queueAndMatch', 'scheduleAndSuspend', 'suspend'"),
        ("matchingMode", {"kind": "Suspend"}, "matchingMode.kind", "'suspend'"),
        ("matchingMode", {"kind": 1}, "matchingMode.kind", "not supported: 1. Accepted are 'queueAndMatch'"),
        ("matchingMode", {"kind": {"a": None}}, "matchingMode.kind", 'not supported: {"a":null}.'),
        ("matchingMode", {"kind": [True]}, "matchingMode.kind", "not supported: [true]."),
        ("matchingMode", "suspend", "matchingMode", "an object"),
        ("matchingMode", {"kind": "scheduleAndSuspend"}, "matchingMode.scheduleAt", "required"),
        ("tags", {str(n): n for n in range(101)}, "tags", "at most 100 entries, not 101"),
        ("notes", [{"message": "m"}] * 1001, "notes", "at most 1000 entries, not 1001"),
        ("requestedWorkerSelectors", [SELECTOR] * 101, "requestedWorkerSelectors", "at most 100 entries, not 101"),
        (
            "requestedWorkerSelectors",
            [SELECTOR, {**SELECTOR, "value": []}],
            "requestedWorkerSelectors[1].value",
            "not []",
        ),
        (
            "requestedWorkerSelectors",
            [{"key": "k", "labelOperator": "like"}],
            "requestedWorkerSelectors[0].labelOperator",
            "'equal'",
        ),
        (
            "requestedWorkerSelectors",
            [{**SELECTOR, "expiresAfterSeconds": 0}],
            "requestedWorkerSelectors[0].expiresAfterSeconds",
            "greater than 0",
        ),
        (
            "requestedWorkerSelectors",
            [{**SELECTOR, "expedite": "yes"}],
            "requestedWorkerSelectors[0].expedite",
            "true or false",
        ),
    ],
)
def test_fields_of_a_job(field: str, value: Any, target: str, accepted: str) -> None:
    [(found, message)] = refused(RouterJobInput, {**JOB, field: value}).items()
    assert found == target
    assert accepted in message


def test_fields_of_a_worker() -> None:
    channel = {"channelId": "c", "capacityCostPerJob": 1}
    found = refused(
        RouterWorkerInput,
        {
            "capacity": 0,
            "queues": ["q", "", 1],
            "channels": [channel, {"channelId": "d", "capacityCostPerJob": 0, "maxNumberOfJobs": "x"}],
            "availableForOffers": "true",
            "maxConcurrentOffers": 0,
        },
    )
    assert set(found) == {
        "capacity",
        "queues[1]",
        "queues[2]",
        "channels[1].capacityCostPerJob",
        "channels[1].maxNumberOfJobs",
        "availableForOffers",
        "maxConcurrentOffers",
    }
    assert set(refused(RouterWorkerInput, {"capacity": 0, "channels": [channel, channel]})) == {"capacity", "channels"}


CHANNEL = {"channelId": "c", "capacityCostPerJob": 1}
RULE = {"id": "r", "trigger": {"kind": "queueLength", "threshold": 1}, "actions": []}
MANY = {str(number): number for number in range(100)}


@pytest.mark.parametrize(
    ("model", "document", "targets"),
    [
        (RouterJobInput, {**JOB, "labels": {**MANY, "a": []}}, {"labels", "labels.a"}),
        (RouterJobInput, {**JOB, "tags": {"": 1, "a": {}}}, {"tags", "tags.a"}),
        (RouterQueue, {"distributionPolicyId": "d", "labels": {**MANY, "a": []}}, {"labels", "labels.a"}),
        (
            RouterWorkerInput,
            {"capacity": 1, "channels": [CHANNEL, {**CHANNEL, "capacityCostPerJob": 0}]},
            {"channels", "channels[1].capacityCostPerJob"},
        ),
        (RouterWorkerInput, {"capacity": 1, "channels": [CHANNEL, {"channelId": "c"}, 5, {"channelId": 5}]},
         {"channels", "channels[1].capacityCostPerJob", "channels[2]", "channels[3].channelId",
          "channels[3].capacityCostPerJob"}),
        (ExceptionPolicy, {"exceptionRules": [RULE, {**RULE, "actions": 5}]}, {"exceptionRules", "exceptionRules[1].actions"}),
        (
            ExceptionPolicy,
            {"exceptionRules": [{**RULE, "actions": [{"kind": "reclassify", "labelsToUpsert": {**MANY, "a": []}}]}]},
            {"exceptionRules[0].actions[0].labelsToUpsert", "exceptionRules[0].actions[0].labelsToUpsert.a"},
        ),
    ],
)  # fmt: skip
def test_a_collection_and_its_items_are_named_together(model: Any, document: dict[str, Any], targets: set[str]) -> None:
    found = refused(model, document)
    assert set(found) == targets
    # In the same words as when the collection alone is wrong.
    whole = min(targets, key=len)
    assert any(words in found[whole] for words in ("at most 100 entries, not 101", "keys of 1 to 256", "distinct"))


def test_a_clients_own_data_has_no_collections_of_ours() -> None:
    """Labels and rule values may hold any name."""
    data = {"channels": [CHANNEL, CHANNEL], "exceptionRules": [RULE, RULE], "labels": {"": 1}}
    rule = {"kind": "static", "value": data}
    assert set(refused(ClassificationPolicy, {"prioritizationRule": rule, "name": 5})) == {"name"}
    assert set(refused(RouterJobInput, {**JOB, "labels": data})) == {f"labels.{name}" for name in data}


@pytest.mark.parametrize(
    ("model", "document", "target", "most"),
    [
        (RouterWorkerInput, {"capacity": 1, "queues": [f"q{n}" for n in range(201)]}, "queues", 200),
        (
            RouterWorkerInput,
            {"capacity": 1, "channels": [{"channelId": f"c{n}", "capacityCostPerJob": 1} for n in range(101)]},
            "channels",
            100,
        ),
        (
            ClassificationPolicy,
            {"queueSelectorAttachments": [{"kind": "passThrough", "key": "k", "labelOperator": "equal"}] * 101},
            "queueSelectorAttachments",
            100,
        ),
        (
            ClassificationPolicy,
            {"workerSelectorAttachments": [{"kind": "passThrough", "key": "k", "labelOperator": "equal"}] * 101},
            "workerSelectorAttachments",
            100,
        ),
        (
            ExceptionPolicy,
            {
                "exceptionRules": [
                    {"id": f"r{n}", "trigger": {"kind": "queueLength", "threshold": 1}, "actions": []}
                    for n in range(101)
                ]
            },
            "exceptionRules",
            100,
        ),
    ],
)
def test_how_many_there_may_be(model: Any, document: dict[str, Any], target: str, most: int) -> None:
    [(found, message)] = refused(model, document).items()
    assert found == target
    assert f"at most {most} entries, not {most + 1}" in message
    model.model_validate({**document, target: document[target][:most]})


def test_fields_of_a_distribution_policy() -> None:
    found = refused(
        DistributionPolicy,
        {
            "offerExpiresAfterSeconds": 0,
            "mode": {
                "kind": "bestWorker",
                "minConcurrentOffers": 5,
                "maxConcurrentOffers": 3,
                "bypassSelectors": 1,
                "scoringRule": {"kind": "expression"},
                "scoringRuleOptions": {"scoringParameters": ["x"], "batchSize": 0},
            },
        },
    )
    assert set(found) == {
        "offerExpiresAfterSeconds",
        "mode.maxConcurrentOffers",
        "mode.bypassSelectors",
        "mode.scoringRule.expression",
        "mode.scoringRuleOptions.scoringParameters[0]",
        "mode.scoringRuleOptions.batchSize",
    }
    assert "minConcurrentOffers (5)" in found["mode.maxConcurrentOffers"]
    found = refused(DistributionPolicy, {"mode": {"kind": "random"}})
    assert "'bestWorker', 'longestIdle', 'roundRobin'" in found["mode.kind"]
    assert set(refused(DistributionPolicy, {"mode": {"kind": "roundRobin", "minConcurrentOffers": 2}})) == {
        "mode.maxConcurrentOffers"
    }


def test_fields_of_a_classification_policy() -> None:
    found = refused(
        ClassificationPolicy,
        {
            "prioritizationRule": {"kind": "magic"},
            "queueSelectorAttachments": [
                {"kind": "conditional", "condition": {}, "queueSelectors": [{"key": 1, "labelOperator": "equal"}]},
                {"kind": "weightedAllocation", "allocations": [{"weight": 0, "queueSelectors": [{}]}]},
                {},
                {"kind": "weightedAllocation", "allocations": []},
            ],
            "workerSelectorAttachments": [{"kind": "static"}, {"kind": "ruleEngine", "rule": 1}],
        },
    )
    at = "queueSelectorAttachments"
    assert set(found) == {
        "prioritizationRule.kind",
        f"{at}[0].condition.kind",
        f"{at}[0].queueSelectors[0].key",
        f"{at}[1].allocations[0].weight",
        f"{at}[1].allocations[0].queueSelectors[0].key",
        f"{at}[1].allocations[0].queueSelectors[0].labelOperator",
        f"{at}[2].kind",
        f"{at}[3].allocations",
        "workerSelectorAttachments[0].workerSelector",
        "workerSelectorAttachments[1].rule",
    }
    assert "'webhook'" in found[f"{at}[0].condition.kind"]
    assert "'passThrough'" in found[f"{at}[2].kind"]


def test_fields_of_an_exception_policy() -> None:
    rule = {"id": "r", "trigger": {"kind": "waitTime", "thresholdSeconds": 1}, "actions": []}
    assert set(refused(ExceptionPolicy, {"exceptionRules": [rule, rule]})) == {"exceptionRules"}
    found = refused(
        ExceptionPolicy,
        {
            "exceptionRules": [
                {"trigger": {"kind": "queueLength", "threshold": 0}, "actions": [{"kind": "stop"}]},
                {**rule, "actions": [{"kind": "reclassify", "labelsToUpsert": {"a": None}}]},
            ]
        },
    )
    assert set(found) == {
        "exceptionRules[0].id",
        "exceptionRules[0].trigger.threshold",
        "exceptionRules[0].actions[0].kind",
        "exceptionRules[1].actions[0].labelsToUpsert.a",
    }
    assert "'cancel', 'manualReclassify', 'reclassify'" in found["exceptionRules[0].actions[0].kind"]


def test_messages_are_bounded_and_keep_secrets() -> None:
    secret = "s3cret" * 5000
    rule = {"kind": "function", "functionUri": "x" * 20_000, "credential": {"functionKey": secret}}
    error = json.dumps(refused(ClassificationPolicy, {"prioritizationRule": rule}))
    assert "s3cret" not in error
    assert len(error) < 1000
    rule["credential"] = "s3cret"
    assert "s3cret" not in json.dumps(refused(ClassificationPolicy, {"prioritizationRule": rule}))
    assert len(json.dumps(refused(RouterJobInput, {**JOB, "labels": {"k" * 300_000: 1}}))) < 1000


def test_the_number_of_details_is_bounded() -> None:
    with pytest.raises(RouterError) as caught:
        validate(RouterJobInput, {**JOB, "labels": {str(number): [] for number in range(5000)}})
    assert len(caught.value.details) == MAX_DETAILS + 1
    # The labels themselves are one: there are too many.
    assert f"{5001 - MAX_DETAILS} more" in caught.value.details[-1].message


def test_one_invalid_field_is_told_at_once() -> None:
    with pytest.raises(RouterError) as caught:
        validate(RouterJobInput, {**JOB, "priority": "high"})
    assert caught.value.message == "'priority' must be an integer, not \"high\"."
    assert caught.value.target == "priority"


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "kind",
                    "mode",
                    "labels",
                    "tags",
                    "notes",
                    "message",
                    "channelId",
                    "priority",
                    "matchingMode",
                    "scheduleAt",
                    "exceptionRules",
                    "trigger",
                    "actions",
                    "workerSelectors",
                    "queueSelectorAttachments",
                    "allocations",
                    "rule",
                    "value",
                    "channels",
                    "queues",
                    "id",
                ]
            ),
            inner | st.sampled_from(["static", "bestWorker", "suspend", "weightedAllocation", "cancel", "ruleEngine"]),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["mode", "labels", "notes", "matchingMode", "channels", "exceptionRules", "priority"]), junk
    )
)
def test_junk_is_refused_in_the_wires_terms(document: dict[str, Any]) -> None:
    for model in (RouterJobInput, RouterWorkerInput, DistributionPolicy, ClassificationPolicy, ExceptionPolicy):
        try:
            validate(model, canonicalise(document, model))
        except RouterError as error:
            details = error.details
        else:
            continue
        assert details
        for detail in details:
            assert detail.code in ("InvalidValue", "MissingField")
            assert detail.target
            # No sayings of pydantic's own.
            assert "is invalid: " not in detail.message
