"""Who gets which job, and in which order (docs/behaviour.md, "Matching")."""

from __future__ import annotations

from typing import Any

import pytest
from azure.communication.jobrouter.models import (
    BestWorkerMode,
    LongestIdleMode,
    RoundRobinMode,
    RouterChannel,
    ScoringRuleOptions,
    StaticRouterRule,
)

from tests.acceptance.desk import VOICE, Desk, selector


def reasons(desk: Desk, job: str) -> dict[str, str | None]:
    """Why each worker of the job's queue does not get it."""
    return {one["workerId"]: one.get("reason") for one in desk.explain(job)["workers"]}


class TestSelectors:
    HOLDS = [
        ("equal", "a", "a"), ("equal", 5, 5.0), ("equal", True, True),
        ("notEqual", "a", "b"), ("notEqual", 5, 6), ("notEqual", True, False), ("notEqual", 1, True),
        ("notEqual", 5, "5"), ("notEqual", 5, None),
        ("lessThan", 4.5, 5), ("lessThanOrEqual", 5, 5), ("greaterThan", 5.5, 5), ("greaterThanOrEqual", 5, 5),
        ("lessThan", "a", "b"), ("greaterThan", "a", "B"), ("lessThan", 9, 10),
    ]  # fmt: skip
    FAILS = [
        ("equal", "a", "A"), ("equal", 5, "5"), ("equal", 1, True), ("equal", None, "x"),
        ("notEqual", "a", "a"), ("notEqual", 5, 5.0),
        ("lessThan", 5, 5), ("lessThanOrEqual", 6, 5), ("greaterThan", 5, 5), ("greaterThanOrEqual", 4, 5),
        ("greaterThan", "9", 5), ("lessThan", None, 5), ("greaterThan", "a", "b"),
    ]  # fmt: skip

    def test_each_operator(self, desk: Desk) -> None:
        """One worker for each case, all at once: label, operator, value."""
        queue = desk.queue()
        cases: list[tuple[str, str, bool]] = []
        for number, (operator, label, value) in enumerate([*self.HOLDS, *self.FAILS]):
            key = f"k{number}"
            labels = {} if label is None else {key: label}
            # A selector needs a value: one that no label has stands in for none.
            wanted = selector(key, operator, "none" if value is None else value)
            mine = selector("Case", "equal", number)
            job = desk.job(queue, requested_worker_selectors=[wanted, mine])
            worker = desk.worker(queue, labels={**labels, "Case": number})
            cases.append((worker, job, number < len(self.HOLDS)))
        for worker, job, holds in cases:
            if holds:
                assert desk.offer(worker, job)
        # Whoever has no offer by now was passed over: a job for anybody reaches it.
        for worker, job, holds in cases:
            if not holds:
                assert desk.client.get_job(job).status == "queued"
                assert desk.offers(worker) == []
                anybody = desk.job(queue, requested_worker_selectors=[selector("Id", "equal", worker)])
                assert desk.offer(worker).job_id == anybody

    def test_all_must_hold(self, desk: Desk) -> None:
        queue = desk.queue()
        one = desk.worker(queue, labels={"a": 1})
        both = desk.worker(queue, labels={"a": 1, "b": 2})
        job = desk.job(queue, requested_worker_selectors=[selector("a", "equal", 1), selector("b", "equal", 2)])
        assert desk.offered_to(job, one, both) == both

    def test_the_label_id(self, desk: Desk) -> None:
        queue = desk.queue()
        workers = [desk.worker(queue) for _ in range(3)]
        job = desk.job(queue, requested_worker_selectors=[selector("Id", "equal", workers[1])])
        assert desk.offered_to(job, *workers) == workers[1]

    def test_bypass(self, desk: Desk) -> None:
        queue = desk.queue(LongestIdleMode(bypass_selectors=True))
        worker = desk.worker(queue)
        assert desk.offer(worker, desk.job(queue, requested_worker_selectors=[selector("a", "equal", 1)]))

    def test_expiry(self, desk: Desk) -> None:
        queue = desk.queue()
        worker = desk.worker(queue)
        asked = [selector("a", "equal", 1, expires_after_seconds=1.2), selector("b", "notEqual", 1)]
        job = desk.queued(queue, requested_worker_selectors=asked)
        waiting = desk.client.get_job(job)
        expiring, lasting = waiting.requested_worker_selectors or []
        assert (expiring.expires_at - waiting.enqueued_at).total_seconds() == pytest.approx(1.2, abs=0.001)
        assert (expiring.status, lasting.status, lasting.expires_at) == ("active", "active", None)
        offer = desk.offer(worker, job, seconds=5)
        assert -0.05 < (offer.offered_at - expiring.expires_at).total_seconds() < 1.1
        expired, lasting = desk.client.get_job(job).requested_worker_selectors or []
        assert (expired.status, lasting.status) == ("expired", "active")
        assert expired.expires_after_seconds == 1.2

    def test_expedite(self, desk: Desk) -> None:
        queue = desk.queue()
        urgent = desk.queued(queue, priority=100)
        ids = selector("Id", "notEqual", "nobody", expedite=True, expires_after_seconds=2)
        expedited = desk.queued(queue, requested_worker_selectors=[ids])
        assert desk.client.get_queue_position(expedited).position == 1
        worker = desk.worker(queue)
        accepted = desk.accept(worker, expedited)
        desk.client.unassign_job(expedited, accepted.assignment_id, {"suspendMatching": True})
        assert desk.offer(worker, urgent)

    def test_expedite_ends_with_its_selector(self, desk: Desk) -> None:
        queue = desk.queue()
        ids = selector("Id", "notEqual", "nobody", expedite=True, expires_after_seconds=1)
        expedited = desk.queued(queue, requested_worker_selectors=[ids])
        urgent = desk.queued(queue, priority=100)
        positions = [desk.client.get_queue_position(job).position for job in (expedited, urgent)]
        assert positions == [1, 2]
        desk.until_job(
            expedited, lambda job: job.requested_worker_selectors[0].status == "expired", "the selector expires"
        )
        positions = [desk.client.get_queue_position(job).position for job in (urgent, expedited)]
        assert positions == [1, 2]


