"""Offers: issued, accepted, declined, expired and revoked (docs/behaviour.md, "Offers")."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.communication.jobrouter.models import AcceptJobOfferResult, DeclineJobOfferOptions, LongestIdleMode
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from tests.acceptance.desk import Desk
from tests.eventually import eventually

WIDE = LongestIdleMode(max_concurrent_offers=3)


@pytest.mark.ours
def test_accepting_twice_is_accepting_once(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    offer = desk.offer(worker, job)
    first = desk.client.accept_job_offer(worker, offer.offer_id)
    assert desk.client.accept_job_offer(worker, offer.offer_id) == first
    desk.complete(first)
    assert desk.client.accept_job_offer(worker, offer.offer_id) == first
    assert len(desk.client.get_job(job).assignments) == 1


def test_what_cannot_be_accepted(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    offer = desk.offer(worker, job)
    stranger = desk.worker()
    for worker_id, offer_id in ((worker, str(uuid.uuid4())), (stranger, offer.offer_id)):
        with pytest.raises(ResourceNotFoundError):
            desk.client.accept_job_offer(worker_id, offer_id)
    assert desk.client.accept_job_offer(worker, offer.offer_id)


def test_one_of_many_gets_the_job(desk: Desk) -> None:
    queue = desk.queue(WIDE)
    workers = [desk.worker(queue) for _ in range(3)]
    job = desk.job(queue)
    offers = {worker: desk.offer(worker, job).offer_id for worker in workers}

    def accept(worker: str) -> AcceptJobOfferResult | HttpResponseError:
        try:
            return desk.client.accept_job_offer(worker, offers[worker])
        except HttpResponseError as error:
            return error

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(accept, workers))
    winners = [one for one in answers if not isinstance(one, HttpResponseError)]
    assert len(winners) == 1
    refused = [one for one in answers if isinstance(one, HttpResponseError)]
    assert [(one.status_code, one.error.code) for one in refused] == [(409, "Conflict")] * 2
    [assignment] = desk.client.get_job(job).assignments.values()
    assert assignment.worker_id == winners[0].worker_id
    for worker in workers:
        expected = 1 if worker == winners[0].worker_id else 0
        assert desk.no_offers(worker).load_ratio == expected, "the others are revoked"


def test_a_declined_job_goes_to_the_next(desk: Desk) -> None:
    queue = desk.queue()
    first, second = desk.worker(queue), desk.worker(queue)
    job = desk.job(queue)
    decliner = desk.offered_to(job, first, second)
    other = second if decliner == first else first
    offer = desk.offer(decliner, job)
    desk.client.decline_job_offer(decliner, offer.offer_id)
    assert desk.client.get_worker(decliner).load_ratio == 0
    with pytest.raises(ResourceExistsError):
        desk.client.accept_job_offer(decliner, offer.offer_id)
    desk.close(desk.accept(other, job))


def test_a_decline_holds_until_the_worker_registers_again(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    desk.client.decline_job_offer(worker, desk.offer(worker, job).offer_id)
    # The next job of the queue passes the declined one.
    sentinel = desk.queued(queue)
    desk.close(desk.accept(worker, sentinel))
    assert desk.offers(worker) == []
    assert desk.client.get_job(job).status == "queued"
    desk.client.upsert_worker(worker, available_for_offers=False)
    desk.client.upsert_worker(worker, available_for_offers=True)
    assert desk.offer(worker, job)


def test_a_decline_with_a_time(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    again = datetime.now(UTC) + timedelta(seconds=2)
    desk.client.decline_job_offer(
        worker, desk.offer(worker, job).offer_id, DeclineJobOfferOptions(retry_offer_at=again)
    )
    sentinel = desk.queued(queue)
    desk.close(desk.accept(worker, sentinel))
    offer = desk.offer(worker, job)
    assert again - timedelta(seconds=0.05) <= offer.offered_at < again + timedelta(seconds=1.1)


def test_declining_what_is_gone(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    offer = desk.offer(worker, job)
    desk.client.accept_job_offer(worker, offer.offer_id)
    other = desk.worker(queue)
    desk.job(queue)
    declined = desk.offer(other).offer_id
    desk.client.decline_job_offer(other, declined)
    for who, what in ((worker, offer.offer_id), (worker, str(uuid.uuid4())), (other, declined)):
        with pytest.raises(ResourceNotFoundError):
            desk.client.decline_job_offer(who, what)


def test_an_expired_offer_deregisters_its_worker(desk: Desk) -> None:
    queue = desk.queue(expires=1)
    other_queue = desk.queue()
    worker = desk.worker(queue, other_queue, capacity=2)
    job, elsewhere = desk.job(queue), desk.job(other_queue)
    offer = desk.offer(worker, job)
    other_offer = desk.offer(worker, elsewhere)
    gone = desk.until_worker(worker, lambda one: one.state == "inactive", "is deregistered", seconds=5)
    assert datetime.now(UTC) < offer.expires_at + timedelta(seconds=2.5)
    assert (gone.available_for_offers, gone.offers, gone.load_ratio) == (False, [], 0)
    for revoked in (offer, other_offer):
        with pytest.raises(ResourceExistsError) as refused:
            desk.client.accept_job_offer(worker, revoked.offer_id)
        assert refused.value.status_code == 409
    next_worker = desk.worker(queue)
    desk.close(desk.accept(next_worker, job))


def test_the_job_of_an_expired_offer_goes_on(desk: Desk) -> None:
    queue = desk.queue(expires=1)
    first, second = desk.worker(queue), desk.worker(queue)
    job = desk.job(queue)
    slow = desk.offered_to(job, first, second)
    quick = second if slow == first else first
    desk.close(desk.accept(quick, job))
    assert desk.client.get_worker(slow).state == "inactive"
    assert desk.client.get_worker(quick).state == "active"


@pytest.mark.parametrize(
    "change",
    [
        {"availableForOffers": False},
        {"queues": []},
        {"channels": [{"channelId": "chat", "capacityCostPerJob": 1}]},
        {"channels": []},
        {"labels": {"Skill": 2}},
        {"labels": {"Skill": None}},
        {"capacity": 1},
    ],
    ids=str,
)
def test_a_worker_that_no_longer_qualifies(desk: Desk, change: dict[str, Any]) -> None:
    queue = desk.queue()
    worker = desk.worker(queue, capacity=2, cost=2, labels={"Skill": 5})
    needs = {"key": "Skill", "labelOperator": "greaterThan", "value": 3}
    job = desk.job(queue, requested_worker_selectors=[needs])
    offer = desk.offer(worker, job)
    if "queues" in change:
        change = {"queues": [desk.queue()]}
    answer = desk.client.upsert_worker(worker, change)
    assert answer.offers == []
    with pytest.raises(ResourceExistsError):
        desk.client.accept_job_offer(worker, offer.offer_id)
    assert desk.client.get_job(job).status == "queued"
    back = {
        "availableForOffers": True,
        "queues": [queue],
        "channels": [{"channelId": "voice", "capacityCostPerJob": 2}],
        "labels": {"Skill": 5},
        "capacity": 2,
    }
    desk.client.upsert_worker(worker, back)
    desk.close(desk.accept(worker, job))


def test_a_change_that_leaves_the_worker_qualified_keeps_its_offer(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue, labels={"Skill": 5}), desk.job(queue)
    offer = desk.offer(worker, job)
    desk.client.upsert_worker(worker, {"labels": {"Skill": 6}, "tags": {"t": 1}, "capacity": 3})
    assert desk.client.accept_job_offer(worker, offer.offer_id).job_id == job


def test_deleting_the_worker_revokes(desk: Desk) -> None:
    queue = desk.queue()
    first, second = desk.worker(queue), desk.worker(queue)
    job = desk.job(queue)
    holder = desk.offered_to(job, first, second)
    other = second if holder == first else first
    desk.client.delete_worker(holder)
    with pytest.raises(ResourceNotFoundError):
        desk.client.get_worker(holder)
    assert desk.offer(other, job)


def test_up_to_so_many_concurrent_offers(desk: Desk) -> None:
    queue = desk.queue(LongestIdleMode(min_concurrent_offers=1, max_concurrent_offers=2))
    workers = [desk.worker(queue) for _ in range(3)]
    job = desk.job(queue)

    def holders() -> list[str]:
        return [worker for worker in workers if desk.offers(worker)]

    eventually(lambda: len(holders()) == 2)
    first = holders()[0]
    desk.client.decline_job_offer(first, desk.offer(first, job).offer_id)
    eventually(lambda: len(holders()) == 2 and first not in holders(), "the third gets one instead")
