"""A change of a worker with what hangs on it: its deadlines before it, its availability rows after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from router.commit.parts import Parts
from router.engine import workers
from router.engine.capacity import open_channels
from router.engine.change import WorkerChange
from router.models.event_catalogue import QueueBrief
from router.models.jobs import JobRecord, OfferOutcome
from router.models.workers import IDLE_DAYS, WorkerRecord
from router.storage.aggregates import Row
from router.storage.availability import Availability
from router.storage.deadlines import Deadline

Step = Callable[[WorkerRecord], WorkerChange | None]


async def change(
    parts: Parts,
    worker_id: str,
    step: Step,
    row: Row[WorkerRecord] | None = None,
    *,
    index_later: bool = False,
    from_memory: bool = False,
) -> tuple[Row[WorkerRecord], Row[WorkerRecord]]:
    """The rows before and after; without a record if there is no such worker. With `index_later` the caller moves the
    availability rows itself. `from_memory`: see Commits.change."""

    async def decide(found: Row[WorkerRecord]) -> WorkerChange | None:
        return None if found.record is None else step(found.record)

    return await change_row(parts, worker_id, decide, row, index_later=index_later, from_memory=from_memory)


async def change_row(
    parts: Parts,
    worker_id: str,
    step: Callable[[Row[WorkerRecord]], Awaitable[WorkerChange | None]],
    row: Row[WorkerRecord] | None = None,
    *,
    index_later: bool = False,
    from_memory: bool = False,
) -> tuple[Row[WorkerRecord], Row[WorkerRecord]]:
    """Like `change`, for steps that may also create."""

    async def decide(found: Row[WorkerRecord]) -> WorkerChange | None:
        decided = await step(found)
        if decided is not None and decided.record is not None:
            await _arm_idle(parts, found, decided.record)
        return decided

    before, after = await parts.workers.change(worker_id, decide, row, announce=False, from_memory=from_memory)
    if after.version != before.version:
        _remember(parts, worker_id, after.record)
        try:
            if not index_later:
                await index(parts, before, after)
        except Exception:
            parts.workers.announce(after)
            raise
        parts.workers.announce(after)
    return before, after


def _remember(parts: Parts, worker_id: str, record: WorkerRecord | None) -> None:
    if record is None:
        parts.recent_workers.forget(worker_id)
    else:
        parts.recent_workers[worker_id] = record


async def index(parts: Parts, before: Row[WorkerRecord] | None, after: Row[WorkerRecord] | None) -> None:
    """Moves the worker's availability rows from one version to the next: all that hangs on its row."""
    old, new = availability(before.record if before else None), availability(after.record if after else None)
    if old != new:
        await parts.availability.move(old, new)
    if before is not None and after is not None:
        parts.followed.done(before.commit, after.commit)


def availability(record: WorkerRecord | None) -> Availability | None:
    """What the index is to say of the worker; None when it can take nothing."""
    if record is None:
        return None
    channels = open_channels(record)
    if not channels:
        return None
    worker = record.worker
    return Availability(
        worker_id=worker.id,
        version=record.routing.version,
        load_ratio=worker.load_ratio,
        since=record.routing.available_since,
        channels=channels,
        labels=worker.matching_labels,
        queues=worker.queues,
    )


async def queue_briefs(parts: Parts, queue_ids: list[str]) -> dict[str, QueueBrief]:
    """What events tell of a worker's queues."""
    briefs: dict[str, QueueBrief] = {}
    for queue_id in queue_ids:
        queue = await parts.resources.cached("Queue", queue_id)
        if queue is not None:
            briefs[queue_id] = QueueBrief(queue_id, queue.model.name, queue.model.labels)
    return briefs


async def drop_offers(parts: Parts, worker_id: str, offer_ids: frozenset[str], *, expired: bool) -> bool:
    """Frees what ended offers reserved; whether there was something to free. One that expired deregisters its worker,
    whose other offers are revoked."""

    def step(record: WorkerRecord) -> WorkerChange | None:
        if not any(offer.offer_id in offer_ids for offer in record.worker.offers):
            return None
        return workers.drop_offers(record, offer_ids, deregister=expired)

    before, after = await change(parts, worker_id, step, from_memory=True)
    if expired and after.record is not None and after.record.worker.offers:
        await parts.procedures.revoke_unqualified(parts, after.record)
    return after.version != before.version


async def release(parts: Parts, worker_id: str, assignment_id: str, offer_id: str = "") -> bool:
    """Frees what an ended assignment used, or still reserved as the offer `offer_id`; whether there was something to
    free. A worker that was deleted has nothing."""
    now = parts.clock.now()
    before, after = await change(parts, worker_id, lambda record: workers.release(record, assignment_id, now, offer_id))
    return after.version != before.version


async def free_workers(parts: Parts, job: JobRecord) -> None:
    """Takes from the workers' rows what they still hold of the job's ended offers and assignments. No event tells of
    that: whoever is freed looks for work."""
    work = [
        (
            ended.worker_id,
            drop_offers(parts, ended.worker_id, frozenset({offer_id}), expired=ended.outcome is OfferOutcome.EXPIRED),
        )
        for offer_id, ended in job.routing.ended_offers.items()
        if ended.outcome is not OfferOutcome.ACCEPTED
    ]
    work += [
        (one.worker_id, release(parts, one.worker_id, id, job.routing.accepted_offers.get(id, "")))
        for id, one in job.job.assignments.items()
        if one.closed_at is not None
    ]
    work += [
        (left.worker_id, release(parts, left.worker_id, id, left.offer_id))
        for id, left in job.routing.unassigned.items()
    ]
    freed = await asyncio.gather(*(each for _, each in work))
    for worker_id in {worker_id: None for (worker_id, _), is_freed in zip(work, freed, strict=True) if is_freed}:
        look_for_work(parts, worker_id)


def look_for_work(parts: Parts, worker_id: str) -> None:
    """Sets the search going where no event does."""
    parts.background.start_until_done(
        lambda: parts.procedures.find_work(parts, worker_id), f"work for worker/{worker_id}"
    )


async def _arm_idle(parts: Parts, row: Row[WorkerRecord], after: WorkerRecord) -> None:
    before, registered = row.record, after.routing.registered_at
    if registered is not None and (before is None or before.routing.registered_at != registered):
        idle = Deadline("idle", after.id, registered + timedelta(days=IDLE_DAYS))
        await asyncio.gather(parts.workers.watch(row), parts.deadlines.arm(idle))
