"""Finding jobs for a worker that has become able to take some: the first in order over all its queues."""

from __future__ import annotations

import asyncio
from typing import Final

from router.engine.capacity import open_channels
from router.models.jobs import JobRecord
from router.models.policies import DistributionPolicy
from router.models.workers import WorkerRecord
from router.service import distribution_policy, offering
from router.service.parts import Parts
from router.storage.aggregates import Row

#: Jobs that are tried for one worker before the search ends; each try that fails means that others were faster.
_MOST_TRIES: Final = 200


async def find_work(parts: Parts, worker_id: str, row: Row[WorkerRecord] | None = None) -> None:
    """Offers the worker the first job that it qualifies for, and the next, while it can take more."""
    passed: set[str] = set()
    row = row if row is not None else await parts.workers.store.load(worker_id)
    for _ in range(_MOST_TRIES):
        if row.record is None or not open_channels(row.record):
            return
        # The job is chosen in the queues' turn: workers that become free together do not all run for the same one.
        async with offering.turn(parts, row.record.worker.queues):
            row = await _current(parts, row)
            if row.record is None or not open_channels(row.record):
                return
            best = await _first_job(parts, row.record, passed)
            if best is None:
                return
            policy, job = best
            reserved = await offering.reserve(parts, job, policy, worker_id, row)
        offered = await offering.issue(parts, reserved) if isinstance(reserved, offering.Reserved) else reserved
        if offered is None or (offered.job_id == job.id and not _offered(offered.row, worker_id)):
            passed.add(job.id)
        row = await parts.workers.store.load(worker_id)


async def _current(parts: Parts, row: Row[WorkerRecord]) -> Row[WorkerRecord]:
    """The worker's row, read again if this process has written it while we waited for our turn."""
    known = parts.recent_workers.get(row.id)
    if known is None or row.record is None or known.etag == row.record.etag:
        return row
    return await parts.workers.store.load(row.id)


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
        if waiting.channel_id not in channels or waiting.job_id in passed:
            continue
        if offering.is_served(parts, waiting.job_id, policy):
            continue
        job = await offering.qualifies(parts, waiting, worker)
        if job is not None and not offering.is_served(parts, waiting.job_id, policy, job.record):
            return waiting.row, policy, job
    return None


def _offered(job: Row[JobRecord], worker_id: str) -> bool:
    return job.record is not None and any(one.worker_id == worker_id for one in job.record.routing.offers.values())
