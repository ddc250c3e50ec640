"""Jobs coming in, changing and being queued (docs/behaviour.md, "Job life")."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from router.engine import announce
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve, move, revoke_all, sorted_notes
from router.engine.selectors import expire, start
from router.errors import BadRequest, Conflict, ErrorDetail
from router.models.jobs import (
    LATEST_SCHEDULE,
    SETTLED,
    JobRecord,
    JobRouting,
    JobStatus,
    QueueAndMatchMode,
    RouterJob,
    RouterJobInput,
    ScheduleAndSuspendMode,
    SuspendMode,
)
from router.models.types import format_time, same_on_wire

_S = JobStatus
#: What decides where a job goes: no longer changed once it is assigned.
_ROUTING_FIELDS = {
    "channel_id": "channelId",
    "classification_policy_id": "classificationPolicyId",
    "queue_id": "queueId",
    "priority": "priority",
    "requested_worker_selectors": "requestedWorkerSelectors",
    "matching_mode": "matchingMode",
}
#: A change of these has a job with a classification policy classified again.
_CLASSIFYING = {"labels", "classification_policy_id"}
_SUSPENDED = {_S.PENDING_SCHEDULE, _S.SCHEDULED, _S.SCHEDULE_FAILED, _S.WAITING_FOR_ACTIVATION}
_FREE_FIELDS = ("channel_reference", "disposition_code", "labels", "tags")


def create(id: str, wanted: RouterJobInput, now: datetime) -> JobChange:
    """A new job, not yet anywhere: what follows is woken by RouterJobReceived. Raises BadRequest."""
    mode = wanted.matching_mode
    if isinstance(mode, ScheduleAndSuspendMode):
        _check_schedule(mode, now)
        status = _S.PENDING_SCHEDULE
    elif isinstance(mode, SuspendMode):
        status = _S.WAITING_FOR_ACTIVATION
    else:
        status = _S.PENDING_CLASSIFICATION if wanted.classification_policy_id else _S.CREATED
    job = RouterJob(**{**_fields(wanted), "notes": sorted_notes(wanted.notes, now)}, id=id, status=status)
    record = JobRecord(job=job, routing=JobRouting(created_at=now), etag="", modified=now)
    events = [announce.job_received(job)]
    if status is _S.WAITING_FOR_ACTIVATION:
        events.append(announce.job_waiting_for_activation(job))
    return Change(record, tuple(events))


def update(record: JobRecord, wanted: RouterJobInput, now: datetime) -> JobChange:
    """What a PATCH of an existing job does. Raises BadRequest, Conflict (409: settled and routing changed)."""
    before = record.job
    changed = {
        name
        for name in (*_ROUTING_FIELDS, *_FREE_FIELDS)
        if not same_on_wire(getattr(before, name), getattr(wanted, name))
    }
    refused = sorted(changed & set(_ROUTING_FIELDS))
    if before.status in SETTLED and refused:
        names = [_ROUTING_FIELDS[name] for name in refused]
        raise Conflict(
            f"Job '{record.id}' is {before.status}: {', '.join(names)} can no longer be changed.",
            details=[ErrorDetail("JobNotUpdatable", f"The job is {before.status}.", name) for name in names],
        )
    fields: dict[str, Any] = {name: getattr(wanted, name) for name in changed}
    fields["notes"] = sorted_notes(wanted.notes, now)
    if fields["notes"] == before.notes:
        del fields["notes"]
    if before.status in SETTLED:
        return Change(evolve(record, job=fields))
    record = evolve(record, job=fields)
    if before.status in _SUSPENDED and changed & _CLASSIFYING:
        record = evolve(record, routing={"to_classify": True})
    if "matching_mode" in changed:
        return _change_mode(record, before, changed, now)
    return _reroute(record, before, changed, now)


def reclassify(record: JobRecord) -> JobChange:
    """`:reclassify`. Raises BadRequest without a classification policy, Conflict once assigned."""
    job = record.job
    if job.status in SETTLED:
        raise Conflict(f"Job '{record.id}' is {job.status}: only a job not yet assigned can be reclassified.")
    if not job.classification_policy_id:
        raise BadRequest(
            f"Job '{record.id}' has no classification policy.",
            details=[ErrorDetail("MissingField", "The job has no classification policy.", "classificationPolicyId")],
        )
    return _to_classification(record)


def enqueue(record: JobRecord, now: datetime, *, new_stay: bool = True, since: datetime | None = None) -> JobChange:
    """The job waits in its queue from now on, or goes on waiting there with what has changed. A new stay gets
    its exception rules anew; `enqueued_at` is kept if the job has one. `since`: it has waited there already."""
    assert record.job.queue_id is not None
    enqueued_at = record.job.enqueued_at or since or now
    # A job that comes back to its old place may bring selectors whose time is over by now.
    requested, gone_requested = expire(start(record.job.requested_worker_selectors, enqueued_at), now)
    attached, gone_attached = expire(start(record.job.attached_worker_selectors, enqueued_at), now)
    record = evolve(
        move(record, _S.QUEUED),
        job={
            "enqueued_at": enqueued_at,
            "requested_worker_selectors": requested,
            "attached_worker_selectors": attached,
        },
        routing={"to_classify": False, **({"stay": record.routing.stay + 1, "fired_rules": []} if new_stay else {})},
    )
    events = [announce.job_queued(record.job)]
    if gone_requested or gone_attached:
        events.append(announce.selectors_expired(record.job, gone_requested, gone_attached))
    return Change(record, tuple(events))


def suspend(record: JobRecord, now: datetime) -> JobChange:
    """The job waits for its activation, or for its scheduled time if that is still to come."""
    mode = record.job.matching_mode
    if isinstance(mode, ScheduleAndSuspendMode) and mode.schedule_at > now:
        return Change(move(record, _S.PENDING_SCHEDULE))
    record = move(record, _S.WAITING_FOR_ACTIVATION)
    return Change(record, (announce.job_waiting_for_activation(record.job),))


def expire_selectors(record: JobRecord, now: datetime) -> JobChange:
    """Selectors whose time has come no longer count; the job is to be matched again."""
    if record.status not in (_S.QUEUED, _S.PENDING_CLASSIFICATION):
        return Change(record)
    requested, gone_requested = expire(record.job.requested_worker_selectors, now)
    attached, gone_attached = expire(record.job.attached_worker_selectors, now)
    if not gone_requested and not gone_attached:
        return Change(record)
    record = evolve(record, job={"requested_worker_selectors": requested, "attached_worker_selectors": attached})
    return Change(record, (announce.selectors_expired(record.job, gone_requested, gone_attached),))


def schedule(record: JobRecord) -> JobChange:
    """pendingSchedule -> scheduled, or scheduleFailed when the calendar ends before the job's life would."""
    mode = record.job.matching_mode
    if record.status is not _S.PENDING_SCHEDULE or not isinstance(mode, ScheduleAndSuspendMode):
        return Change(record)
    if mode.schedule_at > LATEST_SCHEDULE:
        reason = f"scheduleAt {format_time(mode.schedule_at)} is too late; the last is {format_time(LATEST_SCHEDULE)}."
        record = evolve(move(record, _S.SCHEDULE_FAILED), routing={"failure": reason})
        return Change(record, (announce.job_scheduling_failed(record.job, reason),))
    return Change(move(record, _S.SCHEDULED))


