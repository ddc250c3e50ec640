"""Two idempotent procedures that read the truth and drive everything that depends on it to where it should be.

Events and due deadlines all end here; none of them carries a decision (docs/architecture.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from router.commit import job as job_commits
from router.commit import worker as worker_commits
from router.commit.parts import Parts
from router.engine import endings, jobs, offers, workers
from router.engine.change import JobChange, WorkerChange
from router.matching import distribution, revoke, work_search
from router.matching.offering import ABANDONED_AFTER
from router.models.jobs import ENDED, JobRecord, JobStatus
from router.models.workers import IDLE_DAYS, WorkerRecord
from router.storage.aggregates import Row
from router.storage.deadlines import Deadline
from router.telemetry import routing as metrics
from router.upkeep import classify, rules
from router.upkeep import worker as worker_upkeep

_log = logging.getLogger(__name__)

_S = JobStatus


async def drive_job(parts: Parts, job_id: str, row: Row[JobRecord] | None = None) -> None:
    """Takes the job on to its next state, as far as it goes without waiting."""
    row = row if row is not None else await parts.jobs.store.load(job_id)
    while row.record is not None and (row.record.routing.triggered or row.record.status is _S.PENDING_CLASSIFICATION):
        if row.record.status is _S.PENDING_CLASSIFICATION:
            row = await classify.classify(parts, row)
        else:
            row = await rules.run_actions(parts, row) or Row(job_id)
    if row.record is None:
        return
    match row.record.status:
        case _S.PENDING_SCHEDULE | _S.SCHEDULED:
            await _schedule(parts, job_id, row)
        case _S.CREATED | _S.QUEUED:
            await distribution.distribute(parts, job_id, row)


async def reconcile_job(parts: Parts, job_id: str) -> None:
    """Everything about the job: what is overdue, what its workers hold, its indexes and its next step."""
    row = await parts.jobs.store.load(job_id)
    before = row.version
    if row.record is not None:
        row = await job_commits.change_row(parts, job_id, _overdue(parts), row)
    metrics.record_reconciliation("job", "unchanged" if row.version == before else "changed")
    if row.record is None:
        return
    record = row.record
    work = [_check_offer(parts, record, offer_id) for offer_id in record.routing.offers]
    held = [one.assignment_id for one in record.job.assignments.values() if one.closed_at is None]
    work += [_check_assignment(parts, record, assignment_id) for assignment_id in held]
    work.append(worker_commits.free_workers(parts, record))
    if record.status in ENDED:
        work += [parts.members.remove(owner, job_id) for owner in job_commits.all_owners(record)]
    if record.routing.backlog_queue:
        work.append(parts.backlog.put(record, record.routing.backlog_queue))
    await asyncio.gather(*work)
    await drive_job(parts, job_id)


async def reconcile_worker(parts: Parts, worker_id: str) -> None:
    """Everything about the worker: reservations that no job knows, states, index rows; then work for it."""
    row = await parts.workers.store.load(worker_id)
    before = row.version
    if row.record is not None:
        await asyncio.gather(
            *(_check_reservation(parts, row.record, offer_id) for offer_id in _offer_ids(row.record)),
            *(_check_held(parts, row.record, one.assignment_id, one.job_id) for one in row.record.worker.assigned_jobs),
        )
        row = await parts.workers.store.load(worker_id)
    metrics.record_reconciliation("worker", "unchanged" if row.version == before else "changed")
    if row.record is None:
        return
    if row.record.routing.deleting:
        await worker_upkeep.finish_deletion(parts, worker_id)
        return
    if row.record.worker.offers:
        await revoke.revoke_unqualified(parts, row.record)
        row = await parts.workers.store.load(worker_id)
    await worker_commits.index(parts, None, row)
    await work_search.find_work(parts, worker_id, row)


async def expire_offers(parts: Parts, job_id: str) -> None:
    """Offers whose time is over end and their workers are deregistered; RouterWorkerOfferExpired takes the job on."""
    now = parts.clock.now()
    await job_commits.change(parts, job_id, lambda record: offers.expire(record, now), from_memory=True)


async def expire_selectors(parts: Parts, job_id: str) -> None:
    now = parts.clock.now()
    after = await job_commits.change(parts, job_id, lambda record: jobs.expire_selectors(record, now))
    if after is not None:
        await drive_job(parts, job_id, after)


async def close_due(parts: Parts, job_id: str) -> None:
    now = parts.clock.now()
    await job_commits.change(parts, job_id, lambda record: endings.close_due(record, now))


async def end_life(parts: Parts, job_id: str) -> None:
    now = parts.clock.now()
    await job_commits.change(parts, job_id, lambda record: endings.expire_life(record, now))


async def deregister_idle(parts: Parts, worker_id: str) -> None:
    """Registered and idle for 7 days: deregistered. A worker that has done something is looked at again later."""
    now = parts.clock.now()
    row = await parts.workers.store.load(worker_id)
    record = row.record
    if record is None or not record.worker.available_for_offers:
        return
    last = max(record.routing.active_at, record.routing.registered_at or record.routing.active_at)
    due = last + timedelta(days=IDLE_DAYS)
    if record.worker.assigned_jobs or record.worker.offers or due > now:
        # Who still holds something at that time starts its 7 days anew when it is freed.
        again = due if due > now else now + timedelta(days=1)
        await parts.deadlines.arm(Deadline("idle", worker_id, again))
        return

    def step(found: WorkerRecord) -> WorkerChange | None:
        return workers.deregister(found) if found.etag == record.etag else None

    await worker_commits.change(parts, worker_id, step, row)


async def _schedule(parts: Parts, job_id: str, row: Row[JobRecord]) -> None:
    now = parts.clock.now()

    def step(record: JobRecord) -> JobChange:
        due = jobs.activation_due(record, now)
        return due if due.events else jobs.schedule(record, endings.life_ends(record))

    await job_commits.change(parts, job_id, step, row)


def _overdue(parts: Parts) -> Callable[[Row[JobRecord]], JobChange | None]:
    """Whatever deadline of the job has passed, in one change."""

    def step(row: Row[JobRecord]) -> JobChange | None:
        record, now = row.record, parts.clock.now()
        if record is None:
            return None
        for decide in (
            endings.expire_life,
            endings.close_due,
            jobs.activation_due,
            jobs.expire_selectors,
            offers.expire,
        ):
            change = decide(record, now)
            if change.events:
                return change
        return None

    return step


async def _check_offer(parts: Parts, job: JobRecord, offer_id: str) -> None:
    """An offer that its worker's row does not hold is none."""
    offer = job.routing.offers[offer_id]
    row = await parts.workers.store.load(offer.worker_id)
    if row.record is not None and any(held.offer_id == offer_id for held in row.record.worker.offers):
        return
    abandoned = offer.offered_at + ABANDONED_AFTER
    if parts.clock.now() < abandoned:
        await parts.deadlines.arm(Deadline("settle-job", job.id, abandoned))
        return
    _log.warning("An offer has no reservation and is revoked", extra={"job": job.id, "offer": offer_id})
    await job_commits.change(parts, job.id, lambda record: offers.revoke(record, [offer_id]))


