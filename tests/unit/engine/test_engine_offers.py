"""Offers of a job: attached, accepted once, declined, expired, revoked."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine import offers
from router.engine.change import Change
from router.errors import Conflict, NotFound
from router.models.jobs import JobRecord, JobStatus
from tests.unit.engine.engine_records import NOW, after, events, job, later, offer, offered, worker


class TestAttach:
    def test_the_job_takes_it(self) -> None:
        change = offers.attach(
            job(routing={"scoring_failures": 3, "scoring_failure": "why"}), offer(), worker().worker, 1, NOW
        )
        assert events(change) == ["WorkerOfferIssued"]
        record = after(change)
        assert record.routing.offers == {"o1": offer()}
        assert (record.routing.scoring_failures, record.routing.scoring_failure) == (0, None)
        assert offers.attach(record, offer(), worker().worker, 1, NOW) == Change(record), "again: nothing more"

    @pytest.mark.parametrize("status", [one for one in JobStatus if one is not JobStatus.QUEUED])
    def test_not_unless_queued(self, status: JobStatus) -> None:
        assert offers.attach(job(status), offer(), worker().worker, 1, NOW) is None

    def test_not_what_has_ended_or_is_too_much(self) -> None:
        ended = after(offers.revoke(offered(offer()), ["o1"]))
        assert offers.attach(ended, offer(), worker().worker, 1, NOW) is None
        assert offers.attach(job(), offer(expires=0), worker().worker, 1, NOW) is None
        one = offered(offer("o1", "w1"))
        assert offers.attach(one, offer("o2", "w2"), worker(id="w2").worker, 1, NOW) is None
        assert offers.attach(one, offer("o2", "w2"), worker(id="w2").worker, 2, NOW) is not None
        assert offers.attach(one, offer("o2", "w1"), worker(id="w1").worker, 2, NOW) is None, "one a worker"

    def test_queued_by_the_same_change(self) -> None:
        created = job(JobStatus.CREATED)
        change = offers.queue_and_attach(created, offer(), worker().worker, 1, later(-1), NOW)
        assert events(change) == ["JobQueued", "WorkerOfferIssued"]
        assert (after(change).status, after(change).job.enqueued_at) == (JobStatus.QUEUED, later(-1))
        assert offers.queue_and_attach(created, offer(expires=0), worker().worker, 1, later(-1), NOW) is None
        assert events(offers.queue_and_attach(job(), offer(), worker().worker, 1, later(-1), NOW)) == [
            "WorkerOfferIssued"
        ]


class TestAccept:
    record = offered(offer("o1", "w1"), offer("o2", "w2"), offer("o3", "w3"))

    def test_one_gets_it_the_others_are_revoked(self) -> None:
        change, assignment = offers.accept(self.record, "o2", worker(id="w2").worker, "a", later(5))
        assert assignment == "a"
        assert events(change) == ["WorkerOfferAccepted", "WorkerOfferRevoked", "WorkerOfferRevoked"]
        record = after(change)
        assert record.status is JobStatus.ASSIGNED
        held = record.job.assignments["a"]
        assert (held.worker_id, held.assigned_at, held.completed_at, held.closed_at) == ("w2", later(5), None, None)
        assert not record.routing.offers

    def test_the_same_answer_again(self) -> None:
        change, _ = offers.accept(self.record, "o2", worker(id="w2").worker, "a", later(5))
        again, assignment = offers.accept(after(change), "o2", worker(id="w2").worker, "b", later(6))
        assert assignment == "a"
        assert again.record is change.record
        assert not again.events

    def test_at_its_expiry_it_is_over(self) -> None:
        offers.accept(self.record, "o1", worker().worker, "a", later(59.999))
        with pytest.raises(Conflict, match="has expired"):
            offers.accept(self.record, "o1", worker().worker, "a", later(60))

    @pytest.mark.parametrize("how", ["declined", "expired", "revoked", "accepted"])
    def test_what_has_ended_says_how(self, how: str) -> None:
        change = {
            "declined": lambda: offers.decline(self.record, "o1", "w1", None, NOW),
            "expired": lambda: offers.expire(self.record, later(60)),
            "revoked": lambda: offers.revoke(self.record, ["o1"]),
            "accepted": lambda: offers.accept(self.record, "o2", worker(id="w2").worker, "a", NOW)[0],
        }[how]()
        with pytest.raises(Conflict, match="was revoked" if how == "accepted" else f"(was|has) {how}"):
            offers.accept(after(change), "o1", worker().worker, "b", NOW)

    def test_after_an_unassignment_an_old_offer_is_gone(self) -> None:
        with pytest.raises(Conflict, match="no longer open"):
            offers.accept(job(), "o1", worker().worker, "a", NOW)

    @given(st.permutations(["o1", "o2", "o3"]), st.lists(st.integers(0, 2), max_size=6))
    def test_in_any_order_exactly_one_succeeds(self, order: list[str], repeated: list[int]) -> None:
        record: JobRecord = self.record
        won: set[str] = set()
        for number, offer_id in enumerate(itertools.chain(order, (order[place] for place in repeated))):
            holder = worker(id=offer_id.replace("o", "w")).worker
            try:
                change, assignment = offers.accept(record, offer_id, holder, f"a{number}", NOW)
            except Conflict:
                continue
            record = after(change)
            won.add(assignment)
            assert offer_id == order[0]
        assert won == {"a0"}
        assert [one.worker_id for one in record.job.assignments.values()] == [order[0].replace("o", "w")]


class TestDecline:
    def test_for_good_or_for_a_while(self) -> None:
        for retry_at in (None, later(30)):
            change = offers.decline(offered(offer()), "o1", "w1", retry_at, later(5))
            assert events(change) == ["WorkerOfferDeclined"]
            declined = after(change).routing.declined["w1"]
            assert (declined.declined_at, declined.retry_at) == (later(5), retry_at)
            assert after(change).status is JobStatus.QUEUED

    def test_once_it_has_expired_it_cannot_be_declined(self) -> None:
        with pytest.raises(NotFound):
            offers.decline(offered(offer(expires=10)), "o1", "w1", None, later(10))

    def test_what_is_gone_accepted_or_anothers(self) -> None:
        record = offered(offer())
        gone = after(offers.decline(record, "o1", "w1", None, NOW))
        taken = after(offers.accept(record, "o1", worker().worker, "a", NOW)[0])
        for one, worker_id in ((gone, "w1"), (taken, "w1"), (record, "w2")):
            with pytest.raises(NotFound):
                offers.decline(one, "o1", worker_id, None, NOW)


def test_all_due_offers_expire_and_no_others() -> None:
    record = offered(offer("o1", "w1", expires=10), offer("o2", "w2", expires=20), offer("o3", "w3", expires=21))
    assert offers.expire(record, later(9.999)).record is record
    change = offers.expire(record, later(20))
    assert events(change) == ["WorkerOfferExpired", "WorkerOfferExpired"]
    assert list(after(change).routing.offers) == ["o3"]
    assert not offers.expire(after(change), later(20)).events, "once"
