"""Jobs of other queues that want the same workers more urgently."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from router.commit import policies
from router.commit.parts import Parts
from router.engine.candidates import Candidate
from router.engine.matching import unfit, wants_offers
from router.engine.plan import Rival
from router.engine.service_order import Place, Standing
from router.matching.fit import could_take, slots
from router.matching.rows import LEFT_BEHIND, is_there, job
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
    room = sum(slots(one) for one in mine)
    found: dict[str, JobRecord] = {}
    after: str | None = None
    looked_at, size = 0, _RIVALS
    # What a row tells untruly takes no room, and must not hide who stands behind it.
    while looked_at < MOST_LOOKED_AT and len(found) < room:
        line = await parts.backlog.line(queue_id, size, before=row_key(Standing(queue_id, last)), after=after)
        wanted = [
            waiting
            for waiting in line.jobs
            if waiting.place < last and any(could_take(waiting, one, bypass, now) for one in mine)
        ]
        told = await _records(parts, wanted, policy, now, certain)
        found |= {one.id: one for one in told if _wants_one(one, mine, policy, now)}
        if not line.more or not line.jobs:
            break
        looked_at, after, size = looked_at + len(line.jobs), line.jobs[-1].row, FURTHER
    if not found:
        return []
    turn = await turn_of(parts, queue_id, policy)
    last_served = turn.worker_id if turn is not None else None
    return [Rival(one, policy, last_served) for one in found.values()]


async def _records(
    parts: Parts, wanted: Sequence[Waiting], policy: DistributionPolicy, now: datetime, certain: bool
) -> list[JobRecord]:
    """The jobs that stand where these rows say."""
    found: list[JobRecord] = []
    asked: list[Waiting] = []
    for one in wanted:
        if certain or not _tells_all(one, policy, now):
            asked.append(one)
        else:
            found.append(_as_told(one))
    rows = await asyncio.gather(*(job(parts, one, from_memory=False) for one in asked))
    for waiting, row in zip(asked, rows, strict=True):
        if row.record is not None and is_there(waiting, row.record):
            found.append(row.record)
        elif waiting.written is None or now - waiting.written > LEFT_BEHIND:
            await parts.backlog.remove_as_seen(waiting)
    return found


def _wants_one(record: JobRecord, workers: Sequence[Candidate], policy: DistributionPolicy, now: datetime) -> bool:
    retry_at, mode = record.routing.retry_at, policy.mode
    return (
        (retry_at is None or retry_at <= now)
        and wants_offers(record, mode) > 0
        and any(unfit(record, one, mode, now) is None for one in workers)
    )


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
