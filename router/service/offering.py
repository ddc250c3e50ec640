"""One offer: reserve on the worker, look whether somebody comes first, attach to the job, or give it back."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from router.engine import matching, offers, workers
from router.engine.change import JobChange, WorkerChange
from router.engine.selectors import first_failing
from router.errors import RouterError
from router.models.jobs import JobOffer, JobRecord
from router.models.policies import DistributionPolicy
from router.models.workers import WorkerRecord
from router.service import distribution_policy, job_commits, worker_commits
from router.service.parts import Parts
from router.storage.aggregates import Row
from router.storage.backlog import Waiting
from router.telemetry import routing as metrics

_log = logging.getLogger(__name__)

#: An offer that is not attached this long after it was made is given back: whoever cleans up reservations waits
#: longer (service/reconcile.py), so the two never meet.
ATTACH_WITHIN = timedelta(seconds=3)


class Overtaken(Exception):
    """A job that comes first would take this worker."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id


async def make_offer(
    parts: Parts,
    job: Row[JobRecord],
    policy: DistributionPolicy,
    worker_id: str,
    worker: Row[WorkerRecord] | None = None,
    view: JobRecord | None = None,
    *,
    seen_version: int | None = None,
) -> Row[JobRecord] | None:
    """Offers the job to the worker if it qualifies. The job's row as it stands afterwards, or None if the worker did
    not qualify. Raises Overtaken when an earlier, more urgent job is to have the worker. `view` is a job that is not
    queued yet, as it will be: then the commit that attaches the offer queues it too. `seen_version` is the
    worker's version in the index: what this process knows of a later one needs no reading."""
    view = view or job.record
    assert view is not None
    queue_id, place = view.job.queue_id, view.routing.backlog_key
    seen = parts.backlog.version(queue_id, place) if queue_id and place else None
    # One reservation at a time in a queue: jobs that come together do not take workers from each other only to give
    # them back. Between processes, the look at who comes first keeps the order.
    async with parts.locks.hold(f"match/{queue_id}"):
        reserved = await _reserve(parts, view, policy, worker_id, worker, seen_version)
        if reserved is None:
            return None
        offer, before, holder = reserved
        try:
            ahead = await _first_ahead(parts, view, before)
            if ahead is not None:
                raise Overtaken(ahead)
        except BaseException:
            await worker_commits.index(parts, before, holder)
            await _give_back(parts, worker_id, offer.offer_id)
            raise
        held = parts.in_hand.hold(job.id)
        held.__enter__()
    try:
        attached, indexed = await asyncio.gather(
            _attach(parts, job, view, offer, holder, policy),
            worker_commits.index(parts, before, holder),
            return_exceptions=True,
        )
    finally:
        held.__exit__(None, None, None)
    if isinstance(attached, BaseException):
        if isinstance(attached, RouterError):
            await _give_back(parts, worker_id, offer.offer_id)
        # Else storage did not answer, and the job may have taken the offer, or take it yet: a reservation that is
        # given back then would leave an offer, and soon an assignment, that its worker does not know. The worker's
        # settle deadline looks again when the matter is certain.
        raise attached
    if isinstance(indexed, BaseException):
        raise indexed
    row = attached
    if row.record is None or offer.offer_id not in row.record.routing.offers:
        if row.record is None or offer.offer_id not in row.record.routing.accepted_offers.values():
            await _give_back(parts, worker_id, offer.offer_id)
        return row
    parts.attached.add([offer.offer_id])
    metrics.record_offer("issued")
    if row.record.job.enqueued_at:
        metrics.record_time_to_offer((offer.offered_at - row.record.job.enqueued_at).total_seconds())
    if seen and queue_id and not matching.wants_offers(row.record, policy.mode):
        await parts.backlog.close(row.record, queue_id, seen)
    return row


