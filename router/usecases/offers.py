"""Accepting and declining offers (docs/behaviour.md, "Offers")."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Final

from router.commit import job as job_commits
from router.commit import worker as worker_commits
from router.commit.acting import judging
from router.commit.background import follows
from router.commit.parts import Parts
from router.engine import offers
from router.engine.change import JobChange
from router.engine.ownership import Own
from router.engine.selectors import all_selectors
from router.engine.service_order import rank_of
from router.errors import Conflict, NotFound
from router.ids import was_offered
from router.models.jobs import JobRecord, JobStatus
from router.models.workers import RouterJobOffer, RouterWorker, WorkerRecord
from router.storage.job_classes import job_class
from router.storage.throughput import Taken
from router.storage.truth_rows import Row
from router.telemetry import routing as metrics
from router.usecases import workers as worker_usecases

#: How long an accept waits for an offer that is still being attached to its job.
_ATTACH_WAIT_SECONDS: Final = 2.0


async def accept(parts: Parts, worker_id: str, offer_id: str, own: Own | None = None) -> tuple[str, str]:
    """Job id and assignment id. Exactly one of any number of concurrent accepts succeeds; the same worker accepting
    again gets the same answer. NotFound: unknown worker or offer; Conflict: not open any more."""
    holder, held = await _holder(parts, worker_id, offer_id, own)
    worker = holder.record
    assert worker is not None
    job_id = held.job_id if held else worker.routing.accepted_offers.get(offer_id)
    if job_id is None:
        if was_offered(worker_id, offer_id):
            raise Conflict(f"Offer '{offer_id}' is no longer open: it was accepted, declined, revoked or has expired.")
        raise NotFound("Offer", offer_id)
    known = _remembered(parts, job_id, offer_id)
    job = known or await _attached(parts, job_id, offer_id)
    assignment_id = parts.ids.guid()
    now = parts.clock.now()

    def decide(record: JobRecord) -> JobChange:
        change, id = offers.accept(record, offer_id, worker.worker, assignment_id, now)
        return replace(change, result=id)

    waiting = job.record
    told = parts.told.holds(job_id, waiting.job.queue_id, now) if waiting is not None else None
    with follows() as held_by_worker, judging(told):
        # A refusal rests on the row as it is.
        row, step = (None if known else job), job_commits.existing(decide)
        committed = await job_commits.change(
            parts, job_id, step, row, from_memory=known is not None, until=held_by_worker
        )
        after = committed.after.record
        if after is None:
            raise Conflict(f"Offer '{offer_id}' is no longer open: its job '{job_id}' has been deleted.")
        assignment = after.job.assignments[committed.result]
        if assignment.closed_at is None:
            await worker_commits.hold(parts, after, assignment, holder)
    if committed.result == assignment_id:
        _measure(parts, after, worker.worker, held.offered_at if held else now, now)
    return job_id, committed.result


async def decline(
    parts: Parts, worker_id: str, offer_id: str, retry_at: datetime | None, own: Own | None = None
) -> None:
    """NotFound also for an offer that is gone or accepted (docs/behaviour.md, "Offers")."""
    worker = await worker_usecases.get(parts, worker_id, own)
    held = next((offer for offer in worker.worker.offers if offer.offer_id == offer_id), None)
    if held is None:
        raise NotFound("Offer", offer_id)
    job = await _attached(parts, held.job_id, offer_id)
    now = parts.clock.now()

    def decide(record: JobRecord) -> JobChange:
        return offers.decline(record, offer_id, worker_id, retry_at, now)

    committed = await job_commits.change(parts, held.job_id, job_commits.existing(decide), job)
    if committed.after.record is None:
        raise NotFound("Offer", offer_id)
    metrics.record_offer("declined")


async def _holder(
    parts: Parts, worker_id: str, offer_id: str, own: Own | None
) -> tuple[Row[WorkerRecord], RouterJobOffer | None]:
    """The worker's row and the offer in it: as this process wrote it last if the offer is there, for the job decides;
    else as it is. Raises NotFound, and Forbidden for a worker that is not the caller's own."""
    known = parts.workers.store.as_written(worker_id)
    held = _offer(known.record, offer_id) if known is not None else None
    # What was offered to a worker is for whom it belonged to then. A refusal rests on the row as it is.
    if known and known.record and held and (own is None or own.is_worker(known.record.worker)):
        return known, held
    row = await parts.workers.store.load(worker_id)
    if row.record is None or row.record.routing.deleting:
        raise NotFound("Worker", worker_id)
    if own is not None:
        own.check_worker(row.record)
    return row, _offer(row.record, offer_id)


def _offer(worker: WorkerRecord | None, offer_id: str) -> RouterJobOffer | None:
    if worker is None or worker.routing.deleting:
        return None
    return next((offer for offer in worker.worker.offers if offer.offer_id == offer_id), None)


def _remembered(parts: Parts, job_id: str, offer_id: str) -> Row[JobRecord] | None:
    """The job's row as this process wrote it last, if the offer stands open in it."""
    known = parts.jobs.store.as_written(job_id)
    return known if known is not None and known.record and offer_id in known.record.routing.offers else None


async def _attached(parts: Parts, job_id: str, offer_id: str) -> Row[JobRecord]:
    """The job's row, once it knows the offer: a worker's row shows an offer moments before its job does."""
    waited = 0.0
    while True:
        row = await parts.jobs.store.load(job_id)
        if row.record is None or row.record.status is not JobStatus.QUEUED or waited >= _ATTACH_WAIT_SECONDS:
            return row
        routing = row.record.routing
        if offer_id in routing.offers or offer_id in routing.ended_offers:
            return row
        await asyncio.sleep(0.01 + waited / 4)
        waited += 0.01 + waited / 4


def _measure(parts: Parts, job: JobRecord, worker: RouterWorker, offered_at: datetime, now: datetime) -> None:
    metrics.record_offer("accepted")
    enqueued = job.job.enqueued_at or now
    metrics.record_assignment((now - job.routing.created_at).total_seconds(), (now - enqueued).total_seconds())
    # A job that has been unassigned keeps its enqueuedAt: it has not waited all that time.
    if not job.job.queue_id or job.routing.unassignment_count:
        return
    asked = job_class(job.job.channel_id, all_selectors(job.job))
    channels = frozenset(one.channel_id for one in worker.channels)
    taken = Taken(asked, rank_of(job), channels, worker.matching_labels)
    due = parts.throughput.assigned(job.job.queue_id, enqueued, offered_at, now, taken)
    held = parts.told.assigned(job.id, job.job.queue_id, now)
    if held is not None:
        metrics.record_told_wait(job.job.queue_id, held)
        due = parts.throughput.judged(job.job.queue_id, held, now) or due
    if due:
        parts.background.start(parts.throughput.write(), "write throughput")
