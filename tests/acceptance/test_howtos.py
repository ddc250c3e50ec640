"""The how-to guides of the ACS documentation, as an application would follow them."""

from __future__ import annotations

from typing import Any

import pytest
from azure.communication.jobrouter.models import (
    BestWorkerMode,
    ClassificationPolicy,
    ConditionalQueueSelectorAttachment,
    ConditionalWorkerSelectorAttachment,
    DistributionPolicy,
    ExceptionPolicy,
    ExceptionRule,
    ExpressionRouterRule,
    FunctionRouterRule,
    LabelOperator,
    ManualReclassifyExceptionAction,
    PassThroughWorkerSelectorAttachment,
    QueueLengthExceptionTrigger,
    ReclassifyExceptionAction,
    RoundRobinMode,
    RouterChannel,
    RouterJob,
    RouterQueue,
    RouterQueueSelector,
    RouterWorker,
    RouterWorkerSelector,
    ScoringRuleOptions,
    StaticWorkerSelectorAttachment,
    WaitTimeExceptionTrigger,
)

from tests.acceptance.desk import Desk
from tests.acceptance.rule_endpoint import rule_endpoint
from tests.eventually import eventually


def to_queue(condition: str, queue: str) -> ConditionalQueueSelectorAttachment:
    return ConditionalQueueSelectorAttachment(
        condition=ExpressionRouterRule(expression=condition),
        queue_selectors=[RouterQueueSelector(key="Id", label_operator=LabelOperator.EQUAL, value=queue)],
    )


def test_queue_selection_with_a_fallback_and_priority_by_expression(desk: Desk) -> None:
    """Classifying a job: region NA goes to its queue, others to the fallback; VIPs get priority 10."""
    # The fallback is not the lowest of all ids, and the other queue is there to be taken by mistake.
    other, na, fallback = desk.queue(), desk.queue(), desk.queue()
    policy = desk.id("classification")
    desk.administration.upsert_classification_policy(
        policy,
        name="Select XBOX Queue and set priority to 1 or 10",
        queue_selector_attachments=[to_queue('job.Region = "NA"', na)],
        fallback_queue_id=fallback,
        prioritization_rule=ExpressionRouterRule(expression="If(job.Hardware_VIP = true, 10, 1)"),
    )

    def submit(**labels: Any) -> RouterJob:
        job = desk.id("job")
        made = desk.client.upsert_job(job, channel_id="voice", classification_policy_id=policy, labels=labels)
        assert made.status == "pendingClassification"
        return desk.until(job, "queued")

    american = submit(Region="NA", Caller_Id="7805551212", Caller_NPA_NXX="780555", XBOX_Hardware=7)
    assert (american.queue_id, american.priority) == (na, 1)
    european = submit(Region="EU", Hardware_VIP=True)
    assert (european.queue_id, european.priority) == (fallback, 10)
    nowhere = submit()
    assert (nowhere.queue_id, nowhere.priority) == (fallback, 1)
    assert other not in (american.queue_id, european.queue_id, nowhere.queue_id)

    # And back and forth, by reclassification.
    desk.client.upsert_job(american.id, labels={"Region": "EU"})
    desk.until_job(
        american.id, lambda job: job.status == "queued" and job.queue_id == fallback, "moves to the fallback"
    )
    desk.client.upsert_job(european.id, labels={"Region": "NA"})
    desk.until_job(european.id, lambda job: job.status == "queued" and job.queue_id == na, "moves to its queue")


