"""What a worker has in use and can still take (docs/behaviour.md, "Matching")."""

from __future__ import annotations

from typing import Final

from router.models.sizes import LARGEST_HELD, id_units
from router.models.workers import RouterChannel, RouterWorker, WorkerRecord, WorkerState

#: What a job takes in its worker's row beside the ids: its own thrice, its channel's, its queue's; at most with them.
_OF_A_HELD_JOB: Final = 300
_LARGEST_HELD_JOB: Final = 300 + 5 * 6 * 256


def in_use(worker: RouterWorker) -> int:
    """Capacity in use by assignments and live offers."""
    return sum(offer.capacity_cost for offer in worker.offers) + sum(
        assignment.capacity_cost for assignment in worker.assigned_jobs
    )


def load_ratio(worker: RouterWorker) -> float:
    return min(in_use(worker) / worker.capacity, 1.0)


def jobs_on(record: WorkerRecord, channel_id: str) -> int:
    """Jobs of a channel that the worker holds, assigned or offered."""
    return sum(1 for channel in record.routing.job_channels.values() if channel == channel_id)


def takes_offers(record: WorkerRecord) -> bool:
    """Whether it takes offers at all, its free capacity aside."""
    worker = record.worker
    return bool(worker.available_for_offers) and worker.state is WorkerState.ACTIVE and not record.routing.deleting


def holds(worker: RouterWorker, job_id: str) -> bool:
    """Whether it has the job already, offered or assigned: two of one job could not be told apart."""
    return any(offer.job_id == job_id for offer in worker.offers) or any(
        assignment.job_id == job_id for assignment in worker.assigned_jobs
    )


def has_offer_room(worker: RouterWorker) -> bool:
    return worker.max_concurrent_offers is None or len(worker.offers) < worker.max_concurrent_offers


def can_take(record: WorkerRecord, channel: RouterChannel) -> bool:
    """Whether one more job of this channel fits."""
    worker = record.worker
    if in_use(worker) + channel.capacity_cost_per_job > worker.capacity or is_full(record):
        return False
    most = channel.max_number_of_jobs
    return most is None or jobs_on(record, channel.channel_id) < most


def is_full(record: WorkerRecord) -> bool:
    """Whether its row has no room for one more job: some hundreds of them, whatever its capacity."""
    channels = record.routing.job_channels
    queues = (*record.routing.offer_queues.values(), *record.routing.assignment_queues.values())
    if len(channels) * _LARGEST_HELD_JOB <= LARGEST_HELD:
        return False
    held = sum(_OF_A_HELD_JOB + 3 * id_units(job) + id_units(channel) for job, channel in channels.items())
    return held + sum(id_units(queue_id) for queue_id in queues) > LARGEST_HELD


def open_channels(record: WorkerRecord) -> list[str]:
    """The channels of which it could take a job now; none when it takes no offers."""
    if not takes_offers(record) or not has_offer_room(record.worker):
        return []
    return [channel.channel_id for channel in record.worker.channels if can_take(record, channel)]
