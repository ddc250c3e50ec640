"""What a change says to the world: one builder per event, from the records as they are after the change.

Payloads are plain dictionaries because every commit builds some; models/event_catalogue.py says what they hold.
Workers and queues have the label `Id` here, as in every answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from router.errors import ErrorDetail
from router.models.event_catalogue import (
    EventJobStatus,
    EventLabelOperator,
    EventName,
    JobBrief,
    QueueBrief,
    WorkerProperty,
)
from router.models.events import EventDraft
from router.models.jobs import JobOffer, QueueAndMatchMode, RouterJob, ScheduleAndSuspendMode
from router.models.selectors import LabelOperator, RouterWorkerSelector
from router.models.types import format_time, whole_numbers, with_id_label
from router.models.workers import RouterWorker, RouterWorkerInput

_OPERATOR = {operator: EventLabelOperator[operator.name].value for operator in LabelOperator}


def job_received(job: RouterJob) -> EventDraft:
    """Of what is still to be classified it tells neither queue nor priority (docs/behaviour.md, "Events")."""
    data = _without_queue(job)
    to_classify = job.classification_policy_id is not None
    data["jobStatus"] = (EventJobStatus.PENDING_CLASSIFICATION if to_classify else EventJobStatus.QUEUED).value
    data["classificationPolicyId"] = job.classification_policy_id
    data["priority"] = None if to_classify else job.priority
    data["requestedWorkerSelectors"] = _selectors(job.requested_worker_selectors)
    data["scheduledOn"] = _scheduled_on(job)
    data["unavailableForMatching"] = not isinstance(job.matching_mode, QueueAndMatchMode)
    return _draft(EventName.JOB_RECEIVED, _job_subject(job), data)


def job_classified(
    job: RouterJob,
    queue_id: str,
    queue_name: str | None,
    queue_labels: Mapping[str, Any],
    *,
    chose_queue: bool,
    gave_priority: bool,
) -> EventDraft:
    """`chose_queue`, `gave_priority`: whether the policy did that, or left the job's own."""
    data = _job_data(job)
    data["queueId"] = queue_id if chose_queue else None
    data["queueDetails"] = {"id": queue_id, "name": queue_name, "labels": with_id_label(queue_labels, queue_id)}
    data["classificationPolicyId"] = job.classification_policy_id
    data["priority"] = job.priority if gave_priority else None
    data["attachedWorkerSelectors"] = _selectors(job.attached_worker_selectors)
    return _draft(EventName.JOB_CLASSIFIED, f"{_job_subject(job)}/queue/{queue_id}", data)


def classification_failed(job: RouterJob, policy_id: str, errors: Sequence[ErrorDetail]) -> EventDraft:
    data = _job_data(job)
    data["classificationPolicyId"] = policy_id
    data["errors"] = [
        {
            "code": error.code,
            "message": error.message,
            "target": error.target,
            "innererror": None,
            "details": [],
        }
        for error in errors
    ]
    subject = f"{_job_subject(job)}/classificationpolicy/{policy_id}"
    return _draft(EventName.JOB_CLASSIFICATION_FAILED, subject, data)


def job_queued(job: RouterJob) -> EventDraft:
    data = _job_data(job)
    data["priority"] = job.priority
    data["attachedWorkerSelectors"] = _selectors(job.attached_worker_selectors)
    data["requestedWorkerSelectors"] = _selectors(job.requested_worker_selectors)
    return _draft(EventName.JOB_QUEUED, _queue_subject(job), data)


def selectors_expired(
    job: RouterJob, requested: Sequence[RouterWorkerSelector], attached: Sequence[RouterWorkerSelector]
) -> EventDraft:
    """`requested` and `attached` are the selectors that have expired just now."""
    data = _job_data(job)
    data["expiredRequestedWorkerSelectors"] = _selectors(requested)
    data["expiredAttachedWorkerSelectors"] = _selectors(attached)
    return _draft(EventName.JOB_WORKER_SELECTORS_EXPIRED, _queue_subject(job), data)


def exception_triggered(job: RouterJob, rule_id: str) -> EventDraft:
    data = _job_data(job)
    data["ruleKey"] = rule_id
    data["exceptionRuleId"] = rule_id
    return _draft(EventName.JOB_EXCEPTION_TRIGGERED, f"{_job_subject(job)}/exceptionrule/{rule_id}", data)


def job_completed(job: RouterJob, assignment_id: str, worker_id: str) -> EventDraft:
    data = _assignment_data(job, assignment_id, worker_id)
    return _draft(EventName.JOB_COMPLETED, _assignment_subject(job, assignment_id), data)


