"""Small steps that the job's decisions are made of: new copies of records, legal moves, ended offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from router.engine import announce
from router.models.events import EventDraft
from router.models.jobs import (
    JOB_MOVES,
    MAX_ENDED_OFFERS,
    MAX_NOTES,
    EndedOffer,
    JobRecord,
    JobStatus,
    OfferOutcome,
    RouterJobInput,
    RouterJobNote,
)
from router.models.sizes import LARGEST_ENDED, LARGEST_NOTED, id_units, json_units, written_units
from router.models.types import MAX_TEXT_LENGTH


def evolve(record: JobRecord, *, job: dict[str, Any] | None = None, routing: dict[str, Any] | None = None) -> JobRecord:
    """The record with some fields of its job and its routing memory replaced."""
    update: dict[str, Any] = {}
    if job:
        update["job"] = record.job.model_copy(update=job)
    if routing:
        update["routing"] = record.routing.model_copy(update=routing)
    return record.model_copy(update=update) if update else record


def move(record: JobRecord, status: JobStatus) -> JobRecord:
    """The record in another status, if the table of moves allows it. Raises ValueError: a fault of ours."""
    if status is record.status:
        return record
    if status not in JOB_MOVES[record.status]:
        raise ValueError(f"job {record.id}: {record.status} -> {status} is not a move")
    return evolve(record, job={"status": status})


def end_offers(
    record: JobRecord, offer_ids: Iterable[str], outcome: OfferOutcome
) -> tuple[JobRecord, list[EventDraft]]:
    """Live offers end; the events say so, for each that was live."""
    ended = [record.routing.offers[id] for id in offer_ids if id in record.routing.offers]
    if not ended:
        return record, []
    gone = {offer.offer_id for offer in ended}
    remembered = {
        **record.routing.ended_offers,
        **{offer.offer_id: EndedOffer(worker_id=offer.worker_id, outcome=outcome) for offer in ended},
    }
    record = evolve(
        record,
        routing={
            "offers": {id: offer for id, offer in record.routing.offers.items() if id not in gone},
            "ended_offers": last_ended(remembered),
        },
    )
    if outcome is OfferOutcome.ACCEPTED:
        return record, []
    build = _BUILDERS[outcome]
    return record, [build(record.job, offer.worker_id, offer.offer_id) for offer in ended]


def last_ended(remembered: Mapping[str, EndedOffer]) -> dict[str, EndedOffer]:
    """As many of the last ended offers as a job remembers."""
    kept = list(remembered.items())[-MAX_ENDED_OFFERS:]
    while len(kept) > 1 and sum(id_units(ended.worker_id) + _OF_AN_ENDED for _, ended in kept) > LARGEST_ENDED:
        kept = kept[1:]
    return dict(kept)


def revoke_all(record: JobRecord) -> tuple[JobRecord, list[EventDraft]]:
    return end_offers(record, list(record.routing.offers), OfferOutcome.REVOKED)


def with_note(record: JobRecord, message: str | None, now: datetime) -> JobRecord:
    """Appends a note with this moment as addedAt, as long as a note may be; the oldest go when there are too many."""
    if message is None:
        return record
    notes = [*record.job.notes, RouterJobNote(message=message[:MAX_TEXT_LENGTH], added_at=now)][-MAX_NOTES:]
    return evolve(record, job={"notes": notes})


def with_routers_note(record: JobRecord, message: str | None, now: datetime) -> JobRecord:
    """Appends a note of the router's own, as much of it as there is room for; without room there is none."""
    if message is None:
        return record
    room = LARGEST_NOTED - job_units(record) - _OF_A_NOTE
    text = message[: min(MAX_TEXT_LENGTH, max(room, 0))]
    while text and json_units(text) > room:
        text = text[: len(text) // 2]
    return with_note(record, text, now) if text or not message else record


def job_units(record: JobRecord) -> int:
    """The size of what clients and rules have written of the job (models/sizes.py)."""
    return written_units(record.job, _OF_A_JOB)


def sorted_notes(notes: Iterable[RouterJobNote], now: datetime) -> list[RouterJobNote]:
    """Notes by addedAt, which defaults to now."""
    stamped = [note if note.added_at else note.model_copy(update={"added_at": now}) for note in notes]
    return sorted(stamped, key=lambda note: note.added_at or now)


#: What an ended offer takes beside the id of its worker.
_OF_AN_ENDED: Final = 90
#: What a note takes beside its text.
_OF_A_NOTE: Final = 80
_OF_A_JOB: Final = {**RouterJobInput.model_fields, "attached_worker_selectors": None}
_BUILDERS = {
    OfferOutcome.DECLINED: announce.offer_declined,
    OfferOutcome.EXPIRED: announce.offer_expired,
    OfferOutcome.REVOKED: announce.offer_revoked,
}
