"""Workers as clients use them: upsert, get, list, delete; accepting and declining offers (contract section 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from router.engine import capacity, offers, workers
from router.engine.change import JobChange, WorkerChange
from router.errors import Busy, Conflict, ErrorDetail, NotFound
from router.ids import was_offered
from router.models.filters import WorkerFilter
from router.models.jobs import JobRecord, JobStatus
from router.models.workers import MAX_QUEUES, RouterJobOffer, RouterWorkerInput, WorkerRecord
from router.service import job_commits, offering, revocation, worker_commits
from router.service.parts import Parts
from router.service.resource_api import Check, checked, missing_reference
from router.storage.aggregates import Position, Row
from router.storage.port import Condition
from router.telemetry import routing as metrics

#: What the client wants of the worker, given what is there. Raises BadRequest; see resource_api.InvalidDocument.
Wanted = Callable[[WorkerRecord | None], RouterWorkerInput]
#: How long an accept waits for an offer that is still being attached to its job.
_ATTACH_WAIT_SECONDS: Final = 2.0
_LIST_CALLS: Final = 5


async def upsert(parts: Parts, worker_id: str, wanted: Wanted, check: Check) -> tuple[WorkerRecord, bool]:
    """The worker afterwards, and whether it is new. Offers that it no longer qualifies for are revoked first."""

    async def step(row: Row[WorkerRecord]) -> WorkerChange | None:
        record, now = row.record, parts.clock.now()
        if record is not None and record.routing.deleting:
            raise Busy(f"Worker '{worker_id}' is being deleted. Try again.")
        check(record.etag if record else None, record.modified if record else None)
        want = await checked(
            partial(wanted, record), lambda wanted: {"queues": wanted.queues}, partial(_missing_queues, parts, record)
        )
        queues = await worker_commits.queue_briefs(parts, want.queues)
        return (
            workers.create(worker_id, want, now, queues)
            if record is None
            else workers.update(record, want, now, queues)
        )

    before, after = await worker_commits.change_row(parts, worker_id, step)
    assert after.record is not None
    record = after.record
    if before.record is not None and before.record.worker.max_concurrent_offers != record.worker.max_concurrent_offers:
        # RouterWorkerUpdated does not name that property, so no event wakes the search for what it may take now.
        worker_commits.look_for_work(parts, worker_id)
    if record.worker.offers and after.version != before.version:
        await revocation.revoke_unqualified(parts, record)
        current = await parts.workers.store.load(worker_id)
        record = current.record or record
    return await _issued(parts, record), before.record is None


async def get(parts: Parts, worker_id: str) -> WorkerRecord:
    row = await parts.workers.store.load(worker_id)
    if row.record is None or row.record.routing.deleting:
        raise NotFound("Worker", worker_id)
    return await _issued(parts, row.record)


async def page(
    parts: Parts, wanted: WorkerFilter, size: int, after: Position | None
) -> tuple[list[WorkerRecord], Position | None]:
    """One page; it may be short when the filter leaves few."""
    where: list[Condition] = [] if wanted.state is None else [("State", "eq", str(wanted.state))]
    found: list[WorkerRecord] = []
    for _ in range(_LIST_CALLS):
        some = await parts.workers.store.page(where, size - len(found), after)
        found += [await _issued(parts, record) for record in some.records if _fits(record, wanted)]
        after = some.next
        if after is None or len(found) >= size:
            break
    return found, after


async def _issued(parts: Parts, record: WorkerRecord) -> WorkerRecord:
    """The worker with the offers that are offers: one that has only been reserved may yet be given back, and a client
    must not see it. Old ones are known to be issued; a young one is looked up on its job."""
    young = parts.clock.now() - offering.ABANDONED_AFTER
    hidden = {
        offer.offer_id
        for offer in record.worker.offers
        if offer.offered_at > young and offer.offer_id not in parts.attached and not await _is_attached(parts, offer)
    }
    if not hidden:
        return record
    shown = [offer for offer in record.worker.offers if offer.offer_id not in hidden]
    worker = record.worker.model_copy(update={"offers": shown})
    worker = worker.model_copy(update={"load_ratio": capacity.load_ratio(worker)})
    return record.model_copy(update={"worker": worker})


async def _is_attached(parts: Parts, offer: RouterJobOffer) -> bool:
    row = await parts.jobs.store.load(offer.job_id)
    if row.record is None or offer.offer_id not in row.record.routing.offers:
        return False
    parts.attached.add([offer.offer_id])
    return True


async def delete(parts: Parts, worker_id: str) -> None:
    """Offers are revoked; assigned jobs keep their assignment. Fine when it is not there."""
    _, after = await worker_commits.change(
        parts, worker_id, lambda record: workers.start_deletion(record) if record.worker.offers else None
    )
    if after.record is not None:
        await finish_deletion(parts, worker_id)


async def finish_deletion(parts: Parts, worker_id: str) -> None:
    """Revokes what is left and removes the row; done again by reconciliation after a crash."""
    for _ in range(10):
        row = await parts.workers.store.load(worker_id)
        if row.record is None:
            return
        if row.record.worker.offers:
            await revocation.revoke_unqualified(parts, row.record)
        queues = await worker_commits.queue_briefs(parts, row.record.worker.queues)
        _, after = await worker_commits.change(
            parts,
            worker_id,
            lambda record, queues=queues: workers.delete(record, queues) or workers.start_deletion(record),  # type: ignore[misc]
        )
        if after.record is None:
            return
    raise Busy


async def accept(parts: Parts, worker_id: str, offer_id: str) -> tuple[str, str]:
    """Job id and assignment id. Exactly one of any number of concurrent accepts succeeds; the same worker accepting
    again gets the same answer. NotFound: unknown worker or offer; Conflict: not open any more."""
    row = await parts.workers.store.load(worker_id)
    worker = row.record
    if worker is None or worker.routing.deleting:
        raise NotFound("Worker", worker_id)
    held = next((offer for offer in worker.worker.offers if offer.offer_id == offer_id), None)
    job_id = held.job_id if held else worker.routing.accepted_offers.get(offer_id)
    if job_id is None:
        if was_offered(worker_id, offer_id):
            raise Conflict(f"Offer '{offer_id}' is no longer open: it was accepted, declined, revoked or has expired.")
        raise NotFound("Offer", offer_id)
    job = await _attached(parts, job_id, offer_id)
    assignment_id = parts.ids.guid()
    now = parts.clock.now()
    decided: list[str] = []

    def step(record: JobRecord) -> JobChange:
        decided.clear()
        change, id = offers.accept(record, offer_id, worker.worker, assignment_id, now)
        decided.append(id)
        return change

    after = await job_commits.change(parts, job_id, step, job)
    if after is None or after.record is None:
        raise Conflict(f"Offer '{offer_id}' is no longer open: its job '{job_id}' has been deleted.")
    await _hold(parts, row, after.record, decided[0], offer_id)
    if decided[0] == assignment_id:
        _measure(parts, after.record, held.offered_at if held else now, now)
    return job_id, decided[0]


async def decline(parts: Parts, worker_id: str, offer_id: str, retry_at: datetime | None) -> None:
    """NotFound also for an offer that is gone or accepted (contract section 5, "Offers")."""
    worker = await get(parts, worker_id)
    held = next((offer for offer in worker.worker.offers if offer.offer_id == offer_id), None)
    if held is None:
        raise NotFound("Offer", offer_id)
    job = await _attached(parts, held.job_id, offer_id)
    now = parts.clock.now()
    after = await job_commits.change(
        parts, held.job_id, lambda record: offers.decline(record, offer_id, worker_id, retry_at, now), job
    )
    if after is None:
        raise NotFound("Offer", offer_id)
    metrics.record_offer("declined")


async def _attached(parts: Parts, job_id: str, offer_id: str) -> Row[JobRecord]:
    """The job's row, once it knows the offer: a worker's row shows an offer moments before its job does."""
    waited = 0.0
    while True:
        row = await parts.jobs.store.load(job_id)
        if row.record is None or row.record.status is not JobStatus.QUEUED or waited >= _ATTACH_WAIT_SECONDS:
            return row
        routing = row.record.routing
        if offer_id in routing.offers or offer_id in routing.ended_offers:
            return row
        await asyncio.sleep(0.01 + waited / 4)
        waited += 0.01 + waited / 4


async def _hold(parts: Parts, row: Row[WorkerRecord], job: JobRecord, assignment_id: str, offer_id: str) -> None:
    """The worker's row turns the offer into the assignment."""
    assignment = job.job.assignments[assignment_id]
    now = parts.clock.now()

    def step(record: WorkerRecord) -> WorkerChange | None:
        if any(held.assignment_id == assignment_id for held in record.worker.assigned_jobs):
            return None
        if not any(held.offer_id == offer_id for held in record.worker.offers):
            return None
        return workers.assign(record, offer_id, job.id, job.job.channel_id, assignment, now)

    if assignment.closed_at is None:
        _, after = await worker_commits.change(parts, row.id, step, row)
        if after.record is not None and after.record.worker.max_concurrent_offers is not None:
            # An offer less: there may be room for another. No event of ours wakes for that.
            worker_commits.look_for_work(parts, row.id)


