"""What a change leaves in the history: one entry a commit, from the records before and after it and its events.

An entry says who did it, what clients see changed, and of each event who and what it concerns, with the times that
facts are made of: so that an entry needs no other one to be counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from router.models.event_catalogue import EVENT_TYPE_PREFIX, EventName
from router.models.events import PendingEvent
from router.models.history import LARGEST_CHANGE, LARGEST_VALUE, Actor, Entry, entry_key
from router.models.jobs import JobRecord, JobStatus, RouterJob
from router.models.types import format_time, same_on_wire
from router.models.workers import RouterWorker, RouterWorkerInput, WorkerRecord

#: Who a worker is that has been deleted since.
DELETED: Final = "deleted"
_OFFER_ENDS: Final = frozenset(
    {
        EventName.WORKER_OFFER_ACCEPTED,
        EventName.WORKER_OFFER_DECLINED,
        EventName.WORKER_OFFER_EXPIRED,
        EventName.WORKER_OFFER_REVOKED,
    }
)
_ASSIGNMENT_GOES_ON: Final = frozenset(
    {EventName.JOB_COMPLETED, EventName.JOB_CLOSED, EventName.JOB_UNASSIGNED, EventName.JOB_CANCELLED}
)
_WORKER_FIELDS: Final = (*RouterWorkerInput.model_fields, "state")
_JOB_FIELDS: Final = tuple(name for name in RouterJob.model_fields if name != "id")


def entry_of(
    before: JobRecord | WorkerRecord | None,
    after: JobRecord | WorkerRecord | None,
    events: Sequence[PendingEvent],
    actor: Actor,
    decided_by: str | None,
    at: datetime,
    new_id: Callable[[], str],
    told_wait_held: bool | None = None,
) -> Entry | None:
    """The entry of a change; None if clients see none and no event tells of one. `new_id` makes the entry's id where
    there is no event. `told_wait_held`: of a job that is assigned, whether what it was told of its wait held."""
    told: dict[str, Any] = {}
    record = after or before
    if record is None:
        return None
    if isinstance(record, JobRecord):
        assert not isinstance(before, WorkerRecord)
        assert not isinstance(after, WorkerRecord)
        what = _changed(before.job if before else None, after.job if after else None, _JOB_FIELDS)
        told["jobId"] = record.id
        told |= _place(record)
        found = [_event(event, before, after, at, told_wait_held) for event in events]
    else:
        assert not isinstance(before, JobRecord)
        assert not isinstance(after, JobRecord)
        what = _changed(before.worker if before else None, after.worker if after else None, _WORKER_FIELDS)
        told["workerId"] = record.id
        found = [_worker_event(event, before) for event in events]
    if not found and not what:
        return None
    decided = decided_by or _decided(events, after)
    if decided is not None:
        told["decidedBy"] = decided
    for name in ("workerId", "offerId", "assignmentId"):
        known = next((event[name] for event in found if name in event), None)
        if known is not None:
            told.setdefault(name, known)
    told |= {"eventType": found[0]["eventType"] if found else None, "actor": {"kind": actor.kind, "name": actor.name}}
    told["what"] = what
    if found:
        told["events"] = found
    return Entry(entry_key(at, events[0].id if events else new_id()), dumped(told))


def dumped(told: Any) -> str:
    """JSON in ASCII: on one line, and in storage as long as it looks."""
    return json.dumps(told, separators=(",", ":"))


def shown(entry: Entry, told: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as timelines answer it; `told` is its JSON."""
    return {"at": format_time(entry.at), "eventId": entry.id, "eventType": None, **told}


def concerned(told: Mapping[str, Any]) -> list[str]:
    """The workers that a job's entry tells of."""
    if "jobId" not in told:
        return []
    return list(dict.fromkeys(event["workerId"] for event in told.get("events", ()) if event.get("workerId")))


def of_worker(told: Mapping[str, Any], worker_id: str) -> dict[str, Any]:
    """A job's entry as a worker's timeline has it: what concerns the worker, and nothing else of the job."""
    events = [event for event in told.get("events", ()) if event.get("workerId") == worker_id]
    kept = {name: told[name] for name in ("jobId", "queueId", "channelId", "decidedBy", "actor") if name in told}
    kept |= {"eventType": events[0]["eventType"] if events else None, "workerId": worker_id, "what": {}}
    for name in ("offerId", "assignmentId"):
        known = next((event[name] for event in events if name in event), None)
        if known is not None:
            kept[name] = known
    kept["events"] = events
    return kept


def holders(record: JobRecord | None) -> set[str]:
    """The workers that have an offer of the job, or its assignment."""
    if record is None:
        return set()
    offered = {offer.worker_id for offer in record.routing.offers.values()}
    return offered | {one.worker_id for one in record.job.assignments.values() if one.closed_at is None}


def _place(record: JobRecord) -> dict[str, Any]:
    found: dict[str, Any] = {"channelId": record.job.channel_id}
    if record.job.queue_id:
        found["queueId"] = record.job.queue_id
    return found


