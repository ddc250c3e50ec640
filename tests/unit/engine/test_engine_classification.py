"""What a classification makes of a job; allocation by weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine import classification
from router.engine.classification import Classified, QueueChoice, pick_allocation, pick_queue
from router.errors import ErrorDetail, TooLarge
from router.models.jobs import JobRecord, JobStatus
from router.models.selectors import MAX_ATTACHED, RouterQueueSelector
from tests.unit.engine.engine_records import NOW, after, events, job, later, selector


@dataclass(frozen=True)
class Share:
    name: str
    weight: float


def queue_selector(key: str, operator: str, value: Any) -> RouterQueueSelector:
    return RouterQueueSelector(key=key, label_operator=operator, value=value)


class TestQueue:
    QUEUES = {
        "q2": {"Id": "q2", "lang": "fr", "level": 2},
        "q1": {"Id": "q1", "lang": "fr", "level": 1},
        "q0": {"Id": "q0", "lang": "en", "level": 3},
    }

    def test_all_selectors_must_hold(self) -> None:
        one, two = queue_selector("lang", "equal", "fr"), queue_selector("level", "greaterThan", 1)
        assert pick_queue([one, two], self.QUEUES) == "q2"
        assert pick_queue([one, two, queue_selector("level", "greaterThan", 2)], self.QUEUES) is None

    def test_of_several_the_lowest_id(self) -> None:
        assert pick_queue([queue_selector("lang", "equal", "fr")], self.QUEUES) == "q1"
        assert pick_queue([], self.QUEUES) == "q0"
        assert pick_queue([], {}) is None

    def test_by_id(self) -> None:
        assert pick_queue([queue_selector("Id", "equal", "q2")], self.QUEUES) == "q2"


class TestAllocation:
    #: Chi-square that chance exceeds once in 1000, for 1 to 4 degrees of freedom. The ids are fixed: no flakes.
    RARE = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47}

    @pytest.mark.parametrize(
        "weights", [(1, 1), (0.3, 0.7), (30, 70), (1, 2, 3), (0.01, 0.99), (5, 1, 1, 1), (0.2, 0.2, 0.2, 0.2, 0.2)]
    )
    @pytest.mark.parametrize("policy", ["policy-1", "another"])
    @pytest.mark.parametrize("ids", ["job-{}", "{:08x}-0000-4000-8000-000000000000"])
    def test_shares_over_many_jobs(self, weights: tuple[float, ...], policy: str, ids: str) -> None:
        shares = [Share(str(number), weight) for number, weight in enumerate(weights)]
        total = 5000
        counts = dict.fromkeys(shares, 0)
        for number in range(total):
            counts[pick_allocation(shares, ids.format(number), policy, "queue/0")] += 1
        expected = {share: total * share.weight / sum(weights) for share in shares}
        square = sum((counts[share] - expected[share]) ** 2 / expected[share] for share in shares)
        assert square < self.RARE[len(shares) - 1]

    @given(st.lists(st.floats(0.001, 1e9), min_size=1, max_size=6), st.text(min_size=1), st.text(), st.text())
    def test_the_same_job_gets_the_same_one(self, weights: list[float], job_id: str, policy: str, place: str) -> None:
        shares = [Share(str(number), weight) for number, weight in enumerate(weights)]
        chosen = pick_allocation(shares, job_id, policy, place)
        assert chosen in shares
        assert pick_allocation(shares, job_id, policy, place) is chosen
        # Weights are normalised (powers of two scale without rounding).
        doubled = [Share(share.name, share.weight * 2) for share in shares]
        assert pick_allocation(doubled, job_id, policy, place).name == chosen.name

    def test_places_and_policies_choose_for_themselves(self) -> None:
        shares = [Share("a", 1), Share("b", 1)]
        choices = [
            "".join(pick_allocation(shares, f"j{number}", policy, place).name for number in range(200))
            for policy, place in (("p", "queue/0"), ("p", "queue/1"), ("p", "worker/0"), ("p2", "queue/0"))
        ]
        for one, other in pairwise(choices):
            agree = sum(a == b for a, b in zip(one, other, strict=True))
            assert 60 < agree < 140, "as independent as coins"

    def test_a_share_that_grows_takes_no_job_from_itself(self) -> None:
        before, now = [Share("a", 30), Share("b", 70)], [Share("a", 50), Share("b", 50)]
        for number in range(500):
            if pick_allocation(before, f"j{number}", "p", "queue/0").name == "a":
                assert pick_allocation(now, f"j{number}", "p", "queue/0").name == "a"


def result(queue_id: str = "q2", priority: int = 7) -> Classified:
    return Classified(
        QueueChoice(queue_id, "Name", {"a": 1}), priority, [selector("s", "equal", 1, expires_after_seconds=9)]
    )


def pending(**fields: Any) -> JobRecord:
    return job(JobStatus.PENDING_CLASSIFICATION, classification_policy_id="p", **fields)


class TestOutcome:
    def test_queued_with_all_it_got(self) -> None:
        change = classification.apply(pending(queue_id=None), result(), NOW)
        assert events(change) == ["JobClassified", "JobQueued"]
        record = after(change)
        assert (record.status, record.job.queue_id, record.job.priority) == (JobStatus.QUEUED, "q2", 7)
        assert (record.job.enqueued_at, record.routing.stay) == (NOW, 1)
        assert [(one.key, one.expires_at) for one in record.job.attached_worker_selectors] == [("s", later(9))]
        assert change.events[0].data["queueDetails"] == {"id": "q2", "name": "Name", "labels": {"a": 1, "Id": "q2"}}

    def test_again_keeps_its_time(self) -> None:
        """Also in another queue (docs/behaviour.md, "Updating")."""
        for queue_id, stay in (("q", 3), ("q2", 4)):
            record = after(
                classification.apply(pending(enqueued_at=NOW, routing={"stay": 3}), result(queue_id), later(50))
            )
            assert (record.job.enqueued_at, record.routing.stay) == (NOW, stay)

    def test_what_the_policy_attached_before_is_replaced(self) -> None:
        record = after(
            classification.apply(pending(attached_worker_selectors=[selector("old", "equal", 1)]), result(), NOW)
        )
        assert [one.key for one in record.job.attached_worker_selectors] == ["s"]

    def test_more_selectors_than_are_held_against_workers_are_refused(self) -> None:
        most = [selector(f"s{number}", "equal", 1) for number in range(MAX_ATTACHED)]
        classified = Classified(QueueChoice("q2", "Name", {}), 7, most)
        assert len(after(classification.apply(pending(), classified, NOW)).job.attached_worker_selectors) == len(most)
        with pytest.raises(TooLarge) as refused:
            classification.apply(pending(), replace(classified, attached=[*most, most[0]]), NOW)
        assert refused.value.code == "TooManySelectors"

    def test_suspended_jobs_go_on_being_suspended(self) -> None:
        change = classification.apply(pending(matching_mode={"kind": "suspend"}), result(), NOW)
        assert (after(change).status, events(change)) == (
            JobStatus.WAITING_FOR_ACTIVATION,
            ["JobClassified", "JobWaitingForActivation"],
        )
        scheduled = pending(matching_mode={"kind": "scheduleAndSuspend", "schedule_at": later(9)})
        assert after(classification.apply(scheduled, result(), NOW)).status is JobStatus.PENDING_SCHEDULE

    def test_failed(self) -> None:
        errors = [ErrorDetail("RuleFailed", "one"), ErrorDetail("RuleFailed", "two")]
        change = classification.fail(pending(), "p", errors)
        assert (after(change).status, events(change)) == (JobStatus.CLASSIFICATION_FAILED, ["JobClassificationFailed"])
        assert after(change).routing.failure == "one; two"
        assert [one["message"] for one in change.events[0].data["errors"]] == ["one", "two"]

    @pytest.mark.parametrize("status", [one for one in JobStatus if one is not JobStatus.PENDING_CLASSIFICATION])
    def test_only_of_who_waits_for_it(self, status: JobStatus) -> None:
        record = job(status)
        assert classification.apply(record, result(), NOW).record is record
        assert classification.fail(record, "p", []).record is record