def activation_due(record: JobRecord, now: datetime) -> JobChange:
    """A scheduled job's time has come: it waits for its activation."""
    mode = record.job.matching_mode
    due = isinstance(mode, ScheduleAndSuspendMode) and mode.schedule_at <= now
    if record.status not in (_S.SCHEDULED, _S.PENDING_SCHEDULE) or not due:
        return Change(record)
    assert isinstance(mode, ScheduleAndSuspendMode)
    record = evolve(move(record, _S.WAITING_FOR_ACTIVATION), job={"scheduled_at": mode.schedule_at})
    return Change(record, (announce.job_waiting_for_activation(record.job),))


def _change_mode(record: JobRecord, before: RouterJob, changed: set[str], now: datetime) -> JobChange:
    mode = record.job.matching_mode
    if isinstance(mode, QueueAndMatchMode):
        if before.status in (_S.CREATED, _S.PENDING_CLASSIFICATION, _S.QUEUED):
            return _reroute(record, before, changed, now)
        if record.routing.stay == 0 and record.routing.activated_at is None:
            record = evolve(record, routing={"activated_at": now})
        classify = record.job.classification_policy_id and (
            not record.job.queue_id or before.status is _S.CLASSIFICATION_FAILED or record.routing.to_classify
        )
        return _to_classification(record) if classify else enqueue(_replaced(record, changed), now)
    record, events = revoke_all(record)
    if isinstance(mode, ScheduleAndSuspendMode):
        _check_schedule(mode, now)
        return Change(move(record, _S.PENDING_SCHEDULE), tuple(events))
    if before.status is not _S.WAITING_FOR_ACTIVATION:
        record = move(record, _S.WAITING_FOR_ACTIVATION)
        events.append(announce.job_waiting_for_activation(record.job))
    return Change(record, tuple(events))


