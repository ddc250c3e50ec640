"""Workers: registered, draining, deregistered, deleted (docs/behaviour.md, "Workers")."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from tests.acceptance.desk import Desk


def test_registering_and_deregistering(desk: Desk) -> None:
    queue = desk.queue()
    worker = desk.worker(queue, available_for_offers=False)
    job = desk.queued(queue)
    assert desk.client.get_worker(worker).state == "inactive"
    assert desk.client.upsert_worker(worker, available_for_offers=True).state == "active"
    offer = desk.offer(worker, job)
    gone = desk.client.upsert_worker(worker, available_for_offers=False)
    assert gone.state in ("draining", "inactive")
    assert gone.available_for_offers is False
    idle = desk.until_worker(worker, lambda one: one.state == "inactive", "is drained")
    assert (idle.offers, idle.load_ratio) == ([], 0)
    assert desk.client.get_job(job).status == "queued"
    assert offer.job_id == job


def test_assignments_stay_when_a_worker_leaves(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    accepted = desk.accept(worker, job)
    gone = desk.client.upsert_worker(worker, available_for_offers=False)
    assert gone.state == "inactive"
    assert [held.job_id for held in gone.assigned_jobs] == [job]
    desk.close(accepted)
    assert desk.client.get_worker(worker).assigned_jobs == []


def test_a_worker_serves_the_queue_it_is_given(desk: Desk) -> None:
    queue = desk.queue()
    worker = desk.worker()
    job = desk.queued(queue)
    desk.client.upsert_worker(worker, {"queues": [queue]})
    assert desk.offer(worker, job)


@pytest.mark.parametrize(
    "change",
    [
        {"capacity": 2},
        {"labels": {"Skill": 9}},
        {"channels": [{"channelId": "voice", "capacityCostPerJob": 1}]},
    ],
    ids=str,
)
def test_a_change_that_qualifies_it(desk: Desk, change: dict[str, object]) -> None:
    queue = desk.queue()
    needs = {"key": "Skill", "labelOperator": "greaterThan", "value": 5}
    channels = [{"channelId": "voice", "capacityCostPerJob": 2}]
    worker = desk.worker(queue, labels={"Skill": 1 if "labels" in change else 7}, channels=channels)
    if "labels" in change:
        desk.client.upsert_worker(worker, {"capacity": 2})
    job = desk.queued(queue, requested_worker_selectors=[needs])
    assert desk.offers(worker) == []
    desk.client.upsert_worker(worker, change)
    assert desk.offer(worker, job)


def test_a_worker_with_an_open_assignment_is_not_deleted(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    accepted = desk.accept(worker, job)
    with pytest.raises(ResourceExistsError):
        desk.client.delete_worker(worker)
    assert desk.client.get_worker(worker).assigned_jobs[0].job_id == job
    desk.close(accepted)
    desk.client.delete_worker(worker)
    with pytest.raises(ResourceNotFoundError):
        desk.client.get_worker(worker)
    assert worker not in [found.id for found in desk.client.list_workers(queue_id=queue)]


def test_a_new_worker_of_the_same_id(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    desk.close(desk.accept(worker, job))
    desk.client.delete_worker(worker)
    again = desk.client.upsert_worker(
        worker,
        {
            "capacity": 1,
            "queues": [queue],
            "channels": [{"channelId": "voice", "capacityCostPerJob": 1}],
            "availableForOffers": True,
        },
    )
    assert (again.assigned_jobs, again.load_ratio) == ([], 0)
    following = desk.job(queue)
    desk.offer(worker, following)
    assert desk.client.get_worker(worker).load_ratio == 1


def test_deleting_twice(desk: Desk) -> None:
    worker = desk.worker()
    desk.client.delete_worker(worker)
    desk.client.delete_worker(worker)