class TestCapacity:
    def test_cost_and_capacity(self, desk: Desk) -> None:
        queue = desk.queue()
        channels = [
            RouterChannel(channel_id=VOICE, capacity_cost_per_job=100),
            RouterChannel(channel_id="chat", capacity_cost_per_job=40),
        ]
        worker = desk.worker(queue, capacity=100, channels=channels)
        chats = [desk.queued(queue, channel_id="chat") for _ in range(3)]
        call = desk.queued(queue, priority=9)
        first = desk.accept(worker, chats[0])
        second = desk.accept(worker, chats[1])
        busy = desk.client.get_worker(worker)
        assert (busy.load_ratio, busy.offers) == (0.8, [])
        desk.complete(first)
        assert desk.client.get_worker(worker).load_ratio == 0.8
        desk.client.close_job(first.job_id, first.assignment_id)
        third = desk.accept(worker, chats[2])
        for one in (second, third):
            desk.close(one)
        offer = desk.offer(worker, call)
        assert (offer.capacity_cost, desk.client.get_worker(worker).load_ratio) == (100, 1)

    @pytest.mark.ours
    def test_max_number_of_jobs(self, desk: Desk) -> None:
        queue = desk.queue()
        channels = [
            RouterChannel(channel_id="chat", capacity_cost_per_job=1, max_number_of_jobs=2),
            RouterChannel(channel_id="mail", capacity_cost_per_job=1),
        ]
        worker = desk.worker(queue, capacity=10, channels=channels)
        chats = [desk.queued(queue, channel_id="chat") for _ in range(3)]
        accepted = desk.accept(worker, chats[0])
        desk.offer(worker, chats[1])
        assert reasons(desk, chats[2]) == {worker: "channelLimit"}
        assert desk.offer(worker, desk.job(queue, channel_id="mail"))
        desk.close(accepted)
        assert desk.offer(worker, chats[2])

    @pytest.mark.ours
    def test_max_concurrent_offers_of_a_worker(self, desk: Desk, preview: Any) -> None:
        queue = desk.queue()
        worker = desk.id("worker")
        preview.upsert_worker(
            worker,
            {
                "capacity": 10,
                "queues": [queue],
                "channels": [{"channelId": VOICE, "capacityCostPerJob": 1}],
                "availableForOffers": True,
                "maxConcurrentOffers": 2,
            },
        )
        jobs = [desk.queued(queue) for _ in range(3)]
        accepted = desk.accept(worker, jobs[0])
        desk.offer(worker, jobs[1])
        desk.offer(worker, jobs[2])
        last = desk.queued(queue)
        assert reasons(desk, last) == {worker: "offerLimit"}
        desk.accept(worker, jobs[1])
        assert desk.offer(worker, last)
        assert accepted.worker_id == worker

    def test_only_its_queues_and_channels(self, desk: Desk) -> None:
        queue, other = desk.queue(), desk.queue()
        worker = desk.worker(queue, capacity=5)
        elsewhere, chat, mine = desk.queued(other), desk.queued(queue, channel_id="chat"), desk.queued(queue)
        assert desk.offer(worker).job_id == mine
        assert [desk.client.get_job(job).status for job in (elsewhere, chat)] == ["queued", "queued"]
        assert len(desk.offers(worker)) == 1


