"""Position, statistics, and why a job is where it is (docs/behaviour.md, "Waiting figures")."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ResourceExistsError

from tests.acceptance.desk import Desk, selector
from tests.acceptance.service import send
from tests.eventually import eventually


def test_position_and_length(desk: Desk) -> None:
    queue = desk.queue()
    jobs = [desk.queued(queue, priority=priority) for priority in (1, 1, 5)]
    figures = [desk.client.get_queue_position(job) for job in jobs]
    assert [one.position for one in figures] == [2, 3, 1]
    assert {(one.queue_id, one.queue_length) for one in figures} == {(queue, 3)}
    assert all(one.estimated_wait_time_minutes >= 1 for one in figures)
    assert all(one.estimated_wait_time_minutes == int(one.estimated_wait_time_minutes) for one in figures)
    statistics = desk.client.get_queue_statistics(queue)
    assert (statistics.queue_id, statistics.length) == (queue, 3)
    assert set(statistics.estimated_wait_time_minutes) == {"1", "5"}
    assert statistics.estimated_wait_time_minutes["5"] <= statistics.estimated_wait_time_minutes["1"]
    assert 0 < statistics.longest_job_wait_time_minutes < 1


def test_an_empty_queue(desk: Desk) -> None:
    statistics = desk.client.get_queue_statistics(desk.queue())
    assert statistics.length == 0
    assert not any((statistics.estimated_wait_time_minutes or {}).values())
    assert statistics.longest_job_wait_time_minutes is None


@pytest.mark.ours
def test_who_comes_to_an_empty_queue_waits_for_nobody(desk: Desk) -> None:
    assert desk.client.get_queue_statistics(desk.queue()).estimated_wait_time_minutes == {"1": 0}


def test_an_offered_job_still_counts_and_an_assigned_one_does_not(desk: Desk) -> None:
    queue = desk.queue()
    worker, job = desk.worker(queue), desk.job(queue)
    offer = desk.offer(worker, job)
    assert desk.client.get_queue_statistics(queue).length == 1
    assert desk.client.get_queue_position(job).position == 1
    desk.client.accept_job_offer(worker, offer.offer_id)
    assert desk.client.get_queue_statistics(queue).length == 0
    with pytest.raises(ResourceExistsError):
        desk.client.get_queue_position(job)


@pytest.mark.ours
class TestExplain:
    def test_why_each_worker_does_not_get_it(self, desk: Desk) -> None:
        queue = desk.queue()
        inactive = desk.worker(queue, available_for_offers=False)
        chat = desk.worker(queue, channels=[{"channelId": "chat", "capacityCostPerJob": 1}])
        unskilled = desk.worker(queue, labels={"skill": 5})
        small = desk.worker(queue, labels={"skill": 9}, cost=100, capacity=80)
        good = desk.worker(queue, labels={"skill": 9})
        job = desk.queued(queue, requested_worker_selectors=[selector("skill", "greaterThanOrEqual", 7)])
        desk.offer(good, job)
        found = desk.explain(job)
        assert (found["jobId"], found["status"]) == (job, "queued")
        judged = {one["workerId"]: one for one in found["workers"]}
        expected = {
            inactive: "inactive",
            chat: "otherChannel",
            unskilled: "selector",
            small: "capacity",
            good: "hasOffer",
        }
        assert {worker: one["reason"] for worker, one in judged.items()} == expected
        assert "skill >= 7" in judged[unskilled]["message"]
        assert "5" in judged[unskilled]["message"]
        assert good in found["summary"]
        assert [one["what"] for one in found["next"]] == ["offerExpires", "lifeEnds"]
        desk.client.decline_job_offer(good, desk.offer(good, job).offer_id)
        eventually(
            lambda: {one["workerId"]: one.get("reason") for one in desk.explain(job)["workers"]}[good] == "declined"
        )

    def test_in_pages(self, desk: Desk) -> None:
        queue = desk.queue()
        workers = [desk.worker(queue, available_for_offers=False) for _ in range(3)]
        job = desk.queued(queue)
        path, params = f"routing/jobs/{job}/explain", {"maxpagesize": "2"}
        seen: list[str] = []
        while path:
            page = send(desk.client, "GET", path, params=params).json()
            assert len(page["workers"]) <= 2
            seen += [one["workerId"] for one in page["workers"]]
            path, _, query = page.get("nextLink", "").lstrip("/").partition("?")
            params = dict([query.split("=", 1)]) if query else {}
        assert seen == workers

    def test_of_each_status(self, desk: Desk) -> None:
        failed = desk.job(None, classification_policy_id=desk.classification())
        desk.until(failed, "classificationFailed")
        assert "queue" in desk.explain(failed)["summary"]
        queue = desk.queue()
        worker, job = desk.worker(queue), desk.job(queue)
        desk.accept(worker, job)
        assert worker in desk.explain(job)["summary"]
        waiting = desk.job(queue, matching_mode={"kind": "suspend"})
        assert "activation" in desk.explain(waiting)["summary"]
        assert send(desk.client, "GET", "routing/jobs/nobody/explain").status_code == 404
