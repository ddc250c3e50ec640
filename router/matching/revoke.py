"""Taking back the offers that a worker no longer qualifies for; the jobs' rows decide."""

from __future__ import annotations

import asyncio

from router.commit import job as job_commits
from router.commit import policies
from router.commit import worker as worker_commits
from router.commit.parts import Parts
from router.engine import matching, offers
from router.engine.change import JobChange
from router.models.jobs import JobRecord
from router.models.workers import RouterJobOffer, WorkerRecord


async def revoke_unqualified(parts: Parts, worker: WorkerRecord) -> None:
    """Revokes each live offer of the worker that its state no longer allows."""
    await asyncio.gather(*(_revoke_if_unqualified(parts, worker, offer) for offer in worker.worker.offers))


async def _revoke_if_unqualified(parts: Parts, worker: WorkerRecord, offer: RouterJobOffer) -> None:
    row = await parts.jobs.store.load(offer.job_id)
    if row.record is not None and not _is_over(row.record, offer.offer_id):
        policy = await policies.distribution_policy(parts, row.record.job.queue_id)
        bypass = policy is not None and policy.mode.bypass_selectors
        if matching.still_fits(row.record, worker, offer, bypass_selectors=bypass):
            return

        def step(record: JobRecord) -> JobChange:
            return offers.revoke_or_refuse(record, offer.offer_id, worker.id)

        row = (await job_commits.change(parts, offer.job_id, job_commits.existing(step), row)).after
    if row.record is not None and offer.offer_id in row.record.routing.accepted_offers.values():
        return  # accepted: whoever did that, or the job's settle deadline, turns it into the assignment
    ended = row.record.routing.ended_offers.get(offer.offer_id) if row.record else None
    queues = await worker_commits.drop_offers(
        parts, worker.id, frozenset({offer.offer_id}), expired=bool(ended and ended.outcome == "expired")
    )
    if queues:
        parts.rounds.ask(sorted(queues))


def _is_over(job: JobRecord, offer_id: str) -> bool:
    return offer_id in job.routing.ended_offers or offer_id in job.routing.accepted_offers.values()