def _reroute(record: JobRecord, before: RouterJob, changed: set[str], now: datetime) -> JobChange:
    """Changed labels, queue, channel, selectors or policy of a job that is not suspended
    (docs/behaviour.md, "Updating")."""
    job, status = record.job, before.status
    has_policy = bool(job.classification_policy_id)
    # Its queue taken away, a job has only its policy to find another.
    to_classify = has_policy and (not job.queue_id or bool(changed & _CLASSIFYING))
    if status in (_S.CREATED, _S.PENDING_CLASSIFICATION):
        # Not yet anywhere: whoever is at it finds the row changed and starts again with this.
        wanted = _S.PENDING_CLASSIFICATION if has_policy else _S.CREATED
        if wanted is _S.CREATED and status is _S.PENDING_CLASSIFICATION:
            return enqueue(record, now)
        return Change(move(record, wanted))
    if status is _S.CLASSIFICATION_FAILED:
        if has_policy and (to_classify or "queue_id" in changed):
            return _to_classification(record)
        return enqueue(record, now) if not has_policy and job.queue_id else Change(record)
    if status is not _S.QUEUED:
        return Change(_replaced(record, changed))
    if to_classify:
        return _to_classification(record)
    if not changed & {"labels", "queue_id", "channel_id", "requested_worker_selectors", "classification_policy_id"}:
        return Change(record)
    record, events = revoke_all(_replaced(record, changed))
    queued = enqueue(record, now, new_stay="queue_id" in changed)
    return Change(queued.record, (*events, *queued.events))


def _replaced(record: JobRecord, changed: set[str]) -> JobRecord:
    """The job without its place if it goes to another queue."""
    return evolve(record, job={"enqueued_at": None}) if "queue_id" in changed else record


def _to_classification(record: JobRecord) -> JobChange:
    record, events = revoke_all(record)
    routing = {"failure": None, "to_classify": False}
    return Change(evolve(move(record, _S.PENDING_CLASSIFICATION), routing=routing), tuple(events))


def past_schedule(schedule_at: datetime, now: datetime) -> ErrorDetail | None:
    """What is wrong with a time that a job is to be scheduled for."""
    if schedule_at > now:
        return None
    message = f"scheduleAt must lie in the future, not at {format_time(schedule_at)}."
    return ErrorDetail("InvalidValue", message, "matchingMode.scheduleAt")


def _check_schedule(mode: ScheduleAndSuspendMode, now: datetime) -> None:
    problem = past_schedule(mode.schedule_at, now)
    if problem is not None:
        raise BadRequest(problem.message, details=[problem])


def _fields(wanted: RouterJobInput) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in RouterJobInput.model_fields}