async def _check_assignment(parts: Parts, job: JobRecord, assignment_id: str) -> None:
    """The worker's row holds the assignment while it is open, and not afterwards."""
    assignment = job.job.assignments[assignment_id]
    offer_id = job.routing.accepted_offers.get(assignment_id, "")
    if assignment.closed_at is not None:
        await worker_commits.release(parts, assignment.worker_id, assignment_id, offer_id)
        return
    now = parts.clock.now()

    def step(record: WorkerRecord) -> WorkerChange | None:
        held = any(offer.offer_id == offer_id for offer in record.worker.offers)
        if not held:
            return None  # it holds the assignment already, or it is another worker of the same id
        return workers.assign(record, offer_id, job.id, job.job.channel_id, assignment, now)

    await worker_commits.change(parts, assignment.worker_id, step)


async def _check_reservation(parts: Parts, worker: WorkerRecord, offer_id: str) -> None:
    """A reservation lives while its job knows the offer, or while the offer may still be attached."""
    offer = next(one for one in worker.worker.offers if one.offer_id == offer_id)
    row = await parts.jobs.store.load(offer.job_id)
    job = row.record
    if job is not None:
        if offer_id in job.routing.offers:
            if offer.expires_at <= parts.clock.now():
                await expire_offers(parts, job.id)
            return
        for assignment_id, accepted in job.routing.accepted_offers.items():
            if accepted == offer_id and assignment_id in job.job.assignments:
                await _check_assignment(parts, job, assignment_id)
                return
        ended = job.routing.ended_offers.get(offer_id)
        if ended is not None:
            await worker_commits.drop_offers(
                parts, worker.id, frozenset({offer_id}), expired=ended.outcome == "expired"
            )
            return
    abandoned = offer.offered_at + ABANDONED_AFTER
    if parts.clock.now() >= abandoned:
        await worker_commits.drop_offers(parts, worker.id, frozenset({offer_id}), expired=False)
    else:
        await parts.deadlines.arm(Deadline("settle-worker", worker.id, abandoned))


async def _check_held(parts: Parts, worker: WorkerRecord, assignment_id: str, job_id: str) -> None:
    """An assignment that its job no longer has open is released."""
    row = await parts.jobs.store.load(job_id)
    assignment = row.record.job.assignments.get(assignment_id) if row.record else None
    if assignment is None or assignment.closed_at is not None:
        await worker_commits.release(parts, worker.id, assignment_id)


def _offer_ids(worker: WorkerRecord) -> list[str]:
    return [offer.offer_id for offer in worker.worker.offers]
