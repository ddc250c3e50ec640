"""Exception rules of a queue (docs/behaviour.md, "Exceptions")."""

from __future__ import annotations

from azure.communication.jobrouter.models import (
    CancelExceptionAction,
    ExceptionRule,
    ManualReclassifyExceptionAction,
    QueueLengthExceptionTrigger,
    ReclassifyExceptionAction,
    StaticRouterRule,
    WaitTimeExceptionTrigger,
)

from tests.acceptance.desk import Desk, selector


def after(seconds: float, *actions: object, id: str = "late") -> ExceptionRule:
    return ExceptionRule(id=id, trigger=WaitTimeExceptionTrigger(threshold_seconds=seconds), actions=list(actions))


def at_length(threshold: int, *actions: object, id: str = "long") -> ExceptionRule:
    return ExceptionRule(id=id, trigger=QueueLengthExceptionTrigger(threshold=threshold), actions=list(actions))


def test_cancel_after_a_time(desk: Desk) -> None:
    rules = desk.exceptions(after(1, CancelExceptionAction(note="too late", disposition_code="Late")))
    queue = desk.queue(exception_policy_id=rules)
    job = desk.queued(queue)
    enqueued = desk.client.get_job(job).enqueued_at
    cancelled = desk.until(job, "cancelled", seconds=4)
    assert cancelled.disposition_code == "Late"
    [note] = cancelled.notes or []
    assert note.message == "too late"
    assert 1 <= (note.added_at - enqueued).total_seconds() < 2.1


def test_an_assigned_job_no_longer_waits(desk: Desk) -> None:
    rules = desk.exceptions(after(1, CancelExceptionAction()))
    queue = desk.queue(exception_policy_id=rules)
    worker = desk.worker(queue)
    accepted = desk.accept(worker, desk.job(queue))
    # A job of the same age that does wait shows that the time has come.
    desk.until(desk.job(queue), "cancelled", seconds=5)
    assert desk.client.get_job(accepted.job_id).status == "assigned"


def test_reclassify_with_new_labels(desk: Desk) -> None:
    backup = desk.queue()
    policy = desk.classification(
        queue_selector_attachments=[
            {"kind": "static", "queueSelector": {"key": "Id", "labelOperator": "equal", "value": backup}}
        ],
        prioritization_rule=StaticRouterRule(value=9),
    )
    action = ReclassifyExceptionAction(classification_policy_id=policy, labels_to_upsert={"Escalated": True, "n": 2})
    queue = desk.queue(exception_policy_id=desk.exceptions(after(1, action)))
    job = desk.queued(queue, labels={"n": 1, "kept": "yes"})
    moved = desk.until_job(job, lambda one: one.queue_id == backup and one.status == "queued", "has moved")
    assert (moved.priority, moved.labels) == (9, {"n": 2, "kept": "yes", "Escalated": True})
    assert moved.classification_policy_id == policy
    assert desk.offer(desk.worker(backup), job)


def test_reclassify_with_the_jobs_own_policy(desk: Desk) -> None:
    policy = desk.classification(prioritization_rule=StaticRouterRule(value=1))
    queue = desk.queue(exception_policy_id=desk.exceptions(after(1, ReclassifyExceptionAction())))
    job = desk.queued(queue, classification_policy_id=policy)
    desk.administration.upsert_classification_policy(policy, prioritization_rule=StaticRouterRule(value=6))
    assert desk.until_job(job, lambda one: one.priority == 6 and one.status == "queued", "classified again")


def test_manual_reclassification(desk: Desk) -> None:
    backup = desk.queue()
    action = ManualReclassifyExceptionAction(
        queue_id=backup, priority=7, worker_selectors=[selector("Added", "equal", 1, expires_after_seconds=60)]
    )
    queue = desk.queue(exception_policy_id=desk.exceptions(after(1, action)))
    here = desk.worker(queue)
    job = desk.queued(queue, requested_worker_selectors=[selector("Own", "notEqual", 1)])
    desk.offer(here, job)
    moved = desk.until_job(job, lambda one: one.queue_id == backup, "has moved", seconds=5)
    assert (moved.status, moved.priority) == ("queued", 7)
    assert [one.key for one in moved.requested_worker_selectors] == ["Own", "Added"]
    desk.no_offers(here)
    assert desk.offer(desk.worker(backup, labels={"Added": 1}), job)


def test_actions_in_order(desk: Desk) -> None:
    backup = desk.queue()
    rule = after(
        1,
        ManualReclassifyExceptionAction(queue_id=backup, priority=3),
        ManualReclassifyExceptionAction(priority=4, worker_selectors=[selector("x", "equal", 1)]),
        CancelExceptionAction(disposition_code="Third"),
    )
    job = desk.queued(desk.queue(exception_policy_id=desk.exceptions(rule)))
    ended = desk.until(job, "cancelled", seconds=5)
    assert (ended.queue_id, ended.priority, ended.disposition_code) == (backup, 4, "Third")
    assert [one.key for one in ended.requested_worker_selectors] == ["x"]


def test_queue_length(desk: Desk) -> None:
    rules = desk.exceptions(at_length(2, CancelExceptionAction(disposition_code="Full")))
    queue = desk.queue(exception_policy_id=rules)
    first, second = desk.queued(queue), desk.queued(queue)
    third = desk.job(queue)
    assert desk.until(third, "cancelled").disposition_code == "Full"
    assert [desk.client.get_job(job).status for job in (first, second)] == ["queued", "queued"]
    # Only those who stand before a job count.
    urgent = desk.queued(queue, priority=10)
    assert desk.client.get_queue_position(urgent).position == 1


def test_once_in_each_stay(desk: Desk) -> None:
    action = ManualReclassifyExceptionAction(worker_selectors=[selector("x", "notEqual", 1)])
    rules = desk.exceptions(after(1, action))
    queue, other = desk.queue(exception_policy_id=rules), desk.queue(exception_policy_id=rules)
    job = desk.queued(queue)
    once = desk.until_job(job, lambda one: one.requested_worker_selectors, "has fired", seconds=5)
    assert len(once.requested_worker_selectors) == 1
    # A job that comes later fires while the first one's rule does not fire again.
    later = desk.queued(queue)
    desk.until_job(later, lambda one: one.requested_worker_selectors, "has fired", seconds=5)
    assert len(desk.client.get_job(job).requested_worker_selectors) == 1
    desk.client.upsert_job(job, {"queueId": other, "requestedWorkerSelectors": []})
    desk.until_job(job, lambda one: one.requested_worker_selectors, "has fired in its new stay", seconds=5)
