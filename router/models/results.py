"""Answers that are not resources: what accepting, unassigning and asking for figures yields."""

from __future__ import annotations

from router.models.types import Model


class AcceptJobOfferResult(Model):
    assignment_id: str
    job_id: str
    worker_id: str


class UnassignJobResult(Model):
    job_id: str
    unassignment_count: int


class EstimatedWaitBasis(Model):
    """What an estimated wait rests on: recent assignments by workers who could take the job, the minutes that these
    took while jobs waited, and the jobs ahead that compete for them; and how often in the last 24 hours jobs of the
    queue that were told a wait had it."""

    assignments: int
    minutes: float
    competing: int
    told: int | None = None
    held_percent: float | None = None


class EstimatedWait(Model):
    """Half of such jobs wait less than `p50Seconds`, four of five less than `p80Seconds`, and on average
    `meanSeconds`. Not of ACS."""

    mean_seconds: float
    p50_seconds: float
    p80_seconds: float
    sentence: str
    basis: EstimatedWaitBasis
    #: Where what was told has held too seldom.
    caution: str | None = None


class RouterJobPositionDetails(Model):
    """Where a queued job stands in its queue. `estimatedWait` and why there is none are not of ACS."""

    job_id: str
    position: int
    queue_id: str
    queue_length: int
    estimated_wait_time_minutes: float
    estimated_wait: EstimatedWait | None = None
    estimated_wait_unknown: str | None = None


class RouterQueueStatistics(Model):
    """How long a queue is. The estimate is by priority; without waiting jobs there is no longest wait."""

    queue_id: str
    length: int
    estimated_wait_time_minutes: dict[str, float]
    longest_job_wait_time_minutes: float | None = None
    #: Of the last job of each priority, as the minutes.
    estimated_wait: dict[str, EstimatedWait] | None = None
    estimated_wait_unknown: dict[str, str] | None = None
