"""Requests as the official client makes them, for every kind of every model, and records made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from azure.communication.jobrouter import models as sdk
from azure.communication.jobrouter._model_base import SdkJSONEncoder

from router.models.jobs import JobRecord, JobRouting, JobStatus, RouterJob
from router.models.workers import RouterWorker, WorkerRecord, WorkerRouting
from router.wire.apply import (
    job_input,
    worker_input,
)
from router.wire.documents import (
    json_bytes,
)

NOW = datetime(2023, 11, 3, 21, 26, 56, 854593, UTC)
#: When patches arrive: NOW is still to come, and can be scheduled for.
BEFORE = datetime(2023, 11, 3, 21, 0, 0, 0, UTC)
SELECTOR = sdk.RouterWorkerSelector(
    key="k", label_operator="equal", value=True, expires_after_seconds=5.5, expedite=True
)
QUEUE_SELECTOR = sdk.RouterQueueSelector(key="k", label_operator="notEqual", value="v")


def sent(model: Any) -> dict[str, Any]:
    """The body that the official client sends for its model."""
    body: dict[str, Any] = json.loads(json.dumps(model, cls=SdkJSONEncoder, exclude_readonly=True))
    return body


def wired(body: dict[str, Any]) -> dict[str, Any]:
    """An answer as it arrives."""
    answer: dict[str, Any] = json.loads(json_bytes(body))
    return answer


def guids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012d}"


RULES = {
    "static": sdk.StaticRouterRule(value=5),
    "directMap": sdk.DirectMapRouterRule(),
    "expression": sdk.ExpressionRouterRule(expression="job.x"),
    "function": sdk.FunctionRouterRule(
        function_uri="https://f", credential=sdk.FunctionRouterRuleCredential(client_id="me")
    ),
    "webhook": sdk.WebhookRouterRule(
        webhook_uri="https://w",
        authorization_server_uri="https://a",
        client_credential=sdk.OAuth2WebhookClientCredential(client_id="me"),
    ),
}
QUEUE_ATTACHMENTS = [
    sdk.ConditionalQueueSelectorAttachment(condition=RULES["static"], queue_selectors=[QUEUE_SELECTOR]),
    sdk.PassThroughQueueSelectorAttachment(key="k", label_operator="lessThan"),
    sdk.RuleEngineQueueSelectorAttachment(rule=RULES["expression"]),
    sdk.StaticQueueSelectorAttachment(queue_selector=QUEUE_SELECTOR),
    sdk.WeightedAllocationQueueSelectorAttachment(
        allocations=[sdk.QueueWeightedAllocation(weight=0.3, queue_selectors=[QUEUE_SELECTOR])]
    ),
]
WORKER_ATTACHMENTS = [
    sdk.ConditionalWorkerSelectorAttachment(condition=RULES["directMap"], worker_selectors=[SELECTOR]),
    sdk.PassThroughWorkerSelectorAttachment(key="k", label_operator="lessThan", expires_after_seconds=3),
    sdk.RuleEngineWorkerSelectorAttachment(rule=RULES["function"]),
    sdk.StaticWorkerSelectorAttachment(worker_selector=SELECTOR),
    sdk.WeightedAllocationWorkerSelectorAttachment(
        allocations=[sdk.WorkerWeightedAllocation(weight=1, worker_selectors=[SELECTOR])]
    ),
]


EXCEPTION_POLICY = sdk.ExceptionPolicy(
    name="n",
    exception_rules=[
        sdk.ExceptionRule(
            id="r1",
            trigger=sdk.QueueLengthExceptionTrigger(threshold=10),
            actions=[
                sdk.CancelExceptionAction(note="n", disposition_code="d"),
                sdk.ManualReclassifyExceptionAction(queue_id="q", priority=3, worker_selectors=[SELECTOR]),
                sdk.ReclassifyExceptionAction(classification_policy_id="c", labels_to_upsert={"Key": 1}),
            ],
        ),
        sdk.ExceptionRule(
            id="r2",
            trigger=sdk.WaitTimeExceptionTrigger(threshold_seconds=0.5),
            actions=[sdk.ManualReclassifyExceptionAction(), sdk.ReclassifyExceptionAction()],
        ),
    ],
)


def new_job(patch: dict[str, Any], **state: Any) -> JobRecord:
    wanted = job_input(None, patch, BEFORE)
    fields = {name: getattr(wanted, name) for name in type(wanted).model_fields}
    job = RouterJob.model_construct(**{**fields, "id": "j", "status": JobStatus.CREATED, **state})
    return JobRecord(job=job, routing=JobRouting(created_at=NOW), etag="e", modified=NOW)


JOB = sdk.RouterJob(
    channel_reference="r",
    channel_id="c",
    classification_policy_id="p",
    queue_id="q",
    priority=-5,
    disposition_code="d",
    requested_worker_selectors=[SELECTOR],
    labels={"Id": "mine", "n": 1.5},
    tags={"t": False},
    notes=[
        sdk.RouterJobNote(message="later", added_at=datetime(2024, 1, 1, tzinfo=UTC)),
        sdk.RouterJobNote(message="first", added_at=datetime(1, 1, 1, 0, 0, 0, 5, UTC)),
    ],
    matching_mode=sdk.ScheduleAndSuspendMode(schedule_at=datetime(2099, 1, 1, 12, 30, tzinfo=UTC)),
)


WORKER = sdk.RouterWorker(
    queues=["q1", "q2"],
    capacity=10,
    labels={"a": 1},
    tags={"t": "x"},
    channels=[
        sdk.RouterChannel(channel_id="voice", capacity_cost_per_job=5),
        sdk.RouterChannel(channel_id="chat", capacity_cost_per_job=1, max_number_of_jobs=3),
    ],
    available_for_offers=True,
)


def new_worker(patch: dict[str, Any], api_version: str, **state: Any) -> WorkerRecord:
    wanted = worker_input(None, patch, api_version)
    worker = RouterWorker.model_validate({**wanted.model_dump(), "id": "w", "state": "active", **state})
    routing = WorkerRouting(available_since=NOW, active_at=NOW)
    return WorkerRecord(worker=worker, routing=routing, etag="e", modified=NOW)