class TestOrderOfJobs:
    def test_priority_then_time(self, desk: Desk) -> None:
        queue = desk.queue()
        late_urgent = [("low", 1), ("middle", 5), ("first", 10), ("second", 10)]
        jobs = {name: desk.queued(queue, priority=priority) for name, priority in late_urgent}
        worker = desk.worker(queue)
        order = []
        for _ in jobs:
            accepted = desk.accept(worker)
            order.append(next(name for name, job in jobs.items() if job == accepted.job_id))
            desk.close(accepted)
        assert order == ["first", "second", "middle", "low"]

    def test_over_all_queues_of_a_worker(self, desk: Desk) -> None:
        one, other = desk.queue(), desk.queue()
        plain = desk.queued(one, priority=3)
        urgent = desk.queued(other, priority=8)
        worker = desk.worker(one, other)
        first = desk.accept(worker)
        assert first.job_id == urgent
        desk.close(first)
        assert desk.accept(worker).job_id == plain


class TestOrderOfWorkers:
    def test_round_robin(self, desk: Desk) -> None:
        queue = desk.queue(RoundRobinMode())
        workers = [desk.worker(queue, capacity=10) for _ in range(3)]
        order = [desk.offered_to(desk.job(queue), *workers) for _ in range(6)]
        start = workers.index(order[0])
        assert order == [workers[(start + step) % 3] for step in range(6)]

    def test_longest_idle_by_load(self, desk: Desk) -> None:
        queue = desk.queue(LongestIdleMode())
        busy, free = desk.worker(queue, capacity=10), desk.worker(queue, capacity=4)
        first = desk.offered_to(desk.job(queue), busy, free)
        assert first == busy, "available for longer"
        assert desk.offered_to(desk.job(queue), busy, free) == free, "less loaded"
        # 1 of 10 against 1 of 4.
        assert desk.offered_to(desk.job(queue), busy, free) == busy

    def test_longest_idle_by_time(self, desk: Desk) -> None:
        queue = desk.queue(LongestIdleMode())
        workers = [desk.worker(queue) for _ in range(3)]
        first = desk.accept(desk.offered_to(job := desk.job(queue), *workers), job)
        assert first.worker_id == workers[0]
        desk.close(first)
        # Now it is the one that became available last.
        order: list[str] = []
        while len(order) < 3:
            order.append(desk.offered_to(desk.job(queue), *[one for one in workers if one not in order]))
        assert order == [workers[1], workers[2], workers[0]]

    def test_best_worker_by_labels(self, desk: Desk) -> None:
        queue = desk.queue(BestWorkerMode())
        worst = desk.worker(queue, labels={"Region": "EU", "Product": "b"})
        best = desk.worker(queue, labels={"Region": "NA", "Product": "a", "More": 1})
        middle = desk.worker(queue, labels={"Region": "NA"})
        labels = {"Region": "NA", "Product": "a"}
        order = [
            desk.offered_to(desk.job(queue, labels=labels), *left)
            for left in ([worst, best, middle], [worst, middle], [worst])
        ]
        assert order == [best, middle, worst]

    def test_best_worker_by_selectors(self, desk: Desk) -> None:
        """Worked examples (docs/behaviour.md, "Scores"): 0.707, 0.675, 0.667."""
        queue = desk.queue(BestWorkerMode())
        plain = desk.worker(queue, labels={"language": "french", "sales": 10, "cost": 10})
        seller = desk.worker(queue, labels={"language": "french", "sales": 15, "cost": 10})
        cheap = desk.worker(queue, labels={"language": "french", "sales": 10, "cost": 9})
        wanted = [
            selector("language", "equal", "french"),
            selector("sales", "greaterThanOrEqual", 10),
            selector("cost", "lessThanOrEqual", 10),
        ]
        left = [plain, seller, cheap]
        order = []
        while left:
            order.append(desk.offered_to(desk.job(queue, requested_worker_selectors=wanted), *left))
            left.remove(order[-1])
        assert order == [seller, cheap, plain]

    def test_best_worker_with_equal_scores(self, desk: Desk) -> None:
        mode = BestWorkerMode(scoring_rule=StaticRouterRule(value=1), scoring_rule_options=ScoringRuleOptions())
        queue = desk.queue(mode)
        workers = [desk.worker(queue) for _ in range(2)]
        assert desk.offered_to(desk.job(queue), *workers) == workers[0], "longest idle"
