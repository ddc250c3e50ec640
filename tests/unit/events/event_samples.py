"""Records with every field set, and the event that each builder makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from router.engine import announce
from router.errors import ErrorDetail
from router.models.event_catalogue import EventName, QueueBrief, WorkerProperty
from router.models.events import EventDraft, PendingEvent
from router.models.jobs import JobOffer, JobStatus, RouterJob, ScheduleAndSuspendMode
from router.models.selectors import LabelOperator, RouterWorkerSelector, SelectorStatus
from router.models.workers import RouterChannel, RouterWorker, WorkerState

NOW = datetime(2024, 1, 31, 12, 0, 0, 125_000, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)

ACTIVE = RouterWorkerSelector(key="language", label_operator=LabelOperator.EQUAL, value="fr")
EXPIRED = RouterWorkerSelector(
    key="level",
    label_operator=LabelOperator.LESS_THAN_OR_EQUAL,
    value=10,
    expires_after_seconds=60.5,
    status=SelectorStatus.EXPIRED,
    expires_at=LATER,
)


def job(**changes: object) -> RouterJob:
    values: dict[str, object] = {
        "id": "job-1",
        "status": JobStatus.QUEUED,
        "channel_id": "voice",
        "channel_reference": "call-17",
        "queue_id": "queue-1",
        "classification_policy_id": "policy-1",
        "priority": 5,
        "labels": {"language": "fr", "level": 3, "ratio": 0.5, "vip": True},
        "tags": {"source": "web"},
        "requested_worker_selectors": [ACTIVE, EXPIRED],
        "attached_worker_selectors": [EXPIRED],
    }
    return RouterJob.model_validate({**values, **changes})


def worker() -> RouterWorker:
    return RouterWorker(
        id="worker-1",
        state=WorkerState.ACTIVE,
        queues=["queue-1", "queue-gone"],
        capacity=10,
        labels={"Id": "worker-1", "skill": 3},
        tags={"team": "a"},
        channels=[
            RouterChannel(channel_id="voice", capacity_cost_per_job=5, max_number_of_jobs=2),
            RouterChannel(channel_id="chat", capacity_cost_per_job=1),
        ],
        available_for_offers=True,
    )


def drafts() -> dict[EventName, EventDraft]:
    queues = {"queue-1": QueueBrief("queue-1", "Queue", {"Id": "queue-1", "region": "EU"})}
    offer = JobOffer(offer_id="offer-1", worker_id="worker-1", capacity_cost=5, offered_at=NOW, expires_at=LATER)
    made = [
        announce.job_received(
            job(
                classification_policy_id=None,
                matching_mode=ScheduleAndSuspendMode(kind="scheduleAndSuspend", schedule_at=LATER),
            )
        ),
        announce.job_classified(
            job(), "queue-1", "Queue", {"Id": "queue-1", "region": "EU"}, chose_queue=True, gave_priority=True
        ),
        announce.classification_failed(job(), "policy-1", [ErrorDetail("RuleFailed", "It said no.", "rule")]),
        announce.job_queued(job()),
        announce.selectors_expired(job(), [EXPIRED], [EXPIRED]),
        announce.exception_triggered(job(), "rule-1"),
        announce.job_completed(job(), "assignment-1", "worker-1"),
        announce.job_unassigned(job(classification_policy_id=None), "assignment-1", "worker-1"),
        announce.job_closed(job(), "assignment-1", "worker-1", "Closed"),
        announce.job_cancelled(job(), "changed their mind", "Cancelled"),
        announce.job_waiting_for_activation(
            job(
                classification_policy_id=None,
                matching_mode=ScheduleAndSuspendMode(kind="scheduleAndSuspend", schedule_at=LATER),
            )
        ),
        announce.job_scheduling_failed(job(classification_policy_id=None, scheduled_at=LATER), "No such queue."),
        announce.job_deleted(job()),
        announce.offer_issued(job(), offer, worker()),
        announce.offer_accepted(job(), worker(), "offer-1", "assignment-1"),
        announce.offer_declined(job(), "worker-1", "offer-1"),
        announce.offer_expired(job(), "worker-1", "offer-1"),
        announce.offer_revoked(job(), "worker-1", "offer-1"),
        announce.worker_registered(worker(), queues),
        announce.worker_updated(worker(), queues, list(WorkerProperty)),
        announce.worker_deleted(worker(), queues),
        announce.worker_deregistered("worker-1"),
    ]
    return {EventName(draft.type): draft for draft in made}


def pending(number: int = 1, **changes: object) -> PendingEvent:
    values: dict[str, object] = {
        "id": f"event-{number}",
        "type": EventName.JOB_QUEUED.value,
        "subject": "job/job-1/channel/voice/queue/queue-1",
        "time": NOW,
        "data": drafts()[EventName.JOB_QUEUED].data,
    }
    return PendingEvent.model_validate({**values, **changes})
