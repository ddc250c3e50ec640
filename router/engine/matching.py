"""Who qualifies for a job: the one truth that every index must agree with (docs/behaviour.md, "Matching")."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from router.engine.candidates import Candidate, candidate
from router.engine.capacity import is_full, takes_offers
from router.engine.selectors import all_selectors, describe, first_failing
from router.models.jobs import Decline, JobRecord, JobStatus
from router.models.policies import BestWorkerMode, LongestIdleMode, RoundRobinMode
from router.models.sizes import MOST_OFFERS
from router.models.types import format_time
from router.models.workers import RouterJobOffer, RouterWorkerAssignment, WorkerRecord

Mode = BestWorkerMode | LongestIdleMode | RoundRobinMode


@dataclass(frozen=True)
class Reason:
    """The first thing that keeps a worker from a job."""

    code: str
    message: str


def wants_offers(job: JobRecord, mode: Mode) -> int:
    """How many more offers the job takes now. One that is not queued yet takes them with its entry."""
    if job.status not in (JobStatus.QUEUED, JobStatus.CREATED):
        return 0
    return max(min(mode.max_concurrent_offers, MOST_OFFERS) - len(job.routing.offers), 0)


def disqualified(job: JobRecord, worker: WorkerRecord, mode: Mode, now: datetime) -> Reason | None:
    """Why the worker does not qualify for the job at `now`, or None if it does."""
    if not takes_offers(worker):
        return Reason("inactive", f"The worker is {worker.worker.state}, not available for offers.")
    if is_full(worker):
        return Reason("full", "The worker holds as many jobs as its row has room for.")
    return unfit(job, candidate(worker), mode, now)


def unfit(job: JobRecord, worker: Candidate, mode: Mode, now: datetime) -> Reason | None:
    """Why a worker that takes offers does not qualify for the job at `now`, or None if it does."""
    channel_id = job.job.channel_id
    if job.job.queue_id not in worker.queues:
        return Reason("otherQueue", f"The worker does not serve queue '{job.job.queue_id}'.")
    if channel_id not in worker.channels:
        return Reason("otherChannel", f"The worker does not serve channel '{channel_id}'.")
    if has_offer(job, worker):
        return Reason("hasOffer", "The worker holds an offer of this job.")
    if (full := no_room(worker, channel_id)) is not None:
        return full
    if not mode.bypass_selectors and (failing := first_failing(all_selectors(job.job), worker.labels)):
        label = worker.labels.get(failing.key)
        against = "no such label" if label is None else label
        return Reason("selector", f"Selector {describe(failing)} does not hold: {against}.")
    decline = job.routing.declined.get(worker.worker_id)
    if decline and still_declined(decline, worker.registered_at, now):
        until = f"; again from {format_time(decline.retry_at)}" if decline.retry_at else ""
        return Reason("declined", f"The worker declined at {format_time(decline.declined_at)}{until}.")
    return None


def has_offer(job: JobRecord, worker: Candidate) -> bool:
    """Whether the worker has the job already, offered or assigned: two of one job could not be told apart."""
    return job.id in worker.jobs or any(one.worker_id == worker.worker_id for one in job.routing.offers.values())


def no_room(worker: Candidate, channel_id: str) -> Reason | None:
    """What keeps the worker from one more job of a channel that it serves."""
    channel = worker.channels[channel_id]
    if worker.used + channel.cost > worker.capacity:
        return Reason("capacity", f"{worker.used} of {worker.capacity} capacity in use; the job needs {channel.cost}.")
    if channel.most is not None and channel.jobs >= channel.most:
        return Reason("channelLimit", f"The worker has its limit of {channel.most} jobs on channel '{channel_id}'.")
    if worker.most_offers is not None and worker.offers >= worker.most_offers:
        return Reason("offerLimit", f"The worker has its limit of {worker.most_offers} live offers.")
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


def still_declined(decline: Decline, registered_at: datetime | None, now: datetime) -> bool:
    """A decline ends at its retry time, or when the worker registers again."""
    if decline.retry_at is not None and decline.retry_at <= now:
        return False
    return registered_at is None or registered_at <= decline.declined_at
