"""What an event wakes: the job's next step or a search for work, never a decision (docs/architecture.md)."""

from __future__ import annotations

import asyncio

from router.commit.parts import Parts
from router.matching import work_search
from router.upkeep import reconcile


async def on_job_event(parts: Parts, event_id: str, job_id: str) -> None:
    """The job may need another worker, or its next step."""
    parts.outbox.seen(event_id)
    await reconcile.drive_job(parts, job_id)


async def on_worker_event(parts: Parts, event_id: str, worker_id: str) -> None:
    """The worker may be able to take something."""
    parts.outbox.seen(event_id)
    await work_search.find_work(parts, worker_id)


async def on_ended_job_event(parts: Parts, event_id: str, job_id: str) -> None:
    """A job has ended in a way whose event names no worker: whoever had it may be able to take something."""
    parts.outbox.seen(event_id)
    row = await parts.jobs.store.load(job_id)
    held = {one.worker_id for one in row.record.job.assignments.values()} if row.record else set()
    await asyncio.gather(*(work_search.find_work(parts, worker_id) for worker_id in held))


async def on_exception_event(parts: Parts, event_id: str, job_id: str) -> None:
    """An exception rule has fired: its actions are to be run."""
    parts.outbox.seen(event_id)
    await reconcile.drive_job(parts, job_id)
