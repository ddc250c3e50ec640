"""What a list of jobs or workers is filtered by. An empty filter lets everything through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from router.models.jobs import JobStatus
from router.models.workers import WorkerState


@dataclass(frozen=True)
class JobFilter:
    """Filters of GetJobs; all given ones must hold. The times compare `matchingMode.scheduleAt`, bounds included."""

    #: None: any status.
    statuses: frozenset[JobStatus] | None = None
    queue_id: str | None = None
    channel_id: str | None = None
    classification_policy_id: str | None = None
    scheduled_before: datetime | None = None
    scheduled_after: datetime | None = None


@dataclass(frozen=True)
class WorkerFilter:
    """Filters of GetWorkers; all given ones must hold."""

    #: None: any state.
    state: WorkerState | None = None
    channel_id: str | None = None
    queue_id: str | None = None
    #: True: only workers with room for a job of `channel_id`, or of any of their channels. False: all workers.
    has_capacity: bool = False
