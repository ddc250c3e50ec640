"""Jobs take the offers for which workers have been reserved, and enter the line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from router.commit import job as job_commits
from router.commit import policies
from router.commit.acting import deciding
from router.commit.parts import Parts
from router.engine import exceptions, matching, offers
from router.engine.change import Change, JobChange
from router.engine.service_order import standing
from router.errors import RouterError
from router.matching import places
from router.matching.reserve import Reserved
from router.matching.rows import Jobs
from router.matching.scene import Scene
from router.models.jobs import JobOffer, JobRecord, JobStatus
from router.storage.backlog import Waiting
from router.storage.truth_rows import Row

_log = logging.getLogger(__name__)

#: An offer that is not attached this long after its round began is given back.
ATTACH_WITHIN: Final = timedelta(seconds=3)
#: What was reserved for each job.
ByJob = Mapping[str, Sequence[tuple[JobOffer, Reserved]]]


async def attach(
    parts: Parts, seen: Scene, found: Jobs, touched: Sequence[str], by_job: ByJob, round: asyncio.Future[None]
) -> list[Row[JobRecord] | BaseException]:
    """The jobs' rows afterwards, or what has failed."""
    counted = any(found[id][0].entering for id in touched) and await _is_counted(parts, seen.queue_id)
    return await (_in_turn if counted else _all)(parts, seen, found, touched, by_job, round)


async def _is_counted(parts: Parts, queue_id: str) -> bool:
    """Whether rules of the queue count who is ahead when a job is added."""
    policy = await policies.exception_policy(parts, queue_id)
    return policy is not None and exceptions.length_threshold(policy[1]) is not None


async def _all(
    parts: Parts, seen: Scene, found: Jobs, touched: Sequence[str], by_job: ByJob, round: asyncio.Future[None]
) -> list[Row[JobRecord] | BaseException]:
    return await asyncio.gather(
        *(_attach(parts, seen, found[id], by_job.get(id, []), round) for id in touched), return_exceptions=True
    )


async def _in_turn(
    parts: Parts, seen: Scene, found: Jobs, touched: Sequence[str], by_job: ByJob, round: asyncio.Future[None]
) -> list[Row[JobRecord] | BaseException]:
    """Like `_all`, in the order of service, each when those before it stand in the line and can be counted."""
    done: dict[str, Row[JobRecord] | BaseException] = {}
    for id in sorted(touched, key=lambda job_id: found[job_id][0].place):
        waiting = found[id][0]
        try:
            row = await _attach(parts, seen, found[id], by_job.get(id, []), round)
            move = places.moved(seen, waiting, row.record)
            if move is not None and waiting.entering:
                await parts.backlog.update([move], seen.now)
            done[id] = row
        except Exception as error:
            done[id] = error
    return [done[id] for id in touched]


async def _attach(
    parts: Parts,
    seen: Scene,
    both: tuple[Waiting, Row[JobRecord]],
    reserved: Sequence[tuple[JobOffer, Reserved]],
    round: asyncio.Future[None],
) -> Row[JobRecord]:
    """The job's row decides: it takes the offers if it is still what the workers have reserved for. One that enters is
    queued by that, with the place with which it was planned; without an offer if there is none. Its row afterwards."""
    waiting, row = both
    planned = row.record
    assert planned is not None

    async def step(found: Row[JobRecord]) -> JobChange | None:
        record, now = found.record, parts.clock.now()
        where = standing(record)
        if record is None or where is None or where.queue_id != seen.queue_id or where.place > waiting.place:
            return None  # gone, or further back than when it was looked who comes first
        change = JobChange(record)
        if record.status is JobStatus.CREATED:
            change = places.enqueued(waiting, record, now)
            entered = standing(change.record)
            if entered is None or entered.place > waiting.place:
                return change  # it is not as urgent any more as it was when it was looked who comes first
        for offer, one in reserved:
            attached = _with_offer(change, offer, one, seen, planned, now)
            change = attached if attached is not None else change
        return change

    queue = parts.resources.remembered("Queue", seen.queue_id) if reserved else None
    try:
        with deciding(f"distributionPolicy/{queue.model.distribution_policy_id}" if queue else None):
            return (await job_commits.change(parts, row.id, step, row, round=round)).after
    except RouterError as error:
        _log.warning("A job could not take an offer: %s", error, extra={"job": row.id})
        return await parts.jobs.store.load(row.id)


def _with_offer(
    change: JobChange, offer: JobOffer, reserved: Reserved, seen: Scene, planned: JobRecord, now: datetime
) -> JobChange | None:
    record, policy = change.record, seen.policy
    assert record is not None
    assert policy is not None
    if now - offer.offered_at > ATTACH_WITHIN or record.job.channel_id != planned.job.channel_id:
        return None
    if matching.disqualified(record, reserved.before, policy.mode, now) is not None:
        return None
    attached = offers.attach(record, offer, reserved.holder.worker, policy.mode.max_concurrent_offers, now)
    return attached and Change(attached.record, (*change.events, *attached.events))


def knows(record: JobRecord, offer_id: str) -> bool:
    return offer_id in record.routing.offers or offer_id in record.routing.accepted_offers.values()
