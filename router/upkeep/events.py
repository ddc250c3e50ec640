"""What an event wakes: the job's next step or a search for work, never a decision (docs/architecture.md).

Most often whoever committed sees to that already: it has promised to for some seconds, so a young event has nothing to
do. For an older one the row says whether that has been kept."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Protocol

from router.commit.parts import Parts
from router.commit.watch import PROMISED
from router.storage.truth_rows import Row
from router.storage.turns import URGENCY, Urgency
from router.upkeep.job import drive_job
from router.upkeep.worker import find_work


class Told(Protocol):
    """An event, as far as it is read (events/receive.py)."""

    @property
    def event_id(self) -> str: ...

    @property
    def job_id(self) -> str | None: ...

    @property
    def worker_id(self) -> str | None: ...

    @property
    def time(self) -> datetime | None: ...


async def on_job_event(parts: Parts, event: Told) -> None:
    """The job may need another worker, or its next step, or an exception's actions are to be run."""
    if event.job_id is None or _is_promised(parts, event):
        return
    URGENCY.set(Urgency.FOLLOW)
    row = await parts.jobs.store.load(event.job_id)
    if not _is_seen_to(parts, row, event):
        await drive_job(parts, event.job_id, row)


async def on_worker_event(parts: Parts, event: Told) -> None:
    """The worker may be able to take something: the one that the event names, or whoever had the job that has ended."""
    if _is_promised(parts, event):
        return
    URGENCY.set(Urgency.FOLLOW)
    found = {event.worker_id} if event.worker_id is not None else set()
    if event.job_id is not None:
        job = await parts.jobs.store.load(event.job_id)
        seen_to = _is_seen_to(parts, job, event)
        if event.worker_id is None and job.record is not None:
            found = {one.worker_id for one in job.record.job.assignments.values()}
            found |= {one.worker_id for one in job.record.routing.unassigned.values()}
    else:
        seen_to = _is_seen_to(parts, await parts.workers.store.load(event.worker_id or ""), event)
    if seen_to:
        return
    await asyncio.gather(*(find_work(parts, worker_id) for worker_id in sorted(found)))


def _is_promised(parts: Parts, event: Told) -> bool:
    """Whether this process sees to what hangs on the event's commit, or whoever has made it is at it still."""
    sent_here = parts.outbox.seen(event.event_id)
    return parts.drives and (sent_here or (event.time is not None and parts.clock.now() < event.time + PROMISED))


def _is_seen_to(parts: Parts, row: Row[Any], event: Told) -> bool:
    """Whether somebody has done what hangs on the event's commit, or has promised to."""
    if not parts.drives:
        return False
    if row.promised_until is not None and row.promised_until > parts.clock.now():
        return True
    return row.promised_until is None and not any(one.id == event.event_id for one in row.outbox)
