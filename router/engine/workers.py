"""The worker's state machine: register, reserve, release, drain (docs/behaviour.md, "Workers")."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from router.engine import announce
from router.engine.candidates import index_state
from router.engine.capacity import can_take, has_offer_room, holds, load_ratio, takes_offers
from router.engine.change import Change, WorkerChange
from router.models.event_catalogue import QueueBrief
from router.models.events import EventDraft
from router.models.jobs import JobOffer, RouterJobAssignment
from router.models.workers import (
    RouterJobOffer,
    RouterWorker,
    RouterWorkerAssignment,
    RouterWorkerInput,
    WorkerRecord,
    WorkerRouting,
    WorkerState,
)

Queues = Mapping[str, QueueBrief]


def create(id: str, wanted: RouterWorkerInput, now: datetime, queues: Queues) -> WorkerChange:
    """A new worker: active if it is available for offers, else inactive."""
    available = bool(wanted.available_for_offers)
    worker = RouterWorker(
        **_fields(wanted),
        id=id,
        state=WorkerState.ACTIVE if available else WorkerState.INACTIVE,
    )
    # Not 1: a worker that is deleted and made again must not have index rows of the same name in both lives.
    first = int(now.timestamp() * 1000)
    routing = WorkerRouting(
        created_at=now, available_since=now, active_at=now, registered_at=now if available else None, version=first
    )
    record = WorkerRecord(worker=worker, routing=routing, etag="", modified=now)
    events = (announce.worker_registered(worker, queues),) if available else ()
    return Change(record, events)


def update(record: WorkerRecord, wanted: RouterWorkerInput, now: datetime, queues: Queues) -> WorkerChange:
    """What a PATCH does. A worker that is no longer available drains: its offers are for others to revoke."""
    before = record.worker
    available, was_available = bool(wanted.available_for_offers), bool(before.available_for_offers)
    state = before.state
    events: list[EventDraft] = []
    routing: dict[str, Any] = {}
    if available and (not was_available or state is not WorkerState.ACTIVE):
        state = WorkerState.ACTIVE
        routing = {"registered_at": now, "available_since": now, "active_at": now}
    elif not available and was_available:
        state = WorkerState.DRAINING if before.offers else WorkerState.INACTIVE
    worker = before.model_copy(update={**_fields(wanted), "state": state})
    changed = announce.changed_properties(before, worker)
    if state is WorkerState.ACTIVE and before.state is not WorkerState.ACTIVE:
        events.append(announce.worker_registered(worker, queues))
    if changed:
        routing["active_at"] = now
        events.append(announce.worker_updated(worker, queues, changed))
    if state is WorkerState.INACTIVE and before.state is not WorkerState.INACTIVE:
        events.append(announce.worker_deregistered(worker.id))
    return Change(_with(record, worker, **routing), tuple(events))


def reserve(record: WorkerRecord, offer: JobOffer, job_id: str, channel_id: str, queue_id: str) -> WorkerChange | None:
    """Takes capacity for an offer; None if it no longer fits, whatever else is true of the two."""
    worker = record.worker
    channel = worker.channel(channel_id)
    if (
        channel is None
        or not takes_offers(record)
        or not has_offer_room(worker)
        or not can_take(record, channel)
        or holds(worker, job_id)
    ):
        return None
    held = RouterJobOffer(
        offer_id=offer.offer_id,
        job_id=job_id,
        capacity_cost=offer.capacity_cost,
        offered_at=offer.offered_at,
        expires_at=offer.expires_at,
    )
    return Change(
        _with(
            record,
            worker.model_copy(update={"offers": [*worker.offers, held]}),
            job_channels={**record.routing.job_channels, job_id: channel_id},
            offer_queues={**record.routing.offer_queues, offer.offer_id: queue_id},
        )
    )


def drop_offers(record: WorkerRecord, offer_ids: frozenset[str], *, deregister: bool) -> WorkerChange:
    """Frees what the offers reserved. A draining worker without offers becomes inactive; `deregister` (an offer
    has expired) makes it unavailable, draining while it still has other offers."""
    worker = record.worker
    offers = [offer for offer in worker.offers if offer.offer_id not in offer_ids]
    gone = {offer.job_id for offer in worker.offers if offer.offer_id in offer_ids}
    gone -= {held.job_id for held in worker.assigned_jobs}
    state, available = worker.state, worker.available_for_offers
    if deregister and available:
        available = False
        state = WorkerState.DRAINING
    if state is WorkerState.DRAINING and not offers and not available:
        state = WorkerState.INACTIVE
    changed = worker.model_copy(update={"offers": offers, "state": state, "available_for_offers": available})
    events = (
        (announce.worker_deregistered(worker.id),)
        if state is WorkerState.INACTIVE and worker.state is not WorkerState.INACTIVE
        else ()
    )
    routing = record.routing
    return Change(
        _with(
            record,
            changed,
            job_channels={job: channel for job, channel in routing.job_channels.items() if job not in gone},
            offer_queues={id: queue for id, queue in routing.offer_queues.items() if id not in offer_ids},
        ),
        events,
    )


def assign(
    record: WorkerRecord,
    offer_id: str,
    job_id: str,
    channel_id: str,
    assignment: RouterJobAssignment,
    now: datetime,
) -> WorkerChange:
    """Turns the offer into the assignment that the job's row has decided; the capacity in use stays the same."""
    worker = record.worker
    cost = next((offer.capacity_cost for offer in worker.offers if offer.offer_id == offer_id), None)
    if cost is None:
        channel = worker.channel(channel_id)
        cost = channel.capacity_cost_per_job if channel else 1
    if any(held.assignment_id == assignment.assignment_id for held in worker.assigned_jobs):
        return Change(record)
    held = RouterWorkerAssignment(
        assignment_id=assignment.assignment_id,
        job_id=job_id,
        capacity_cost=cost,
        assigned_at=assignment.assigned_at,
    )
    offers = [offer for offer in worker.offers if offer.offer_id != offer_id]
    state = worker.state
    events: tuple[EventDraft, ...] = ()
    if state is WorkerState.DRAINING and not offers and not worker.available_for_offers:
        state = WorkerState.INACTIVE
        events = (announce.worker_deregistered(worker.id),)
    changed = worker.model_copy(
        update={"offers": offers, "assigned_jobs": [*worker.assigned_jobs, held], "state": state}
    )
    routing = record.routing
    queue_id = routing.offer_queues.get(offer_id)
    return Change(
        _with(
            record,
            changed,
            active_at=now,
            assignment_queues={**routing.assignment_queues, **({} if queue_id is None else {job_id: queue_id})},
            accepted_offers={**routing.accepted_offers, offer_id: job_id},
            job_channels={**routing.job_channels, job_id: channel_id},
            offer_queues={id: queue for id, queue in routing.offer_queues.items() if id != offer_id},
        ),
        events,
    )


