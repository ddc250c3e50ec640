"""Property names of requests, whatever their case."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.models.jobs import RouterJobInput
from router.models.policies import ClassificationPolicy, DistributionPolicy, ExceptionPolicy
from router.models.workers import RouterWorkerInput
from router.wire.names import canonicalise, shape_of

POLICY: dict[str, Any] = {
    "fallbackQueueId": "f",
    "prioritizationRule": {"kind": "static", "value": {"KEY": 1, "Expedite": [{"LabelOperator": None}]}},
    "queueSelectorAttachments": [
        {
            "kind": "conditional",
            "condition": {"kind": "webhook", "webhookUri": "u", "clientCredential": {"clientId": "c"}},
            "queueSelectors": [{"key": "a", "labelOperator": "equal", "value": "V"}],
        },
        {"kind": "passThrough", "key": "k", "labelOperator": "equal"},
        {"kind": "ruleEngine", "rule": {"kind": "function", "functionUri": "u", "credential": {"functionKey": "k"}}},
        {"kind": "static", "queueSelector": {"key": "k", "labelOperator": "equal"}},
        {"kind": "weightedAllocation", "allocations": [{"weight": 1, "queueSelectors": []}]},
    ],
    "workerSelectorAttachments": [
        {"kind": "static", "workerSelector": {"key": "k", "labelOperator": "equal", "expiresAfterSeconds": 5}},
        {"kind": "weightedAllocation", "allocations": [{"weight": 1, "workerSelectors": [{"key": "x"}]}]},
    ],
}
RULES: dict[str, Any] = {
    "exceptionRules": [
        {
            "id": "r",
            "trigger": {"kind": "waitTime", "thresholdSeconds": 3},
            "actions": [
                {"kind": "reclassify", "labelsToUpsert": {"Key": 1, "kind": "data"}, "classificationPolicyId": "p"},
                {"kind": "manualReclassify", "queueId": "q", "priority": 3, "workerSelectors": [{"key": "a"}]},
                {"kind": "cancel", "note": "n", "dispositionCode": "d"},
            ],
        }
    ]
}
MODE: dict[str, Any] = {
    "mode": {"kind": "bestWorker", "minConcurrentOffers": 1, "scoringRuleOptions": {"isBatchScoringEnabled": True}},
    "offerExpiresAfterSeconds": 5,
}
JOB: dict[str, Any] = {
    "channelId": "c",
    "labels": {"A": 1, "a": 2, "LABELS": "x"},
    "tags": {"Tags": None},
    "notes": [{"message": "m", "addedAt": "2023-01-01T00:00:00Z"}],
    "matchingMode": {"kind": "scheduleAndSuspend", "scheduleAt": "2023-01-01T00:00:00Z"},
    "requestedWorkerSelectors": [{"key": "K", "labelOperator": "equal", "expedite": True}],
}
WORKER: dict[str, Any] = {
    "channels": [{"channelId": "c", "capacityCostPerJob": 1, "maxNumberOfJobs": 2}],
    "capacity": 1,
}
DOCUMENTS = [
    (ClassificationPolicy, POLICY),
    (ExceptionPolicy, RULES),
    (DistributionPolicy, MODE),
    (RouterJobInput, JOB),
    (RouterWorkerInput, WORKER),
]
#: Their keys are the client's own.
DATA = {"labels", "tags", "labelsToUpsert", "value"}


def _respell(value: Any, source: random.Random) -> Any:
    if isinstance(value, list):
        return [_respell(item, source) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        "".join(source.choice((letter.upper(), letter.lower())) for letter in key): item
        if key in DATA
        else _respell(item, source)
        for key, item in value.items()
    }


@pytest.mark.parametrize(("model", "document"), DOCUMENTS, ids=lambda value: getattr(value, "__name__", ""))
@given(seed=st.integers())
def test_any_spelling_becomes_the_wires(model: Any, document: dict[str, Any], seed: int) -> None:
    assert canonicalise(_respell(document, random.Random(seed)), model) == document


def test_of_two_spellings_the_last_wins() -> None:
    assert canonicalise({"Name": "a", "name": "b"}, DistributionPolicy) == {"name": "b"}
    assert canonicalise({"name": "a", "NAME": "b"}, DistributionPolicy) == {"name": "b"}
    assert canonicalise({"name": "a", "NAME": None}, DistributionPolicy) == {"name": None}


def test_unknown_and_read_only_names_are_dropped() -> None:
    patch = {
        "etag": "",
        "id": "x",
        "status": "closed",
        "assignments": {},
        "channel_id": "snake",
        "extra": 1,
        "requestedWorkerSelectors": [{"key": "a", "status": "expired", "expiresAt": "2023-01-01T00:00:00Z", "x": 1}],
    }
    assert canonicalise(patch, RouterJobInput) == {"requestedWorkerSelectors": [{"key": "a"}]}
    action = {"exceptionRules": [{"id": "kept", "actions": [{"kind": "cancel", "id": "dropped"}]}]}
    assert canonicalise(action, ExceptionPolicy) == {
        "exceptionRules": [{"id": "kept", "actions": [{"kind": "cancel"}]}]
    }


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("RoundRobin", "roundRobin"),
        ("round-robin", "roundRobin"),
        ("LONGESTIDLE", "longestIdle"),
        ("best-worker", "bestWorker"),
        ("bestWorker", "bestWorker"),
        ("random", "random"),
        ("best worker", "best worker"),
        (5, 5),
    ],
)
def test_kinds_are_read_in_any_case_and_with_dashes(given: object, kind: object) -> None:
    assert canonicalise({"Mode": {"KIND": given}}, DistributionPolicy) == {"mode": {"kind": kind}}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("static-rule", "static"),
        ("expression-rule", "expression"),
        ("Expression", "expression"),
        ("azure-function-rule", "function"),
        ("function-rule", "function"),
        ("direct-map-rule", "directMap"),
        ("webhook-rule", "webhook"),
    ],
)
def test_kinds_of_rules_of_former_builds(given: str, kind: str) -> None:
    assert canonicalise({"prioritizationRule": {"kind": given}}, ClassificationPolicy)["prioritizationRule"] == {
        "kind": kind
    }


def test_every_enumeration_in_a_body_is_read_so() -> None:
    patch = {
        "mode": {
            "kind": "Best-Worker",
            "scoringRule": {"kind": "Expression", "language": "PowerFX", "expression": "Job-Labels"},
            "scoringRuleOptions": {"scoringParameters": ["job-labels", "WorkerSelectors"]},
        }
    }
    mode = canonicalise(patch, DistributionPolicy)["mode"]
    assert mode["scoringRule"] == {"kind": "expression", "language": "powerFx", "expression": "Job-Labels"}
    assert mode["scoringRuleOptions"] == {"scoringParameters": ["jobLabels", "workerSelectors"]}
    actions = [{"kind": "manual-reclassify", "workerSelectors": [{"labelOperator": "greater-than-or-equal"}]}]
    rules = [{"trigger": {"kind": "Wait-Time"}, "actions": actions}]
    assert canonicalise({"exceptionRules": rules}, ExceptionPolicy) == {
        "exceptionRules": [
            {
                "trigger": {"kind": "waitTime"},
                "actions": [{"kind": "manualReclassify", "workerSelectors": [{"labelOperator": "greaterThanOrEqual"}]}],
            }
        ]
    }
    attachments = [
        {"kind": "weighted-allocation-queue-selector"},
        {"kind": "pass-through", "labelOperator": "NotEqual"},
    ]
    assert canonicalise({"queueSelectorAttachments": attachments}, ClassificationPolicy) == {
        "queueSelectorAttachments": [
            {"kind": "weightedAllocation"},
            {"kind": "passThrough", "labelOperator": "notEqual"},
        ]
    }
    job = {
        "matchingMode": {"kind": "schedule-and-suspend"},
        "requestedWorkerSelectors": [{"labelOperator": "GreaterThanEqual"}],
    }
    assert canonicalise(job, RouterJobInput) == {
        "matchingMode": {"kind": "scheduleAndSuspend"},
        "requestedWorkerSelectors": [{"labelOperator": "greaterThanOrEqual"}],
    }


def test_the_clients_own_data_are_no_enumerations() -> None:
    value = {"kind": "Static-Rule", "labelOperator": "Equal"}
    patch = {"prioritizationRule": {"kind": "STATIC", "value": value}}
    assert canonicalise(patch, ClassificationPolicy) == {"prioritizationRule": {"kind": "static", "value": value}}
    assert canonicalise({"labels": {"kind": "Static-Rule"}}, RouterJobInput) == {"labels": {"kind": "Static-Rule"}}


def test_a_null_inside_an_array_means_not_set() -> None:
    patch = {"channels": [{"channelId": "c", "maxNumberOfJobs": None}], "queues": None}
    assert canonicalise(patch, RouterWorkerInput) == {"channels": [{"channelId": "c"}], "queues": None}


def test_what_does_not_fit_is_left_to_validation() -> None:
    patch = {"mode": "x", "name": {"a": 1}}
    assert canonicalise(patch, DistributionPolicy) == patch
    assert canonicalise({"notes": {"a": 1}}, RouterJobInput) == {"notes": {"a": 1}}
    assert canonicalise({"notes": [1, [2]]}, RouterJobInput) == {"notes": [1, [2]]}


def test_the_patch_is_not_mutated() -> None:
    patch = {"Mode": {"KIND": "roundRobin", "junk": 1}}
    canonicalise(patch, DistributionPolicy)
    assert patch == {"Mode": {"KIND": "roundRobin", "junk": 1}}


def test_models_of_one_union_agree_on_what_a_name_means() -> None:
    # The names of all kinds stand in one table; that is right only while no two kinds differ about one.
    rule = shape_of(ClassificationPolicy).inner("prioritizationRule")
    assert rule is not None
    assert set(getattr(rule, "kinds", ())) == {"static", "directMap", "expression", "function", "webhook"}
    assert rule.inner("value") is None  # type: ignore[union-attr]
