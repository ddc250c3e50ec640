"""Offers of a job: issued, accepted, declined, expired, revoked. The job's row decides
(docs/behaviour.md, "Offers")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from router.engine import announce, jobs
from router.engine.change import Change, JobChange
from router.engine.evolve import end_offers, evolve, last_ended, move
from router.engine.ownership import owner
from router.errors import Conflict, NotFound
from router.models.events import EventDraft
from router.models.jobs import (
    MAX_DECLINES,
    Decline,
    EndedOffer,
    JobOffer,
    JobRecord,
    JobStatus,
    OfferOutcome,
    RouterJobAssignment,
)
from router.models.sizes import LARGEST_DECLINED, MOST_OFFERS, id_units
from router.models.workers import RouterWorker

#: What a decline takes beside the id of its worker.
_OF_A_DECLINE: Final = 110


def attach(record: JobRecord, offer: JobOffer, worker: RouterWorker, most: int, now: datetime) -> JobChange | None:
    """The job takes the offer for which the worker has reserved capacity; None if it no longer wants it."""
    if offer.offer_id in record.routing.offers:
        return Change(record)
    if (
        record.status is not JobStatus.QUEUED
        or offer.offer_id in record.routing.ended_offers
        or len(record.routing.offers) >= min(most, MOST_OFFERS)
        or offer.expires_at <= now
        or any(held.worker_id == worker.id for held in record.routing.offers.values())
    ):
        return None
    record = evolve(
        record,
        routing={
            "offers": {**record.routing.offers, offer.offer_id: offer},
            "scoring_failures": 0,
            "scoring_failure": None,
            "retry_at": None,
        },
    )
    return Change(record, (announce.offer_issued(record.job, offer, worker),))


def accept(
    record: JobRecord, offer_id: str, worker: RouterWorker, assignment_id: str, now: datetime
) -> tuple[JobChange, str]:
    """The change and the assignment's id: the same again while the assignment that this offer became is open. The job's
    other offers are revoked. Raises Conflict (409)."""
    for held_id, accepted in record.routing.accepted_offers.items():
        held = record.job.assignments.get(held_id)
        if accepted == offer_id and held is not None and held.closed_at is None:
            return Change(record), held_id
    offer = record.routing.offers.get(offer_id)
    if offer is None or record.status is not JobStatus.QUEUED:
        raise Conflict(f"Offer '{offer_id}' of job '{record.id}' is no longer open: it {_end(record, offer_id)}.")
    if offer.expires_at <= now:
        raise Conflict(f"Offer '{offer_id}' of job '{record.id}' has expired.")
    record, _ = end_offers(record, [offer_id], OfferOutcome.ACCEPTED)
    record, events = end_offers(record, list(record.routing.offers), OfferOutcome.REVOKED)
    owners = {id: one for id, one in record.routing.assignment_owners.items() if id in record.job.assignments}
    if (owned_by := owner(worker)) is not None:
        owners[assignment_id] = owned_by
    assignment = RouterJobAssignment(assignment_id=assignment_id, worker_id=worker.id, assigned_at=now)
    record = evolve(
        move(record, JobStatus.ASSIGNED),
        job={"assignments": {**record.job.assignments, assignment_id: assignment}},
        routing={
            "accepted_offers": {**record.routing.accepted_offers, assignment_id: offer_id},
            "assignment_owners": owners,
        },
    )
    accepted_event = announce.offer_accepted(record.job, worker, offer_id, assignment_id)
    return Change(record, (accepted_event, *events)), assignment_id


def decline(record: JobRecord, offer_id: str, worker_id: str, retry_at: datetime | None, now: datetime) -> JobChange:
    """The worker does not want the job, ever or until `retry_at`. Raises NotFound: gone, expired or accepted
    (docs/behaviour.md, "Offers")."""
    offer = record.routing.offers.get(offer_id)
    if offer is None or offer.worker_id != worker_id or offer.expires_at <= now:
        raise NotFound("Offer", offer_id)
    record, events = end_offers(record, [offer_id], OfferOutcome.DECLINED)
    declined = {**record.routing.declined, worker_id: Decline(declined_at=now, retry_at=retry_at)}
    remembered = dict(list(declined.items())[-MAX_DECLINES:])
    while len(remembered) > 1 and _declined_units(remembered) > LARGEST_DECLINED:
        remembered = dict(list(remembered.items())[len(remembered) // 8 + 1 :])
    return Change(evolve(record, routing={"declined": remembered}), tuple(events))


def expire(record: JobRecord, now: datetime) -> JobChange:
    """Every live offer whose time is over ends."""
    due = [offer.offer_id for offer in record.routing.offers.values() if offer.expires_at <= now]
    record, events = end_offers(record, due, OfferOutcome.EXPIRED)
    return Change(record, tuple(events))


def revoke(record: JobRecord, offer_ids: Iterable[str]) -> JobChange:
    record, events = end_offers(record, offer_ids, OfferOutcome.REVOKED)
    return Change(record, tuple(events))


def revoke_or_refuse(record: JobRecord, offer_id: str, worker_id: str) -> JobChange:
    """Revokes the offer; one that has not been attached yet never will be: its worker may free what it reserved."""
    if offer_id in record.routing.offers:
        return revoke(record, [offer_id])
    if offer_id in record.routing.ended_offers or offer_id in record.routing.accepted_offers.values():
        return Change(record)
    ended = EndedOffer(worker_id=worker_id, outcome=OfferOutcome.REVOKED)
    remembered = {**record.routing.ended_offers, offer_id: ended}
    return Change(evolve(record, routing={"ended_offers": last_ended(remembered)}))


def queue_and_attach(
    record: JobRecord, offer: JobOffer, worker: RouterWorker, most: int, enqueued_at: datetime, now: datetime
) -> JobChange | None:
    """Like `attach`, for a job that may not have been queued yet: one commit does both, with the place in the queue
    that it was given when the worker was looked for."""
    events: tuple[EventDraft, ...] = ()
    if record.status is JobStatus.CREATED:
        queued = jobs.enqueue(record, enqueued_at)
        assert queued.record is not None
        record, events = queued.record, queued.events
    attached = attach(record, offer, worker, most, now)
    return attached and Change(attached.record, (*events, *attached.events))


def _declined_units(declined: Mapping[str, Decline]) -> int:
    return sum(id_units(worker_id) + _OF_A_DECLINE for worker_id in declined)


def _end(record: JobRecord, offer_id: str) -> str:
    ended = record.routing.ended_offers.get(offer_id)
    if ended is None:
        return f"ended; the job is {record.status}"
    return {
        OfferOutcome.ACCEPTED: "was accepted",
        OfferOutcome.DECLINED: "was declined",
        OfferOutcome.EXPIRED: "has expired",
        OfferOutcome.REVOKED: "was revoked",
    }[ended.outcome]
