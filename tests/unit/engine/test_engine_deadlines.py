"""Which moments a job's state makes necessary to look at it again."""

from __future__ import annotations

from typing import Any

import pytest

from router.engine import endings
from router.engine.deadlines import Due, next_wait, of_change, of_life
from router.models.jobs import Decline, JobRecord, JobStatus, ScheduleAndSuspendMode
from router.models.policies import ExceptionPolicy
from tests.unit.engine.engine_records import NOW, job, later, offer, offered, selector

POLICY = ExceptionPolicy.model_validate(
    {
        "exceptionRules": [
            {"id": "soon", "trigger": {"kind": "waitTime", "thresholdSeconds": 5}, "actions": [{"kind": "cancel"}]},
            {"id": "late", "trigger": {"kind": "waitTime", "thresholdSeconds": 50}, "actions": [{"kind": "cancel"}]},
            {"id": "long", "trigger": {"kind": "queueLength", "threshold": 5}, "actions": [{"kind": "cancel"}]},
        ]
    }
)
AT = ScheduleAndSuspendMode(kind="scheduleAndSuspend", schedule_at=later(100))


def _expiring(seconds: float, **fields: Any) -> dict[str, Any]:
    return {"requested_worker_selectors": [selector("a", "equal", 1, expires_at=later(seconds), **fields)]}


@pytest.mark.parametrize(
    ("before", "after", "due"),
    [
        (job(), offered(offer("o", expires=30)), [Due("offer", later(30), "o")]),
        (offered(offer("o")), offered(offer("o")), []),
        (offered(offer("o")), offered(offer("o"), offer("p", expires=40)), [Due("offer", later(40), "p")]),
        (
            job(),
            job(routing={"declined": {"w": Decline(declined_at=NOW, retry_at=later(9))}}),
            [Due("retry", later(9), "w")],
        ),
        (job(), job(routing={"declined": {"w": Decline(declined_at=NOW)}}), []),
        (
            job(routing={"declined": {"w": Decline(declined_at=NOW, retry_at=later(9))}}),
            job(routing={"declined": {"w": Decline(declined_at=NOW, retry_at=later(19))}}),
            [Due("retry", later(19), "w")],
        ),
        (job(), job(routing={"retry_at": later(2)}), [Due("retry", later(2))]),
        (job(routing={"retry_at": later(2)}), job(routing={"retry_at": later(2)}), []),
        (job(JobStatus.ASSIGNED), job(JobStatus.COMPLETED, routing={"close_at": later(8)}), [Due("close", later(8))]),
        (None, job(JobStatus.PENDING_SCHEDULE, matching_mode=AT), [Due("schedule", later(100))]),
        (job(JobStatus.SCHEDULED, matching_mode=AT), job(JobStatus.SCHEDULED, matching_mode=AT), []),
        (job(JobStatus.CREATED), job(**_expiring(20)), [Due("selectors", later(20))]),
        (job(**_expiring(20)), job(**_expiring(20)), []),
        (job(**_expiring(20)), job(**_expiring(25)), [Due("selectors", later(25))]),
        (job(JobStatus.CREATED), job(**_expiring(20, status="expired")), []),
        (job(), job(JobStatus.ASSIGNED, **_expiring(20)), []),
    ],
)
def test_what_a_change_makes_necessary(before: JobRecord | None, after: JobRecord, due: list[Due]) -> None:
    assert list(of_change(before, after, None)) == due


FIRST, NEXT = Due("wait", later(5), "soon"), Due("wait", later(50), "late")


@pytest.mark.parametrize(
    ("before", "after", "due"),
    [
        (None, job(), [FIRST]),
        (job(JobStatus.CREATED), job(), [FIRST]),
        (job(routing={"stay": 1}), job(routing={"stay": 2}), [FIRST]),
        (job(), job(), []),
        (job(JobStatus.CREATED), job(routing={"fired_rules": ["soon"]}), [NEXT]),
        (job(), job(routing={"fired_rules": ["soon"]}), [NEXT]),
        (job(), job(routing={"fired_rules": ["late"]}), []),
        (job(routing={"fired_rules": ["soon"]}), job(routing={"fired_rules": ["soon", "late"]}), []),
        (None, job(JobStatus.CREATED), []),
    ],
)
def test_of_the_wait_rules_the_next_one(before: JobRecord | None, after: JobRecord, due: list[Due]) -> None:
    assert list(of_change(before, after, POLICY)) == due


def test_who_is_not_in_line_waits_for_no_rule() -> None:
    assert next_wait(job(enqueued_at=None), POLICY) is None


def test_the_life_of_a_job() -> None:
    record = offered(offer("o", expires=30))
    found = of_life(record, POLICY)
    assert found == [Due("offer", later(30), "o"), FIRST, Due("life", endings.life_ends(record))]


@pytest.mark.parametrize("status", [JobStatus.CLOSED, JobStatus.CANCELLED])
def test_a_job_that_has_ended_needs_nothing(status: JobStatus) -> None:
    assert of_life(job(status), POLICY) == []
