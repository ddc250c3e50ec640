"""What events and deadlines do to a worker: its row and its index rows say what its jobs say."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from router.commit import job as job_commits
from router.commit import worker as worker_commits
from router.commit.background import follows
from router.commit.parts import Parts
from router.engine import offers, workers
from router.engine.candidates import available
from router.engine.change import WorkerChange
from router.errors import Busy
from router.matching import abandoned, revoke
from router.matching.reserve import ABANDONED_AFTER
from router.models.jobs import JobRecord, OfferOutcome
from router.models.workers import IDLE_DAYS, RouterJobOffer, WorkerRecord
from router.storage.availability import Move
from router.storage.deadlines import Deadline
from router.storage.truth_rows import Row
from router.telemetry import routing as metrics
from router.upkeep import forget

_log = logging.getLogger(__name__)


async def reconcile_worker(parts: Parts, worker_id: str, row: Row[WorkerRecord] | None = None) -> None:
    """Everything about the worker: reservations that no job knows, states, index rows; then work for it. `row`: as it
    has just been written."""
    if row is None:
        row = await parts.workers.store.load(worker_id)
    before = row.version
    if row.record is not None and (row.record.worker.offers or row.record.worker.assigned_jobs):
        record = row.record
        await asyncio.gather(
            *(_check_reservation(parts, record, offer) for offer in record.worker.offers),
            *(_check_held(parts, record, one.assignment_id, one.job_id) for one in record.worker.assigned_jobs),
        )
        row = await parts.workers.store.load(worker_id)
    metrics.record_reconciliation("worker", "unchanged" if row.version == before else "changed")
    if row.record is None:
        return
    if row.record.routing.deleting:
        await finish_deletion(parts, worker_id)
        return
    if row.record.worker.offers:
        await revoke.revoke_unqualified(parts, row.record)
        row = await parts.workers.store.load(worker_id)
    if row.record is not None:
        await parts.listing.ensure("worker", worker_id, row.record.created_at)
    now = available(row.record)
    if now is not None:
        await parts.availability.move([Move(None, now)])
        await parts.rounds.ask(now.queues)


async def find_work(parts: Parts, worker_id: str) -> None:
    """Rounds of the queues whose jobs the worker can take."""
    row = await parts.workers.store.load(worker_id)
    now = available(row.record)
    if now is not None:
        await parts.rounds.ask(now.queues)


async def finish_deletion(parts: Parts, worker_id: str) -> None:
    """Revokes what is left and removes the row; done again by reconciliation after a crash, or when it fails: until the
    row is gone, no commit of it has been followed to its end."""
    with follows() as finished:
        for _ in range(10):
            row = await parts.workers.store.load(worker_id)
            if row.record is None:
                return
            if row.record.worker.offers:
                await revoke.revoke_unqualified(parts, row.record)
            queues = await worker_commits.queue_briefs(parts, row.record.worker.queues)
            await forget.arm(parts, worker_id)

            def decide(record: WorkerRecord, queues: workers.Queues = queues) -> WorkerChange:
                return workers.delete(record, queues) or workers.start_deletion(record)

            committed = await worker_commits.change(parts, worker_id, worker_commits.existing(decide), until=finished)
            if committed.after.record is None:
                return
        raise Busy


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

    def decide(found: WorkerRecord) -> WorkerChange | None:
        return workers.deregister(found) if found.etag == record.etag else None

    await worker_commits.change(parts, worker_id, worker_commits.existing(decide), row)


async def check_assignment(parts: Parts, job: JobRecord, assignment_id: str) -> None:
    """The worker's row holds the assignment while it is open, and not afterwards."""
    assignment = job.job.assignments[assignment_id]
    offer_id = job.routing.accepted_offers.get(assignment_id, "")
    if assignment.closed_at is not None:
        await worker_commits.release(parts, assignment.worker_id, assignment_id, offer_id)
        return
    now = parts.clock.now()

    def decide(record: WorkerRecord) -> WorkerChange | None:
        held = any(offer.offer_id == offer_id for offer in record.worker.offers)
        if not held:
            return None  # it holds the assignment already, or it is another worker of the same id
        return workers.assign(record, offer_id, job.id, job.job.channel_id, assignment, now)

    await worker_commits.change(parts, assignment.worker_id, worker_commits.existing(decide))


async def _check_reservation(parts: Parts, worker: WorkerRecord, offer: RouterJobOffer) -> None:
    """A reservation lives while its job knows the offer, or while the offer may still be attached."""
    row = await parts.jobs.store.load(offer.job_id)
    job, offer_id = row.record, offer.offer_id
    if job is not None and offer_id in job.routing.offers:
        if offer.expires_at <= parts.clock.now():
            now = parts.clock.now()
            await job_commits.change(parts, job.id, job_commits.existing(lambda record: offers.expire(record, now)))
        return
    if job is not None:
        for assignment_id, accepted in job.routing.accepted_offers.items():
            if accepted == offer_id and assignment_id in job.job.assignments:
                await check_assignment(parts, job, assignment_id)
                return
    ended = job is not None and offer_id in job.routing.ended_offers
    if ended or parts.clock.now() >= offer.offered_at + ABANDONED_AFTER:
        await abandoned.refuse(parts, worker.id, offer)
    else:
        await parts.deadlines.arm(Deadline("settle-worker", worker.id, offer.offered_at + ABANDONED_AFTER))


async def _check_held(parts: Parts, worker: WorkerRecord, assignment_id: str, job_id: str) -> None:
    """An assignment that its job no longer has open is released."""
    row = await parts.jobs.store.load(job_id)
    assignment = row.record.job.assignments.get(assignment_id) if row.record else None
    if assignment is None or assignment.closed_at is not None:
        await worker_commits.release(parts, worker.id, assignment_id)


async def free_workers(parts: Parts, job: JobRecord) -> None:
    """Takes from the workers' rows what they still hold of the job's ended offers and assignments."""
    work = [
        worker_commits.drop_offers(
            parts, ended.worker_id, frozenset({offer_id}), expired=ended.outcome is OfferOutcome.EXPIRED
        )
        for offer_id, ended in job.routing.ended_offers.items()
        if ended.outcome is not OfferOutcome.ACCEPTED
    ]
    work += [
        worker_commits.release(parts, one.worker_id, id, job.routing.accepted_offers.get(id, ""))
        for id, one in job.job.assignments.items()
        if one.closed_at is not None
    ]
    work += [
        worker_commits.release(parts, left.worker_id, id, left.offer_id) for id, left in job.routing.unassigned.items()
    ]
    freed = {queue_id for queues in await asyncio.gather(*work) for queue_id in queues}
    if freed:
        parts.rounds.ask(sorted(freed))
