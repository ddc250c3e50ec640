"""Scheduled and suspended jobs (docs/behaviour.md, "Job life")."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from azure.communication.jobrouter.models import QueueAndMatchMode, ScheduleAndSuspendMode, SuspendMode

from tests.acceptance.desk import Desk


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_from_schedule_to_activation(desk: Desk) -> None:
    queue = desk.queue()
    worker = desk.worker(queue)
    at = soon(2.5)
    job = desk.id("job")
    made = desk.client.upsert_job(
        job, channel_id="voice", queue_id=queue, matching_mode=ScheduleAndSuspendMode(schedule_at=at)
    )
    assert made.status == "pendingSchedule"
    scheduled = desk.until(job, "scheduled", seconds=2)
    assert (scheduled.scheduled_at, scheduled.enqueued_at) == (None, None)
    waiting = desk.until(job, "waitingForActivation", seconds=6)
    assert at - timedelta(seconds=0.1) <= datetime.now(UTC) < at + timedelta(seconds=2.5)
    assert abs(waiting.scheduled_at - at) < timedelta(seconds=0.001)
    assert desk.offers(worker) == []
    active = desk.client.upsert_job(job, matching_mode=QueueAndMatchMode())
    assert (active.status, active.matching_mode.kind) == ("queued", "queueAndMatch")
    accepted = desk.accept(worker, job)
    assert abs(desk.client.get_job(job).scheduled_at - at) < timedelta(seconds=0.001), "it is kept"
    desk.close(accepted)


def test_suspended_until_activated(desk: Desk) -> None:
    queue = desk.queue()
    worker = desk.worker(queue)
    job = desk.id("job")
    made = desk.client.upsert_job(job, channel_id="voice", queue_id=queue, matching_mode=SuspendMode())
    assert made.status == "waitingForActivation"
    sentinel = desk.queued(queue)
    assert desk.offer(worker).job_id == sentinel
    desk.client.cancel_job(sentinel)
    active = desk.client.upsert_job(job, matching_mode=QueueAndMatchMode())
    assert active.status == "queued"
    assert desk.offer(worker, job)


def test_before_its_time(desk: Desk) -> None:
    queue = desk.queue()
    worker = desk.worker(queue)
    job = desk.job(queue, matching_mode=ScheduleAndSuspendMode(schedule_at=soon(3600)))
    desk.until(job, "scheduled")
    assert desk.client.upsert_job(job, matching_mode=QueueAndMatchMode()).status == "queued"
    assert desk.offer(worker, job)


@pytest.mark.ours
def test_another_time(desk: Desk) -> None:
    job = desk.job(desk.queue(), matching_mode=ScheduleAndSuspendMode(schedule_at=soon(3600)))
    desk.until(job, "scheduled")
    at = soon(1.5)
    again = desk.client.upsert_job(job, matching_mode=ScheduleAndSuspendMode(schedule_at=at))
    assert again.status == "pendingSchedule"
    come = desk.until(job, "waitingForActivation").scheduled_at
    assert abs(come - at) < timedelta(seconds=0.001)
    past = desk.client.upsert_job(job, matching_mode=ScheduleAndSuspendMode(schedule_at=soon(3600)))
    assert (past.status, past.scheduled_at) == ("pendingSchedule", come), "kept"
    assert desk.until(job, "scheduled").scheduled_at == come


def test_the_year_2100(desk: Desk) -> None:
    job = desk.job(desk.queue(), matching_mode=ScheduleAndSuspendMode(schedule_at=datetime(2100, 1, 1, tzinfo=UTC)))
    assert desk.until(job, "scheduled").scheduled_at is None


def test_cancel_in_each_state(desk: Desk) -> None:
    queue = desk.queue()
    pending = desk.job(queue, matching_mode=ScheduleAndSuspendMode(schedule_at=soon(3600)))
    desk.client.cancel_job(pending)
    scheduled = desk.job(queue, matching_mode=ScheduleAndSuspendMode(schedule_at=soon(3600)))
    desk.until(scheduled, "scheduled")
    desk.client.cancel_job(scheduled)
    waiting = desk.job(queue, matching_mode=SuspendMode())
    desk.client.cancel_job(waiting)
    for job in (pending, scheduled, waiting):
        assert desk.client.get_job(job).status == "cancelled"
        desk.client.delete_job(job)


def test_a_suspended_job_with_a_classification_policy(desk: Desk) -> None:
    queue = desk.queue()
    policy = desk.classification(fallback_queue_id=queue)
    job = desk.job(None, classification_policy_id=policy, matching_mode=SuspendMode())
    assert desk.client.get_job(job).status == "waitingForActivation"
    desk.client.upsert_job(job, matching_mode=QueueAndMatchMode())
    assert desk.until(job, "queued").queue_id == queue
