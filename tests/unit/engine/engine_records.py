"""Jobs, workers and what belongs to them, made with few words. The clock stands at NOW."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from router.engine.change import Change, R
from router.models.jobs import (
    JobOffer,
    JobRecord,
    JobRouting,
    JobStatus,
    RouterJob,
    RouterJobAssignment,
    RouterJobInput,
)
from router.models.selectors import RouterWorkerSelector
from router.models.workers import (
    RouterChannel,
    RouterJobOffer,
    RouterWorker,
    RouterWorkerAssignment,
    WorkerRecord,
    WorkerRouting,
    WorkerState,
)

NOW = datetime(2024, 3, 4, 8, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def selector(key: str, operator: str, value: Any, **fields: Any) -> RouterWorkerSelector:
    return RouterWorkerSelector(key=key, label_operator=operator, value=value, **fields)


def wanted(**fields: Any) -> RouterJobInput:
    return RouterJobInput(**{"channel_id": "voice", "queue_id": "q", **fields})


def job(status: JobStatus = JobStatus.QUEUED, *, routing: dict[str, Any] | None = None, **fields: Any) -> JobRecord:
    """A job in this status, with what a job of this status has."""
    values: dict[str, Any] = {"channel_id": "voice", "queue_id": "q", **fields}
    if status in (JobStatus.QUEUED, JobStatus.ASSIGNED, JobStatus.COMPLETED, JobStatus.CLOSED):
        values.setdefault("enqueued_at", NOW)
    if status in (JobStatus.ASSIGNED, JobStatus.COMPLETED, JobStatus.CLOSED):
        values.setdefault(
            "assignments", {"a1": RouterJobAssignment(assignment_id="a1", worker_id="w1", assigned_at=NOW)}
        )
        routing = {"accepted_offers": {"a1": "o1"}, **(routing or {})}
    return JobRecord(
        job=RouterJob(id="j", status=status, **values),
        routing=JobRouting(**{"created_at": NOW, **(routing or {})}),
        etag="e",
        modified=NOW,
    )


def same(record: JobRecord, **changes: Any) -> RouterJobInput:
    """What a PATCH that names only `changes` wants."""
    fields = {name: getattr(record.job, name) for name in RouterJobInput.model_fields}
    return RouterJobInput(**{**fields, **changes})


def offer(offer_id: str = "o1", worker_id: str = "w1", *, expires: float = 60, cost: int = 1) -> JobOffer:
    return JobOffer(
        offer_id=offer_id, worker_id=worker_id, capacity_cost=cost, offered_at=NOW, expires_at=later(expires)
    )


def offered(*offers: JobOffer, **fields: Any) -> JobRecord:
    """A queued job with live offers."""
    return job(routing={"offers": {one.offer_id: one for one in offers}}, **fields)


def worker(
    *,
    id: str = "w1",
    held: dict[str, int] | None = None,
    assigned: dict[str, int] | None = None,
    state: WorkerState = WorkerState.ACTIVE,
    channels: list[RouterChannel] | None = None,
    routing: dict[str, Any] | None = None,
    **fields: Any,
) -> WorkerRecord:
    """A worker; `held` and `assigned` are jobs that it is offered or assigned, with their cost, on channel voice."""
    held, assigned = held or {}, assigned or {}
    values = {"queues": ["q"], "capacity": 3, "available_for_offers": True, **fields}
    return WorkerRecord(
        worker=RouterWorker(
            id=id,
            state=state,
            channels=[channel()] if channels is None else channels,
            offers=[
                RouterJobOffer(
                    offer_id=f"offer-{name}", job_id=name, capacity_cost=cost, offered_at=NOW, expires_at=later(60)
                )
                for name, cost in held.items()
            ],
            assigned_jobs=[
                RouterWorkerAssignment(
                    assignment_id=f"assignment-{name}", job_id=name, capacity_cost=cost, assigned_at=NOW
                )
                for name, cost in assigned.items()
            ],
            **values,
        ),
        routing=WorkerRouting(
            **{
                "available_since": NOW,
                "registered_at": NOW,
                "active_at": NOW,
                "job_channels": dict.fromkeys([*held, *assigned], "voice"),
                "offer_queues": {f"offer-{name}": "q" for name in held},
                **(routing or {}),
            }
        ),
        etag="e",
        modified=NOW,
    )


def channel(id: str = "voice", cost: int = 1, most: int | None = None) -> RouterChannel:
    return RouterChannel(channel_id=id, capacity_cost_per_job=cost, max_number_of_jobs=most)


def events(change: Change[Any] | None) -> list[str]:
    """The names of a change's events, without what all have in common."""
    assert change is not None
    return [event.type.removeprefix("Router") for event in change.events]


def after(change: Change[R] | None) -> R:
    """The record that a change leaves."""
    assert change is not None
    assert change.record is not None
    return change.record
