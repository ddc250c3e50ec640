"""Who qualifies for a job, and the first reason of who does not."""

from __future__ import annotations

from typing import Any

import pytest

from router.engine.matching import disqualified, still_declined, still_fits, wants_offers
from router.models.jobs import Decline, JobRecord, JobStatus
from router.models.policies import LongestIdleMode
from router.models.workers import WorkerRecord, WorkerState
from tests.unit.engine.engine_records import NOW, channel, job, later, offer, offered, selector, worker

MODE = LongestIdleMode(kind="longestIdle")
BYPASS = LongestIdleMode(kind="longestIdle", bypass_selectors=True)
SKILLED: dict[str, Any] = {"requested_worker_selectors": [selector("skill", "greaterThanOrEqual", 7)]}

#: In the order in which they are told: the reason, what the worker is like, and what the message says.
REASONS: list[tuple[str, dict[str, Any], str]] = [
    ("inactive", {"available_for_offers": False, "state": WorkerState.INACTIVE}, "inactive"),
    ("otherQueue", {"queues": ["other"]}, "'q'"),
    ("otherChannel", {"channels": [channel("chat")]}, "'voice'"),
    ("hasOffer", {"held": {"j": 1}, "capacity": 9}, "offer of this job"),
    ("capacity", {"capacity": 100, "assigned": {"x": 80}, "channels": [channel(cost=30)]}, "80 of 100 capacity"),
    ("channelLimit", {"assigned": {"x": 1}, "channels": [channel(most=1)]}, "limit of 1 jobs on channel 'voice'"),
    ("offerLimit", {"held": {"x": 1}, "max_concurrent_offers": 1}, "limit of 1 live offers"),
    ("selector", {"labels": {"skill": 5}}, "Selector skill >= 7 does not hold: 5."),
]


@pytest.mark.parametrize(("code", "fields", "message"), REASONS, ids=[code for code, _, _ in REASONS])
def test_each_reason(code: str, fields: dict[str, Any], message: str) -> None:
    reason = disqualified(job(**SKILLED), worker(**{"labels": {"skill": 9}, **fields}), MODE, NOW)
    assert reason is not None
    assert reason.code == code
    assert message in reason.message
    assert disqualified(job(**SKILLED), worker(labels={"skill": 9}), MODE, NOW) is None


@pytest.mark.parametrize(("number", "code"), list(enumerate(code for code, _, _ in REASONS)))
def test_the_first_reason_is_told(number: int, code: str) -> None:
    """A worker for which this reason and all that come later hold."""
    fields: dict[str, Any] = {"held": {}, "assigned": {}}
    for name, one, _ in reversed(REASONS[number:]):
        for key, value in one.items():
            if key in ("held", "assigned"):
                fields[key] = {**fields[key], **value}
            elif key == "channels" and name != "otherChannel":
                fields[key] = [channel(cost=101, most=1)]
            else:
                fields[key] = value
    if code == "channelLimit":
        fields["channels"] = [channel(most=1)]
        fields["capacity"] = 100
    reason = disqualified(
        job(routing={"declined": {"w1": Decline(declined_at=NOW)}}, **SKILLED), worker(**fields), MODE, NOW
    )
    assert reason is not None
    assert reason.code == code


@pytest.mark.parametrize("fields", [{"state": WorkerState.DRAINING}, {"routing": {"deleting": True}}])
def test_who_is_leaving_is_inactive(fields: dict[str, Any]) -> None:
    reason = disqualified(job(), worker(**fields), MODE, NOW)
    assert reason is not None
    assert reason.code == "inactive"


def test_an_offer_that_only_the_job_knows() -> None:
    reason = disqualified(offered(offer(worker_id="w1")), worker(), MODE, NOW)
    assert reason is not None
    assert reason.code == "hasOffer"
    assert disqualified(offered(offer(worker_id="w2")), worker(), MODE, NOW) is None


def test_bypassing_the_selectors_bypasses_nothing_else() -> None:
    assert disqualified(job(**SKILLED), worker(), BYPASS, NOW) is None
    assert disqualified(job(**SKILLED), worker(queues=[]), BYPASS, NOW) is not None


