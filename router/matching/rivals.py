"""Jobs of other queues that want the same workers more urgently."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from router.commit import policies
from router.commit.parts import Parts
from router.engine.candidates import Candidate
from router.engine.plan import Rival
from router.engine.service_order import Place, Standing, standing
from router.matching.fit import could_take
from router.matching.rows import LEFT_BEHIND, job
from router.matching.scene import FURTHER, MOST_LOOKED_AT
from router.matching.team import turn_of
from router.models.jobs import JobRecord, JobRouting, JobStatus, RouterJob
from router.models.policies import BestWorkerMode, DistributionPolicy
from router.storage.backlog import Waiting, row_key

_RIVALS: Final = 20
#: So young a row of the line is believed.
_YOUNG: Final = timedelta(seconds=2)


async def rivals(
    parts: Parts, queue_id: str, workers: Sequence[Candidate], last: Place, *, certain: bool = False
) -> list[Rival]:
    """Jobs of the workers' other queues that stand before `last` and that one of them can take. `certain`: no row of a
    line is believed, however young."""
    others = sorted({other for one in workers for other in one.queues if other != queue_id})
    found = await asyncio.gather(*(_rivals_in(parts, other, workers, last, certain) for other in others))
    return [rival for some in found for rival in some]


async def _rivals_in(
    parts: Parts, queue_id: str, workers: Sequence[Candidate], last: Place, certain: bool
) -> list[Rival]:
    policy = await policies.distribution_policy(parts, queue_id)
    if policy is None:
        return []
    bypass, now = policy.mode.bypass_selectors, parts.clock.now()
    mine = [one for one in workers if queue_id in one.queues]
    wanted: list[Waiting] = []
    after: str | None = None
    looked_at, size = 0, _RIVALS
    while looked_at < MOST_LOOKED_AT and len(wanted) < len(mine):
        line = await parts.backlog.line(queue_id, size, before=row_key(Standing(queue_id, last)), after=after)
        wanted += [
            waiting
            for waiting in line.jobs
            if waiting.place < last and any(could_take(waiting, one, bypass, now) for one in mine)
        ]
        if not line.more or not line.jobs:
            break
        looked_at, after, size = looked_at + len(line.jobs), line.jobs[-1].row, FURTHER
    if not wanted:
        return []
    turn = await turn_of(parts, queue_id, policy)
    last_served = turn.worker_id if turn is not None else None
    told = [one for one in wanted if not certain and _tells_all(one, policy, now)]
    asked = [one for one in wanted if certain or not _tells_all(one, policy, now)]
    found = [Rival(_as_told(one), policy, last_served) for one in told]
    rows = await asyncio.gather(*(job(parts, one, from_memory=False) for one in asked))
    for waiting, row in zip(asked, rows, strict=True):
        where = standing(row.record)
        if row.record is not None and where is not None and row_key(where) == waiting.row:
            found.append(Rival(row.record, policy, last_served))
        elif waiting.written is None or now - waiting.written > LEFT_BEHIND:
            await parts.backlog.remove_as_seen(waiting)
    return found


def _tells_all(waiting: Waiting, policy: DistributionPolicy, now: datetime) -> bool:
    """Whether the row of the line will do, and the job's own need not be read: it is young, the job takes one offer and
    so has none, and only selectors and declines decide. Where it is wrong a worker is left to nobody, until that is
    known to be in vain. A job that enters may never come: the change that wrote its row can be refused."""
    return (
        not waiting.entering
        and waiting.written is not None
        and now - waiting.written <= _YOUNG
        and policy.mode.max_concurrent_offers == 1
        and not isinstance(policy.mode, BestWorkerMode)
    )


def _as_told(waiting: Waiting) -> JobRecord:
    job = RouterJob(
        id=waiting.job_id,
        channel_id=waiting.channel_id,
        queue_id=waiting.queue_id,
        priority=waiting.priority,
        status=JobStatus.QUEUED,
        enqueued_at=waiting.enqueued_at,
        requested_worker_selectors=list(waiting.selectors),
    )
    routing = JobRouting(created_at=waiting.enqueued_at, declined=dict(waiting.declined or {}))
    return JobRecord(job=job, routing=routing, etag="", modified=waiting.enqueued_at)
