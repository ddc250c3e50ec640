"""What goes over of a resource, and when two documents say the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from router.migrate import documents
from router.migrate.compare import differences
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, JOB, QUEUE, WORKER, Kind

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def job(**fields: Any) -> dict[str, Any]:
    return {
        "id": "j",
        "etag": "e",
        "status": "queued",
        "channelId": "chat",
        "queueId": "q",
        "priority": 3,
        "enqueuedAt": "2024-05-01T11:00:00.1234567+00:00",
        "assignments": {},
        "attachedWorkerSelectors": [],
        "requestedWorkerSelectors": [],
        "matchingMode": {"kind": "queueAndMatch"},
        **fields,
    }


def selector(key: str, **fields: Any) -> dict[str, Any]:
    return {"key": key, "labelOperator": "equal", "value": 1, "status": "active", **fields}


def test_what_the_service_makes_is_left_out_and_what_nobody_knows_is_kept() -> None:
    queue = {"id": "q", "etag": "e", "name": "Q", "labels": {"Id": "q", "a": 1}, "new": {"kept": True}, "gone": None}
    assert documents.writable(QUEUE, queue) == {"name": "Q", "labels": {"a": 1}, "new": {"kept": True}}


def test_a_static_value_is_the_clients_own() -> None:
    rule = {"kind": "static", "value": {"labelOperator": None, "status": "x"}}
    policy = {"id": "p", "mode": {"kind": "bestWorker", "scoringRule": rule}}
    assert documents.writable(DISTRIBUTION, policy)["mode"]["scoringRule"] == rule


LOOKS_LIKE_A_SELECTOR = {"labelOperator": "equal", "status": "active", "expiresAt": "2024-05-01T11:00:00Z"}


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (QUEUE, {"labels": LOOKS_LIKE_A_SELECTOR}),
        (WORKER, {"labels": LOOKS_LIKE_A_SELECTOR, "tags": LOOKS_LIKE_A_SELECTOR}),
        (JOB, {"labels": LOOKS_LIKE_A_SELECTOR, "tags": LOOKS_LIKE_A_SELECTOR, "requestedWorkerSelectors": []}),
        (CLASSIFICATION, {"prioritizationRule": {"kind": "static", "value": LOOKS_LIKE_A_SELECTOR}}),
        (
            EXCEPTION,
            {"exceptionRules": [{"actions": [{"kind": "reclassify", "labelsToUpsert": LOOKS_LIKE_A_SELECTOR}]}]},
        ),
    ],
)
def test_labels_tags_and_values_that_look_like_a_selector_lose_nothing(kind: Kind, document: dict[str, Any]) -> None:
    assert documents.shown(kind, document) == document


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (CLASSIFICATION, lambda one: {"workerSelectorAttachments": [{"kind": "static", "workerSelector": one}]}),
        (CLASSIFICATION, lambda one: {"queueSelectorAttachments": [{"kind": "static", "queueSelector": one}]}),
        (
            CLASSIFICATION,
            lambda one: {
                "workerSelectorAttachments": [
                    {"kind": "weightedAllocation", "allocations": [{"weight": 1, "workerSelectors": [one]}]}
                ]
            },
        ),
        (EXCEPTION, lambda one: {"exceptionRules": [{"actions": [{"workerSelectors": [one]}]}]}),
        (JOB, lambda one: {"requestedWorkerSelectors": [one]}),
    ],
)
def test_what_the_service_says_of_selectors_is_left_out_wherever_they_stand(
    kind: Kind, document: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    plain = {"key": "a", "labelOperator": "equal", "value": 1}
    assert documents.shown(kind, document({**plain, "status": "active", "expiresAt": "2024-01-01"})) == document(plain)


def test_ids_of_actions_are_the_services_own() -> None:
    rules = [{"id": "r", "trigger": {}, "actions": [{"kind": "cancel", "id": "guid", "note": "n"}]}]
    written = documents.writable(EXCEPTION, {"id": "p", "exceptionRules": rules})
    assert written["exceptionRules"][0]["actions"] == [{"kind": "cancel", "note": "n"}]


def test_a_worker_is_not_available_and_dangling_queues_are_left_out() -> None:
    moved = documents.worker(
        {
            "id": "w",
            "capacity": 1,
            "queues": ["a", "gone"],
            "availableForOffers": True,
            "state": "active",
            "offers": [],
        },
        frozenset({"a"}),
    )
    assert moved.body == {"capacity": 1, "queues": ["a"], "labels": {}}
    assert len(moved.notes) == 1


def test_attached_selectors_become_requested_and_expired_ones_stay() -> None:
    moved = documents.job(
        job(
            requestedWorkerSelectors=[selector("a", expiresAt="2024-01-01"), selector("b", status="expired")],
            attachedWorkerSelectors=[selector("c", expiresAfterSeconds=5.0)],
        ),
        NOW,
    )
    assert moved.body["requestedWorkerSelectors"] == [
        {"key": "a", "labelOperator": "equal", "value": 1},
        {"key": "c", "labelOperator": "equal", "value": 1, "expiresAfterSeconds": 5.0},
    ]
    assert len(moved.notes) == 2


FUTURE = {"kind": "scheduleAndSuspend", "scheduleAt": "2024-06-01T00:00:00Z"}
PAST = {"kind": "scheduleAndSuspend", "scheduleAt": "2024-04-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("status", "mode", "wanted"),
    [
        ("queued", {"kind": "queueAndMatch"}, "queueAndMatch"),
        ("queued", PAST, "queueAndMatch"),
        ("created", None, "queueAndMatch"),
        ("scheduled", FUTURE, "scheduleAndSuspend"),
        ("pendingSchedule", FUTURE, "scheduleAndSuspend"),
        ("scheduled", PAST, "suspend"),
        ("waitingForActivation", PAST, "suspend"),
        ("waitingForActivation", {"kind": "suspend"}, "suspend"),
    ],
)
def test_the_mode_is_the_one_that_leads_to_the_same_state(status: str, mode: Any, wanted: str) -> None:
    assert documents.job(job(status=status, matchingMode=mode), NOW).body["matchingMode"]["kind"] == wanted


def test_order_of_service() -> None:
    jobs = [
        job(id="late", enqueuedAt="2024-05-01T11:00:01Z"),
        job(id="early"),
        job(id="urgent", priority=9, enqueuedAt="2024-05-01T11:30:00Z"),
        job(id="expedited", priority=-1, requestedWorkerSelectors=[selector("a", expedite=True)]),
        job(id="no-longer", attachedWorkerSelectors=[selector("a", expedite=True, status="expired")], priority=1),
    ]
    order = [one["id"] for one in sorted(jobs, key=documents.order_of_service)]
    assert order == ["expedited", "urgent", "early", "late", "no-longer"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": None}, {}),
        ({"tags": {}}, {}),
        (
            {"mode": {"kind": "roundRobin"}},
            {"mode": {"kind": "roundRobin", "maxConcurrentOffers": 1, "bypassSelectors": False}},
        ),
        (
            {"mode": {"kind": "bestWorker"}},
            {
                "offerExpiresAfterSeconds": 60,
                "mode": {
                    "kind": "bestWorker",
                    "scoringRuleOptions": {
                        "scoringParameters": ["jobLabels", "workerSelectors"],
                        "isBatchScoringEnabled": False,
                        "descendingOrder": True,
                    },
                },
            },
        ),
        (
            {"notes": [{"addedAt": "2024-05-01T11:00:00.1234567+00:00"}]},
            {"notes": [{"addedAt": "2024-05-01T13:00:00.123456+02:00"}]},
        ),
        ({"credential": {"functionKey": "x"}}, {}),
        (
            {"credential": {"functionKey": "x", "clientId": "c"}},
            {"credential": {"clientId": "c", "functionKey": "********"}},
        ),
    ],
)
def test_equal(one: Any, other: Any) -> None:
    assert differences(one, other) == []
    assert differences(other, one) == []


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        ({"a": 1}, {"a": True}, "a"),
        ({"a": 0}, {}, "a"),
        ({"labels": {"x": "1"}}, {"labels": {"x": 1}}, "labels.x"),
        ({"list": [1, 2]}, {"list": [2, 1]}, "list[0]"),
        ({"list": [1, 2]}, {"list": [1]}, "list"),
        ({"maxConcurrentOffers": 1}, {}, "maxConcurrentOffers"),
        ({"rule": {"kind": "static", "value": {"a": None}}}, {"rule": {"kind": "static", "value": {}}}, "rule.value.a"),
        ({"credential": {"clientId": "c"}}, {}, "credential.clientId"),
        ({"offerExpiresAfterSeconds": 30}, {}, "offerExpiresAfterSeconds"),
        ({"scoringRuleOptions": {"descendingOrder": False}}, {}, "scoringRuleOptions.descendingOrder"),
        ({"kind": "manualReclassify", "priority": 1}, {"kind": "manualReclassify"}, "priority"),
    ],
)
def test_different(one: Any, other: Any, where: str) -> None:
    assert where in differences(one, other)
    assert differences(other, one)


OWN = [
    ({"priority": 1, "functionKey": "a", "language": "powerFx"}, {"functionKey": "b"}),
    ({"expedite": False}, {}),
    ({"a": 1}, {"a": True}),
    ({"a": 0}, {"a": False}),
    ({"credential": "x"}, {}),
    ({"scheduleAt": "soon"}, {"scheduleAt": "later"}),
    ({"addedAt": "2024-05-01T11:00:00Z"}, {"addedAt": "2024-05-01T13:00:00+02:00"}),
    ({"kind": "static"}, {"kind": "x"}),
]


@pytest.mark.parametrize("name", ["labels", "tags", "labelsToUpsert"])
@pytest.mark.parametrize(("one", "other"), OWN)
def test_nothing_in_labels_is_a_default_a_secret_or_a_time(name: str, one: Any, other: Any) -> None:
    wanted = [f"{name}.{key}" for key in sorted(one)]
    assert differences({name: one}, {name: other}) == wanted
    assert differences({name: other}, {name: one}) == wanted
    assert differences({name: one}, {name: dict(one)}) == []


@pytest.mark.parametrize(
    ("one", "other"), [*OWN, ({"labels": {"expedite": False}}, {"labels": {}}), (0, None), ({}, None)]
)
def test_nor_is_anything_in_the_value_of_a_static_rule(one: Any, other: Any) -> None:
    for deep in (False, True):
        rules = [{"kind": "static", "value": [{"in": value}] if deep else value} for value in (one, other)]
        assert differences({"prioritizationRule": rules[0]}, {"prioritizationRule": rules[1]})
        assert differences({"prioritizationRule": rules[1]}, {"prioritizationRule": rules[0]})
        assert differences(rules[0], rules[0]) == []


def test_in_labels_as_on_the_wire_1_and_1_0_are_one_number() -> None:
    assert differences({"labels": {"a": 1}}, {"labels": {"a": 1.0}}) == []
    assert differences({"rule": {"kind": "static", "value": [1]}}, {"rule": {"kind": "static", "value": [1.0]}}) == []


def test_a_time_that_is_none_is_compared_as_it_is_written() -> None:
    assert differences({"addedAt": "soon"}, {"addedAt": "soon"}) == []
    assert differences({"addedAt": "soon"}, {"addedAt": "2024-05-01T11:00:00Z"}) == ["addedAt"]
