"""What a holder that stood still or died has left behind: capacity reserved for jobs which do not know of it, and jobs
that have lost their place in the line."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from router.commit import job as job_commits
from router.commit import worker as worker_commits
from router.commit.parts import Parts
from router.engine import offers
from router.engine.candidates import available
from router.engine.service_order import Standing, standing
from router.models.jobs import JobRecord
from router.models.workers import RouterJobOffer
from router.storage.availability import Move
from router.storage.port import RowChanged
from router.storage.rounds import Hold

_log = logging.getLogger(__name__)


async def drop(parts: Parts, left: Hold) -> None:
    """Frees what was reserved and is not an offer of its job, and puts the jobs into their places. A holder that wakes
    up again finds the workers' rows changed."""
    await asyncio.gather(*(_drop(parts, worker_id) for worker_id in left.workers))
    await asyncio.gather(*(_stand(parts, left.queue_id, job_id) for job_id in left.jobs))


async def _stand(parts: Parts, queue_id: str, job_id: str) -> None:
    row = await parts.jobs.store.load(job_id)
    where = standing(row.record)
    if row.record is None or where is None:
        return
    if where.entering:  # it may stand where it would stand when it is queued
        await parts.backlog.remove(Standing(where.queue_id, where.place))
    await job_commits.stand(parts, row.record, where)


async def _drop(parts: Parts, worker_id: str) -> None:
    for _ in range(10):
        row = await parts.workers.store.load(worker_id)
        if row.record is None:
            return
        for offer in row.record.worker.offers:
            await refuse(parts, worker_id, offer)
        row = await parts.workers.store.load(worker_id)
        if row.record is None:  # deleted meanwhile
            return
        try:
            # Written even if nothing has changed: a reservation that is still on its way must fail.
            row = await parts.workers.store.save(replace(row), parts.ids.guid())
        except RowChanged:
            continue
        now = available(row.record)
        if now is not None:
            await parts.availability.move([Move(None, now)])
        return


async def refuse(parts: Parts, worker_id: str, offer: RouterJobOffer) -> None:
    """Takes the offer from the worker if its job does not know it, and never will from now on."""
    row = await parts.jobs.store.load(offer.job_id)
    record = row.record
    if record is not None:
        if _knows(record, offer.offer_id):
            return
        if offer.offer_id not in record.routing.ended_offers:
            committed = await job_commits.change(
                parts,
                offer.job_id,
                job_commits.existing(lambda found: offers.revoke_or_refuse(found, offer.offer_id, worker_id)),
                row,
            )
            record = committed.after.record
            if record is not None and _knows(record, offer.offer_id):
                return
    ended = record.routing.ended_offers.get(offer.offer_id) if record is not None else None
    expired = bool(ended and ended.outcome == "expired")
    queues = await worker_commits.drop_offers(parts, worker_id, frozenset({offer.offer_id}), expired=expired)
    if queues:
        parts.rounds.ask(sorted(queues))


def _knows(record: JobRecord, offer_id: str) -> bool:
    return offer_id in record.routing.offers or offer_id in record.routing.accepted_offers.values()
