"""Why a job is where it is: for each worker of its queue whether it qualifies, and what happens next and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from router.commit import policies
from router.commit.parts import Parts
from router.engine import endings, exceptions, matching
from router.engine.matching import Reason
from router.engine.selectors import all_selectors, describe
from router.models.jobs import ENDED, JobRecord, JobStatus, ScheduleAndSuspendMode
from router.models.workers import WorkerRecord
from router.storage.record_pages import Position
from router.usecases import explain_workers
from router.usecases import jobs as job_usecases


@dataclass(frozen=True)
class Judged:
    worker_id: str
    reason: Reason | None


@dataclass(frozen=True)
class Following:
    """Something that will happen by itself, and when."""

    at: datetime
    what: str
    message: str


@dataclass(frozen=True)
class Explanation:
    job_id: str
    status: JobStatus
    summary: str
    workers: Sequence[Judged]
    following: Sequence[Following]
    after: Position | None


async def explain(parts: Parts, job_id: str, size: int, after: Position | None) -> Explanation:
    """One page of workers, in the order in which they would get the job. Raises NotFound."""
    record = await job_usecases.get(parts, job_id)
    judged: list[Judged] = []
    policy = None
    if record.status is JobStatus.QUEUED:
        policy = await policies.distribution_policy(parts, record.job.queue_id)
    if policy is not None:
        assert record.job.queue_id is not None
        mode, now = policy.mode, parts.clock.now()

        def judge(worker: WorkerRecord) -> Judged:
            return Judged(worker.id, matching.disqualified(record, worker, mode, now))

        judged, after = await explain_workers.page(parts, record.job.queue_id, policy, size, after, judge)
    else:
        after = None
    return Explanation(
        job_id,
        record.status,
        " ".join(filter(None, (_summary(record, policy is None), record.routing.given_up))),
        judged,
        await _following(parts, record),
        after,
    )


def _summary(record: JobRecord, no_policy: bool) -> str:
    status = record.status
    if status is JobStatus.QUEUED:
        if no_policy:
            return f"Queue '{record.job.queue_id}' or its distribution policy is not there; nothing is offered."
        offers = record.routing.offers.values()
        if offers:
            return "Offered to " + ", ".join(f"'{offer.worker_id}'" for offer in offers) + "."
        if record.routing.scoring_failure:
            times = record.routing.scoring_failures
            last = f", {times} times now" if times > 1 else ""
            return f"Waits in queue '{record.job.queue_id}'. {record.routing.scoring_failure}{last}."
        return f"Waits in queue '{record.job.queue_id}' for a worker that qualifies."
    if status is JobStatus.CLASSIFICATION_FAILED or status is JobStatus.SCHEDULE_FAILED:
        return record.routing.failure or f"The job is {status}."
    if status is JobStatus.WAITING_FOR_ACTIVATION:
        return "Waits for its activation: a PATCH with matchingMode queueAndMatch starts matching."
    if status is JobStatus.ASSIGNED:
        return f"Assigned to '{endings.open_assignment(record).worker_id}'."
    return f"The job is {status}."


async def _following(parts: Parts, record: JobRecord) -> list[Following]:
    found = [
        Following(offer.expires_at, "offerExpires", f"The offer to '{offer.worker_id}' expires.")
        for offer in record.routing.offers.values()
    ]
    if record.status is JobStatus.QUEUED:
        found += [
            Following(one.expires_at, "selectorExpires", f"Selector {describe(one)} expires.")
            for one in all_selectors(record.job)
            if one.active and one.expires_at
        ]
        for worker_id, decline in record.routing.declined.items():
            if decline.retry_at and decline.retry_at > parts.clock.now():
                found.append(Following(decline.retry_at, "retryOffer", f"'{worker_id}' may be offered it again."))
        if record.routing.retry_at:
            found.append(Following(record.routing.retry_at, "retryScoring", "The scoring rule is tried again."))
        policy = await policies.exception_policy(parts, record.job.queue_id)
        if policy is not None and record.job.enqueued_at is not None:
            for rule_id, at in exceptions.wait_deadlines(policy[1], record.job.enqueued_at):
                if not exceptions.has_fired(record, rule_id):
                    found.append(Following(at, "ruleFires", f"Exception rule '{rule_id}' fires."))
    mode = record.job.matching_mode
    if record.status in (JobStatus.SCHEDULED, JobStatus.PENDING_SCHEDULE) and isinstance(mode, ScheduleAndSuspendMode):
        found.append(Following(mode.schedule_at, "activation", "The job becomes waitingForActivation."))
    if record.routing.close_at:
        found.append(Following(record.routing.close_at, "close", "The job is closed."))
    if record.status not in ENDED:
        found.append(Following(endings.life_ends(record), "lifeEnds", "The job is cancelled: 90 days old."))
    return sorted(found, key=lambda one: (one.at, one.what))
