"""Who qualifies for a job: the one truth that every index must agree with (contract section 5, "Matching")."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from router.engine.capacity import has_offer_room, holds, in_use, jobs_on
from router.engine.selectors import all_selectors, describe, first_failing
from router.models.jobs import Decline, JobRecord, JobStatus
from router.models.policies import BestWorkerMode, LongestIdleMode, RoundRobinMode
from router.models.types import format_time
from router.models.workers import RouterJobOffer, RouterWorkerAssignment, WorkerRecord, WorkerState

Mode = BestWorkerMode | LongestIdleMode | RoundRobinMode


@dataclass(frozen=True)
class Reason:
    """The first thing that keeps a worker from a job."""

    code: str
    message: str


def wants_offers(job: JobRecord, mode: Mode) -> int:
    """How many more offers the job takes now."""
    if job.status is not JobStatus.QUEUED:
        return 0
    return max(mode.max_concurrent_offers - len(job.routing.offers), 0)


def disqualified(job: JobRecord, worker: WorkerRecord, mode: Mode, now: datetime) -> Reason | None:
    """Why the worker does not qualify for the job at `now`, or None if it does."""
    who, channel_id = worker.worker, job.job.channel_id
    if worker.routing.deleting or not who.available_for_offers or who.state is not WorkerState.ACTIVE:
        return Reason("inactive", f"The worker is {who.state}, not available for offers.")
    if job.job.queue_id not in who.queues:
        return Reason("otherQueue", f"The worker does not serve queue '{job.job.queue_id}'.")
    channel = who.channel(channel_id)
    if channel is None:
        return Reason("otherChannel", f"The worker does not serve channel '{channel_id}'.")
    if any(offer.worker_id == who.id for offer in job.routing.offers.values()) or holds(who, job.id):
        return Reason("hasOffer", "The worker holds an offer of this job.")
    used = in_use(who)
    if used + channel.capacity_cost_per_job > who.capacity:
        return Reason(
            "capacity",
            f"{used} of {who.capacity} capacity in use; the job needs {channel.capacity_cost_per_job}.",
        )
    most = channel.max_number_of_jobs
    if most is not None and jobs_on(worker, channel_id) >= most:
        return Reason("channelLimit", f"The worker has its limit of {most} jobs on channel '{channel_id}'.")
    if not has_offer_room(who):
        return Reason("offerLimit", f"The worker has its limit of {who.max_concurrent_offers} live offers.")
    if not mode.bypass_selectors and (failing := first_failing(all_selectors(job.job), who.matching_labels)):
        label = who.matching_labels.get(failing.key)
        against = "no such label" if label is None else label
        return Reason("selector", f"Selector {describe(failing)} does not hold: {against}.")
    decline = job.routing.declined.get(who.id)
    if decline and still_declined(decline, worker, now):
        until = f"; again from {format_time(decline.retry_at)}" if decline.retry_at else ""
        return Reason("declined", f"The worker declined at {format_time(decline.declined_at)}{until}.")
    return None


def still_fits(job: JobRecord, worker: WorkerRecord, offer: RouterJobOffer, *, bypass_selectors: bool) -> bool:
    """Whether the worker may keep an offer that it holds: it would get it now, its own reservation and those that came
    later aside."""
    who = worker.worker
    channel = who.channel(job.job.channel_id)
    if worker.routing.deleting or not who.available_for_offers or channel is None or job.job.queue_id not in who.queues:
        return False
    taken: list[RouterJobOffer | RouterWorkerAssignment] = [
        *who.assigned_jobs,
        *who.offers[: who.offers.index(offer) + 1],
    ]
    if sum(one.capacity_cost for one in taken) > who.capacity:
        return False
    channels = worker.routing.job_channels
    on_channel = [one for one in taken if channels.get(one.job_id) == channel.channel_id]
    if channel.max_number_of_jobs is not None and len(on_channel) > channel.max_number_of_jobs:
        return False
    return bypass_selectors or first_failing(all_selectors(job.job), who.matching_labels) is None


def still_declined(decline: Decline, worker: WorkerRecord, now: datetime) -> bool:
    """A decline ends at its retry time, or when the worker registers again."""
    if decline.retry_at is not None and decline.retry_at <= now:
        return False
    registered = worker.routing.registered_at
    return registered is None or registered <= decline.declined_at