def release(record: WorkerRecord, assignment_id: str, now: datetime, offer_id: str = "") -> WorkerChange:
    """Frees an assignment's capacity; from now on the worker counts as waiting for work. A worker that still holds the
    offer `offer_id` that was accepted (its row had not followed yet) is freed of that."""
    worker = record.worker
    gone = {held.job_id for held in worker.assigned_jobs if held.assignment_id == assignment_id}
    if not gone:
        if any(offer.offer_id == offer_id for offer in worker.offers):
            return drop_offers(record, frozenset({offer_id}), deregister=False)
        return Change(record)
    kept = [held for held in worker.assigned_jobs if held.assignment_id != assignment_id]
    still_held = {held.job_id for held in kept} | {offer.job_id for offer in worker.offers}
    channels = {
        job: channel for job, channel in record.routing.job_channels.items() if job not in gone or job in still_held
    }
    changed = worker.model_copy(update={"assigned_jobs": kept})
    accepted = {id: job for id, job in record.routing.accepted_offers.items() if job not in gone}
    queues = {job: queue for job, queue in record.routing.assignment_queues.items() if job not in gone}
    return Change(
        _with(
            record,
            changed,
            job_channels=channels,
            accepted_offers=accepted,
            assignment_queues=queues,
            available_since=now,
            active_at=now,
        )
    )


def deregister(record: WorkerRecord) -> WorkerChange:
    """The worker is idle for too long: no longer available."""
    worker = record.worker
    if not worker.available_for_offers:
        return Change(record)
    state = WorkerState.DRAINING if worker.offers else WorkerState.INACTIVE
    changed = worker.model_copy(update={"available_for_offers": False, "state": state})
    events = (announce.worker_deregistered(worker.id),) if state is WorkerState.INACTIVE else ()
    return Change(_with(record, changed), events)


def start_deletion(record: WorkerRecord) -> WorkerChange:
    """No new offers from now on; clients no longer see it."""
    return Change(_with(record, record.worker, deleting=True))


def delete(record: WorkerRecord, queues: Queues) -> WorkerChange | None:
    """The end of a worker without offers; None while it has some."""
    if record.worker.offers:
        return None
    return Change(None, (announce.worker_deleted(record.worker, queues),))


def _fields(wanted: RouterWorkerInput) -> dict[str, Any]:
    return {
        "queues": wanted.queues,
        "capacity": wanted.capacity,
        "labels": wanted.labels,
        "tags": wanted.tags,
        "channels": wanted.channels,
        "available_for_offers": wanted.available_for_offers,
        "max_concurrent_offers": wanted.max_concurrent_offers,
    }


def _with(record: WorkerRecord, worker: RouterWorker, **routing: Any) -> WorkerRecord:
    """The record with another worker; its index version moves on when the index would say something else."""
    worker = worker.model_copy(update={"load_ratio": load_ratio(worker)})
    changed = record.model_copy(
        update={"worker": worker, "routing": record.routing.model_copy(update=routing) if routing else record.routing}
    )
    if index_state(changed) == index_state(record):
        return changed
    return changed.model_copy(
        update={"routing": changed.routing.model_copy(update={"version": record.routing.version + 1})}
    )
