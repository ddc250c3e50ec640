"""Every kind of model goes out and comes back through the SDK as it was sent, with the documented defaults."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from azure.communication.jobrouter.models import (
    BestWorkerMode,
    CancelExceptionAction,
    ClassificationPolicy,
    ConditionalQueueSelectorAttachment,
    ConditionalWorkerSelectorAttachment,
    DirectMapRouterRule,
    DistributionPolicy,
    ExceptionPolicy,
    ExceptionRule,
    ExpressionRouterRule,
    FunctionRouterRule,
    FunctionRouterRuleCredential,
    LongestIdleMode,
    ManualReclassifyExceptionAction,
    OAuth2WebhookClientCredential,
    PassThroughQueueSelectorAttachment,
    PassThroughWorkerSelectorAttachment,
    QueueLengthExceptionTrigger,
    QueueWeightedAllocation,
    ReclassifyExceptionAction,
    RoundRobinMode,
    RouterChannel,
    RouterJob,
    RouterJobNote,
    RouterQueueSelector,
    RouterWorker,
    RouterWorkerSelector,
    RuleEngineQueueSelectorAttachment,
    RuleEngineWorkerSelectorAttachment,
    ScheduleAndSuspendMode,
    ScoringRuleOptions,
    StaticQueueSelectorAttachment,
    StaticRouterRule,
    StaticWorkerSelectorAttachment,
    SuspendMode,
    WaitTimeExceptionTrigger,
    WebhookRouterRule,
    WeightedAllocationQueueSelectorAttachment,
    WeightedAllocationWorkerSelectorAttachment,
    WorkerWeightedAllocation,
)

from tests.acceptance.desk import Desk
from tests.acceptance.service import send

OPERATORS = ["equal", "notEqual", "lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"]
MODE_DEFAULTS = {"minConcurrentOffers": 1, "maxConcurrentOffers": 1, "bypassSelectors": False}
SCORING_DEFAULTS = {
    "scoringParameters": ["jobLabels", "workerSelectors"],
    "isBatchScoringEnabled": False,
    "descendingOrder": True,
}


def contains(found: Any, sent: Any) -> bool:
    """Whether everything that was sent is there, defaults beside it."""
    if isinstance(sent, dict):
        return isinstance(found, dict) and all(key in found and contains(found[key], sent[key]) for key in sent)
    if isinstance(sent, list):
        return isinstance(found, list) and len(found) == len(sent) and all(map(contains, found, sent))
    return bool(found == sent)


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        (LongestIdleMode(), {}),
        (LongestIdleMode(min_concurrent_offers=2, max_concurrent_offers=5, bypass_selectors=True), {}),
        (RoundRobinMode(max_concurrent_offers=3), {}),
        (BestWorkerMode(), {"scoringRuleOptions": SCORING_DEFAULTS}),
        (
            BestWorkerMode(scoring_rule=StaticRouterRule(value=7), scoring_rule_options=ScoringRuleOptions()),
            {"scoringRuleOptions": SCORING_DEFAULTS},
        ),
        (
            BestWorkerMode(
                scoring_rule=ExpressionRouterRule(expression="If(worker.Vip = true, 10, 1)"),
                scoring_rule_options=ScoringRuleOptions(
                    batch_size=5,
                    scoring_parameters=["workerSelectors"],
                    is_batch_scoring_enabled=True,
                    descending_order=False,
                ),
            ),
            {},
        ),
    ],
)
def test_distribution_modes(desk: Desk, mode: Any, more: dict[str, Any]) -> None:
    sent = DistributionPolicy(name="n", offer_expires_after_seconds=17.5, mode=mode)
    policy = desk.administration.upsert_distribution_policy(desk.id("distribution"), sent)
    assert contains(policy.as_dict(), sent.as_dict())
    assert contains({**MODE_DEFAULTS, **policy.mode.as_dict()}, more)
    if mode.max_concurrent_offers is None:
        assert contains(policy.mode.as_dict(), MODE_DEFAULTS)
    assert type(policy.mode) is type(mode)


def test_another_kind_replaces_the_mode(desk: Desk) -> None:
    policy = desk.policy(BestWorkerMode(scoring_rule=StaticRouterRule(value=1), max_concurrent_offers=4))
    changed = desk.administration.upsert_distribution_policy(policy, DistributionPolicy(mode=RoundRobinMode()))
    assert changed.mode.as_dict() == {"kind": "roundRobin", **MODE_DEFAULTS}


QUEUE_SELECTOR = RouterQueueSelector(key="Region", label_operator="equal", value="NA")
WORKER_SELECTOR = RouterWorkerSelector(key="Skill", label_operator="greaterThan", value=3, expires_after_seconds=30)

RULES = [
    StaticRouterRule(value=5),
    StaticRouterRule(value={"Kind": "x", "nested": {"KEY": 1, "list": [1, {"LabelOperator": "b"}]}}),
    DirectMapRouterRule(),
    ExpressionRouterRule(expression="If(job.Vip = true, 10, 1)"),
    FunctionRouterRule(function_uri="https://rules.example/api/score"),
    WebhookRouterRule(webhook_uri="https://rules.example/hook", authorization_server_uri="https://login.example/token"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_rules(desk: Desk, rule: Any) -> None:
    policy = desk.administration.upsert_classification_policy(
        desk.id("classification"), ClassificationPolicy(prioritization_rule=rule)
    )
    found = policy.prioritization_rule
    assert type(found) is type(rule)
    assert contains(found.as_dict(), rule.as_dict())
    if rule.kind == "expression":
        assert found.language == "powerFx"


def test_secrets_of_rules_do_not_come_back_in_the_clear(desk: Desk) -> None:
    function = FunctionRouterRule(
        function_uri="https://rules.example/api",
        credential=FunctionRouterRuleCredential(function_key="function secret", client_id="c"),
    )
    webhook = WebhookRouterRule(
        webhook_uri="https://rules.example/hook",
        authorization_server_uri="https://login.example/token",
        client_credential=OAuth2WebhookClientCredential(client_id="me", client_secret="webhook secret"),
    )
    for rule in (function, webhook):
        policy_id = desk.id("classification")
        desk.administration.upsert_classification_policy(policy_id, ClassificationPolicy(prioritization_rule=rule))
        found = desk.administration.get_classification_policy(policy_id)
        assert " secret" not in str(found.as_dict())
        assert type(found.prioritization_rule) is type(rule)
        # What a client reads it may write back.
        assert desk.administration.upsert_classification_policy(policy_id, found).etag == found.etag


QUEUE_ATTACHMENTS = [
    StaticQueueSelectorAttachment(queue_selector=QUEUE_SELECTOR),
    ConditionalQueueSelectorAttachment(condition=StaticRouterRule(value=True), queue_selectors=[QUEUE_SELECTOR]),
    PassThroughQueueSelectorAttachment(key="Region", label_operator="equal"),
    RuleEngineQueueSelectorAttachment(rule=StaticRouterRule(value=[])),
    WeightedAllocationQueueSelectorAttachment(
        allocations=[
            QueueWeightedAllocation(weight=0.3, queue_selectors=[QUEUE_SELECTOR]),
            QueueWeightedAllocation(weight=0.7, queue_selectors=[]),
        ]
    ),
]
WORKER_ATTACHMENTS = [
    StaticWorkerSelectorAttachment(worker_selector=WORKER_SELECTOR),
    ConditionalWorkerSelectorAttachment(
        condition=ExpressionRouterRule(expression="job.Urgent = true"), worker_selectors=[WORKER_SELECTOR]
    ),
    PassThroughWorkerSelectorAttachment(key="Skill", label_operator="greaterThanOrEqual", expires_after_seconds=10),
    RuleEngineWorkerSelectorAttachment(rule=StaticRouterRule(value=[])),
    WeightedAllocationWorkerSelectorAttachment(
        allocations=[WorkerWeightedAllocation(weight=1, worker_selectors=[WORKER_SELECTOR])]
    ),
]


def test_attachments(desk: Desk) -> None:
    fallback = desk.queue()
    sent = ClassificationPolicy(
        name="all",
        fallback_queue_id=fallback,
        queue_selector_attachments=QUEUE_ATTACHMENTS,
        worker_selector_attachments=WORKER_ATTACHMENTS,
    )
    policy = desk.administration.upsert_classification_policy(desk.id("classification"), sent)
    assert contains(policy.as_dict(), sent.as_dict())
    assert [type(one) for one in policy.queue_selector_attachments] == [type(one) for one in QUEUE_ATTACHMENTS]
    assert [type(one) for one in policy.worker_selector_attachments] == [type(one) for one in WORKER_ATTACHMENTS]
    static = policy.worker_selector_attachments[0].worker_selector
    assert (static.expedite, static.status, static.expires_at) == (False, "active", None)


def test_exception_rules(desk: Desk) -> None:
    queue, classification = desk.queue(), desk.id("classification")
    desk.administration.upsert_classification_policy(classification, ClassificationPolicy(fallback_queue_id=queue))
    sent = ExceptionPolicy(
        name="all",
        exception_rules=[
            ExceptionRule(
                id="long",
                trigger=QueueLengthExceptionTrigger(threshold=10),
                actions=[
                    ManualReclassifyExceptionAction(queue_id=queue, priority=10, worker_selectors=[WORKER_SELECTOR]),
                    ManualReclassifyExceptionAction(),
                ],
            ),
            ExceptionRule(
                id="late",
                trigger=WaitTimeExceptionTrigger(threshold_seconds=1.5),
                actions=[
                    ReclassifyExceptionAction(
                        classification_policy_id=classification, labels_to_upsert={"Escalated": True}
                    ),
                    CancelExceptionAction(note="too late", disposition_code="Late"),
                ],
            ),
        ],
    )
    policy_id = desk.id("exception")
    policy = desk.administration.upsert_exception_policy(policy_id, sent)
    assert contains(policy.as_dict(), sent.as_dict())
    actions = [action for rule in policy.exception_rules for action in rule.actions]
    assert actions[1].worker_selectors == []
    ids = {action.id for action in actions}
    assert len({UUID(id) for id in ids}) == 4
    # What changes nothing keeps everything; a write gives each action a new id.
    assert desk.administration.upsert_exception_policy(policy_id, policy) == policy
    renamed = desk.administration.upsert_exception_policy(policy_id, name="other")
    assert ids.isdisjoint(action.id for rule in renamed.exception_rules for action in rule.actions)


def test_selectors_of_a_job(desk: Desk) -> None:
    """Every operator with every type of value."""
    pairs = itertools.product(OPERATORS, ["text", 5, 2.5, True])
    sent = [
        RouterWorkerSelector(
            key=f"k{number}", label_operator=operator, value=value, expires_after_seconds=90, expedite=True
        )
        for number, (operator, value) in enumerate(pairs)
    ]
    job = desk.client.get_job(desk.job(desk.queue(), requested_worker_selectors=sent))
    found = job.requested_worker_selectors
    assert contains([one.as_dict() for one in found], [one.as_dict() for one in sent])
    assert [type(one.value) for one in found] == [type(one.value) for one in sent]
    assert {one.status for one in found} == {"active"}


def test_a_job_comes_back_as_it_was_sent(desk: Desk) -> None:
    queue = desk.queue()
    early, late = datetime(2020, 1, 2, 3, 4, 5, 678901, UTC), datetime(2021, 1, 1, tzinfo=UTC)
    sent = RouterJob(
        channel_reference="ref",
        channel_id="voice",
        queue_id=queue,
        priority=-5,
        requested_worker_selectors=[RouterWorkerSelector(key="k", label_operator="equal", value=1)],
        labels={"s": "x", "i": 1, "f": 1.5, "b": True},
        tags={"s": "x", "i": 1, "f": 1.5, "b": False},
        notes=[RouterJobNote(message="second", added_at=late), RouterJobNote(message="first", added_at=early)],
    )
    job = desk.client.upsert_job(desk.id("job"), sent)
    assert job.status == "created"
    assert job.labels == sent.labels, "a job gets no Id label"
    assert (job.tags, job.priority, job.channel_reference) == (sent.tags, -5, "ref")
    assert [(note.message, note.added_at) for note in job.notes] == [("first", early), ("second", late)]
    assert job.as_dict()["matchingMode"] == {"kind": "queueAndMatch"}
    [selector] = job.requested_worker_selectors or []
    assert (selector.expedite, selector.status) == (False, "active")
    assert "scheduledAt" not in job.as_dict()


def test_what_a_client_left_out_of_a_job(desk: Desk) -> None:
    job = send(
        desk.client, "PATCH", f"routing/jobs/{desk.id('job')}", json={"channelId": "voice", "queueId": desk.queue()}
    ).json()
    assert {key: job[key] for key in job if key not in ("id", "etag", "queueId", "enqueuedAt")} == {
        "channelId": "voice",
        "status": "created",
        "priority": 1,
        "requestedWorkerSelectors": [],
        "attachedWorkerSelectors": [],
        "labels": {},
        "tags": {},
        "assignments": {},
        "notes": [],
        "matchingMode": {"kind": "queueAndMatch"},
    }


def test_matching_modes(desk: Desk) -> None:
    queue = desk.queue()
    at = datetime.now(UTC).replace(microsecond=123456) + timedelta(hours=1)
    scheduled = desk.client.upsert_job(
        desk.id("job"), channel_id="v", queue_id=queue, matching_mode=ScheduleAndSuspendMode(schedule_at=at)
    )
    assert (scheduled.status, scheduled.matching_mode.schedule_at) == ("pendingSchedule", at)
    suspended = desk.client.upsert_job(desk.id("job"), channel_id="v", queue_id=queue, matching_mode=SuspendMode())
    assert (suspended.status, suspended.matching_mode.kind) == ("waitingForActivation", "suspend")


def test_a_worker_comes_back_as_it_was_sent(desk: Desk) -> None:
    queue = desk.queue()
    worker_id = desk.id("worker")
    sent = RouterWorker(
        queues=[queue],
        capacity=100,
        labels={"s": "x", "i": 1, "f": 1.5, "b": True},
        tags={"s": "x"},
        channels=[
            RouterChannel(channel_id="voice", capacity_cost_per_job=100),
            RouterChannel(channel_id="chat", capacity_cost_per_job=20, max_number_of_jobs=3),
        ],
        available_for_offers=False,
    )
    worker = desk.client.upsert_worker(worker_id, sent)
    assert sent.labels is not None
    assert worker.labels == {**sent.labels, "Id": worker_id}
    assert [channel.as_dict() for channel in worker.channels] == [channel.as_dict() for channel in sent.channels]
    assert (worker.state, worker.offers, worker.assigned_jobs, worker.load_ratio) == ("inactive", [], [], 0)
    assert worker.available_for_offers is False


def test_a_worker_of_few_words(desk: Desk) -> None:
    worker = send(desk.client, "PATCH", f"routing/workers/{desk.id('worker')}", json={"capacity": 1}).json()
    assert "availableForOffers" not in worker
    assert worker["state"] == "inactive"
    assert (worker["queues"], worker["channels"], worker["tags"]) == ([], [], {})
    assert "maxConcurrentOffers" not in worker


def test_the_label_id_is_the_routers(desk: Desk) -> None:
    queue, worker = desk.id("queue"), desk.id("worker")
    made = desk.administration.upsert_queue(queue, distribution_policy_id=desk.policy(), labels={"Id": "x", "a": 1})
    assert made.labels == {"Id": queue, "a": 1}
    assert desk.client.upsert_worker(worker, capacity=1, labels={"Id": "x"}).labels == {"Id": worker}


def test_max_concurrent_offers_is_of_the_preview(desk: Desk, preview: Any) -> None:
    worker = desk.id("worker")
    made = preview.upsert_worker(worker, {"capacity": 10, "maxConcurrentOffers": 2})
    assert made.as_dict()["maxConcurrentOffers"] == 2
    assert "maxConcurrentOffers" not in desk.client.get_worker(worker).as_dict()
    desk.client.upsert_worker(worker, {"capacity": 11})
    assert preview.get_worker(worker).as_dict()["maxConcurrentOffers"] == 2


def test_merge_patch(desk: Desk) -> None:
    job = desk.job(desk.queue(), labels={"a": 1, "b": 2}, tags={"x": "y"}, notes=[RouterJobNote(message="n")])
    changed = desk.client.upsert_job(job, {"labels": {"a": None, "c": 3}, "channelReference": "r"})
    assert (changed.labels, changed.tags) == ({"b": 2, "c": 3}, {"x": "y"})
    assert desk.client.upsert_job(job, {"CHANNELREFERENCE": None, "status": "closed"}).channel_reference is None
    assert [note.message for note in desk.client.upsert_job(job, {"notes": []}).notes] == []


def test_collections_are_always_there_and_nothing_is_null(desk: Desk) -> None:
    policy, queue = desk.policy(), desk.id("queue")
    for path, body, expected in (
        (f"classificationPolicies/{desk.id('classification')}", {}, {"queueSelectorAttachments": [], "workerSelectorAttachments": []}),
        (f"exceptionPolicies/{desk.id('exception')}", {}, {"exceptionRules": []}),
        (f"queues/{queue}", {"distributionPolicyId": policy}, {"distributionPolicyId": policy, "labels": {"Id": queue}}),
    ):  # fmt: skip
        made = send(desk.client, "PATCH", f"routing/{path}", json=body).json()
        assert {key: made[key] for key in made if key not in ("id", "etag")} == expected


WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?\+00:00")


def test_times_on_the_wire(desk: Desk) -> None:
    queue = desk.queue()
    worker = desk.worker(queue)
    given = {
        "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=UTC),
        "2020-01-01T02:00:00.1234567+02:00": datetime(2020, 1, 1, 0, 0, 0, 123456, UTC),
        "2020-01-01T00:00:01.5Z": datetime(2020, 1, 1, 0, 0, 1, 500000, UTC),
        "2021-12-31T23:59:59-00:30": datetime(2022, 1, 1, 0, 29, 59, tzinfo=UTC),
    }
    job = desk.job(queue, notes=[RouterJobNote({"message": "n", "addedAt": text}) for text in given])
    desk.accept(worker, job)
    raw = send(desk.client, "GET", f"routing/jobs/{job}").json()
    notes = [note["addedAt"] for note in raw["notes"]]
    assert notes[0] == "0001-01-01T00:00:00+00:00", "no fraction when it is zero"
    [assignment] = raw["assignments"].values()
    for text in (*notes, raw["enqueuedAt"], assignment["assignedAt"]):
        assert WIRE_TIME.fullmatch(text), text
    assert [note.added_at for note in desk.client.get_job(job).notes] == list(given.values())
