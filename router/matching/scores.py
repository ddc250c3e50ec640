"""What a scoring rule says of each job's workers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from router.commit.parts import Parts
from router.engine.matching import no_room
from router.engine.plan import Scores
from router.engine.selectors import all_selectors, first_failing
from router.matching.scene import Scene
from router.models.jobs import JobRecord
from router.models.policies import BestWorkerMode
from router.rules.failure import RuleFailure


async def scores(parts: Parts, seen: Scene, records: Iterable[JobRecord]) -> Scores | None:
    """What the policy's scoring rule says of each job's workers; None if it has none. Jobs for which it fails are left
    out."""
    mode = seen.policy.mode if seen.policy else None
    if not isinstance(mode, BestWorkerMode) or mode.scoring_rule is None:
        return None
    queue = await parts.resources.cached("Queue", seen.queue_id)
    context = f"DistributionPolicy/{queue.model.distribution_policy_id if queue else ''}"
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
                mode.scoring_rule, record.job.labels, selectors, [one.labels for one in fitting], options, context
            )
        except RuleFailure as error:
            return record.id, error
        return record.id, {one.worker_id: score for one, score in zip(fitting, found, strict=True)}

    found = await asyncio.gather(*(of(record) for record in records))
    return {job_id: what for job_id, what in found if not isinstance(what, RuleFailure)}
