"""What a PATCH makes of a resource, and what the answer to it says, for every kind of every model."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.communication.jobrouter import models as sdk

from router.errors import RouterError
from router.models.jobs import JobRecord, JobStatus, RouterJobAssignment, RouterJobNote
from router.models.operations import GA, PREVIEW
from router.models.policies import ClassificationPolicy, DistributionPolicy, ExceptionPolicy
from router.models.queues import RouterQueue
from router.models.selectors import SelectorStatus
from router.models.workers import RouterJobOffer, RouterWorkerAssignment
from router.rules.secrets import MASK, SecretBox, seal_secrets
from router.wire.apply import (
    classification_policy_document,
    distribution_policy_document,
    exception_policy_document,
    job_input,
    queue_document,
    worker_input,
)
from router.wire.documents import (
    job_document,
    json_bytes,
    page_body,
    render_classification_policy,
    render_distribution_policy,
    render_exception_policy,
    render_job,
    render_queue,
    render_worker,
    worker_document,
)
from tests.unit.wire.wire_samples import (
    BEFORE,
    EXCEPTION_POLICY,
    JOB,
    NOW,
    QUEUE_ATTACHMENTS,
    RULES,
    WORKER,
    WORKER_ATTACHMENTS,
    guids,
    new_job,
    new_worker,
    sent,
    wired,
)

RULES_ANSWERED = {
    "static": {"kind": "static", "value": 5},
    "directMap": {"kind": "directMap"},
    "expression": {"kind": "expression", "language": "powerFx", "expression": "job.x"},
    "function": {"kind": "function", "functionUri": "https://f", "credential": {"clientId": "me"}},
    "webhook": {
        "kind": "webhook",
        "webhookUri": "https://w",
        "authorizationServerUri": "https://a",
        "clientCredential": {"clientId": "me"},
    },
}


@pytest.mark.parametrize("kind", RULES)
def test_every_rule(kind: str) -> None:
    patch = sent(sdk.ClassificationPolicy(prioritization_rule=RULES[kind]))
    answer = wired(render_classification_policy("p", "e", classification_policy_document(None, patch)))
    assert answer["prioritizationRule"] == RULES_ANSWERED[kind]
    rule = sdk.ClassificationPolicy(answer).prioritization_rule
    assert type(rule) is type(RULES[kind])


@pytest.mark.parametrize("kind", ["bestWorker", "longestIdle", "roundRobin"])
def test_every_distribution_mode(kind: str) -> None:
    model: dict[str, type[sdk.DistributionMode]] = {
        "bestWorker": sdk.BestWorkerMode,
        "longestIdle": sdk.LongestIdleMode,
        "roundRobin": sdk.RoundRobinMode,
    }
    patch = sent(sdk.DistributionPolicy(name="n", mode=model[kind]()))
    document = distribution_policy_document(None, patch)
    assert wired(render_distribution_policy("d", "e", document)) == {
        "etag": "e",
        "id": "d",
        "name": "n",
        "offerExpiresAfterSeconds": 60,
        "mode": {"kind": kind, "minConcurrentOffers": 1, "maxConcurrentOffers": 1, "bypassSelectors": False},
    }
    assert type(sdk.DistributionPolicy(document).mode) is model[kind]
    assert DistributionPolicy.model_validate(document).mode.kind == kind


def test_scoring_defaults() -> None:
    mode = sdk.BestWorkerMode(
        scoring_rule=sdk.ExpressionRouterRule(expression="1"), scoring_rule_options=sdk.ScoringRuleOptions(batch_size=5)
    )
    answer = distribution_policy_document(None, sent(sdk.DistributionPolicy(mode=mode)))
    assert answer["mode"]["scoringRule"]["language"] == "powerFx"
    assert answer["mode"]["scoringRuleOptions"] == {
        "batchSize": 5,
        "isBatchScoringEnabled": False,
        "descendingOrder": True,
        "scoringParameters": ["jobLabels", "workerSelectors"],
    }
    assert (
        distribution_policy_document(None, {"mode": {"kind": "bestWorker", "scoringRuleOptions": {}}})["mode"][
            "scoringRuleOptions"
        ]["batchSize"]
        == 20
    )


def test_every_attachment() -> None:
    patch = sent(
        sdk.ClassificationPolicy(
            queue_selector_attachments=QUEUE_ATTACHMENTS, worker_selector_attachments=WORKER_ATTACHMENTS
        )
    )
    document = classification_policy_document(None, patch)
    answer = sdk.ClassificationPolicy(wired(render_classification_policy("p", "e", document)))
    assert answer.queue_selector_attachments is not None
    assert answer.worker_selector_attachments is not None
    assert [type(one) for one in answer.queue_selector_attachments] == [type(one) for one in QUEUE_ATTACHMENTS]
    assert [type(one) for one in answer.worker_selector_attachments] == [type(one) for one in WORKER_ATTACHMENTS]
    selector = {"key": "k", "labelOperator": "equal", "value": True, "expiresAfterSeconds": 5.5, "expedite": True}
    assert document["workerSelectorAttachments"][3] == {
        "kind": "static",
        "workerSelector": {**selector, "status": "active"},
    }
    assert document["queueSelectorAttachments"] == [
        {**patch["queueSelectorAttachments"][0]},
        {"kind": "passThrough", "key": "k", "labelOperator": "lessThan"},
        {"kind": "ruleEngine", "rule": RULES_ANSWERED["expression"]},
        *patch["queueSelectorAttachments"][3:],
    ]
    # The engine reads it back, and nothing is lost on the way.
    again = ClassificationPolicy.model_validate(document)
    assert classification_policy_document(None, patch) == again.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )


def test_selectors_of_policies_are_active_and_never_expire() -> None:
    bare = {
        "key": "k",
        "labelOperator": "equal",
        "status": "expired",
        "expiresAt": "2023-01-01T00:00:00Z",
        "expedite": None,
    }
    patch = {"workerSelectorAttachments": [{"kind": "static", "workerSelector": bare}]}
    [attachment] = classification_policy_document(None, patch)["workerSelectorAttachments"]
    assert attachment["workerSelector"] == {
        "key": "k",
        "labelOperator": "equal",
        "expedite": False,
        "status": "active",
    }


def test_the_value_of_a_static_rule_is_untouched() -> None:
    value = [{"key": "a", "LabelOperator": "equal", "value": None, "expiresAfterSeconds": None, "X": {"y": [None]}}]
    rule = {"kind": "static", "value": value}
    patch = {"prioritizationRule": rule, "workerSelectorAttachments": [{"kind": "ruleEngine", "rule": rule}]}
    document = classification_policy_document(None, patch)
    answer = wired(render_classification_policy("p", "e", document))
    assert answer["prioritizationRule"] == rule
    assert answer["workerSelectorAttachments"] == [{"kind": "ruleEngine", "rule": rule}]
    nested = {"workerSelectorAttachments": [{"kind": "ruleEngine", "rule": {"kind": "static", "value": {"A": None}}}]}
    assert (
        classification_policy_document(document, nested)["workerSelectorAttachments"]
        == (nested["workerSelectorAttachments"])
    )


def test_collections_are_always_there() -> None:
    assert classification_policy_document(None, {}) == {
        "queueSelectorAttachments": [],
        "workerSelectorAttachments": [],
    }
    assert exception_policy_document(None, {}, guids()) == {"exceptionRules": []}
    assert queue_document(None, {"distributionPolicyId": "d"}) == {"distributionPolicyId": "d", "labels": {}}
    full = {"workerSelectorAttachments": [{"kind": "passThrough", "key": "k", "labelOperator": "equal"}], "name": "n"}
    cleared = {"workerSelectorAttachments": None, "name": None}
    assert classification_policy_document(classification_policy_document(None, full), cleared) == (
        classification_policy_document(None, {})
    )


def test_every_trigger_and_action() -> None:
    document = exception_policy_document(None, sent(EXCEPTION_POLICY), guids())
    answer = wired(render_exception_policy("x", "e", document))
    first, second = answer["exceptionRules"]
    assert first["trigger"] == {"kind": "queueLength", "threshold": 10}
    assert second["trigger"] == {"kind": "waitTime", "thresholdSeconds": 0.5}
    assert [action["kind"] for action in first["actions"]] == ["cancel", "manualReclassify", "reclassify"]
    assert first["actions"][1]["workerSelectors"] == [
        {
            "key": "k",
            "labelOperator": "equal",
            "value": True,
            "expiresAfterSeconds": 5.5,
            "expedite": True,
            "status": "active",
        }
    ]
    assert first["actions"][2]["labelsToUpsert"] == {"Key": 1}
    assert second["actions"][0] == {"kind": "manualReclassify", "id": second["actions"][0]["id"], "workerSelectors": []}
    assert second["actions"][1]["labelsToUpsert"] == {}
    ids = [action["id"] for rule in answer["exceptionRules"] for action in rule["actions"]]
    assert len(set(ids)) == 5
    seen = sdk.ExceptionPolicy(answer).exception_rules
    assert seen is not None
    for rule, expected in zip(seen, EXCEPTION_POLICY.exception_rules or [], strict=True):
        assert type(rule.trigger) is type(expected.trigger)
        assert [type(action) for action in rule.actions] == [type(action) for action in expected.actions]
    assert ExceptionPolicy.model_validate(document).exception_rules[0].actions[0].id == ids[0]


def test_action_ids_are_new_on_each_write_and_only_then() -> None:
    new_id = guids()
    document = exception_policy_document(None, sent(EXCEPTION_POLICY), new_id)
    assert exception_policy_document(document, {}, new_id) == document
    # What a client reads it may send back: that changes nothing.
    assert exception_policy_document(document, render_exception_policy("x", "e", document), new_id) == document
    flag = json.loads(json.dumps(document))
    flag["exceptionRules"][0]["actions"][2]["labelsToUpsert"]["Key"] = True
    changed = exception_policy_document(document, flag, new_id)
    assert changed["exceptionRules"][0]["actions"][2]["labelsToUpsert"]["Key"] is True
    renamed = exception_policy_document(document, {"name": "other"}, new_id)
    old = {action["id"] for rule in document["exceptionRules"] for action in rule["actions"]}
    new = {action["id"] for rule in renamed["exceptionRules"] for action in rule["actions"]}
    assert len(new) == 5
    assert not old & new


def test_queues() -> None:
    patch = sent(
        sdk.RouterQueue(name="n", distribution_policy_id="d", labels={"a": 1, "b": 1.5}, exception_policy_id="x")
    )
    document = queue_document(None, {**patch, "labels": {**patch["labels"], "Id": "forged"}})
    answer = wired(render_queue("q", "e", document))
    assert answer == {
        "etag": "e",
        "id": "q",
        "name": "n",
        "distributionPolicyId": "d",
        "exceptionPolicyId": "x",
        "labels": {"a": 1, "b": 1.5, "Id": "q"},
    }
    assert sdk.RouterQueue(answer).labels == answer["labels"]
    changed = queue_document(document, {"labels": {"Id": None, "a": None, "c": True}, "exceptionPolicyId": None})
    assert render_queue("q", "e", changed)["labels"] == {"b": 1.5, "c": True, "Id": "q"}
    assert "exceptionPolicyId" not in changed
    assert queue_document(document, answer) == document
    RouterQueue.model_validate(document)
    full = {str(number): number for number in range(100)}
    most = queue_document(None, {"distributionPolicyId": "d", "labels": full})
    assert queue_document(most, render_queue("q", "e", most)) == most


BOX = SecretBox(base64.b64encode(bytes(32)).decode())
FUNCTION = {
    "kind": "function",
    "functionUri": "https://f",
    "credential": {"functionKey": "s3cret", "appKey": "s3cret too", "clientId": "me"},
}
WEBHOOK = {
    "kind": "webhook",
    "webhookUri": "https://w",
    "authorizationServerUri": "https://a",
    "clientCredential": {"clientId": "me", "clientSecret": "s3cret"},
}


def test_secrets_are_never_answered_and_survive_being_sent_back() -> None:
    attachment = {"kind": "ruleEngine", "rule": FUNCTION}
    patch = {"prioritizationRule": WEBHOOK, "queueSelectorAttachments": [attachment]}
    document = seal_secrets(classification_policy_document(None, patch), BOX, "p")
    answer = wired(render_classification_policy("p", "e", document))
    assert "s3cret" not in json.dumps(answer)
    assert "sealed" not in json.dumps(answer)
    assert answer["prioritizationRule"]["clientCredential"] == {"clientId": "me", "clientSecret": MASK}
    for change in (answer, patch, {}):
        again = classification_policy_document(document, change)
        assert seal_secrets(again, BOX, "p", document) == document
    scoring = {"mode": {"kind": "bestWorker", "scoringRule": FUNCTION}}
    answer = wired(render_distribution_policy("d", "e", distribution_policy_document(None, scoring)))
    assert answer["mode"]["scoringRule"]["credential"] == {"functionKey": MASK, "appKey": MASK, "clientId": "me"}


def test_data_that_looks_like_a_secret_is_data() -> None:
    value = {"kind": "function", "credential": {"functionKey": "no secret"}}
    document = classification_policy_document(None, {"prioritizationRule": {"kind": "static", "value": value}})
    assert render_classification_policy("p", "e", document)["prioritizationRule"]["value"] == value


def test_a_new_job() -> None:
    record = new_job({"channelId": "c", "queueId": "q"})
    assert wired(render_job(record)) == {
        "etag": "e",
        "id": "j",
        "status": "created",
        "channelId": "c",
        "queueId": "q",
        "priority": 1,
        "matchingMode": {"kind": "queueAndMatch"},
        "requestedWorkerSelectors": [],
        "attachedWorkerSelectors": [],
        "labels": {},
        "tags": {},
        "notes": [],
        "assignments": {},
    }


def test_a_job_with_everything() -> None:
    assignment = RouterJobAssignment(assignment_id="a", worker_id="w", assigned_at=NOW, completed_at=NOW)
    record = new_job(
        sent(JOB), status=JobStatus.COMPLETED, enqueued_at=NOW, scheduled_at=NOW, assignments={"a": assignment}
    )
    answer = wired(render_job(record))
    assert answer["notes"] == [
        {"message": "first", "addedAt": "0001-01-01T00:00:00.000005+00:00"},
        {"message": "later", "addedAt": "2024-01-01T00:00:00+00:00"},
    ]
    assert answer["matchingMode"] == {"kind": "scheduleAndSuspend", "scheduleAt": "2099-01-01T12:30:00+00:00"}
    assert answer["enqueuedAt"] == answer["scheduledAt"] == "2023-11-03T21:26:56.854593+00:00"
    assert answer["assignments"] == {
        "a": {
            "assignmentId": "a",
            "workerId": "w",
            "assignedAt": "2023-11-03T21:26:56.854593+00:00",
            "completedAt": "2023-11-03T21:26:56.854593+00:00",
        }
    }
    assert answer["labels"] == {"Id": "mine", "n": 1.5}
    seen = sdk.RouterJob(answer)
    assert seen.enqueued_at == NOW
    assert isinstance(seen.matching_mode, sdk.ScheduleAndSuspendMode)
    assert seen.matching_mode.schedule_at == datetime(2099, 1, 1, 12, 30, tzinfo=UTC)
    assert seen.assignments is not None
    assert seen.assignments["a"].assigned_at == NOW
    assert seen.notes is not None
    assert seen.notes[0].added_at == datetime(1, 1, 1, 0, 0, 0, 5, UTC)
    # Sent back as it is, read-only fields and a stale etag included, it asks for nothing new.
    assert job_input(record, answer, BEFORE).model_dump() == job_input(record, {}, BEFORE).model_dump() | {
        "notes": [note.model_dump() for note in sorted(record.job.notes, key=lambda note: str(note.added_at))]
    }


@pytest.mark.parametrize(
    ("mode", "answered"),
    [
        (sdk.QueueAndMatchMode(), {"kind": "queueAndMatch"}),
        (sdk.SuspendMode(), {"kind": "suspend"}),
        (
            sdk.ScheduleAndSuspendMode(schedule_at=NOW),
            {"kind": "scheduleAndSuspend", "scheduleAt": "2023-11-03T21:26:56.854593+00:00"},
        ),
    ],
)
def test_every_matching_mode(mode: Any, answered: dict[str, Any]) -> None:
    record = new_job(sent(sdk.RouterJob(channel_id="c", queue_id="q", matching_mode=mode)))
    assert wired(render_job(record))["matchingMode"] == answered
    other = job_input(record, {"matchingMode": {"kind": "suspend"}}, BEFORE)
    assert other.model_dump(by_alias=True)["matchingMode"] == {"kind": "suspend"}


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ("2023-11-03T21:26:56.8545932+00:00", "2023-11-03T21:26:56.854593+00:00"),
        ("2023-11-03T21:26:56.8545932Z", "2023-11-03T21:26:56.854593+00:00"),
        ("2023-11-03T23:26:56.5+02:00", "2023-11-03T21:26:56.5+00:00"),
        ("2023-11-03T21:26:56Z", "2023-11-03T21:26:56+00:00"),
        ("2023-11-03T21:26:56.0000000Z", "2023-11-03T21:26:56+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00.0000001+00:00", "0001-01-01T00:00:00+00:00"),
        ("2023-11-03T21:26:56.12345678901234567890Z", "2023-11-03T21:26:56.123456+00:00"),
        ("2023-11-03T21:26:56+2359", "2023-11-02T21:27:56+00:00"),
        # A leap second is the start of the second after it.
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31T23:59:60.999Z", "2017-01-01T00:00:00+00:00"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00+00:00"),
        ("2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_times(given: str, answered: str) -> None:
    record = new_job({"channelId": "c", "queueId": "q", "notes": [{"message": "m", "addedAt": given}]})
    assert render_job(record)["notes"] == [{"message": "m", "addedAt": answered}]


def test_selectors_sent_back_keep_their_status() -> None:
    record = new_job(
        {"channelId": "c", "queueId": "q", "requestedWorkerSelectors": [{"key": "a", "labelOperator": "equal"}]}
    )
    [selector] = record.job.requested_worker_selectors
    expired = selector.model_copy(update={"status": SelectorStatus.EXPIRED, "expires_at": NOW})
    record = new_job(job_document(record), requested_worker_selectors=[expired])
    assert job_input(record, {"priority": 2}, BEFORE).requested_worker_selectors == [expired]
    sent_back = render_job(record)["requestedWorkerSelectors"]
    assert sent_back[0]["status"] == "expired"
    assert job_input(record, {"requestedWorkerSelectors": sent_back}, BEFORE).requested_worker_selectors == [expired]
    twice = job_input(record, {"requestedWorkerSelectors": [*sent_back, *sent_back]}, BEFORE).requested_worker_selectors
    assert twice == [expired, selector]
    changed = job_input(record, {"requestedWorkerSelectors": [{**sent_back[0], "value": 1}]}, BEFORE)
    assert changed.requested_worker_selectors[0].status is SelectorStatus.ACTIVE
    assert changed.requested_worker_selectors[0].expires_at is None


def test_a_job_needs_a_way_into_a_queue() -> None:
    record = new_job({"channelId": "c", "queueId": "q"})
    for current, patch in ((None, {"channelId": "c"}), (record, {"queueId": None})):
        with pytest.raises(RouterError) as caught:
            job_input(current, patch, BEFORE)
        assert [(one.code, one.target) for one in caught.value.details] == [("MissingField", "queueId")]
    assert job_input(record, {"queueId": None, "classificationPolicyId": "p"}, BEFORE).queue_id is None


def _targets(record: JobRecord | None, patch: dict[str, Any], now: datetime) -> set[str | None]:
    try:
        job_input(record, patch, now)
    except RouterError as error:
        return {detail.target for detail in error.details}
    return set()


def test_a_schedule_in_the_past_is_named_with_everything_else() -> None:
    def mode(at: str) -> dict[str, Any]:
        return {"kind": "scheduleAndSuspend", "scheduleAt": at}

    scheduled = {"channelId": "c", "queueId": "q", "matchingMode": mode("2023-11-03T21:26:56Z")}
    past = "matchingMode.scheduleAt"
    assert _targets(None, scheduled, BEFORE) == set()
    assert _targets(None, scheduled, NOW) == {past}
    assert _targets(None, {**scheduled, "priority": "high", "queueId": None}, NOW) == {past, "priority", "queueId"}
    # Of a time that is none, only that is said.
    assert _targets(None, {**scheduled, "matchingMode": mode("soon")}, NOW) == {past}
    assert _targets(None, {**scheduled, "matchingMode": {"kind": "scheduleAndSuspend"}}, NOW) == {past}
    # Its time has come: the job is what it is, and other fields may change.
    record = new_job(scheduled)
    for patch in ({"priority": 2}, scheduled, {"matchingMode": mode("2023-11-03T22:26:56+01:00")}):
        assert _targets(record, patch, NOW) == set()
    assert _targets(record, {"matchingMode": {"scheduleAt": "2023-11-03T21:26:57Z"}}, NOW) == set()
    assert _targets(record, {"matchingMode": {"scheduleAt": "2023-11-03T21:26:55Z"}}, NOW) == {past}
    # Of an assigned job the engine says that its mode can no longer be changed.
    assigned = new_job(scheduled, status=JobStatus.ASSIGNED)
    assert _targets(assigned, {"matchingMode": {"scheduleAt": "2023-11-03T21:26:55Z"}}, NOW) == set()


def test_a_worker_with_everything() -> None:
    offer = RouterJobOffer(offer_id="o", job_id="j", capacity_cost=5, offered_at=NOW, expires_at=NOW)
    assignment = RouterWorkerAssignment(assignment_id="a", job_id="j2", capacity_cost=1, assigned_at=NOW)
    record = new_worker(sent(WORKER), GA, offers=[offer], assigned_jobs=[assignment], load_ratio=0.6)
    answer = wired(render_worker(record, GA))
    moment = "2023-11-03T21:26:56.854593+00:00"
    assert answer == {
        "etag": "e",
        "id": "w",
        "state": "active",
        "queues": ["q1", "q2"],
        "capacity": 10,
        "labels": {"a": 1, "Id": "w"},
        "tags": {"t": "x"},
        "channels": [
            {"channelId": "voice", "capacityCostPerJob": 5},
            {"channelId": "chat", "capacityCostPerJob": 1, "maxNumberOfJobs": 3},
        ],
        "offers": [{"offerId": "o", "jobId": "j", "capacityCost": 5, "offeredAt": moment, "expiresAt": moment}],
        "assignedJobs": [{"assignmentId": "a", "jobId": "j2", "capacityCost": 1, "assignedAt": moment}],
        "loadRatio": 0.6,
        "availableForOffers": True,
    }
    seen = sdk.RouterWorker(answer)
    assert seen.offers is not None
    assert seen.offers[0].offered_at == NOW
    assert worker_input(record, answer, GA) == worker_input(record, {}, GA)
    assert "Id" not in worker_document(record)["labels"]


def test_max_concurrent_offers_belongs_to_the_preview() -> None:
    patch = {"capacity": 1, "maxConcurrentOffers": 3}
    record = new_worker(patch, PREVIEW)
    assert render_worker(record, PREVIEW)["maxConcurrentOffers"] == 3
    assert "maxConcurrentOffers" not in render_worker(record, GA)
    assert new_worker(patch, GA).worker.max_concurrent_offers is None
    # An older client neither sees nor loses it.
    assert worker_input(record, {"maxConcurrentOffers": None, "capacity": 2}, GA).max_concurrent_offers == 3


def test_pages() -> None:
    assert json_bytes(page_body([{"a": 1}], None)) == b'{"value":[{"a":1}]}'
    assert page_body([], "/x") == {"value": [], "nextLink": "/x"}


def test_notes_without_a_time_come_last() -> None:
    record = new_job({"channelId": "c", "queueId": "q"})
    notes = [RouterJobNote(message="new"), RouterJobNote(message="new too"), RouterJobNote(message="old", added_at=NOW)]
    record = new_job(job_document(record), notes=notes)
    assert [note["message"] for note in render_job(record)["notes"]] == ["old", "new", "new too"]
