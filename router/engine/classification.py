"""What a classification policy makes of a job, from the values its rules gave (docs/behaviour.md, "Classification")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from router.engine import announce, jobs
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve, job_units, move
from router.engine.selectors import holds
from router.errors import ErrorDetail, TooLarge
from router.models.jobs import JobRecord, JobStatus, QueueAndMatchMode
from router.models.selectors import MAX_ATTACHED, RouterQueueSelector, RouterWorkerSelector
from router.models.sizes import LARGEST_ROUTED, LONGEST_REASON, check_size


class Weighted(Protocol):
    @property
    def weight(self) -> float: ...


W = TypeVar("W", bound=Weighted)


@dataclass(frozen=True)
class QueueChoice:
    """The queue that classification chose, as its event tells it."""

    id: str
    name: str | None
    labels: Mapping[str, Any]


@dataclass(frozen=True)
class Classified:
    """The outcome of a policy's rules for one job."""

    queue: QueueChoice
    priority: int
    attached: Sequence[RouterWorkerSelector]
    #: Whether the policy chose the queue and gave the priority, or left the job's own.
    chose_queue: bool = True
    gave_priority: bool = True


def pick_queue(selectors: Sequence[RouterQueueSelector], queues: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The queue whose labels satisfy all selectors; of several the lowest id."""
    return min((id for id, labels in queues.items() if all(holds(one, labels) for one in selectors)), default=None)


def pick_allocation(allocations: Sequence[W], job_id: str, policy_id: str, place: str) -> W:
    """One allocation by weight. The choice is made of the ids, not by chance: the same job gets the same one
    again, and over many jobs the shares are those of the weights."""
    digest = hashlib.blake2b("\0".join((policy_id, place, job_id)).encode(), digest_size=8).digest()
    total = sum(one.weight for one in allocations)
    point = int.from_bytes(digest, "big") / 2**64 * total
    for one in allocations:
        point -= one.weight
        if point < 0:
            return one
    return allocations[-1]


def apply(record: JobRecord, result: Classified, now: datetime) -> JobChange:
    """The job goes to its queue, with its priority and the selectors that the policy attached. One whose matching is
    suspended is classified and goes on being suspended. Raises TooLarge."""
    if record.status is not JobStatus.PENDING_CLASSIFICATION:
        return Change(record)
    if len(result.attached) > MAX_ATTACHED:
        raise TooLarge(too_many(len(result.attached)), code="TooManySelectors")
    moved = result.queue.id != record.job.queue_id
    before = job_units(record) if result.attached else 0
    record = evolve(
        record,
        job={
            "queue_id": result.queue.id,
            "priority": result.priority,
            "attached_worker_selectors": list(result.attached),
        },
        routing={"failure": None},
    )
    if result.attached:
        check_size(job_units(record), max(LARGEST_ROUTED, before), "With what its policy attaches the job")
    classified = announce.job_classified(
        record.job,
        result.queue.id,
        result.queue.name,
        result.queue.labels,
        chose_queue=result.chose_queue,
        gave_priority=result.gave_priority,
    )
    if isinstance(record.job.matching_mode, QueueAndMatchMode):
        after = jobs.enqueue(record, now, new_stay=moved or record.job.enqueued_at is None)
    else:
        after = jobs.suspend(record, now)
    return Change(after.record, (classified, *after.events))


def too_many(count: int) -> str:
    return f"The policy gives the job {count} selectors; at most {MAX_ATTACHED} are held against workers or queues."


def fail(record: JobRecord, policy_id: str, errors: Sequence[ErrorDetail]) -> JobChange:
    """A rule failed, or no queue was found: the way back is an update or `:reclassify`."""
    if record.status is not JobStatus.PENDING_CLASSIFICATION:
        return Change(record)
    reason = "; ".join(error.message for error in errors)[:LONGEST_REASON]
    record = evolve(move(record, JobStatus.CLASSIFICATION_FAILED), routing={"failure": reason})
    return Change(record, (announce.classification_failed(record.job, policy_id, errors),))