def job_unassigned(job: RouterJob, assignment_id: str, worker_id: str) -> EventDraft:
    data = {**_assignment_data(job, assignment_id, worker_id), **_without_queue(job)}
    return _draft(EventName.JOB_UNASSIGNED, _assignment_subject(job, assignment_id), data)


def job_closed(job: RouterJob, assignment_id: str, worker_id: str, disposition: str) -> EventDraft:
    data = _assignment_data(job, assignment_id, worker_id)
    data["dispositionCode"] = disposition
    return _draft(EventName.JOB_CLOSED, _assignment_subject(job, assignment_id), data)


def job_cancelled(job: RouterJob, note: str | None, disposition: str) -> EventDraft:
    data = _job_data(job)
    data["note"] = note
    data["dispositionCode"] = disposition
    return _draft(EventName.JOB_CANCELLED, f"{_job_subject(job)}/disposition/{disposition}", data)


def job_waiting_for_activation(job: RouterJob) -> EventDraft:
    data = _without_queue(job)
    data["priority"] = job.priority
    data["expiredAttachedWorkerSelectors"] = _expired(job.attached_worker_selectors)
    data["expiredRequestedWorkerSelectors"] = _expired(job.requested_worker_selectors)
    data["scheduledOn"] = _scheduled_on(job)
    data["unavailableForMatching"] = not isinstance(job.matching_mode, QueueAndMatchMode)
    return _draft(EventName.JOB_WAITING_FOR_ACTIVATION, _job_subject(job), data)


def job_scheduling_failed(job: RouterJob, reason: str) -> EventDraft:
    data = _without_queue(job)
    data["priority"] = job.priority
    data["expiredAttachedWorkerSelectors"] = _expired(job.attached_worker_selectors)
    data["expiredRequestedWorkerSelectors"] = _expired(job.requested_worker_selectors)
    data["scheduledOn"] = _scheduled_on(job)
    data["failureReason"] = reason
    return _draft(EventName.JOB_SCHEDULING_FAILED, _job_subject(job), data)


def job_deleted(job: RouterJob) -> EventDraft:
    return _draft(EventName.JOB_DELETED, _job_subject(job), _job_data(job))


def offer_issued(job: RouterJob, offer: JobOffer, worker: RouterWorker) -> EventDraft:
    data = _offer_details(job, worker, offer.offer_id)
    data["offeredOn"] = format_time(offer.offered_at)
    data["expiresOn"] = format_time(offer.expires_at)
    return _draft(EventName.WORKER_OFFER_ISSUED, f"worker/{worker.id}/job/{job.id}", data)


def offer_accepted(job: RouterJob, worker: RouterWorker, offer_id: str, assignment_id: str) -> EventDraft:
    data = _offer_details(job, worker, offer_id)
    data["assignmentId"] = assignment_id
    return _draft(EventName.WORKER_OFFER_ACCEPTED, f"worker/{worker.id}/job/{job.id}", data)


def offer_declined(job: RouterJob | JobBrief, worker_id: str, offer_id: str) -> EventDraft:
    return _offer_ended(EventName.WORKER_OFFER_DECLINED, job, worker_id, offer_id)


def offer_expired(job: RouterJob | JobBrief, worker_id: str, offer_id: str) -> EventDraft:
    return _offer_ended(EventName.WORKER_OFFER_EXPIRED, job, worker_id, offer_id)


def offer_revoked(job: RouterJob | JobBrief, worker_id: str, offer_id: str) -> EventDraft:
    return _offer_ended(EventName.WORKER_OFFER_REVOKED, job, worker_id, offer_id)


def worker_registered(worker: RouterWorker, queues: Mapping[str, QueueBrief]) -> EventDraft:
    """`queues` are the worker's; one that is missing there is told by its id alone."""
    return _draft(EventName.WORKER_REGISTERED, f"worker/{worker.id}", _worker_data(worker, queues))


def worker_updated(
    worker: RouterWorker, queues: Mapping[str, QueueBrief], changed_properties: Iterable[WorkerProperty]
) -> EventDraft:
    data = _worker_data(worker, queues)
    data["updatedWorkerProperties"] = [prop.value for prop in changed_properties]
    return _draft(EventName.WORKER_UPDATED, f"worker/{worker.id}", data)


def worker_deleted(worker: RouterWorker, queues: Mapping[str, QueueBrief]) -> EventDraft:
    data = _worker_data(worker, queues)
    data["jobId"] = data["channelReference"] = data["channelId"] = None
    return _draft(EventName.WORKER_DELETED, f"worker/{worker.id}", data)


def worker_deregistered(worker_id: str) -> EventDraft:
    return _draft(EventName.WORKER_DEREGISTERED, f"worker/{worker_id}", {"workerId": worker_id})