async def _reserve(
    parts: Parts,
    job: JobRecord,
    policy: DistributionPolicy,
    worker_id: str,
    worker: Row[WorkerRecord] | None,
    seen_version: int | None,
) -> tuple[JobOffer, WorkerRecord, WorkerRecord] | None:
    """The offer, and the worker before and with it."""
    now = parts.clock.now()
    known = parts.recent_workers.get(worker_id)
    if (
        known is not None
        and seen_version is not None
        and seen_version <= known.routing.version
        and matching.disqualified(job, known, policy.mode, now)
    ):
        # Whoever frees the worker after that writes a newer index row and looks for jobs, this one among them.
        return None
    offer_id = parts.ids.offer_id(worker_id)
    made: list[JobOffer] = []

    def step(record: WorkerRecord) -> WorkerChange | None:
        made.clear()
        if matching.disqualified(job, record, policy.mode, now) is not None:
            return None
        channel = record.worker.channel(job.job.channel_id)
        assert channel is not None
        assert job.job.queue_id is not None
        offer = JobOffer(
            offer_id=offer_id,
            worker_id=worker_id,
            capacity_cost=channel.capacity_cost_per_job,
            offered_at=now,
            expires_at=now + timedelta(seconds=policy.offer_expires_after_seconds),
        )
        made.append(offer)
        return workers.reserve(record, offer, job.id, job.job.channel_id, job.job.queue_id)

    before, after = await worker_commits.change(parts, worker_id, step, worker, index_later=True)
    if after.version == before.version or not made or before.record is None or after.record is None:
        return None
    return made[0], before.record, after.record


async def _first_ahead(parts: Parts, job: JobRecord, worker: WorkerRecord) -> str | None:
    """A waiting job that stands before this one, in any of the worker's queues, and for which the worker, without
    the reservation just made, qualifies."""
    place = job.routing.backlog_key
    if place is None:
        return None
    for queue_id in worker.worker.queues:
        async for waiting in parts.backlog.open_jobs(queue_id, before=place):
            if waiting.job_id == job.id or waiting.job_id in parts.in_hand:
                continue
            if await qualifies(parts, waiting, worker) is not None:
                return waiting.job_id
    return None


async def qualifies(parts: Parts, waiting: Waiting, worker: WorkerRecord) -> Row[JobRecord] | None:
    """The waiting job's row if the worker qualifies for it: first by the index, then by the truth. An index row that
    the truth no longer knows is removed."""
    policy = await distribution_policy.of_queue(parts, waiting.queue_id)
    if policy is None or worker.worker.channel(waiting.channel_id) is None:
        return None
    if not policy.mode.bypass_selectors and first_failing(waiting.selectors, worker.worker.matching_labels):
        return None
    row = await parts.jobs.store.load(waiting.job_id)
    if row.record is None or row.record.routing.backlog_key != waiting.row:
        await parts.backlog.remove(waiting.queue_id, waiting.row)
        return None
    now = parts.clock.now()
    if not matching.wants_offers(row.record, policy.mode):
        return None
    if row.record.routing.retry_at and row.record.routing.retry_at > now:
        return None
    return row if matching.disqualified(row.record, worker, policy.mode, now) is None else None


async def _attach(
    parts: Parts,
    job: Row[JobRecord],
    view: JobRecord,
    offer: JobOffer,
    worker: WorkerRecord,
    policy: DistributionPolicy,
) -> Row[JobRecord]:
    """The job's row decides: it takes the offer if it is still what the worker has reserved for. One that is queued
    by this gets the place with which it was looked whether somebody comes first."""

    def step(found: Row[JobRecord]) -> JobChange | None:
        now = parts.clock.now()
        if found.record is None or now - offer.offered_at > ATTACH_WITHIN:
            return None
        if (found.record.job.channel_id, found.record.job.queue_id) != (view.job.channel_id, view.job.queue_id):
            return None
        if matching.disqualified(found.record, _without(worker, offer.offer_id), policy.mode, now) is not None:
            return None
        most, place = policy.mode.max_concurrent_offers, view.job.enqueued_at or now
        return offers.queue_and_attach(found.record, offer, worker.worker, most, place, now)

    return await job_commits.change_row(parts, job.id, step, job)


def _without(worker: WorkerRecord, offer_id: str) -> WorkerRecord:
    """The worker as it was before it held the offer."""
    kept = [offer for offer in worker.worker.offers if offer.offer_id != offer_id]
    gone = {offer.job_id for offer in worker.worker.offers if offer.offer_id == offer_id}
    channels = {job: channel for job, channel in worker.routing.job_channels.items() if job not in gone}
    return worker.model_copy(
        update={
            "worker": worker.worker.model_copy(update={"offers": kept}),
            "routing": worker.routing.model_copy(update={"job_channels": channels}),
        }
    )


async def _give_back(parts: Parts, worker_id: str, offer_id: str) -> None:
    try:
        await worker_commits.drop_offers(parts, worker_id, frozenset({offer_id}), expired=False)
    except Exception:
        _log.exception("A reservation could not be given back; its settle deadline will", extra={"worker": worker_id})
