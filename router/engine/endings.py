"""How jobs end: complete, close, unassign, cancel, delete, and the end of their life
(docs/behaviour.md, "Job life")."""

from __future__ import annotations

from datetime import datetime, timedelta

from router.engine import announce, jobs
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve, job_units, move, revoke_all, with_note, with_routers_note
from router.errors import Conflict, NotFound
from router.models.jobs import (
    DELETABLE,
    ENDED,
    JOB_LIFE_DAYS,
    LATEST_SCHEDULE,
    MAX_UNASSIGNMENTS,
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    JobRecord,
    JobStatus,
    RouterJobAssignment,
    ScheduleAndSuspendMode,
    SuspendMode,
    Unassigned,
    UnassignJobOptions,
)
from router.models.sizes import LARGEST_NOTED, check_size

_S = JobStatus


def complete(record: JobRecord, assignment_id: str, options: CompleteJobOptions, now: datetime) -> JobChange:
    """The work is done; the capacity stays in use until the job is closed (wrap-up). Raises TooLarge."""
    assignment = _assignment(record, assignment_id)
    _require(record, _S.ASSIGNED, "completed")
    record = _with_assignment(
        move(_noted(record, options.note, now), _S.COMPLETED),
        assignment.model_copy(update={"completed_at": now}),
    )
    return Change(record, (announce.job_completed(record.job, assignment_id, assignment.worker_id),))


def close(record: JobRecord, assignment_id: str, options: CloseJobOptions, now: datetime) -> JobChange:
    """Closes at once, or remembers to do so at a future `closeAt`."""
    _assignment(record, assignment_id)
    _require(record, _S.COMPLETED, "closed")
    record = _noted(record, options.note, now)
    disposition = options.disposition_code or record.job.disposition_code
    if options.close_at is not None and options.close_at > now:
        routing = {"close_at": options.close_at, "close_disposition": options.disposition_code}
        job = {"disposition_code": disposition} if disposition else None
        return Change(evolve(record, job=job, routing=routing))
    return _closed(record, assignment_id, disposition or "Closed", now)


def close_due(record: JobRecord, now: datetime) -> JobChange:
    """The moment of a close that was put off has come."""
    if record.status is not _S.COMPLETED or record.routing.close_at is None or record.routing.close_at > now:
        return Change(record)
    disposition = record.routing.close_disposition or record.job.disposition_code or "Closed"
    return _closed(record, open_assignment(record).assignment_id, disposition, now)


def unassign(record: JobRecord, assignment_id: str, options: UnassignJobOptions, now: datetime) -> JobChange:
    """Takes the job from its worker. It waits in its queue again, in its old place, or is suspended."""
    assignment = _assignment(record, assignment_id)
    _require(record, _S.ASSIGNED, "unassigned")
    if record.routing.unassignment_count >= MAX_UNASSIGNMENTS:
        raise Conflict(f"Job '{record.id}' has been unassigned {MAX_UNASSIGNMENTS} times, which is the most.")
    event = announce.job_unassigned(record.job, assignment_id, assignment.worker_id)
    job: dict[str, object] = {
        "assignments": {id: one for id, one in record.job.assignments.items() if id != assignment_id}
    }
    offer_id = record.routing.accepted_offers.get(assignment_id, "")
    left = Unassigned(worker_id=assignment.worker_id, offer_id=offer_id)
    routing = {
        "unassignment_count": record.routing.unassignment_count + 1,
        "unassigned": {**record.routing.unassigned, assignment_id: left},
        "accepted_offers": {},
    }
    if options.suspend_matching:
        job["matching_mode"] = SuspendMode(kind="suspend")
        record = evolve(move(record, _S.WAITING_FOR_ACTIVATION), job=job, routing=routing)
        return Change(record, (event, announce.job_waiting_for_activation(record.job)))
    queued = jobs.enqueue(evolve(record, job=job, routing=routing), now, new_stay=False)
    return Change(queued.record, (event, *queued.events))


