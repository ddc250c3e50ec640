"""Finding workers for a job: the policy's order, best first (contract section 5, "Matching")."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from router.engine import matching
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

#: How often a job lets a more urgent one pass before it leaves the rest to that one's own search.
_MOST_OVERTAKEN: Final = 20


async def distribute(parts: Parts, job_id: str, row: Row[JobRecord] | None = None) -> None:
    """Offers the job to as many workers as its policy wants, if there are any that qualify. Only looks for workers for
    this job (and for those that it finds standing before it)."""
    overtaken = 0
    while True:
        row = row if row is not None else await parts.jobs.store.load(job_id)
        record = row.record
        if record is None or record.status is not JobStatus.QUEUED:
            return
        if record.routing.retry_at and record.routing.retry_at > parts.clock.now():
            return
        policy = await distribution_policy.of_queue(parts, record.job.queue_id)
        if policy is None or not matching.wants_offers(record, policy.mode):
            return
        try:
            async with parts.in_hand.hold(job_id):
                await _offer_in_order(parts, row, policy)
            return
        except offering.Overtaken as first:
            overtaken += 1
            if overtaken > _MOST_OVERTAKEN:
                return
            await distribute(parts, first.job_id)
            row = None
        except RuleFailure as error:
            _log.error("Scoring failed: %s", error, extra={"job": job_id})
            await _try_later(parts, job_id)
            return


async def _offer_in_order(parts: Parts, row: Row[JobRecord], policy: DistributionPolicy) -> None:
    tried: set[str] = set()
    async for candidate in _candidates(parts, row, policy):
        record = row.record
        if record is None or not matching.wants_offers(record, policy.mode):
            return
        if candidate.worker_id in tried or _knows(record, candidate.worker_id):
            continue
        tried.add(candidate.worker_id)
        after = await offering.make_offer(parts, row, policy, candidate.worker_id)
        if after is None:
            continue
        row = after
        if isinstance(policy.mode, RoundRobinMode) and record.job.queue_id:
            await parts.availability.move_cursor(record.job.queue_id, candidate.worker_id)


def _knows(record: JobRecord, worker_id: str) -> bool:
    """Whether the worker has an offer of this job already, or declined it for good as far as the job knows."""
    return any(offer.worker_id == worker_id for offer in record.routing.offers.values())


async def _candidates(parts: Parts, row: Row[JobRecord], policy: DistributionPolicy) -> AsyncIterator[Candidate]:
    record = row.record
    assert record is not None
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
        found.setdefault(one.worker_id, one)
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
