"""Finding workers for a job: the policy's order, best first (contract section 5, "Matching")."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from router.commit import job as job_commits
from router.commit import policies
from router.commit.parts import Parts
from router.engine import jobs, matching
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve
from router.matching import offering
from router.matching.candidates import Candidates, Standing
from router.models.jobs import JobRecord, JobStatus
from router.models.policies import DistributionPolicy
from router.rules.failure import RuleFailure
from router.storage.aggregates import Row

_log = logging.getLogger(__name__)

#: So often may other jobs be faster at the best worker before this one takes what it meets.
_MOST_OVERTAKEN: Final = 100
#: How many jobs that come first one search serves with one worker.
_MOST_SERVED: Final = 50


async def distribute(parts: Parts, job_id: str, row: Row[JobRecord] | None = None) -> None:
    """Offers the job to as many workers as its policy wants, if there are any that qualify. Only looks for workers for
    this job (and gives them to those that it finds standing before it). A new job is queued on the way: together with
    its first offer if there is a worker at once, else first, so that workers find it, and then it looks again."""
    while True:
        row = row if row is not None else await parts.jobs.store.load(job_id)
        view = offering.as_queued(parts, row.record)
        if row.record is None or view is None:
            return
        if view.routing.retry_at and view.routing.retry_at > parts.clock.now():
            return
        policy = await policies.of_queue(parts, view.job.queue_id)
        new = row.record.status is JobStatus.CREATED
        if (policy is None or not matching.wants_offers(view, policy.mode)) and not new:
            return
        try:
            if policy is not None:
                row = await _offer_in_order(parts, row, view, policy)
            if not new or row.record is None:
                return
            # Who became free before the job stood in its backlog did not see it, and was not seen either: look again.
            if row.record.status is JobStatus.CREATED:
                row = await _queue(parts, row)
        except RuleFailure as error:
            _log.error("Scoring failed: %s", error, extra={"job": job_id})
            if new:
                await _queue(parts, row)
            await _try_later(parts, job_id)
            return


async def _queue(parts: Parts, row: Row[JobRecord]) -> Row[JobRecord]:
    """Queues a new job without an offer."""
    now = parts.clock.now()

    def step(found: Row[JobRecord]) -> JobChange | None:
        if found.record is None or found.record.status is not JobStatus.CREATED:
            return None
        return jobs.enqueue(found.record, now)

    return await job_commits.change_row(parts, row.id, step, row)


async def _offer_in_order(
    parts: Parts, row: Row[JobRecord], view: JobRecord, policy: DistributionPolicy
) -> Row[JobRecord]:
    """The job's row as it stands when it has all its offers, or nobody is left."""
    candidates = Candidates(parts, view, policy)
    overtaken = 0
    while (candidate := await candidates.next()) is not None:
        if _knows(view, candidate.worker_id):
            continue
        after = await _offer_to(parts, row, view, policy, candidate, unmoved=overtaken < _MOST_OVERTAKEN)
        if after is None:
            continue
        if isinstance(after, offering.Moved):
            overtaken += 1
            candidates.moved(candidate, after.worker)
            continue
        row = after
        if row.record is None or not matching.wants_offers(row.record, policy.mode):
            break
        if row.record.job.queue_id != view.job.queue_id:
            break  # it has moved: another policy, and whoever moved it looks there
        view = row.record
    return row


async def _offer_to(
    parts: Parts,
    row: Row[JobRecord],
    view: JobRecord,
    policy: DistributionPolicy,
    candidate: Standing,
    *,
    unmoved: bool,
) -> Row[JobRecord] | offering.Moved | None:
    """The job's row if the worker got it; None if it could not take it. Jobs that come first get the worker first."""
    attempt = offering.Attempt(row, view, policy, candidate.worker_id, seen_version=candidate.version, unmoved=unmoved)
    for _ in range(_MOST_SERVED):
        offered = await offering.make_offer(parts, attempt)
        if offered is None or isinstance(offered, offering.Moved):
            return offered
        if offered.job_id == row.id:
            return offered.row
    return None


def _knows(record: JobRecord, worker_id: str) -> bool:
    """Whether the worker has an offer of this job already."""
    return any(offer.worker_id == worker_id for offer in record.routing.offers.values())


async def _try_later(parts: Parts, job_id: str) -> None:
    """A scoring rule failed: the job stays queued and is tried again, ever more rarely."""
    now = parts.clock.now()

    def step(record: JobRecord) -> JobChange | None:
        if record.status is not JobStatus.QUEUED:
            return None
        failures = record.routing.scoring_failures + 1
        retry_at = now + timedelta(seconds=min(2.0**failures, 300.0))
        return Change(evolve(record, routing={"scoring_failures": failures, "retry_at": retry_at}))

    await job_commits.change(parts, job_id, step)
