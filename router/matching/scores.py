"""What a scoring rule says of each job's workers, and what becomes of a job for which it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from router.commit import job as job_commits
from router.commit.parts import Parts
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve
from router.engine.matching import no_room
from router.engine.plan import Scores
from router.engine.selectors import all_selectors, first_failing
from router.engine.service_order import standing
from router.matching.scene import Scene
from router.models.jobs import JobRecord, JobStatus
from router.models.policies import BestWorkerMode
from router.rules.failure import RuleFailure
from router.storage.backlog import row_key

#: What is kept of a reason: it stands in the job's row.
_LONGEST_REASON: Final = 500
#: A scoring rule that fails is tried again ever more rarely.
_LONGEST_RETRY_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Scored:
    """Scores by job and worker, and why the rule failed for jobs that have none."""

    scores: Scores
    failures: Mapping[str, str]


async def scores(parts: Parts, seen: Scene, records: Iterable[JobRecord]) -> Scored | None:
    """What the policy's scoring rule says of each job's workers; None if it has none."""
    mode = seen.policy.mode if seen.policy else None
    if not isinstance(mode, BestWorkerMode) or mode.scoring_rule is None:
        return None
    queue = await parts.resources.cached("Queue", seen.queue_id)
    policy_id = queue.model.distribution_policy_id if queue else ""
    context, rule = f"DistributionPolicy/{policy_id}", mode.scoring_rule
    options = mode.scoring_rule_options

    async def of(record: JobRecord) -> tuple[str, dict[str, float] | RuleFailure]:
        selectors = [one for one in all_selectors(record.job) if one.active]
        fitting = [
            one
            for one in seen.candidates
            if record.job.channel_id in one.channels
            and no_room(one, record.job.channel_id) is None
            and (mode.bypass_selectors or first_failing(selectors, one.labels) is None)
        ]
        if not fitting:
            return record.id, {}
        try:
            found = await parts.rules.scores(
                rule, record.job.labels, selectors, [one.labels for one in fitting], options, context
            )
        except RuleFailure as error:
            return record.id, error
        return record.id, {one.worker_id: score for one, score in zip(fitting, found, strict=True)}

    found = await asyncio.gather(*(of(record) for record in records))
    return Scored(
        {job_id: what for job_id, what in found if not isinstance(what, RuleFailure)},
        {
            job_id: f"The scoring rule ({rule.kind}) of distribution policy '{policy_id}' failed: {_told(what)}"
            for job_id, what in found
            if isinstance(what, RuleFailure)
        },
    )


def _told(failure: RuleFailure) -> str:
    """Without its full stop: it stands within sentences."""
    reason = failure.reason.rstrip(".")
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]}..."


async def back_off(parts: Parts, queue_id: str, job_id: str, reason: str) -> None:
    """A scoring rule failed: the job stays queued and is tried again, ever more rarely. It keeps the last reason."""
    now = parts.clock.now()

    def decide(record: JobRecord) -> JobChange | None:
        if record.status is not JobStatus.QUEUED:
            return None
        failures = record.routing.scoring_failures + 1
        retry_at = now + timedelta(seconds=min(2.0**failures, _LONGEST_RETRY_SECONDS))
        routing = {"scoring_failures": failures, "scoring_failure": reason, "retry_at": retry_at}
        return Change(evolve(record, routing=routing))

    record = (await job_commits.change(parts, job_id, job_commits.existing(decide))).after.record
    where = standing(record)
    if record is not None and where is not None:
        line = await parts.backlog.line(queue_id, 1, after=row_key(where)[:-1], before=row_key(where) + "~")
        for found in line.jobs:
            await parts.backlog.update([(found, record, where, False)], now)
