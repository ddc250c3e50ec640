"""Taking back the offers that a worker no longer qualifies for; the jobs' rows decide."""

from __future__ import annotations

import asyncio

from router.engine import offers
from router.engine.change import JobChange
from router.engine.selectors import all_selectors, first_failing
from router.models.jobs import JobRecord
from router.models.workers import RouterJobOffer, WorkerRecord
from router.service import distribution_policy, job_commits, worker_commits
from router.service.parts import Parts


async def revoke_unqualified(parts: Parts, worker: WorkerRecord) -> None:
    """Revokes each live offer of the worker that its state no longer allows."""
    await asyncio.gather(*(_revoke_if_unqualified(parts, worker, offer) for offer in worker.worker.offers))


async def _revoke_if_unqualified(parts: Parts, worker: WorkerRecord, offer: RouterJobOffer) -> None:
    row = await parts.jobs.store.load(offer.job_id)
    if row.record is not None and not _is_over(row.record, offer.offer_id):
        if await _still_fits(parts, worker, offer, row.record):
            return

        def step(record: JobRecord) -> JobChange:
            return offers.revoke_or_refuse(record, offer.offer_id, worker.id)

        row = await job_commits.change(parts, offer.job_id, step, row) or row
    if row.record is not None and offer.offer_id in row.record.routing.accepted_offers.values():
        return  # accepted: whoever did that, or the job's settle deadline, turns it into the assignment
    ended = row.record.routing.ended_offers.get(offer.offer_id) if row.record else None
    await worker_commits.drop_offers(
        parts, worker.id, frozenset({offer.offer_id}), expired=bool(ended and ended.outcome == "expired")
    )


def _is_over(job: JobRecord, offer_id: str) -> bool:
    return offer_id in job.routing.ended_offers or offer_id in job.routing.accepted_offers.values()


async def _still_fits(parts: Parts, worker: WorkerRecord, offer: RouterJobOffer, job: JobRecord) -> bool:
    """Whether the worker would still be one to offer this job to, its own reservation aside."""
    who = worker.worker
    if worker.routing.deleting or not who.available_for_offers:
        return False
    channel = who.channel(job.job.channel_id)
    if channel is None or job.job.queue_id not in who.queues:
        return False
    held = who.offers.index(offer)
    ahead = sum(one.capacity_cost for one in who.offers[: held + 1])
    if sum(one.capacity_cost for one in who.assigned_jobs) + ahead > who.capacity:
        return False
    jobs = [one.job_id for one in who.assigned_jobs] + [one.job_id for one in who.offers[: held + 1]]
    on_channel = [job_id for job_id in jobs if worker.routing.job_channels.get(job_id) == channel.channel_id]
    if channel.max_number_of_jobs is not None and len(on_channel) > channel.max_number_of_jobs:
        return False
    policy = await distribution_policy.of_queue(parts, job.job.queue_id)
    if policy is not None and policy.mode.bypass_selectors:
        return True
    return first_failing(all_selectors(job.job), who.matching_labels) is None