def _measure(parts: Parts, job: JobRecord, offered_at: datetime, now: datetime) -> None:
    metrics.record_offer("accepted")
    enqueued = job.job.enqueued_at or now
    metrics.record_assignment((now - job.routing.created_at).total_seconds(), (now - enqueued).total_seconds())
    # A job that has been unassigned keeps its enqueuedAt: it has not waited all that time.
    first_time = not job.routing.unassignment_count
    if job.job.queue_id and first_time and parts.throughput.assigned(job.job.queue_id, enqueued, offered_at, now):
        parts.background.start(parts.throughput.write(), "write throughput")


async def _missing_queues(parts: Parts, current: WorkerRecord | None, named: Mapping[str, Any]) -> list[ErrorDetail]:
    """A queue that is named anew must exist. A list that is too long is not looked through: it is refused anyway."""
    queues, known = named.get("queues"), current.worker.queues if current else []
    if not isinstance(queues, list) or len(queues) > MAX_QUEUES:
        return []
    found = [
        await missing_reference(parts, "Queue", queue_id, f"queues[{number}]")
        for number, queue_id in enumerate(queues)
        if queue_id not in known
    ]
    return [detail for detail in found if detail is not None]


def _fits(record: WorkerRecord, wanted: WorkerFilter) -> bool:
    worker = record.worker
    if record.routing.deleting or (wanted.queue_id is not None and wanted.queue_id not in worker.queues):
        return False
    channels = [
        channel for channel in worker.channels if wanted.channel_id is None or channel.channel_id == wanted.channel_id
    ]
    if wanted.channel_id is not None and not channels:
        return False
    return not wanted.has_capacity or any(capacity.can_take(record, channel) for channel in channels)
