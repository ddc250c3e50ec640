"""What events and deadlines do to a job: read the truth and take it to where it should be. None of it decides anything
that a commit has not decided, and all of it may run twice (docs/architecture.md)."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any

from router.commit import job as job_commits
from router.commit.acting import acting
from router.commit.owners import all_owners
from router.commit.parts import Parts, gathered
from router.engine import endings, jobs, offers
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve
from router.engine.service_order import standing
from router.matching.reserve import ABANDONED_AFTER
from router.models.history import Actor
from router.models.jobs import ENDED, SETTLED, JobRecord, JobStatus
from router.models.sizes import LONGEST_REASON
from router.storage.deadlines import Deadline
from router.storage.truth_rows import Row
from router.telemetry import routing as metrics
from router.upkeep import classify, rules
from router.upkeep import worker as worker_upkeep

_log = logging.getLogger(__name__)

_S = JobStatus


async def drive_job(parts: Parts, job_id: str, row: Row[JobRecord] | None = None) -> None:
    """Takes the job on to its next state, as far as it goes without waiting."""
    row = row if row is not None else await parts.jobs.store.load(job_id)
    while row.record is not None and (row.record.routing.triggered or row.record.status is _S.PENDING_CLASSIFICATION):
        before = row.version
        if row.record.status is _S.PENDING_CLASSIFICATION:
            row = await classify.classify(parts, row)
        else:
            row = await rules.run_actions(parts, row)
        if row.version == before:
            return
    if row.record is None:
        return
    match row.record.status:
        case _S.PENDING_SCHEDULE | _S.SCHEDULED:
            await _schedule(parts, row)
        case _S.CREATED | _S.QUEUED:
            assert row.record.job.queue_id is not None
            await parts.rounds.ask([row.record.job.queue_id], sure=True)


async def match_again(parts: Parts, job_id: str) -> None:
    """A moment has come from which the job may take offers that it could not take before."""
    row = await parts.jobs.store.load(job_id)
    await _stand(parts, row.record)
    await drive_job(parts, job_id, row)


async def gave_up(parts: Parts, job_id: str, text: str) -> None:
    """The job remembers what is not tried again: `explain` tells it."""
    step = job_commits.existing(lambda record: Change(evolve(record, routing={"given_up": text[:LONGEST_REASON]})))
    await job_commits.change(parts, job_id, step)


async def reconcile_job(parts: Parts, job_id: str, row: Row[JobRecord] | None = None) -> None:
    """Everything about the job: what is overdue, what its workers hold, its indexes and its next step. `row`: as it
    has just been written."""
    if row is None:
        row = await parts.jobs.store.load(job_id)
    before = row.version
    if row.record is not None:
        with acting(Actor("deadline", "overdue")):
            row = (await job_commits.change(parts, job_id, job_commits.existing(_overdue(parts)), row)).after
    metrics.record_reconciliation("job", "unchanged" if row.version == before else "changed")
    if row.record is None:
        return
    record = row.record
    work: list[Coroutine[Any, Any, None]] = [
        _check_offer(parts, record, offer_id) for offer_id in record.routing.offers
    ]
    work += [
        worker_upkeep.check_assignment(parts, record, one.assignment_id)
        for one in record.job.assignments.values()
        if one.closed_at is None
    ]
    if record.status in ENDED:
        work += [parts.members.remove(owner, job_id) for owner in all_owners(record)]
    work += [_stand(parts, record), parts.listing.ensure("job", job_id, record.created_at)]
    await gathered(work)
    await reconcile_workers(parts, record)
    if record.routing.triggered or record.status not in SETTLED:
        await drive_job(parts, job_id)


async def reconcile_workers(parts: Parts, record: JobRecord) -> None:
    """The workers that have had to do with the job."""
    await gathered([worker_upkeep.reconcile_worker(parts, worker_id) for worker_id in _workers(record)])


async def expire_offers(parts: Parts, job_id: str) -> None:
    """Offers whose time is over end and their workers are deregistered."""
    now = parts.clock.now()
    step = job_commits.existing(lambda record: offers.expire(record, now))
    await job_commits.change(parts, job_id, step, from_memory=True)


async def expire_selectors(parts: Parts, job_id: str) -> None:
    now = parts.clock.now()
    await job_commits.change(parts, job_id, job_commits.existing(lambda record: jobs.expire_selectors(record, now)))


async def close_due(parts: Parts, job_id: str) -> None:
    now = parts.clock.now()
    await job_commits.change(parts, job_id, job_commits.existing(lambda record: endings.close_due(record, now)))


async def end_life(parts: Parts, job_id: str) -> None:
    now = parts.clock.now()
    await job_commits.change(parts, job_id, job_commits.existing(lambda record: endings.expire_life(record, now)))


async def _schedule(parts: Parts, row: Row[JobRecord]) -> None:
    now = parts.clock.now()

    def decide(record: JobRecord) -> JobChange:
        due = jobs.activation_due(record, now)
        return due if due.events else jobs.schedule(record)

    await job_commits.change(parts, row.id, job_commits.existing(decide), row, driven=True)


async def _stand(parts: Parts, record: JobRecord | None) -> None:
    """The job's row in the line says what the job says."""
    where = standing(record)
    if record is not None and where is not None:
        await job_commits.stand(parts, record, where)


def _overdue(parts: Parts) -> Any:
    """Whatever deadline of the job has passed, in one change."""

    def decide(record: JobRecord) -> JobChange | None:
        now = parts.clock.now()
        for step in (
            endings.expire_life,
            endings.close_due,
            jobs.activation_due,
            jobs.expire_selectors,
            offers.expire,
        ):
            change = step(record, now)
            if change.events:
                return change
        return None

    return decide


def _workers(record: JobRecord) -> list[str]:
    """Workers that have had to do with the job."""
    routing = record.routing
    found = [
        *(one.worker_id for one in record.job.assignments.values()),
        *(one.worker_id for one in routing.offers.values()),
        *(one.worker_id for one in routing.ended_offers.values()),
        *(one.worker_id for one in routing.unassigned.values()),
    ]
    return list(dict.fromkeys(found))


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
    await job_commits.change(parts, job.id, job_commits.existing(lambda record: offers.revoke(record, [offer_id])))
