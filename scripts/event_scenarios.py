"""How each event comes about: one short story through the official client for each of the 22."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.communication.jobrouter import models as m

from router.models.event_catalogue import EventName
from scripts.event_run import Event, EventRun, wait_for

CHANNEL: Final = "voice"


def a_queue(run: EventRun, *, expires: float = 60, exception_policy_id: str | None = None) -> str:
    policy, queue = run.name("distribution"), run.name("queue")
    run.admin.upsert_distribution_policy(
        policy, m.DistributionPolicy(offer_expires_after_seconds=expires, mode=m.LongestIdleMode())
    )
    run.admin.upsert_queue(
        queue,
        m.RouterQueue(
            name="Support",
            distribution_policy_id=policy,
            exception_policy_id=exception_policy_id,
            labels={"Region": "EU"},
        ),
    )
    return queue


def a_worker(run: EventRun, queue: str, *, available: bool = True) -> str:
    worker = run.name("worker")
    run.client.upsert_worker(
        worker,
        m.RouterWorker(
            capacity=10,
            queues=[queue],
            channels=[m.RouterChannel(channel_id=CHANNEL, capacity_cost_per_job=5, max_number_of_jobs=2)],
            labels={"Language": "fr", "Skill": 7},
            tags={"Team": "blue"},
            available_for_offers=available,
        ),
    )
    return worker


def a_job(run: EventRun, queue: str | None, **options: Any) -> str:
    job = run.name("job")
    run.client.upsert_job(
        job,
        m.RouterJob(
            channel_id=CHANNEL,
            channel_reference="call-17",
            queue_id=queue,
            priority=options.pop("priority", 5),
            labels={"Language": "fr", "Vip": True},
            tags={"Campaign": "spring"},
            **options,
        ),
    )
    return job


def an_offer(run: EventRun, worker: str, job: str) -> str:
    return str(run.subscriber.wait(EventName.WORKER_OFFER_ISSUED, workerId=worker, jobId=job)["data"]["offerId"])


def an_assignment(run: EventRun) -> tuple[str, str, str, str]:
    """Job, assignment, worker and queue."""
    queue = a_queue(run)
    worker = a_worker(run, queue)
    job = a_job(run, queue)
    accepted = run.client.accept_job_offer(worker, an_offer(run, worker, job))
    return job, accepted.assignment_id, worker, queue


def an_exception(run: EventRun, action: Any) -> str:
    policy = run.name("exception")
    rule = m.ExceptionRule(id="too-long", trigger=m.WaitTimeExceptionTrigger(threshold_seconds=1), actions=[action])
    run.admin.upsert_exception_policy(policy, m.ExceptionPolicy(exception_rules=[rule]))
    return policy


def a_selector(**options: Any) -> Any:
    return m.RouterWorkerSelector(key="Skill", label_operator=m.LabelOperator.GREATER_THAN_OR_EQUAL, value=5, **options)


def a_time(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def received(run: EventRun) -> Event:
    queue = a_queue(run)
    mode = m.ScheduleAndSuspendMode(schedule_at=a_time(3600))
    job = a_job(run, queue, matching_mode=mode, requested_worker_selectors=[a_selector(expires_after_seconds=600)])
    return run.subscriber.wait(EventName.JOB_RECEIVED, jobId=job)


def classified(run: EventRun) -> Event:
    queue, policy = a_queue(run), run.name("classification")
    run.admin.upsert_classification_policy(
        policy,
        m.ClassificationPolicy(
            prioritization_rule=m.StaticRouterRule(value=9),
            queue_selector_attachments=[
                m.StaticQueueSelectorAttachment(
                    queue_selector=m.RouterQueueSelector(key="Id", label_operator=m.LabelOperator.EQUAL, value=queue)
                )
            ],
            worker_selector_attachments=[m.StaticWorkerSelectorAttachment(worker_selector=a_selector())],
        ),
    )
    job = a_job(run, None, classification_policy_id=policy)
    return run.subscriber.wait(EventName.JOB_CLASSIFIED, jobId=job)


def classification_failed(run: EventRun) -> Event:
    policy = run.name("classification")
    run.admin.upsert_classification_policy(
        policy, m.ClassificationPolicy(prioritization_rule=m.StaticRouterRule(value="high"))
    )
    job = a_job(run, a_queue(run), classification_policy_id=policy)
    return run.subscriber.wait(EventName.JOB_CLASSIFICATION_FAILED, jobId=job)


def queued(run: EventRun) -> Event:
    job = a_job(run, a_queue(run), requested_worker_selectors=[a_selector(expires_after_seconds=600)])
    return run.subscriber.wait(EventName.JOB_QUEUED, jobId=job)


def selectors_expired(run: EventRun) -> Event:
    job = a_job(run, a_queue(run), requested_worker_selectors=[a_selector(expires_after_seconds=1)])
    return run.subscriber.wait(EventName.JOB_WORKER_SELECTORS_EXPIRED, jobId=job)


def exception_triggered(run: EventRun) -> Event:
    policy = an_exception(run, m.ManualReclassifyExceptionAction(priority=20))
    job = a_job(run, a_queue(run, exception_policy_id=policy))
    return run.subscriber.wait(EventName.JOB_EXCEPTION_TRIGGERED, jobId=job)


def completed(run: EventRun) -> Event:
    job, assignment, _, _ = an_assignment(run)
    run.client.complete_job(job, assignment)
    return run.subscriber.wait(EventName.JOB_COMPLETED, jobId=job)


def closed(run: EventRun) -> Event:
    job, assignment, _, _ = an_assignment(run)
    run.client.complete_job(job, assignment)
    run.client.close_job(job, assignment, m.CloseJobOptions(disposition_code="Resolved"))
    return run.subscriber.wait(EventName.JOB_CLOSED, jobId=job)


def unassigned(run: EventRun) -> Event:
    job, assignment, _, _ = an_assignment(run)
    run.client.unassign_job(job, assignment)
    return run.subscriber.wait(EventName.JOB_UNASSIGNED, jobId=job)


def cancelled(run: EventRun) -> Event:
    job = a_job(run, a_queue(run))
    run.client.cancel_job(job, m.CancelJobOptions(note="The customer hung up.", disposition_code="HungUp"))
    return run.subscriber.wait(EventName.JOB_CANCELLED, jobId=job)


def waiting_for_activation(run: EventRun) -> Event:
    job = a_job(run, a_queue(run), matching_mode=m.ScheduleAndSuspendMode(schedule_at=a_time(1.5)))
    return run.subscriber.wait(EventName.JOB_WAITING_FOR_ACTIVATION, jobId=job)


def scheduling_failed(run: EventRun) -> Event:
    the_end_of_the_calendar = datetime.max.replace(tzinfo=UTC)
    job = a_job(run, a_queue(run), matching_mode=m.ScheduleAndSuspendMode(schedule_at=the_end_of_the_calendar))
    return run.subscriber.wait(EventName.JOB_SCHEDULING_FAILED, jobId=job)


def job_deleted(run: EventRun) -> Event:
    job = a_job(run, a_queue(run))
    run.client.cancel_job(job)
    run.client.delete_job(job)
    return run.subscriber.wait(EventName.JOB_DELETED, jobId=job)


def offer_issued(run: EventRun) -> Event:
    queue = a_queue(run)
    worker = a_worker(run, queue)
    job = a_job(run, queue)
    return run.subscriber.wait(EventName.WORKER_OFFER_ISSUED, workerId=worker, jobId=job)


def offer_accepted(run: EventRun) -> Event:
    job, _, worker, _ = an_assignment(run)
    return run.subscriber.wait(EventName.WORKER_OFFER_ACCEPTED, workerId=worker, jobId=job)


def offer_declined(run: EventRun) -> Event:
    queue = a_queue(run)
    worker = a_worker(run, queue)
    offer = an_offer(run, worker, a_job(run, queue))
    run.client.decline_job_offer(worker, offer)
    return run.subscriber.wait(EventName.WORKER_OFFER_DECLINED, offerId=offer)


def offer_expired(run: EventRun) -> Event:
    queue = a_queue(run, expires=1)
    worker = a_worker(run, queue)
    offer = an_offer(run, worker, a_job(run, queue))
    return run.subscriber.wait(EventName.WORKER_OFFER_EXPIRED, offerId=offer)


def offer_revoked(run: EventRun) -> Event:
    queue = a_queue(run)
    worker = a_worker(run, queue)
    job = a_job(run, queue)
    offer = an_offer(run, worker, job)
    run.client.cancel_job(job)
    return run.subscriber.wait(EventName.WORKER_OFFER_REVOKED, offerId=offer)


def worker_registered(run: EventRun) -> Event:
    worker = a_worker(run, a_queue(run))
    return run.subscriber.wait(EventName.WORKER_REGISTERED, workerId=worker)


def worker_updated(run: EventRun) -> Event:
    worker = a_worker(run, a_queue(run))
    run.client.upsert_worker(worker, m.RouterWorker(capacity=20, tags={"Team": "red"}))
    return run.subscriber.wait(EventName.WORKER_UPDATED, workerId=worker)


def worker_deregistered(run: EventRun) -> Event:
    worker = a_worker(run, a_queue(run))
    run.client.upsert_worker(worker, m.RouterWorker(available_for_offers=False))
    wait_for(lambda: run.client.get_worker(worker).state == m.RouterWorkerState.INACTIVE, "the worker's rest")
    return run.subscriber.wait(EventName.WORKER_DEREGISTERED, workerId=worker)


def worker_deleted(run: EventRun) -> Event:
    worker = a_worker(run, a_queue(run))
    run.client.delete_worker(worker)
    return run.subscriber.wait(EventName.WORKER_DELETED, workerId=worker)


#: For each event a story that ends with its arrival at the subscriber.
SCENARIOS: Final[Mapping[EventName, Callable[[EventRun], Event]]] = {
    EventName.JOB_RECEIVED: received,
    EventName.JOB_CLASSIFIED: classified,
    EventName.JOB_CLASSIFICATION_FAILED: classification_failed,
    EventName.JOB_QUEUED: queued,
    EventName.JOB_WORKER_SELECTORS_EXPIRED: selectors_expired,
    EventName.JOB_EXCEPTION_TRIGGERED: exception_triggered,
    EventName.JOB_COMPLETED: completed,
    EventName.JOB_UNASSIGNED: unassigned,
    EventName.JOB_CLOSED: closed,
    EventName.JOB_CANCELLED: cancelled,
    EventName.JOB_WAITING_FOR_ACTIVATION: waiting_for_activation,
    EventName.JOB_SCHEDULING_FAILED: scheduling_failed,
    EventName.JOB_DELETED: job_deleted,
    EventName.WORKER_OFFER_ISSUED: offer_issued,
    EventName.WORKER_OFFER_ACCEPTED: offer_accepted,
    EventName.WORKER_OFFER_DECLINED: offer_declined,
    EventName.WORKER_OFFER_EXPIRED: offer_expired,
    EventName.WORKER_OFFER_REVOKED: offer_revoked,
    EventName.WORKER_REGISTERED: worker_registered,
    EventName.WORKER_UPDATED: worker_updated,
    EventName.WORKER_DELETED: worker_deleted,
    EventName.WORKER_DEREGISTERED: worker_deregistered,
}
