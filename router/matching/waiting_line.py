"""Who stands first: the waiting job, over all queues of a worker, that the worker is to be offered next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from router.commit import policies
from router.commit.parts import Parts
from router.engine import matching
from router.engine.capacity import open_channels
from router.engine.selectors import first_failing
from router.models.jobs import JobRecord
from router.models.policies import DistributionPolicy
from router.models.workers import WorkerRecord
from router.storage.aggregates import Row
from router.storage.backlog import Waiting


@dataclass(frozen=True)
class Head:
    """A waiting job, its place in the order of service and the policy of its queue."""

    place: str
    policy: DistributionPolicy
    job: Row[JobRecord]


async def first_job(
    parts: Parts, worker: WorkerRecord, *, without: Collection[str] = (), before: str | None = None
) -> Head | None:
    """The first waiting job of all the worker's queues that the worker qualifies for, `without` some, and only up to
    the place `before` if there is one. Without that bound the answer may be a later one than the first: what this
    process remembers of a line is tried before it is read, since whoever reserves a worker looks once more who stands
    before the job."""
    found = await asyncio.gather(
        *(_first_of(parts, worker, queue_id, without, before) for queue_id in worker.worker.queues)
    )
    return min((head for head in found if head is not None), key=lambda head: head.place, default=None)


def is_served(parts: Parts, job_id: str, policy: DistributionPolicy, job: JobRecord | None = None) -> bool:
    """Whether all the offers that the job takes are on their way from here; what it has already is in its row."""
    if job is None:
        return parts.pending_offers.passes_over(job_id, policy.mode.max_concurrent_offers)
    return parts.pending_offers.passes_over(job_id, matching.wants_offers(job, policy.mode), job.routing.offers)


async def _first_of(
    parts: Parts, worker: WorkerRecord, queue_id: str, without: Collection[str], before: str | None
) -> Head | None:
    policy = await policies.of_queue(parts, queue_id)
    if policy is None:
        return None
    channels = set(open_channels(worker))
    async for waiting in _line(parts, queue_id, before):
        if waiting.channel_id not in channels or waiting.job_id in without:
            continue
        if is_served(parts, waiting.job_id, policy):
            continue
        job = await _qualifies(parts, waiting, worker, policy)
        if job is not None and not is_served(parts, waiting.job_id, policy, job.record):
            return Head(waiting.row, policy, job)
    return None


async def _line(parts: Parts, queue_id: str, before: str | None) -> AsyncIterator[Waiting]:
    if before is None:
        for waiting in parts.backlog.remembered(queue_id):
            yield waiting
    async for waiting in parts.backlog.open_jobs(queue_id, before=before):
        yield waiting


async def _qualifies(
    parts: Parts, waiting: Waiting, worker: WorkerRecord, policy: DistributionPolicy
) -> Row[JobRecord] | None:
    """The waiting job's row if the worker qualifies for it: first by the index, then by the truth. An index row that
    the truth no longer knows is removed."""
    if not policy.mode.bypass_selectors and first_failing(waiting.selectors, worker.worker.matching_labels):
        return None
    row = await parts.jobs.store.load(waiting.job_id)
    place = (row.record.routing.backlog_queue, row.record.routing.backlog_key) if row.record else None
    if row.record is None or place != (waiting.queue_id, waiting.row):
        await parts.backlog.remove(waiting.queue_id, waiting.row)
        return None
    now = parts.clock.now()
    if not matching.wants_offers(row.record, policy.mode):
        parts.backlog.forget(waiting.queue_id, waiting.row)
        return None
    if row.record.routing.retry_at and row.record.routing.retry_at > now:
        return None
    return row if matching.disqualified(row.record, worker, policy.mode, now) is None else None
