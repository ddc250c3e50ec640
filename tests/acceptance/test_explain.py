"""Why a job is where it is: the first reason of each worker, what happens next and when, in pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.communication.jobrouter import models as m

from tests.acceptance.desk import Desk, selector
from tests.acceptance.service import PREVIEW, send
from tests.eventually import eventually

pytestmark = pytest.mark.ours


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def upcoming(desk: Desk, job: str) -> dict[str, datetime]:
    """What will happen by itself, and when; in the order of time."""
    found = [(one["what"], datetime.fromisoformat(one["at"])) for one in desk.explain(job)["next"]]
    assert [at for _, at in found] == sorted(at for _, at in found)
    return dict(found)


def judged(desk: Desk, job: str) -> dict[str, dict[str, Any]]:
    return {one["workerId"]: one for one in desk.explain(job)["workers"]}


def close(one: datetime, other: datetime, seconds: float = 20) -> bool:
    return abs((one - other).total_seconds()) < seconds


class TestReasons:
    def test_limits(self, desk: Desk, preview: Any) -> None:
        queue, elsewhere = desk.queue(), desk.queue()
        limited = desk.worker(
            queue,
            capacity=9,
            channels=[m.RouterChannel(channel_id="voice", capacity_cost_per_job=1, max_number_of_jobs=1)],
        )
        first = desk.job(queue)
        desk.accept(limited, first)
        busy = desk.id("worker")
        body = {
            "queues": [queue],
            "capacity": 9,
            "channels": [{"channelId": "voice", "capacityCostPerJob": 1}],
            "availableForOffers": True,
            "maxConcurrentOffers": 1,
        }
        headers = {"Content-Type": "application/merge-patch+json"}
        send(
            preview, "PATCH", f"routing/workers/{busy}", version=PREVIEW, json=body, headers=headers
        ).raise_for_status()
        second = desk.job(queue)
        desk.offer(busy, second)
        other = desk.worker(elsewhere)
        waiting = desk.queued(queue)
        found = judged(desk, waiting)
        assert {worker: one["reason"] for worker, one in found.items()} == {limited: "channelLimit", busy: "offerLimit"}
        assert "limit of 1 jobs on channel 'voice'" in found[limited]["message"]
        assert "limit of 1 live offers" in found[busy]["message"]
        assert other not in found, "only the queue's workers"

    def test_declined_for_good_or_for_a_while(self, desk: Desk) -> None:
        queue = desk.queue()
        worker, job = desk.worker(queue), desk.job(queue)
        retry = soon(600)
        desk.client.decline_job_offer(
            worker, desk.offer(worker, job).offer_id, m.DeclineJobOfferOptions(retry_offer_at=retry)
        )
        found = eventually(lambda: judged(desk, job)[worker])
        assert (found["reason"], found["qualifies"]) == ("declined", False)
        assert "again from" in found["message"]
        assert close(upcoming(desk, job)["retryOffer"], retry, 1)

    def test_one_that_is_being_offered_says_so(self, desk: Desk) -> None:
        queue = desk.queue(expires=300)
        worker, job = desk.worker(queue), desk.job(queue)
        offer = desk.offer(worker, job)
        assert judged(desk, job)[worker]["reason"] == "hasOffer"
        assert worker in desk.explain(job)["summary"]
        assert close(upcoming(desk, job)["offerExpires"], offer.expires_at, 0.01)


class TestWhatHappensNext:
    def test_selectors_and_exception_rules(self, desk: Desk) -> None:
        rule = m.ExceptionRule(
            id="long", trigger=m.WaitTimeExceptionTrigger(threshold_seconds=900), actions=[m.CancelExceptionAction()]
        )
        queue = desk.queue(exception_policy_id=desk.exceptions(rule))
        job = desk.queued(queue, requested_worker_selectors=[selector("a", "equal", True, expires_after_seconds=500)])
        enqueued = desk.client.get_job(job).enqueued_at
        found = upcoming(desk, job)
        assert list(found) == ["selectorExpires", "ruleFires", "lifeEnds"]
        assert close(found["selectorExpires"], enqueued + timedelta(seconds=500), 0.01)
        assert close(found["ruleFires"], enqueued + timedelta(seconds=900), 0.01)
        assert close(found["lifeEnds"], enqueued + timedelta(days=90))
        messages = [one["message"] for one in desk.explain(job)["next"]]
        assert "a = true" in messages[0]
        assert "'long'" in messages[1]
        assert "queue" in desk.explain(job)["summary"]

    def test_a_schedule(self, desk: Desk) -> None:
        at = soon(3600)
        job = desk.job(desk.queue(), matching_mode=m.ScheduleAndSuspendMode(schedule_at=at))
        desk.until(job, "scheduled")
        assert close(upcoming(desk, job)["activation"], at, 0.01)
        assert desk.explain(job)["workers"] == []

    def test_a_close_and_the_end(self, desk: Desk) -> None:
        queue = desk.queue()
        accepted = desk.accept(desk.worker(queue), desk.job(queue))
        assert list(upcoming(desk, accepted.job_id)) == ["lifeEnds"]
        desk.complete(accepted)
        at = soon(3600)
        desk.client.close_job(accepted.job_id, accepted.assignment_id, m.CloseJobOptions(close_at=at))
        assert close(upcoming(desk, accepted.job_id)["close"], at, 0.01)
        desk.client.close_job(accepted.job_id, accepted.assignment_id)
        assert upcoming(desk, accepted.job_id) == {}
        assert "closed" in desk.explain(accepted.job_id)["summary"]


def in_pages(desk: Desk, job: str, size: int) -> list[str]:
    """The workers of all pages, as they come."""
    seen: list[str] = []
    path, params = f"routing/jobs/{job}/explain", {"maxpagesize": str(size)}
    while path:
        page = send(desk.client, "GET", path, params=params).json()
        assert len(page["workers"]) <= size
        assert (page["jobId"], page["status"]) == (job, "queued"), "each page tells of the job"
        seen += [one["workerId"] for one in page["workers"]]
        path, _, query = page.get("nextLink", "").lstrip("/").partition("?")
        params = dict([query.split("=", 1)]) if query else {}
    return seen


class TestOrder:
    """Who would get the job first comes first, then who cannot take anything now."""

    EXPERT = selector("skill", "equal", "expert")

    def test_longest_idle(self, desk: Desk) -> None:
        queue = desk.queue()
        away = [desk.worker(queue, available_for_offers=False) for _ in range(2)]
        idle = [desk.worker(queue, capacity=2) for _ in range(3)]
        busy = desk.worker(queue, capacity=2, labels={"busy": True})
        desk.offer(busy, desk.job(queue, requested_worker_selectors=[selector("busy", "equal", True)]))
        job = desk.queued(queue, requested_worker_selectors=[self.EXPERT])
        expected = [*idle, busy, *away]
        assert eventually(lambda: in_pages(desk, job, 100) == expected)
        assert in_pages(desk, job, 2) == expected
        assert in_pages(desk, job, 1) == expected

    def test_round_robin(self, desk: Desk) -> None:
        queue = desk.queue(mode=m.RoundRobinMode())
        workers = sorted(desk.worker(queue, capacity=2) for _ in range(4))
        job = desk.queued(queue, requested_worker_selectors=[self.EXPERT])
        assert in_pages(desk, job, 2) == workers
        for turn in range(2):
            desk.offer(workers[turn], desk.job(queue))
        expected = [*workers[2:], *workers[:2]]
        assert eventually(lambda: in_pages(desk, job, 100) == expected)
        assert in_pages(desk, job, 1) == expected
        desk.offer(workers[2], desk.job(queue))


def test_pages_hold_what_was_asked_and_miss_nobody(desk: Desk) -> None:
    queue = desk.queue()
    workers = [desk.worker(queue, available_for_offers=False) for _ in range(5)]
    job = desk.queued(queue)
    assert in_pages(desk, job, 2) == workers
    answer = send(desk.client, "GET", f"routing/jobs/{job}/explain", params={"maxpagesize": "0"})
    assert answer.status_code == 400
