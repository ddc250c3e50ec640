"""Finding workers for a job: the policy's order, best first (contract section 5, "Matching")."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from router.engine import jobs, matching
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve
from router.engine.scoring import default_score
from router.engine.selectors import all_selectors
from router.models.jobs import JobRecord, JobStatus
from router.models.policies import BestWorkerMode, DistributionPolicy, RoundRobinMode
from router.models.rules import ScoringRuleOptions
from router.rules.failure import RuleFailure
from router.service import distribution_policy, job_commits, offering
from router.service.parts import Parts
from router.storage.aggregates import Row
from router.storage.availability import Candidate

_log = logging.getLogger(__name__)

#: After this long a worker's change has moved its index rows, or never will.
_MOVED_BY: Final = timedelta(seconds=10)
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
        policy = await distribution_policy.of_queue(parts, view.job.queue_id)
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
    tried: dict[str, int] = {}
    async for candidate in _candidates(parts, view, policy):
        # A row that a late write has left behind says nothing about a newer one of the same worker.
        if tried.get(candidate.worker_id, -1) >= candidate.version or _knows(view, candidate.worker_id):
            continue
        if view.job.queue_id and _left_behind(parts, candidate):
            await parts.availability.remove(view.job.queue_id, [candidate.row])
            continue
        tried[candidate.worker_id] = candidate.version
        after = await _offer_to(parts, row, view, policy, candidate)
        if after is None:
            continue
        row = after
        if row.record is None or not matching.wants_offers(row.record, policy.mode):
            break
        if row.record.job.queue_id != view.job.queue_id:
            break  # it has moved: another policy, and whoever moved it looks there
        view = row.record
    return row


async def _offer_to(
    parts: Parts, row: Row[JobRecord], view: JobRecord, policy: DistributionPolicy, candidate: Candidate
) -> Row[JobRecord] | None:
    """The job's row if the worker got it; None if it could not take it. Jobs that come first get the worker first."""
    for _ in range(_MOST_SERVED):
        offered = await offering.make_offer(
            parts, row, policy, candidate.worker_id, view=view, seen_version=candidate.version
        )
        if offered is None:
            return None
        if offered.job_id == row.id:
            return offered.row
    return None


def _left_behind(parts: Parts, candidate: Candidate) -> bool:
    """Whether the row belongs to a version that the worker has left long since: nobody moves it away any more."""
    known = parts.recent_workers.get(candidate.worker_id)
    return (
        known is not None
        and candidate.version < known.routing.version
        and parts.clock.now() - known.modified > _MOVED_BY
    )


def _knows(record: JobRecord, worker_id: str) -> bool:
    """Whether the worker has an offer of this job already, or declined it for good as far as the job knows."""
    return any(offer.worker_id == worker_id for offer in record.routing.offers.values())


async def _candidates(parts: Parts, record: JobRecord, policy: DistributionPolicy) -> AsyncIterator[Candidate]:
    assert record.job.queue_id is not None
    queue_id, channel_id = record.job.queue_id, record.job.channel_id
    selectors = [] if policy.mode.bypass_selectors else [one for one in all_selectors(record.job) if one.active]
    if isinstance(policy.mode, RoundRobinMode):
        cursor = await parts.availability.cursor(queue_id)
        async for one in parts.availability.candidates(queue_id, "n", channel_id, selectors, after=cursor):
            yield one
        if cursor is not None:
            async for one in parts.availability.candidates(queue_id, "n", channel_id, selectors, until=cursor):
                yield one
        return
    if isinstance(policy.mode, BestWorkerMode):
        for one in await _by_score(parts, record, policy.mode, queue_id):
            yield one
        return
    async for one in parts.availability.candidates(queue_id, "i", channel_id, selectors):
        yield one


async def _by_score(parts: Parts, record: JobRecord, mode: BestWorkerMode, queue_id: str) -> list[Candidate]:
    """All workers that fit, best score first; equal scores by longest idle. Raises RuleFailure."""
    selectors = [one for one in all_selectors(record.job) if one.active]
    found: dict[str, Candidate] = {}
    async for one in parts.availability.candidates(
        queue_id,
        "i",
        record.job.channel_id,
        [] if mode.bypass_selectors else selectors,
        page=1000,
        with_labels=True,
    ):
        if one.worker_id not in found or found[one.worker_id].version < one.version:
            found[one.worker_id] = one
    candidates = list(found.values())
    labels = [one.labels if one.labels is not None else await _labels(parts, one.worker_id) for one in candidates]
    options = mode.scoring_rule_options or ScoringRuleOptions()
    if mode.scoring_rule is None:
        use_labels = "jobLabels" in options.scoring_parameters
        use_selectors = "workerSelectors" in options.scoring_parameters
        scores = [
            default_score(record.job.labels, selectors, one, use_labels=use_labels, use_selectors=use_selectors)
            for one in labels
        ]
    elif candidates:
        queue = await parts.resources.cached("Queue", queue_id)
        policy_id = queue.model.distribution_policy_id if queue else ""
        scores = await parts.rules.scores(
            mode.scoring_rule, record.job.labels, selectors, list(labels), options, f"DistributionPolicy/{policy_id}"
        )
    else:
        scores = []
    sign = -1.0 if options.descending_order else 1.0
    order = sorted(range(len(candidates)), key=lambda number: (sign * scores[number], candidates[number].row))
    return [candidates[number] for number in order]


async def _labels(parts: Parts, worker_id: str) -> dict[str, object]:
    row = await parts.workers.store.load(worker_id)
    return dict(row.record.worker.matching_labels) if row.record else {}


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