def test_combined_worker_selectors(desk: Desk) -> None:
    """A pass-through, two conditionals and a static attachment, all at once."""
    queue = desk.queue()
    policy = desk.id("classification")

    def when(condition: str, key: str, operator: str, value: Any) -> ConditionalWorkerSelectorAttachment:
        return ConditionalWorkerSelectorAttachment(
            condition=ExpressionRouterRule(expression=condition),
            worker_selectors=[RouterWorkerSelector(key=key, label_operator=operator, value=value)],
        )

    desk.administration.upsert_classification_policy(
        policy,
        ClassificationPolicy(
            fallback_queue_id=queue,
            prioritization_rule=ExpressionRouterRule(expression="If(job.Hardware_VIP = true, 10, 5)"),
            worker_selector_attachments=[
                PassThroughWorkerSelectorAttachment(key="Language", label_operator=LabelOperator.EQUAL),
                when('job.Location = "Canada"', "Dialect", "equal", "fr-ca"),
                when("job.Urgent = true", "Seniority", "greaterThanOrEqual", 5),
                StaticWorkerSelectorAttachment(
                    worker_selector=RouterWorkerSelector(key="Skill", label_operator="equal", value="xbox")
                ),
            ],
        ),
    )
    junior = desk.worker(queue, labels={"Language": "fr", "Dialect": "fr-ca", "Seniority": 2, "Skill": "xbox"})
    parisian = desk.worker(queue, labels={"Language": "fr", "Dialect": "fr-fr", "Seniority": 9, "Skill": "xbox"})
    right = desk.worker(queue, labels={"Language": "fr", "Dialect": "fr-ca", "Seniority": 9, "Skill": "xbox"})
    job = desk.job(
        None,
        classification_policy_id=policy,
        labels={"Language": "fr", "Location": "Canada", "Urgent": True, "Hardware_VIP": True},
    )
    assert desk.offered_to(job, junior, parisian, right) == right
    found = desk.client.get_job(job)
    assert found.priority == 10
    assert [(one.key, one.value) for one in found.attached_worker_selectors] == [
        ("Language", "fr"),
        ("Dialect", "fr-ca"),
        ("Seniority", 5),
        ("Skill", "xbox"),
    ]
    calm = desk.job(None, classification_policy_id=policy, labels={"Language": "fr"})
    calm_job = desk.until(calm, "queued")
    assert calm_job.priority == 5
    assert [one.key for one in calm_job.attached_worker_selectors] == ["Language", "Skill"]
    assert desk.offered_to(calm, junior, parisian) in (junior, parisian)


def test_a_preferred_worker(desk: Desk) -> None:
    """By the label Id, with expiry and expedite: first the preferred worker, later anybody."""
    queue = desk.queue(RoundRobinMode())
    preferred, other = desk.worker(queue, capacity=2), desk.worker(queue)
    desk.accept(preferred, desk.job(queue, requested_worker_selectors=[by_id(preferred)]))
    expedited = desk.id("job")
    desk.client.upsert_job(
        expedited,
        RouterJob(
            channel_id="voice",
            queue_id=queue,
            requested_worker_selectors=[
                RouterWorkerSelector(
                    key="Id", label_operator="equal", value=preferred, expires_after_seconds=45, expedite=True
                )
            ],
        ),
    )
    assert desk.offered_to(expedited, preferred, other) == preferred


def by_id(worker: str, **more: Any) -> RouterWorkerSelector:
    return RouterWorkerSelector(key="Id", label_operator=LabelOperator.EQUAL, value=worker, **more)


def test_a_preferred_worker_that_is_busy(desk: Desk) -> None:
    queue = desk.queue()
    preferred = desk.worker(queue)
    desk.accept(preferred, desk.job(queue))
    other = desk.worker(queue)
    job = desk.job(queue, requested_worker_selectors=[by_id(preferred, expires_after_seconds=1.5, expedite=True)])
    waiting = desk.until(job, "queued")
    assert desk.offers(other) == []
    offer = desk.offer(other, job, seconds=5)
    assert 1.45 < (offer.offered_at - waiting.enqueued_at).total_seconds() < 2.7
    assert desk.client.get_job(job).requested_worker_selectors[0].status == "expired"


def test_escalation_by_wait_time(desk: Desk) -> None:
    """Escalate a job: after a time it gets the label Escalated, the escalation queue and priority 10."""
    round_robin = desk.policy(RoundRobinMode())
    escalation_queue = desk.queue(distribution_policy_id=round_robin, name="XBOX Escalation Queue")
    classification = desk.id("classification")
    desk.administration.upsert_classification_policy(
        classification,
        ClassificationPolicy(
            name="Classify XBOX Voice Jobs",
            queue_selector_attachments=[to_queue("job.Escalated = true", escalation_queue)],
            prioritization_rule=ExpressionRouterRule(expression="If(job.Escalated = true, 10, 1)"),
        ),
    )
    exceptions = desk.id("exception")
    desk.administration.upsert_exception_policy(
        exceptions,
        ExceptionPolicy(
            name="Add escalated label and reclassify XBOX Job requests",
            exception_rules=[
                ExceptionRule(
                    id="Escalated_Rule",
                    trigger=WaitTimeExceptionTrigger(threshold_seconds=1),
                    actions=[
                        ReclassifyExceptionAction(
                            classification_policy_id=classification, labels_to_upsert={"Escalated": True}
                        )
                    ],
                )
            ],
        ),
    )
    queue = desk.queue(distribution_policy_id=round_robin, exception_policy_id=exceptions, name="XBOX Queue")
    job = desk.id("job")
    needs = RouterWorkerSelector(key="XBOX_Hardware", label_operator=LabelOperator.GREATER_THAN_OR_EQUAL, value=7)
    desk.client.upsert_job(job, channel_id="voice", queue_id=queue, requested_worker_selectors=[needs])
    assert desk.until(job, "queued").queue_id == queue
    escalated = desk.until_job(job, lambda one: one.queue_id == escalation_queue, "is escalated", seconds=5)
    assert (escalated.status, escalated.priority, escalated.labels) == ("queued", 10, {"Escalated": True})
    assert [one.key for one in escalated.requested_worker_selectors] == ["XBOX_Hardware"]
    assert desk.offer(desk.worker(escalation_queue, labels={"XBOX_Hardware": 7}), job)