def _event(
    event: PendingEvent,
    before: JobRecord | None,
    after: JobRecord | None,
    now: datetime,
    told_wait_held: bool | None,
) -> dict[str, Any]:
    found: dict[str, Any] = {"eventType": EVENT_TYPE_PREFIX + event.type, "eventId": event.id}
    for name in ("workerId", "offerId", "assignmentId", "exceptionRuleId", "dispositionCode"):
        if event.data.get(name):
            found[name] = event.data[name]
    record = after or before
    assert record is not None
    if event.type in _OFFER_ENDS and before is not None:
        offer = before.routing.offers.get(str(event.data.get("offerId")))
        if offer is not None:
            found["offeredAt"] = format_time(offer.offered_at)
    enqueued_at, first_time = record.job.enqueued_at, not record.routing.unassignment_count
    if event.type == EventName.WORKER_OFFER_ACCEPTED and enqueued_at is not None and first_time:
        # One that comes back keeps its place: it has not waited all that time.
        assignment = record.job.assignments.get(str(event.data.get("assignmentId")))
        found["waitSeconds"] = _seconds(assignment.assigned_at if assignment else now, enqueued_at)
        if told_wait_held is not None:
            found["toldWaitHeld"] = told_wait_held
    if event.type in _ASSIGNMENT_GOES_ON and before is not None:
        held = next((one for one in before.job.assignments.values() if one.closed_at is None), None)
        if held is not None:
            # As it is now, where the job has it still: the times that clients see.
            held = after.job.assignments.get(held.assignment_id, held) if after is not None else held
            found |= {"workerId": held.worker_id, "assignmentId": held.assignment_id}
            for name, time in (
                ("assignedAt", held.assigned_at),
                ("completedAt", held.completed_at),
                ("closedAt", held.closed_at),
            ):
                if time is not None:
                    found[name] = format_time(time)
    waited = before is not None and before.status is JobStatus.QUEUED
    if event.type == EventName.JOB_CANCELLED and waited and enqueued_at is not None:
        found["waitSeconds"] = _seconds(now, enqueued_at)
    return found


def _worker_event(event: PendingEvent, before: WorkerRecord | None) -> dict[str, Any]:
    found: dict[str, Any] = {"eventType": EVENT_TYPE_PREFIX + event.type, "eventId": event.id}
    # One that registers while it drains begins anew.
    ends = event.type in (EventName.WORKER_DEREGISTERED, EventName.WORKER_DELETED, EventName.WORKER_REGISTERED)
    if ends and before is not None and before.worker.state != "inactive" and before.routing.registered_at is not None:
        found["registeredAt"] = format_time(before.routing.registered_at)
    return found


def _seconds(now: datetime, since: datetime) -> float:
    return max(round((now - since).total_seconds(), 3), 0.0)


def _decided(events: Sequence[PendingEvent], after: JobRecord | WorkerRecord | None) -> str | None:
    """The rule or policy that the events themselves name."""
    if not isinstance(after, JobRecord):
        return None
    for event in events:
        if event.type == EventName.JOB_EXCEPTION_TRIGGERED:
            rule_id = str(event.data.get("exceptionRuleId"))
            policy = next((one.policy_id for one in after.routing.triggered if one.rule_id == rule_id), None)
            return f"exceptionPolicy/{policy}/{rule_id}" if policy else f"exceptionRule/{rule_id}"
        if event.type in (EventName.JOB_CLASSIFIED, EventName.JOB_CLASSIFICATION_FAILED):
            return f"classificationPolicy/{event.data.get('classificationPolicyId')}"
    return None


def _changed(
    before: RouterJob | RouterWorker | None,
    after: RouterJob | RouterWorker | None,
    names: Sequence[str],
) -> dict[str, Any]:
    """The fields that clients see changed, as they are now; of what is new those that it has."""
    if after is None:
        return {}
    if before is None:
        changed = [name for name in names if getattr(after, name) not in (None, [], {})]
    else:
        changed = [name for name in names if _differ(getattr(before, name), getattr(after, name))]
    if not changed:
        return {}
    fields = after.model_dump(mode="json", by_alias=True, include=set(changed))
    if before is not None and isinstance(after, RouterJob) and isinstance(before, RouterJob):
        if "notes" in fields:
            known = {(note.message, note.added_at) for note in before.notes}
            fields["notes"] = [
                note
                for note, one in zip(fields["notes"], after.notes, strict=True)
                if (one.message, one.added_at) not in known
            ]
        if "assignments" in fields:
            fields["assignments"] = {
                id: one
                for id, one in fields["assignments"].items()
                if before.assignments.get(id) != after.assignments[id]
            }
    return bounded(fields)


def _differ(one: Any, other: Any) -> bool:
    """As JSON, since Python holds True == 1 and the wire does not."""
    if one is other:
        return False
    return bool(one != other) or (isinstance(one, dict) and not same_on_wire(one, other))


def bounded(changed: dict[str, Any], most: int = LARGEST_CHANGE) -> dict[str, Any]:
    """The changed fields, without the values that are too long; `tooLong` names these."""
    kept: dict[str, Any] = {}
    left: list[str] = []
    for name, value in changed.items():
        size = len(dumped(value))
        if size > LARGEST_VALUE or size > most:
            left.append(name)
        else:
            kept[name] = value
            most -= size
    return {**kept, "tooLong": left} if left else kept