def changed_properties(before: RouterWorkerInput, after: RouterWorkerInput) -> list[WorkerProperty]:
    """What RouterWorkerUpdated names, in the catalogue's order."""
    changes = {
        WorkerProperty.AVAILABLE_FOR_OFFERS: bool(before.available_for_offers) != bool(after.available_for_offers),
        WorkerProperty.TOTAL_CAPACITY: before.capacity != after.capacity,
        WorkerProperty.QUEUE_ASSIGNMENTS: before.queues != after.queues,
        WorkerProperty.LABELS: _differ(before.labels, after.labels),
        WorkerProperty.TAGS: _differ(before.tags, after.tags),
        WorkerProperty.CHANNEL_CONFIGURATIONS: before.channels != after.channels,
    }
    return [prop for prop, changed in changes.items() if changed]


def _differ(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Python holds True == 1; on the wire they are two values."""
    return before != after or any(type(before[key]) is not type(value) for key, value in after.items())


def _draft(name: EventName, subject: str, data: dict[str, Any]) -> EventDraft:
    return EventDraft(type=name.value, subject=subject, data=data)


def _job_subject(job: RouterJob) -> str:
    return f"job/{job.id}/channel/{job.channel_id}"


def _queue_subject(job: RouterJob) -> str:
    return f"job/{job.id}/channel/{job.channel_id}/queue/{job.queue_id}"


def _assignment_subject(job: RouterJob, assignment_id: str) -> str:
    return f"job/{job.id}/channel/{job.channel_id}/assignment/{assignment_id}"


def _job_data(job: RouterJob) -> dict[str, Any]:
    return {
        "jobId": job.id,
        "channelReference": job.channel_reference,
        "channelId": job.channel_id,
        "queueId": job.queue_id,
        "labels": job.labels,
        "tags": job.tags,
    }


def _without_queue(job: RouterJob) -> dict[str, Any]:
    """What every event of a job has; no queue where the reference of these events has null: for a job that has a
    classification policy."""
    return {**_job_data(job), "queueId": None if job.classification_policy_id is not None else job.queue_id}


def _assignment_data(job: RouterJob, assignment_id: str, worker_id: str) -> dict[str, Any]:
    data = _job_data(job)
    data["assignmentId"] = assignment_id
    data["workerId"] = worker_id
    return data


def _selectors(selectors: Sequence[RouterWorkerSelector]) -> list[dict[str, Any]]:
    return [
        {
            "key": selector.key,
            "labelOperator": _OPERATOR[selector.label_operator],
            "value": selector.value,
            "ttlSeconds": whole_numbers(selector.expires_after_seconds),
            "state": selector.status.value,
            "expirationTime": _time(selector.expires_at),
        }
        for selector in selectors
    ]


def _expired(selectors: Sequence[RouterWorkerSelector]) -> list[dict[str, Any]]:
    return _selectors([selector for selector in selectors if not selector.active])


def _scheduled_on(job: RouterJob) -> str | None:
    mode = job.matching_mode
    return _time(mode.schedule_at if isinstance(mode, ScheduleAndSuspendMode) else job.scheduled_at)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def _offer_data(job: RouterJob | JobBrief, worker_id: str, offer_id: str) -> dict[str, Any]:
    return {
        "jobId": job.id,
        "channelReference": job.channel_reference,
        "channelId": job.channel_id,
        "workerId": worker_id,
        "queueId": job.queue_id,
        "offerId": offer_id,
    }


def _offer_details(job: RouterJob, worker: RouterWorker, offer_id: str) -> dict[str, Any]:
    data = _offer_data(job, worker.id, offer_id)
    data["jobPriority"] = job.priority
    data["workerLabels"] = worker.matching_labels
    data["workerTags"] = worker.tags
    data["jobLabels"] = job.labels
    data["jobTags"] = job.tags
    return data


def _offer_ended(name: EventName, job: RouterJob | JobBrief, worker_id: str, offer_id: str) -> EventDraft:
    return _draft(name, f"worker/{worker_id}/job/{job.id}", _offer_data(job, worker_id, offer_id))


def _worker_data(worker: RouterWorker, queues: Mapping[str, QueueBrief]) -> dict[str, Any]:
    assignments = []
    for queue_id in worker.queues:
        queue = queues.get(queue_id)
        name, labels = (queue.name, queue.labels) if queue else (None, {})
        assignments.append({"id": queue_id, "name": name, "labels": with_id_label(labels, queue_id)})
    return {
        "workerId": worker.id,
        "queueAssignments": assignments,
        "channelConfigurations": [
            {
                "channelId": channel.channel_id,
                "capacityCostPerJob": channel.capacity_cost_per_job,
                "maxNumberOfJobs": channel.max_number_of_jobs,
            }
            for channel in worker.channels
        ],
        "totalCapacity": worker.capacity,
        "labels": worker.matching_labels,
        "tags": worker.tags,
    }
