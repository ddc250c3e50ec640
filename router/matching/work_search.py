"""Finding jobs for a worker that has become able to take some: the first in order over all its queues."""

from __future__ import annotations

from typing import Final

from router.commit.parts import Parts
from router.engine.capacity import open_channels
from router.matching import offering, waiting_line
from router.models.jobs import JobRecord
from router.models.workers import WorkerRecord
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
            head = await waiting_line.first_job(parts, row.record, without=passed)
            if head is None:
                return
            job = head.job
            assert job.record is not None
            attempt = offering.Attempt(job, job.record, head.policy, worker_id, row)
            reserved = await offering.reserve(parts, attempt)
        offered = await offering.issue(parts, reserved) if isinstance(reserved, offering.Reserved) else reserved
        if not isinstance(offered, offering.Offered) or (
            offered.job_id == job.id and not _offered(offered.row, worker_id)
        ):
            passed.add(job.id)
        row = await parts.workers.store.load(worker_id)


async def _current(parts: Parts, row: Row[WorkerRecord]) -> Row[WorkerRecord]:
    """The worker's row, read again if this process has written it while we waited for our turn."""
    known = parts.recent_workers.get(row.id)
    if known is None or row.record is None or known.etag == row.record.etag:
        return row
    return await parts.workers.store.load(row.id)


def _offered(job: Row[JobRecord], worker_id: str) -> bool:
    return job.record is not None and any(one.worker_id == worker_id for one in job.record.routing.offers.values())