def test_a_job_that_is_not_escalated_keeps_its_queue(desk: Desk) -> None:
    """The same policy from the start: its condition does not hold, and the job's own queue is all there is."""
    escalation_queue, own = desk.queue(), desk.queue()
    policy = desk.classification(queue_selector_attachments=[to_queue("job.Escalated = true", escalation_queue)])
    job = desk.job(own, classification_policy_id=policy)
    assert desk.until(job, "queued").queue_id == own


def test_overflow_by_queue_length(desk: Desk) -> None:
    """Threshold 10: the eleventh job moves to the backup queue, with priority 10 and one selector more."""
    backup = desk.queue(name="backup")
    rule = ExceptionRule(
        id="overflow",
        trigger=QueueLengthExceptionTrigger(threshold=10),
        actions=[
            ManualReclassifyExceptionAction(
                queue_id=backup,
                priority=10,
                worker_selectors=[RouterWorkerSelector(key="overflow", label_operator="equal", value=True)],
            )
        ],
    )
    queue = desk.queue(exception_policy_id=desk.exceptions(rule))
    ten = [desk.queued(queue) for _ in range(10)]
    eleventh = desk.job(queue)
    moved = desk.until_job(eleventh, lambda job: job.queue_id == backup, "overflows")
    assert (moved.status, moved.priority) == ("queued", 10)
    [added] = moved.requested_worker_selectors or []
    assert (added.key, added.value, added.status) == ("overflow", True, "active")
    assert desk.client.get_queue_statistics(queue).length == 10
    assert {desk.client.get_job(job).queue_id for job in ten} == {queue}
    plain = desk.worker(backup)
    right = desk.worker(backup, labels={"overflow": True})
    assert desk.offered_to(eleventh, plain, right) == right


XBOX_JOB = {
    "CommunicationType": "Chat",
    "IssueType": "XboxSupport",
    "Language": "en",
    "HighPriority": True,
    "SubIssueType": "ConsoleMalfunction",
    "ConsoleType": "XBOX_SERIES_X",
    "Model": "XBOX_SERIES_X_1TB",
}
ALL = {"HardwareSupport": True, "ChatSupport": True, "XboxSupport": True}
XBOX_WORKERS: dict[str, dict[str, Any]] = {
    "worker-1": {**ALL, "HighPrioritySupport": True, "Support_XBOX_SERIES_X": True, "English": 10},
    "worker-2": {
        **ALL,
        "HighPrioritySupport": True,
        "Support_XBOX_SERIES_X": True,
        "Support_XBOX_SERIES_S": True,
        "English": 8,
    },
    "worker-3": {**ALL, "HighPrioritySupport": False, "Support_XBOX": True, "English": 7},
}


def xbox_score(job: dict[str, Any], worker: dict[str, Any]) -> int:
    """The decision flow of the guide."""
    if not job.get("HighPriority"):
        return 100 if worker.get("Support_XBOX") else 1
    if not worker.get("HighPrioritySupport"):
        return 1
    return 200 if worker.get(f"Support_{job['ConsoleType']}") else 100


def xbox_desk(desk: Desk, mode: BestWorkerMode) -> tuple[str, list[str]]:
    """The guide's queue and its three workers."""
    policy = desk.id("distribution")
    desk.administration.upsert_distribution_policy(
        policy, DistributionPolicy(offer_expires_after_seconds=300, mode=mode, name="XBox hardware support")
    )
    queue = desk.id("queue")
    desk.administration.upsert_queue(queue, RouterQueue(distribution_policy_id=policy, name="XBox Hardware Support"))
    workers = []
    # The third registers first: it is idle for longer than the others.
    for name in ("worker-3", "worker-1", "worker-2"):
        worker = desk.id("worker", name)
        desk.client.upsert_worker(
            worker,
            RouterWorker(
                capacity=100,
                queues=[queue],
                channels=[RouterChannel(channel_id="Xbox_Chat_Channel", capacity_cost_per_job=10)],
                labels=XBOX_WORKERS[name],
                available_for_offers=True,
            ),
        )
        workers.append(worker)
    third, first, second = workers
    return queue, [first, second, third]


