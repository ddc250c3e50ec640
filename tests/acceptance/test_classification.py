"""Classification: queue, priority and worker selectors by every kind of rule and attachment
(docs/behaviour.md, "Classification")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from azure.communication.jobrouter.models import (
    ConditionalQueueSelectorAttachment,
    ConditionalWorkerSelectorAttachment,
    DirectMapRouterRule,
    ExpressionRouterRule,
    FunctionRouterRule,
    FunctionRouterRuleCredential,
    OAuth2WebhookClientCredential,
    PassThroughQueueSelectorAttachment,
    PassThroughWorkerSelectorAttachment,
    RouterJob,
    RouterQueueSelector,
    RouterWorkerSelector,
    RuleEngineQueueSelectorAttachment,
    RuleEngineWorkerSelectorAttachment,
    StaticQueueSelectorAttachment,
    StaticRouterRule,
    StaticWorkerSelectorAttachment,
    WebhookRouterRule,
    WeightedAllocationWorkerSelectorAttachment,
    WorkerWeightedAllocation,
)

from tests.acceptance.desk import Desk, selector
from tests.acceptance.rule_endpoint import RuleEndpoint, rule_endpoint
from tests.eventually import eventually


def queue_selector(key: str, value: Any, operator: str = "equal") -> RouterQueueSelector:
    return RouterQueueSelector(key=key, label_operator=operator, value=value)


def classified(desk: Desk, policy: str, **fields: Any) -> RouterJob:
    """The job as it is once its policy has been applied, or has failed."""
    job = desk.job(fields.pop("queue", None), classification_policy_id=policy, **fields)
    return desk.until_job(job, lambda one: one.status in ("queued", "classificationFailed"), "is classified")


@pytest.fixture
def endpoint() -> Iterator[RuleEndpoint]:
    with rule_endpoint() as running:
        yield running


def test_the_answer_to_a_new_job(desk: Desk) -> None:
    policy = desk.classification(fallback_queue_id=desk.queue())
    made = desk.client.upsert_job(desk.id("job"), channel_id="voice", classification_policy_id=policy)
    assert (made.status, made.queue_id, made.enqueued_at) == ("pendingClassification", None, None)


class TestQueues:
    def test_all_selectors_must_hold(self, desk: Desk) -> None:
        run = desk.id("label")
        desk.queue(labels={"Run": run, "Region": "NA"})
        right = desk.queue(labels={"Run": run, "Region": "NA", "Level": 5})
        desk.queue(labels={"Run": run, "Region": "EU", "Level": 5})
        policy = desk.classification(
            queue_selector_attachments=[
                StaticQueueSelectorAttachment(queue_selector=queue_selector("Run", run)),
                PassThroughQueueSelectorAttachment(key="Region", label_operator="equal"),
                PassThroughQueueSelectorAttachment(key="Missing", label_operator="equal"),
                ConditionalQueueSelectorAttachment(
                    condition=ExpressionRouterRule(expression="job.Hard = true"),
                    queue_selectors=[queue_selector("Level", 4, "greaterThan")],
                ),
            ]
        )
        assert classified(desk, policy, labels={"Region": "NA", "Hard": True}).queue_id == right

    @pytest.mark.ours
    def test_several_queues(self, desk: Desk) -> None:
        run = desk.id("label")
        first = desk.queue(labels={"Run": run})
        desk.queue(labels={"Run": run})
        policy = desk.classification(
            queue_selector_attachments=[StaticQueueSelectorAttachment(queue_selector=queue_selector("Run", run))]
        )
        assert classified(desk, policy).queue_id == first, "the lowest id"

    def test_no_queue(self, desk: Desk) -> None:
        nowhere = [StaticQueueSelectorAttachment(queue_selector=queue_selector("Run", desk.id("label")))]
        fallback = desk.queue()
        with_fallback = desk.classification(queue_selector_attachments=nowhere, fallback_queue_id=fallback)
        without = desk.classification(queue_selector_attachments=nowhere)
        assert classified(desk, with_fallback).queue_id == fallback
        assert classified(desk, without).status == "classificationFailed"

    def test_by_a_rule(self, desk: Desk) -> None:
        queue = desk.queue()
        rule = StaticRouterRule(value=[{"key": "Id", "labelOperator": "equal", "value": queue}])
        policy = desk.classification(queue_selector_attachments=[RuleEngineQueueSelectorAttachment(rule=rule)])
        assert classified(desk, policy).queue_id == queue

    def test_a_new_queue_is_seen(self, desk: Desk) -> None:
        run = desk.id("label")
        attachments = [StaticQueueSelectorAttachment(queue_selector=queue_selector("Run", run))]
        policy = desk.classification(queue_selector_attachments=attachments)
        job = classified(desk, policy)
        assert job.status == "classificationFailed"
        queue = desk.queue(labels={"Run": run})
        desk.client.reclassify_job(job.id)
        assert desk.until(job.id, "queued").queue_id == queue


class TestPriorities:
    @pytest.mark.parametrize(
        ("rule", "priority"),
        [
            (None, 4),
            (StaticRouterRule(value=8), 8),
            (StaticRouterRule(value=-8), -8),
            (ExpressionRouterRule(expression="If(job.Vip = true, 10, 1)"), 10),
            (ExpressionRouterRule(expression="job.Age * 2"), 62),
        ],
        ids=str,
    )
    def test_by_rule(self, desk: Desk, rule: Any, priority: int) -> None:
        policy = desk.classification(prioritization_rule=rule)
        job = classified(desk, policy, queue=desk.queue(), priority=4, labels={"Vip": True, "Age": 31})
        assert (job.status, job.priority) == ("queued", priority)

    @pytest.mark.parametrize(
        "rule",
        [
            StaticRouterRule(value="high"),
            StaticRouterRule(value=1.5),
            StaticRouterRule(value=True),
            StaticRouterRule(value=2**31),
            DirectMapRouterRule(),
            ExpressionRouterRule(expression="1 / job.Nothing"),
        ],
        ids=str,
    )
    def test_what_is_no_priority(self, desk: Desk, rule: Any) -> None:
        job = classified(desk, desk.classification(prioritization_rule=rule), queue=desk.queue())
        assert job.status == "classificationFailed"


class TestWorkerSelectors:
    def test_of_every_attachment(self, desk: Desk) -> None:
        policy = desk.classification(
            worker_selector_attachments=[
                StaticWorkerSelectorAttachment(worker_selector=selector("Static", "equal", True)),
                ConditionalWorkerSelectorAttachment(
                    condition=StaticRouterRule(value=True), worker_selectors=[selector("Yes", "greaterThan", 1)]
                ),
                ConditionalWorkerSelectorAttachment(
                    condition=StaticRouterRule(value=False), worker_selectors=[selector("No", "equal", 1)]
                ),
                PassThroughWorkerSelectorAttachment(key="Language", label_operator="equal", expires_after_seconds=30),
                PassThroughWorkerSelectorAttachment(key="Missing", label_operator="equal"),
                RuleEngineWorkerSelectorAttachment(
                    rule=StaticRouterRule(value=[{"key": "Rule", "labelOperator": "lessThan", "value": 3}])
                ),
                WeightedAllocationWorkerSelectorAttachment(
                    allocations=[
                        WorkerWeightedAllocation(weight=1, worker_selectors=[selector("Weighted", "equal", "A")])
                    ]
                ),
            ]
        )
        job = classified(desk, policy, queue=desk.queue(), labels={"Language": "fr"})
        found = [(one.key, one.label_operator, one.value) for one in job.attached_worker_selectors]
        assert found == [
            ("Static", "equal", True),
            ("Yes", "greaterThan", 1),
            ("Language", "equal", "fr"),
            ("Rule", "lessThan", 3),
            ("Weighted", "equal", "A"),
        ]
        assert all((one.status, one.expedite) == ("active", False) for one in job.attached_worker_selectors)
        expiring = job.attached_worker_selectors[2]
        assert (expiring.expires_at - job.enqueued_at).total_seconds() == pytest.approx(30, abs=0.01)

    def test_by_weight(self, desk: Desk) -> None:
        allocations = [
            WorkerWeightedAllocation(weight=weight, worker_selectors=[selector("Vendor", "equal", vendor)])
            for vendor, weight in (("A", 30), ("B", 70))
        ]
        policy = desk.classification(
            worker_selector_attachments=[WeightedAllocationWorkerSelectorAttachment(allocations=allocations)]
        )
        queue = desk.queue()
        for _ in range(40):
            desk.job(queue, classification_policy_id=policy)

        def all_classified() -> list[RouterJob]:
            jobs = list(desk.client.list_jobs(classification_policy_id=policy, status="queued"))
            return jobs if len(jobs) == 40 else []

        jobs = eventually(all_classified)
        shares = Counter(job.attached_worker_selectors[0].value for job in jobs)
        assert 1 <= shares["A"] <= 30, "12 of 40 are to be expected; this is off once in a million"

    def test_they_count_in_matching(self, desk: Desk) -> None:
        policy = desk.classification(
            worker_selector_attachments=[StaticWorkerSelectorAttachment(worker_selector=selector("a", "equal", 1))]
        )
        queue = desk.queue()
        other, right = desk.worker(queue), desk.worker(queue, labels={"a": 1})
        job = desk.job(queue, classification_policy_id=policy)
        assert desk.offered_to(job, other, right) == right


@pytest.mark.ours
class TestFunctions:
    """Rules of other people's endpoints; against a real resource they would have to be reachable from there."""

    def test_what_a_function_is_asked(self, desk: Desk, endpoint: RuleEndpoint) -> None:
        endpoint.answer = lambda body: body["job"]["Level"] * 2
        rule = FunctionRouterRule(
            function_uri=endpoint.url("/api/priority"),
            credential=FunctionRouterRuleCredential(function_key="f-key", client_id="me"),
        )
        policy = desk.classification(prioritization_rule=rule)
        job = classified(desk, policy, queue=desk.queue(), labels={"Level": 21})
        assert (job.status, job.priority) == ("queued", 42)
        [(path, headers, body)] = endpoint.requests
        assert (path.partition("?")[0], body["job"]) == ("/api/priority", {"Level": 21})
        assert (headers["x-functions-key"], headers["x-functions-clientid"]) == ("f-key", "me")

    def test_queue_and_selectors_by_function(self, desk: Desk, endpoint: RuleEndpoint) -> None:
        queue = desk.queue()
        endpoint.answer = lambda body: [{"key": "Id", "labelOperator": "equal", "value": queue}]
        rule = FunctionRouterRule(function_uri=endpoint.url())
        policy = desk.classification(
            queue_selector_attachments=[RuleEngineQueueSelectorAttachment(rule=rule)],
            worker_selector_attachments=[RuleEngineWorkerSelectorAttachment(rule=rule)],
        )
        job = classified(desk, policy)
        assert (job.queue_id, [one.value for one in job.attached_worker_selectors]) == (queue, [queue])

    def test_a_webhook(self, desk: Desk, endpoint: RuleEndpoint) -> None:
        def answer(body: Any) -> Any:
            if isinstance(body, str):
                return {"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600}
            return 17

        endpoint.answer = answer
        rule = WebhookRouterRule(
            webhook_uri=endpoint.url("/hook"),
            authorization_server_uri=endpoint.url("/token"),
            client_credential=OAuth2WebhookClientCredential(client_id="me", client_secret="s3cret"),
        )
        policy = desk.classification(prioritization_rule=rule)
        queue = desk.queue()
        assert classified(desk, policy, queue=queue).priority == 17
        assert classified(desk, policy, queue=queue).priority == 17
        paths = Counter(path for path, _, _ in endpoint.requests)
        assert paths == {"/token": 1, "/hook": 2}, "the token is kept"
        assert {headers.get("authorization") for path, headers, _ in endpoint.requests if path == "/hook"} == {
            "Bearer token-1"
        }

    @pytest.mark.parametrize("answer", [(404, "no"), (302, "elsewhere"), (200, "rubbish"), (200, {"priority": 1})])
    def test_a_function_that_fails(self, desk: Desk, endpoint: RuleEndpoint, answer: Any) -> None:
        endpoint.answer = lambda _: answer
        rule = FunctionRouterRule(function_uri=endpoint.url())
        job = classified(desk, desk.classification(prioritization_rule=rule), queue=desk.queue())
        assert job.status == "classificationFailed"
        assert desk.explain(job.id)["summary"]
        endpoint.answer = lambda _: 3
        desk.client.reclassify_job(job.id)
        assert desk.until(job.id, "queued").priority == 3

    def test_what_nobody_listens_to(self, desk: Desk) -> None:
        rule = FunctionRouterRule(function_uri="http://127.0.0.1:9/api")
        job = desk.job(desk.queue(), classification_policy_id=desk.classification(prioritization_rule=rule))
        desk.until(job, "classificationFailed", seconds=20)


def test_types_of_selectors_survive(desk: Desk) -> None:
    sent = RouterWorkerSelector(key="k", label_operator="equal", value=2.5)
    policy = desk.classification(worker_selector_attachments=[StaticWorkerSelectorAttachment(worker_selector=sent)])
    [found] = classified(desk, policy, queue=desk.queue()).attached_worker_selectors or []
    assert found.value == 2.5


@pytest.mark.ours
def test_more_than_a_job_can_hold(desk: Desk) -> None:
    attachments = [
        StaticWorkerSelectorAttachment(
            worker_selector=RouterWorkerSelector(key=f"k{number}", label_operator="equal", value="x" * 900)
        )
        for number in range(100)
    ]
    policy = desk.classification(worker_selector_attachments=attachments)
    labels = {f"label{number}": "y" * 1000 for number in range(90)}
    job = desk.job(desk.queue(), classification_policy_id=policy, labels=labels)
    # Sooner than a settle deadline: large events are sent at once too.
    desk.until(job, "classificationFailed", seconds=10)