def test_expired_selectors_do_not_count() -> None:
    expired = [selector("skill", "greaterThanOrEqual", 7, status="expired")]
    assert disqualified(job(requested_worker_selectors=expired), worker(), MODE, NOW) is None
    assert disqualified(job(attached_worker_selectors=SKILLED["requested_worker_selectors"]), worker(), MODE, NOW)


def test_the_label_id_is_matched() -> None:
    assert disqualified(job(requested_worker_selectors=[selector("Id", "equal", "w1")]), worker(), MODE, NOW) is None
    assert disqualified(job(requested_worker_selectors=[selector("Id", "equal", "w2")]), worker(), MODE, NOW)


@pytest.mark.parametrize(
    ("decline", "registered", "declined"),
    [
        (Decline(declined_at=NOW), -1, True),
        (Decline(declined_at=NOW), 0, True),
        (Decline(declined_at=NOW), 1, False),
        (Decline(declined_at=NOW, retry_at=later(10)), -1, True),
        (Decline(declined_at=NOW, retry_at=later(5)), -1, False),
        (Decline(declined_at=NOW, retry_at=later(10)), 1, False),
    ],
)
def test_a_decline_until_its_retry_or_a_new_registration(decline: Decline, registered: float, declined: bool) -> None:
    record = worker(routing={"registered_at": later(registered)})
    assert still_declined(decline, record.routing.registered_at, later(5)) is declined
    found = disqualified(job(routing={"declined": {"w1": decline}}), record, MODE, later(5))
    assert (found is not None and found.code == "declined") is declined
    if declined and decline.retry_at and found:
        assert "again from 2024-03-04T08:00:10+00:00" in found.message


@pytest.mark.parametrize("status", list(JobStatus))
def test_only_jobs_in_line_want_offers(status: JobStatus) -> None:
    """One that enters the line is queued by the round that finds its worker."""
    assert wants_offers(job(status), MODE) == (1 if status in (JobStatus.QUEUED, JobStatus.CREATED) else 0)


def test_as_many_offers_as_the_policy_says() -> None:
    mode = LongestIdleMode(kind="longestIdle", max_concurrent_offers=3)
    assert wants_offers(offered(offer("o1"), offer("o2", "w2")), mode) == 1
    assert wants_offers(offered(*(offer(f"o{n}", f"w{n}") for n in range(4))), mode) == 0


class TestMayKeepAnOffer:
    """What a worker's change does to the offers that it holds: later ones go first."""

    def kept(self, who: WorkerRecord, what: JobRecord | None = None, *, bypass: bool = False) -> list[str]:
        return [one.job_id for one in who.worker.offers if still_fits(what or job(), who, one, bypass_selectors=bypass)]

    def test_as_many_as_the_capacity_holds(self) -> None:
        assert self.kept(worker(held={"i": 1, "j": 1}, assigned={"k": 1}, capacity=3)) == ["i", "j"]
        assert self.kept(worker(held={"i": 1, "j": 1}, assigned={"k": 1}, capacity=2)) == ["i"]
        assert self.kept(worker(held={"i": 1, "j": 1}, assigned={"k": 2}, capacity=2)) == []

    def test_as_many_as_the_channel_allows(self) -> None:
        one_at_a_time = [channel(most=1)]
        assert self.kept(worker(held={"i": 1, "j": 1}, channels=one_at_a_time)) == ["i"]
        assert self.kept(worker(held={"i": 1}, assigned={"k": 1}, channels=one_at_a_time)) == []

    @pytest.mark.parametrize(
        "changed",
        [
            {"available_for_offers": False},
            {"queues": ["other"]},
            {"channels": [channel("chat")]},
            {"routing": {"deleting": True}},
        ],
    )
    def test_none_that_it_would_not_get_now(self, changed: dict[str, Any]) -> None:
        assert self.kept(worker(held={"i": 1}, **changed)) == []

    def test_selectors_count_unless_they_are_bypassed(self) -> None:
        asks = job(requested_worker_selectors=[selector("skill", "greaterThan", 5)])
        unskilled = worker(held={"i": 1}, labels={"skill": 5})
        assert self.kept(unskilled, asks) == []
        assert self.kept(unskilled, asks, bypass=True) == ["i"]
