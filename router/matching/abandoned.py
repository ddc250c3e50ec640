"""What a holder that stood still or died has left behind: capacity reserved for jobs which do not know of it, jobs that
have lost their place in the line, and offers of which nobody has been told."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from router.commit import job as job_commits
from router.commit import worker as worker_commits
from router.commit.parts import Parts
from router.engine import offers
from router.engine.candidates import available
from router.engine.service_order import Standing, standing
from router.matching.attach import knows
from router.models.jobs import JobRecord
from router.models.workers import RouterJobOffer
from router.storage.availability import Move
from router.storage.port import RowChanged
from router.storage.rounds import Hold
from router.storage.truth_rows import Row

_log = logging.getLogger(__name__)

#: So long after its hold was over a holder that lives, and is only slow, has told what it has done.
_TOLD_AFTER: Final = timedelta(seconds=1)


async def drop(parts: Parts, left: Hold, *, is_own: bool) -> None:
    """Frees what was reserved and is not an offer of its job, and puts the jobs into their places. A holder that wakes
    up again finds the workers' rows changed. What another process has not told is told meanwhile."""
    await asyncio.gather(*(_drop(parts, worker_id) for worker_id in left.workers))
    rows = await asyncio.gather(*(_stand(parts, job_id) for job_id in left.jobs))
    for row in rows:
        if row.outbox and not is_own:
            parts.background.start(_tell(parts, row, left.until), f"tell of {row.id}")


async def _stand(parts: Parts, job_id: str) -> Row[JobRecord]:
    row = await parts.jobs.store.load(job_id)
    where = standing(row.record)
    if row.record is not None and where is not None:
        if where.entering:  # it may stand where it would stand when it is queued
            await parts.backlog.remove(Standing(where.queue_id, where.place))
        await job_commits.stand(parts, row.record, where)
    return row


async def _tell(parts: Parts, row: Row[JobRecord], until: datetime | None) -> None:
    """Sends the events of a row whose holder has not written it for a while since: the worker's client waits for them.
    What else hangs on it is left to its settle deadline."""
    if until is not None:
        await asyncio.sleep((until + _TOLD_AFTER - parts.clock.now()).total_seconds())
        if (await parts.jobs.store.load(row.id)).version != row.version:
            return
    if row.has_earlier or row.overflow:
        return  # too much, and some of it comes before
    await parts.outbox.send_soon(f"job/{row.id}", row.outbox)
    owed = tuple(sorted({*row.owed, *(event.type for event in row.outbox)}))
    with suppress(RowChanged):
        await parts.jobs.store.rest(replace(row.followed(row.promised_until), owed=owed), row.commit)


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
        if knows(record, offer.offer_id):
            return
        if offer.offer_id not in record.routing.ended_offers:
            committed = await job_commits.change(
                parts,
                offer.job_id,
                job_commits.existing(lambda found: offers.revoke_or_refuse(found, offer.offer_id, worker_id)),
                row,
            )
            record = committed.after.record
            if record is not None and knows(record, offer.offer_id):
                return
    ended = record.routing.ended_offers.get(offer.offer_id) if record is not None else None
    expired = bool(ended and ended.outcome == "expired")
    queues = await worker_commits.drop_offers(parts, worker_id, frozenset({offer.offer_id}), expired=expired)
    if queues:
        parts.rounds.ask(sorted(queues))
