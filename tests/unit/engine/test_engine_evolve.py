"""Moves of a job from status to status, ended offers, notes."""

from __future__ import annotations

import itertools

import pytest

from router.engine.evolve import end_offers, evolve, move, revoke_all, sorted_notes, with_note
from router.models.jobs import MAX_ENDED_OFFERS, MAX_NOTES, JobStatus, OfferOutcome, RouterJobNote
from tests.unit.engine.engine_records import NOW, job, later, offer, offered

ANYWHERE = "pendingClassification queued cancelled pendingSchedule waitingForActivation"
#: docs/behaviour.md, "Job life", told once more: what may follow each status.
LEGAL = {
    "created": ANYWHERE,
    "pendingClassification": f"{ANYWHERE} classificationFailed",
    "queued": f"{ANYWHERE} assigned",
    "assigned": "completed queued waitingForActivation cancelled",
    "completed": "closed",
    "closed": "",
    "cancelled": "",
    "classificationFailed": ANYWHERE,
    "pendingSchedule": f"{ANYWHERE} scheduled scheduleFailed",
    "scheduled": f"{ANYWHERE} scheduleFailed",
    "scheduleFailed": ANYWHERE,
    "waitingForActivation": ANYWHERE,
}


@pytest.mark.parametrize(("before", "then"), list(itertools.product(JobStatus, JobStatus)))
def test_every_pair_of_statuses(before: JobStatus, then: JobStatus) -> None:
    record = job(before)
    if before is then:
        assert move(record, then) is record
    elif then in LEGAL[before].split():
        moved = move(record, then)
        assert moved.status is then
        assert evolve(moved, job={"status": before}) == record, "nothing else has changed"
    else:
        with pytest.raises(ValueError, match=f"job j: {before} -> {then} is not a move"):
            move(record, then)


def test_nothing_to_evolve_is_the_same_record() -> None:
    record = job()
    assert evolve(record) is record
    assert evolve(record, job={"priority": 5}, routing={"stay": 2}).routing.stay == 2
    assert (record.job.priority, record.routing.stay) == (1, 0), "records are frozen"


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        (OfferOutcome.DECLINED, "RouterWorkerOfferDeclined"),
        (OfferOutcome.EXPIRED, "RouterWorkerOfferExpired"),
        (OfferOutcome.REVOKED, "RouterWorkerOfferRevoked"),
        (OfferOutcome.ACCEPTED, None),
    ],
)
def test_offers_end_with_an_event_each(outcome: OfferOutcome, event: str | None) -> None:
    record = offered(offer("o1", "w1"), offer("o2", "w2"), offer("o3", "w3"))
    record, drafts = end_offers(record, ["o1", "o3", "unknown"], outcome)
    assert list(record.routing.offers) == ["o2"]
    assert {id: (one.worker_id, one.outcome) for id, one in record.routing.ended_offers.items()} == {
        "o1": ("w1", outcome),
        "o3": ("w3", outcome),
    }
    assert [(one.type, one.data["offerId"]) for one in drafts] == ([(event, "o1"), (event, "o3")] if event else [])
    assert end_offers(record, ["o1"], outcome) == (record, []), "once"


def test_revoking_all() -> None:
    record, drafts = revoke_all(offered(offer("o1", "w1"), offer("o2", "w2")))
    assert not record.routing.offers
    assert len(drafts) == 2


def test_a_job_remembers_its_last_ended_offers() -> None:
    record = job()
    for number in range(MAX_ENDED_OFFERS + 5):
        one = offer(f"o{number}", f"w{number}")
        record, _ = end_offers(
            evolve(record, routing={"offers": {one.offer_id: one}}), [one.offer_id], OfferOutcome.EXPIRED
        )
    assert list(record.routing.ended_offers) == [f"o{number}" for number in range(5, MAX_ENDED_OFFERS + 5)]


def test_notes() -> None:
    record = job()
    assert with_note(record, None, NOW) is record
    record = with_note(with_note(record, "first", NOW), "", later(1))
    assert [(one.message, one.added_at) for one in record.job.notes] == [("first", NOW), ("", later(1))]
    for number in range(MAX_NOTES):
        record = with_note(record, str(number), later(2))
    assert len(record.job.notes) == MAX_NOTES
    assert record.job.notes[0].message == "0"


def test_notes_are_sorted_and_stamped() -> None:
    early, late = (RouterJobNote(message=name, added_at=later(at)) for name, at in (("early", -9), ("late", 9)))
    notes = [late, RouterJobNote(message="now"), early]
    assert [(one.message, one.added_at) for one in sorted_notes(notes, NOW)] == [
        ("early", later(-9)),
        ("now", NOW),
        ("late", later(9)),
    ]