def xbox_job(desk: Desk, queue: str) -> str:
    job = desk.id("job")
    desk.client.upsert_job(
        job,
        RouterJob(
            channel_id="Xbox_Chat_Channel",
            queue_id=queue,
            priority=100,
            channel_reference="ChatChannel",
            requested_worker_selectors=[
                RouterWorkerSelector(key="English", label_operator="greaterThanOrEqual", value=7),
                RouterWorkerSelector(key="ChatSupport", label_operator="equal", value=True),
                RouterWorkerSelector(key="XboxSupport", label_operator="equal", value=True),
            ],
            labels=XBOX_JOB,
        ),
    )
    return job


@pytest.mark.ours
def test_custom_scoring_by_a_function(desk: Desk) -> None:
    with rule_endpoint() as function:
        scores: dict[str, int] = {}

        def answer(body: Any) -> int:
            score = xbox_score(body["job"], body["worker"])
            scores[body["worker"]["Id"]] = score
            return score

        function.answer = answer
        queue, workers = xbox_desk(desk, BestWorkerMode(scoring_rule=FunctionRouterRule(function_uri=function.url())))
        job = xbox_job(desk, queue)
        chosen = desk.offered_to(job, *workers)
        assert chosen == workers[0], "of the two best the one that has been idle for longest"
        assert [scores[worker] for worker in workers] == [200, 200, 1]
        for body in function.bodies:
            assert body["job"] == XBOX_JOB
            assert [one["key"] for one in body["selectors"]] == ["English", "ChatSupport", "XboxSupport"]
            assert body["selectors"][0]["value"] == 7
            assert set(body) == {"job", "selectors", "worker"}
        worker_1 = next(body["worker"] for body in function.bodies if body["worker"]["Id"] == workers[0])
        assert worker_1 == {**XBOX_WORKERS["worker-1"], "Id": workers[0]}


@pytest.mark.ours
def test_batch_scoring(desk: Desk) -> None:
    with rule_endpoint() as function:
        function.answer = lambda body: [xbox_score(body["job"], worker) for worker in body["workers"]]
        options = ScoringRuleOptions(is_batch_scoring_enabled=True, batch_size=2, scoring_parameters=["jobLabels"])
        rule = FunctionRouterRule(function_uri=function.url())
        queue, workers = xbox_desk(desk, BestWorkerMode(scoring_rule=rule, scoring_rule_options=options))
        job = xbox_job(desk, queue)
        assert desk.offered_to(job, *workers) == workers[0]
        assert {frozenset(body) for body in function.bodies} == {frozenset({"job", "workers"})}
        assert sorted(len(body["workers"]) for body in function.bodies[:2]) == [1, 2]


@pytest.mark.ours
def test_scoring_by_ascending_order(desk: Desk) -> None:
    with rule_endpoint() as function:
        function.answer = lambda body: xbox_score(body["job"], body["worker"])
        mode = BestWorkerMode(
            scoring_rule=FunctionRouterRule(function_uri=function.url()),
            scoring_rule_options=ScoringRuleOptions(descending_order=False),
        )
        queue, workers = xbox_desk(desk, mode)
        assert desk.offered_to(xbox_job(desk, queue), *workers) == workers[2]


@pytest.mark.ours
def test_a_scoring_function_that_fails_is_tried_again(desk: Desk) -> None:
    with rule_endpoint() as function:
        function.answer = lambda _: (200, "rubbish")
        queue, workers = xbox_desk(desk, BestWorkerMode(scoring_rule=FunctionRouterRule(function_uri=function.url())))
        job = xbox_job(desk, queue)
        eventually(lambda: function.requests, "the function is asked")
        assert desk.until(job, "queued")
        assert [desk.offers(worker) for worker in workers] == [[], [], []]
        function.answer = lambda body: xbox_score(body["job"], body["worker"])
        assert desk.offered_to(job, *workers) == workers[0]


def test_scoring_by_an_expression(desk: Desk) -> None:
    """The SDK's sample: who can handle escalations scores 100, others 1."""
    rule = ExpressionRouterRule(expression="If(worker.HandleEscalation = true, 100, 1)")
    queue = desk.queue(BestWorkerMode(scoring_rule=rule))
    plain = desk.worker(queue)
    right = desk.worker(queue, labels={"HandleEscalation": True})
    assert desk.offered_to(desk.job(queue), plain, right) == right