def cancel(record: JobRecord, options: CancelJobOptions, now: datetime, *, of_rule: str | None = None) -> JobChange:
    """Any state but completed, closed and cancelled. Offers are revoked, an assignment is released. `of_rule`: the note
    of an exception rule, cut to what there is room for."""
    if record.status in (_S.COMPLETED, *ENDED):
        raise Conflict(f"Job '{record.id}' is {record.status} and can no longer be cancelled.")
    disposition = options.disposition_code or "Cancelled"
    if of_rule is not None:
        return _cancelled(with_routers_note(record, of_rule, now), of_rule, disposition, now)
    return _cancelled(_noted(record, options.note, now), options.note, disposition, now)


def expire_life(record: JobRecord, now: datetime) -> JobChange:
    """90 days after it could first be matched a job ends, with disposition `Expired`."""
    if record.status in ENDED or life_ends(record) > now:
        return Change(record)
    if record.status is _S.COMPLETED:
        return _closed(record, open_assignment(record).assignment_id, "Expired", now)
    return _cancelled(record, None, "Expired", now)


def life_ends(record: JobRecord) -> datetime:
    """90 days after the job's creation, its activation or the time that it is or was scheduled for, whichever is last
    (docs/behaviour.md, "End of life")."""
    mode, routing = record.job.matching_mode, record.routing
    scheduled = mode.schedule_at if isinstance(mode, ScheduleAndSuspendMode) else record.job.scheduled_at
    begins = [routing.created_at, *(time for time in (routing.activated_at, scheduled) if time is not None)]
    return min(max(begins), LATEST_SCHEDULE) + timedelta(days=JOB_LIFE_DAYS)


def delete(record: JobRecord) -> JobChange:
    if record.status not in DELETABLE:
        states = ", ".join(sorted(DELETABLE))
        raise Conflict(f"Job '{record.id}' is {record.status}; only jobs that are {states} can be deleted.")
    return Change(None, (announce.job_deleted(record.job),))


def open_assignment(record: JobRecord) -> RouterJobAssignment:
    """The assignment that holds capacity. Raises LookupError if there is none."""
    for one in record.job.assignments.values():
        if one.closed_at is None:
            return one
    raise LookupError(f"Job '{record.id}' has no open assignment")


def _closed(record: JobRecord, assignment_id: str, disposition: str, now: datetime) -> JobChange:
    assignment = record.job.assignments[assignment_id]
    record = _with_assignment(move(record, _S.CLOSED), assignment.model_copy(update={"closed_at": now}))
    record = evolve(
        record,
        job={"disposition_code": disposition},
        routing={"close_at": None, "close_disposition": None},
    )
    event = announce.job_closed(record.job, assignment_id, assignment.worker_id, disposition)
    return Change(record, (event,))


def _cancelled(record: JobRecord, note: str | None, disposition: str, now: datetime) -> JobChange:
    record, events = revoke_all(record)
    assignments = {
        id: one if one.closed_at else one.model_copy(update={"closed_at": now})
        for id, one in record.job.assignments.items()
    }
    record = evolve(
        move(record, _S.CANCELLED),
        job={"disposition_code": disposition, "assignments": assignments},
        routing={"triggered": []},
    )
    return Change(record, (*events, announce.job_cancelled(record.job, note, disposition)))


def _noted(record: JobRecord, note: str | None, now: datetime) -> JobRecord:
    """The job with a client's note. Raises TooLarge (413) where there is no room for it: without it the job can be
    ended."""
    if note is None:
        return record
    record = with_note(record, note, now)
    check_size(job_units(record), LARGEST_NOTED, "With this note the job")
    return record


def _assignment(record: JobRecord, assignment_id: str) -> RouterJobAssignment:
    if assignment_id not in record.job.assignments:
        raise NotFound("Assignment", assignment_id)
    return record.job.assignments[assignment_id]


def _require(record: JobRecord, status: JobStatus, done: str) -> None:
    if record.status is not status:
        raise Conflict(f"Job '{record.id}' is {record.status}; only a job that is {status} can be {done}.")


def _with_assignment(record: JobRecord, assignment: RouterJobAssignment) -> JobRecord:
    return evolve(record, job={"assignments": {**record.job.assignments, assignment.assignment_id: assignment}})
