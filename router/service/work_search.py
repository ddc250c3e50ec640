"""Finding jobs for a worker that has become able to take some: the first in order over all its queues."""

from __future__ import annotations

import asyncio
from typing import Final

from router.engine.capacity import open_channels
from router.models.jobs import JobRecord
from router.models.policies import DistributionPolicy, RoundRobinMode
from router.models.workers import WorkerRecord
from router.service import distribution, distribution_policy, offering
from router.service.parts import Parts
from router.storage.aggregates import Row

#: Jobs that are tried for one worker before the search ends; each try that fails means that others were faster.
_MOST_TRIES: Final = 200


async def find_work(parts: Parts, worker_id: str, row: Row[WorkerRecord] | None = None) -> None:
    """Offers the worker the first job that it qualifies for, and the next, while it can take more."""
    passed: set[str] = set()
    for _ in range(_MOST_TRIES):
        row = row if row is not None else await parts.workers.store.load(worker_id)
        record = row.record
        if record is None or not open_channels(record):
            return
        best = await _first_job(parts, record, passed)
        if best is None:
            return
        policy, job = best
        try:
            after = await offering.make_offer(parts, job, policy, worker_id, row)
        except offering.Overtaken as first:
            await distribution.distribute(parts, first.job_id)
            row = None
            continue
        row = None
        if after is None or after.record is None or not _offered(after.record, worker_id):
            passed.add(job.id)
        elif isinstance(policy.mode, RoundRobinMode) and after.record.job.queue_id:
            await parts.availability.move_cursor(after.record.job.queue_id, worker_id)


async def _first_job(
    parts: Parts, worker: WorkerRecord, passed: set[str]
) -> tuple[DistributionPolicy, Row[JobRecord]] | None:
    """The first waiting job of all the worker's queues that it qualifies for."""
    found = await asyncio.gather(*(_first_of(parts, worker, queue_id, passed) for queue_id in worker.worker.queues))
    heads = [head for head in found if head is not None]
    if not heads:
        return None
    _, policy, job = min(heads, key=lambda head: head[0])
    return policy, job


async def _first_of(
    parts: Parts, worker: WorkerRecord, queue_id: str, passed: set[str]
) -> tuple[str, DistributionPolicy, Row[JobRecord]] | None:
    policy = await distribution_policy.of_queue(parts, queue_id)
    if policy is None:
        return None
    channels = set(open_channels(worker))
    async for waiting in parts.backlog.open_jobs(queue_id):
        if waiting.channel_id not in channels or waiting.job_id in passed or waiting.job_id in parts.in_hand:
            continue
        job = await offering.qualifies(parts, waiting, worker)
        if job is not None:
            return waiting.row, policy, job
    return None


def _offered(job: JobRecord, worker_id: str) -> bool:
    return any(offer.worker_id == worker_id for offer in job.routing.offers.values())
