"""The rules of matching and order (docs/behaviour.md, "Matching"), told again as simply as can be: nothing of the
engine is used."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from router.models.jobs import JobRecord
from router.models.policies import DistributionPolicy
from router.models.workers import RouterJobOffer, RouterWorkerAssignment, WorkerRecord


def holds(selector: Any, labels: dict[str, Any]) -> bool:
    """Like types only; a missing label satisfies only notEqual."""
    operator, wanted = str(selector.label_operator), selector.value
    label = labels.get(selector.key)
    like = (
        label is not None
        and isinstance(label, str) == isinstance(wanted, str)
        and isinstance(label, bool) == isinstance(wanted, bool)
    )
    if not like:
        return operator == "notEqual"
    if operator == "equal":
        return bool(label == wanted)
    if operator == "notEqual":
        return bool(label != wanted)
    if isinstance(label, bool):
        return False
    return bool(
        {
            "lessThan": label < wanted,
            "lessThanOrEqual": label <= wanted,
            "greaterThan": label > wanted,
            "greaterThanOrEqual": label >= wanted,
        }[operator]
    )


def held(worker: WorkerRecord) -> list[RouterJobOffer | RouterWorkerAssignment]:
    return [*worker.worker.offers, *worker.worker.assigned_jobs]


def in_use(worker: WorkerRecord) -> int:
    return sum(one.capacity_cost for one in held(worker))


def on_channel(worker: WorkerRecord, channel_id: str, jobs: dict[str, JobRecord]) -> int:
    """Jobs of the channel that the worker holds; what no longer exists counts for nothing, and what is reserved for a
    job that has changed its channel meanwhile (it will not take the offer) for the channel that it had."""
    reserved = {
        one.job_id
        for one in worker.worker.offers
        if one.job_id in jobs and one.offer_id not in jobs[one.job_id].routing.offers
    }
    return sum(
        1
        for job_id in [one.job_id for one in held(worker)]
        if job_id in jobs
        and channel_id
        == (worker.routing.job_channels if job_id in reserved else {}).get(job_id, jobs[job_id].job.channel_id)
    )


def every_selector(job: JobRecord) -> list[Any]:
    return [*job.job.requested_worker_selectors, *job.job.attached_worker_selectors]


def selectors(job: JobRecord, now: datetime) -> list[Any]:
    every = [*job.job.requested_worker_selectors, *job.job.attached_worker_selectors]
    return [
        one
        for one in every
        if one.status == "active"
        and (
            one.expires_after_seconds is None
            or job.job.enqueued_at is None
            or job.job.enqueued_at + timedelta(seconds=one.expires_after_seconds) > now
        )
    ]


def expedited(job: JobRecord) -> bool:
    every = [*job.job.requested_worker_selectors, *job.job.attached_worker_selectors]
    return any(one.expedite and one.status == "active" for one in every)


def order(job: JobRecord, now: datetime) -> tuple[Any, ...]:
    """Sorts as jobs of a queue are served; jobs of equal order may be served either way. A job that is not queued
    yet stands as if it came now."""
    return (0 if expedited(job) else 1, -job.job.priority, job.job.enqueued_at or now)


def wants(job: JobRecord, policy: DistributionPolicy, now: datetime, *, or_will: bool = False) -> bool:
    """Whether the job takes another offer; `or_will`: or will when it is queued, as it is about to be."""
    backing_off = job.routing.retry_at is not None and job.routing.retry_at > now
    return (
        job.job.status in (("queued", "created") if or_will else ("queued",))
        and len(job.routing.offers) < policy.mode.max_concurrent_offers
        and not job.routing.triggered
        and not backing_off
    )


def qualifies(
    job: JobRecord, worker: WorkerRecord, policy: DistributionPolicy, jobs: dict[str, JobRecord], now: datetime
) -> bool:
    who = worker.worker
    channel = next((one for one in who.channels if one.channel_id == job.job.channel_id), None)
    if not who.available_for_offers or who.state != "active" or worker.routing.deleting or channel is None:
        return False
    if job.job.queue_id not in who.queues:
        return False
    if any(one.worker_id == who.id for one in job.routing.offers.values()):
        return False
    if any(one.job_id == job.id for one in held(worker)):
        return False
    if in_use(worker) + channel.capacity_cost_per_job > who.capacity:
        return False
    if channel.max_number_of_jobs and on_channel(worker, channel.channel_id, jobs) >= channel.max_number_of_jobs:
        return False
    if who.max_concurrent_offers and len(who.offers) >= who.max_concurrent_offers:
        return False
    labels = {**who.labels, "Id": who.id}
    if not policy.mode.bypass_selectors and not all(holds(one, labels) for one in selectors(job, now)):
        return False
    decline = job.routing.declined.get(who.id)
    if decline is None or (decline.retry_at is not None and decline.retry_at <= now):
        return True
    registered = worker.routing.registered_at
    return registered is not None and registered > decline.declined_at
