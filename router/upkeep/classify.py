"""Classifying a job: the policy's rules, then the queue, the priority and the worker selectors
(docs/behaviour.md, "Classification")."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from router.commit import job as job_commits
from router.commit.parts import Parts
from router.engine import classification
from router.engine.change import JobChange
from router.engine.classification import Classified, QueueChoice, pick_allocation
from router.engine.selectors import of_policy
from router.errors import ErrorDetail, TooLarge
from router.models.jobs import JobRecord, JobStatus
from router.models.policies import ClassificationPolicy
from router.models.rules import (
    ConditionalQueueSelectorAttachment,
    ConditionalWorkerSelectorAttachment,
    PassThroughQueueSelectorAttachment,
    PassThroughWorkerSelectorAttachment,
    RuleEngineQueueSelectorAttachment,
    RuleEngineWorkerSelectorAttachment,
    StaticQueueSelectorAttachment,
    StaticWorkerSelectorAttachment,
)
from router.models.selectors import MAX_ATTACHED, RouterQueueSelector, RouterWorkerSelector
from router.rules import results
from router.rules.failure import RuleFailure
from router.rules.purse import one_purse
from router.storage.truth_rows import Row

_log = logging.getLogger(__name__)


async def classify(parts: Parts, row: Row[JobRecord]) -> Row[JobRecord]:
    """Classifies the job if it is waiting for that. Rules are asked outside the commit: if the job has changed
    meanwhile, it is classified again as it is then. The row afterwards."""
    for _ in range(5):
        record = row.record
        if record is None or record.status is not JobStatus.PENDING_CLASSIFICATION:
            return row
        with one_purse():
            outcome = await _outcome(parts, record)
        etag = record.etag
        now = parts.clock.now()

        def step(
            found: JobRecord, outcome: Classified | list[ErrorDetail] = outcome, etag: str = etag, now: Any = now
        ) -> JobChange | None:
            if found.etag != etag:
                return None
            if isinstance(outcome, Classified):
                return classification.apply(found, outcome, now)
            return classification.fail(found, found.job.classification_policy_id or "", outcome)

        try:
            row = (await job_commits.change(parts, row.id, job_commits.existing(step), row, driven=True)).after
        except TooLarge as error:
            # With what the policy attaches the job is more than a row can hold: tried again, it would be so again.
            outcome = [ErrorDetail(error.code, error.message)]
            failing = job_commits.existing(partial(step, outcome=outcome))
            row = (await job_commits.change(parts, row.id, failing, driven=True)).after
    return row


async def _outcome(parts: Parts, record: JobRecord) -> Classified | list[ErrorDetail]:
    policy_id = record.job.classification_policy_id
    found = await parts.resources.cached("ClassificationPolicy", policy_id) if policy_id else None
    if policy_id is None or found is None:
        return [ErrorDetail("ClassificationPolicyNotFound", f"Classification policy '{policy_id}' is not there.")]
    policy: ClassificationPolicy = found.model
    try:
        queue = await _queue(parts, record, policy, policy_id)
        if isinstance(queue, ErrorDetail):
            return [queue]
        return Classified(
            queue=queue,
            priority=await _priority(parts, record, policy, policy_id),
            attached=await _attached(parts, record, policy, policy_id),
            chose_queue=bool(policy.queue_selector_attachments) or not record.job.queue_id,
            gave_priority=policy.prioritization_rule is not None,
        )
    except RuleFailure as error:
        told = "Classification policy '%s' failed for job '%s': %s"
        _log.info(told, policy_id, record.id, error.reason, extra={"job": record.id, "policy": policy_id})
        return [ErrorDetail(error.code, error.reason)]


async def _queue(
    parts: Parts, record: JobRecord, policy: ClassificationPolicy, policy_id: str
) -> QueueChoice | ErrorDetail:
    if not policy.queue_selector_attachments:
        queue_id = record.job.queue_id or policy.fallback_queue_id
        reason = "The policy has no queue selectors and no fallback queue, and the job names no queue."
    else:
        selectors = await _queue_selectors(parts, record, policy, policy_id)
        if len(selectors) > MAX_ATTACHED:
            return ErrorDetail("TooManySelectors", classification.too_many(len(selectors)))
        if selectors:
            queue_id = await parts.queue_search.find(selectors) or policy.fallback_queue_id
        else:
            # No attachment had anything to say of this job: that is no queue, not any queue.
            queue_id = policy.fallback_queue_id or record.job.queue_id
        reason = "No queue satisfies the policy's queue selectors, and it has no fallback queue."
    if queue_id is None:
        return ErrorDetail("QueueNotFound", reason)
    queue = await parts.resources.cached("Queue", queue_id)
    if queue is None:
        return ErrorDetail("QueueNotFound", f"Queue '{queue_id}' is not there.")
    return QueueChoice(queue_id, queue.model.name, queue.model.labels)


async def _priority(parts: Parts, record: JobRecord, policy: ClassificationPolicy, policy_id: str) -> int:
    if policy.prioritization_rule is None:
        return record.job.priority
    context = f"ClassificationPolicy/{policy_id}"
    return results.as_priority(await parts.rules.value(policy.prioritization_rule, record.job.labels, context))


async def _queue_selectors(
    parts: Parts, record: JobRecord, policy: ClassificationPolicy, policy_id: str
) -> list[RouterQueueSelector]:
    labels, context = record.job.labels, f"ClassificationPolicy/{policy_id}"
    found: list[RouterQueueSelector] = []
    for number, attachment in enumerate(policy.queue_selector_attachments):
        match attachment:
            case StaticQueueSelectorAttachment():
                found.append(attachment.queue_selector)
            case ConditionalQueueSelectorAttachment():
                if results.as_condition(await parts.rules.value(attachment.condition, labels, context)):
                    found.extend(attachment.queue_selectors)
            case PassThroughQueueSelectorAttachment():
                if attachment.key in labels:
                    found.append(
                        RouterQueueSelector(
                            key=attachment.key, label_operator=attachment.label_operator, value=labels[attachment.key]
                        )
                    )
            case RuleEngineQueueSelectorAttachment():
                found.extend(results.as_queue_selectors(await parts.rules.value(attachment.rule, labels, context)))
            case _:
                chosen = pick_allocation(attachment.allocations, record.id, policy_id, f"queue/{number}")
                found.extend(chosen.queue_selectors)
    return found


async def _attached(
    parts: Parts, record: JobRecord, policy: ClassificationPolicy, policy_id: str
) -> list[RouterWorkerSelector]:
    labels, context = record.job.labels, f"ClassificationPolicy/{policy_id}"
    found: list[RouterWorkerSelector] = []
    for number, attachment in enumerate(policy.worker_selector_attachments):
        match attachment:
            case StaticWorkerSelectorAttachment():
                found.append(of_policy(attachment.worker_selector))
            case ConditionalWorkerSelectorAttachment():
                if results.as_condition(await parts.rules.value(attachment.condition, labels, context)):
                    found.extend(of_policy(one) for one in attachment.worker_selectors)
            case PassThroughWorkerSelectorAttachment():
                if attachment.key in labels:
                    found.append(_passed(attachment, labels))
            case RuleEngineWorkerSelectorAttachment():
                value = await parts.rules.value(attachment.rule, labels, context)
                found.extend(of_policy(one) for one in results.as_worker_selectors(value))
            case _:
                chosen = pick_allocation(attachment.allocations, record.id, policy_id, f"worker/{number}")
                found.extend(of_policy(one) for one in chosen.worker_selectors)
    return found


def _passed(attachment: PassThroughWorkerSelectorAttachment, labels: Mapping[str, Any]) -> RouterWorkerSelector:
    return RouterWorkerSelector(
        key=attachment.key,
        label_operator=attachment.label_operator,
        value=labels[attachment.key],
        expires_after_seconds=attachment.expires_after_seconds,
    )
