"""Exception rules of a queue: when they fire, and what their actions do (contract section 5, "Exceptions")."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from router.engine import announce, endings, jobs
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve, revoke_all
from router.engine.selectors import of_policy
from router.models.events import EventDraft
from router.models.jobs import (
    CancelJobOptions,
    JobRecord,
    JobStatus,
    QueueAndMatchMode,
    TriggeredException,
)
from router.models.policies import (
    CancelExceptionAction,
    ExceptionAction,
    ExceptionPolicy,
    ExceptionRule,
    ManualReclassifyExceptionAction,
    QueueLengthExceptionTrigger,
    ReclassifyExceptionAction,
    WaitTimeExceptionTrigger,
)


def length_threshold(policy: ExceptionPolicy) -> int | None:
    """The largest number of jobs ahead that a rule of the policy asks about."""
    return max(
        (
            rule.trigger.threshold
            for rule in policy.exception_rules
            if isinstance(rule.trigger, QueueLengthExceptionTrigger)
        ),
        default=None,
    )


def length_rules(policy: ExceptionPolicy, ahead: int) -> list[ExceptionRule]:
    """The queueLength rules that fire for a job with so many jobs ahead."""
    return [
        rule
        for rule in policy.exception_rules
        if isinstance(rule.trigger, QueueLengthExceptionTrigger) and ahead >= rule.trigger.threshold
    ]


def wait_deadlines(policy: ExceptionPolicy, enqueued_at: datetime) -> list[tuple[str, datetime]]:
    """Rule id and moment of each waitTime rule, for a job that waits since `enqueued_at`."""
    return [
        (rule.id, enqueued_at + timedelta(seconds=rule.trigger.threshold_seconds))
        for rule in policy.exception_rules
        if isinstance(rule.trigger, WaitTimeExceptionTrigger)
    ]


def wait_rules_due(policy: ExceptionPolicy, record: JobRecord, now: datetime) -> list[ExceptionRule]:
    """The waitTime rules that have come due for the job and have not fired in this stay."""
    enqueued_at = record.job.enqueued_at
    if record.status is not JobStatus.QUEUED or enqueued_at is None:
        return []
    due = {id for id, at in wait_deadlines(policy, enqueued_at) if at <= now}
    return [rule for rule in policy.exception_rules if rule.id in due and rule.id not in record.routing.fired_rules]


def trigger(record: JobRecord, policy_id: str, rules: Sequence[ExceptionRule], now: datetime) -> JobChange:
    """The rules fire, at most once per stay; their actions are run when the events arrive."""
    if record.status is not JobStatus.QUEUED:
        return Change(record)
    new = [rule for rule in rules if rule.id not in record.routing.fired_rules]
    if not new:
        return Change(record)
    record = evolve(
        record,
        routing={
            "fired_rules": [*record.routing.fired_rules, *(rule.id for rule in new)],
            "triggered": [
                *record.routing.triggered,
                *(TriggeredException(rule_id=rule.id, policy_id=policy_id, at=now) for rule in new),
            ],
        },
    )
    return Change(record, tuple(announce.exception_triggered(record.job, rule.id) for rule in new))


def run(record: JobRecord, rule_id: str, actions: Sequence[ExceptionAction], now: datetime) -> JobChange:
    """The actions of one triggered rule, in order; each sees what the one before left. A job that no longer
    waits (assigned, suspended, ended) in the meantime is left alone."""
    left = [one for one in record.routing.triggered if one.rule_id != rule_id]
    if len(left) == len(record.routing.triggered):
        return Change(record)
    record = evolve(record, routing={"triggered": left})
    events: list[EventDraft] = []
    for action in actions:
        waits = record.status in (JobStatus.QUEUED, JobStatus.PENDING_CLASSIFICATION)
        if not waits or not isinstance(record.job.matching_mode, QueueAndMatchMode):
            break
        change = _act(record, action, now)
        assert change.record is not None
        record = change.record
        events.extend(change.events)
    return Change(record, tuple(events))


def _act(record: JobRecord, action: ExceptionAction, now: datetime) -> JobChange:
    match action:
        case CancelExceptionAction():
            options = CancelJobOptions(note=action.note, disposition_code=action.disposition_code)
            return endings.cancel(record, options, now)
        case ReclassifyExceptionAction():
            return _reclassify(record, action)
        case ManualReclassifyExceptionAction():
            return _manual(record, action, now)


def _reclassify(record: JobRecord, action: ReclassifyExceptionAction) -> JobChange:
    policy_id = action.classification_policy_id or record.job.classification_policy_id
    record = evolve(
        record,
        job={
            "labels": {**record.job.labels, **action.labels_to_upsert},
            "classification_policy_id": policy_id,
        },
    )
    # Without a policy there is nothing to classify with: the labels alone have changed.
    return jobs.reclassify(record) if policy_id else Change(record)


def _manual(record: JobRecord, action: ManualReclassifyExceptionAction, now: datetime) -> JobChange:
    record, events = revoke_all(record)
    moved = action.queue_id is not None and action.queue_id != record.job.queue_id
    fields: dict[str, object] = {
        "requested_worker_selectors": [
            *record.job.requested_worker_selectors,
            *(of_policy(selector) for selector in action.worker_selectors),
        ]
    }
    if action.priority is not None:
        fields["priority"] = action.priority
    if moved:
        fields |= {"queue_id": action.queue_id, "enqueued_at": None}
    queued = jobs.enqueue(evolve(record, job=fields), now, new_stay=moved)
    return Change(queued.record, (*events, *queued.events))
