"""The order of service: who of the waiting jobs is served first (docs/behaviour.md, "Matching")."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from router.engine.selectors import all_selectors
from router.models.jobs import JobRecord, JobStatus


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """Sorts as jobs are served: expedited first, then higher priority, then earlier in the queue."""

    #: 0 while a selector with `expedite` is active, else 1.
    rank: int
    #: The priority's negative: a higher priority sorts first.
    below: int
    enqueued_at: datetime
    job_id: str

    @property
    def priority(self) -> int:
        return -self.below


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands in line. `entering`: it is not queued yet, and will stand there when it is."""

    queue_id: str
    place: Place
    entering: bool = False


def standing(record: JobRecord | None) -> Standing | None:
    """Where the job stands, or None if it does not wait in a queue. A job that was created and is not queued yet will
    have waited since its creation."""
    if record is None:
        return None
    job, queue_id = record.job, record.job.queue_id
    if queue_id is None:
        return None
    if job.status is JobStatus.QUEUED and job.enqueued_at is not None:
        return Standing(queue_id, _place(record, job.enqueued_at))
    if job.status is JobStatus.CREATED:
        return Standing(queue_id, _place(record, job.enqueued_at or record.routing.created_at), entering=True)
    return None


def stands_anew(before: JobRecord | None, after: JobRecord, where: Standing) -> bool:
    """Whether the job, which stands there now, stood elsewhere, may take offers that it could not take before, or
    matches others."""
    return (
        before is None
        or standing(before) != where
        or len(after.routing.offers) < len(before.routing.offers)
        or before.routing.declined != after.routing.declined
        or before.routing.retry_at != after.routing.retry_at
        or before.job.channel_id != after.job.channel_id
        or before.job.requested_worker_selectors != after.job.requested_worker_selectors
        or before.job.attached_worker_selectors != after.job.attached_worker_selectors
    )


def rank_of(record: JobRecord) -> tuple[int, int]:
    """Expedited or not, and the priority's negative: sorts as jobs are served, time in the queue aside."""
    place = _place(record, record.routing.created_at)
    return place.rank, place.below


def _place(record: JobRecord, enqueued_at: datetime) -> Place:
    expedited = any(one.expedite and one.active for one in all_selectors(record.job))
    return Place(0 if expedited else 1, -record.job.priority, enqueued_at, record.id)
