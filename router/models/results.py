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


class RouterJobPositionDetails(Model):
    """Where a queued job stands in its queue."""

    job_id: str
    position: int
    queue_id: str
    queue_length: int
    estimated_wait_time_minutes: float


class RouterQueueStatistics(Model):
    """How long a queue is. The estimate is by priority; without waiting jobs there is no longest wait."""

    queue_id: str
    length: int
    estimated_wait_time_minutes: dict[str, float]
    longest_job_wait_time_minutes: float | None = None
