"""What a PATCH makes of a job, and what the answer to it says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from azure.communication.jobrouter import models as sdk

from router.errors import RouterError
from router.models.jobs import JobRecord, JobStatus, RouterJobAssignment, RouterJobNote
from router.models.selectors import SelectorStatus
from router.wire.apply import (
    job_input,
)
from router.wire.documents import (
    job_document,
    render_job,
)
from tests.unit.wire.wire_samples import BEFORE, JOB, NOW, new_job, sent, wired


def test_a_new_job() -> None:
    record = new_job({"channelId": "c", "queueId": "q"})
    assert wired(render_job(record)) == {
        "etag": '"e"',
        "id": "j",
        "status": "created",
        "channelId": "c",
        "queueId": "q",
        "priority": 1,
        "matchingMode": {"kind": "queueAndMatch"},
        "requestedWorkerSelectors": [],
        "attachedWorkerSelectors": [],
        "labels": {},
        "tags": {},
        "notes": [],
        "assignments": {},
    }


def test_a_job_with_everything() -> None:
    assignment = RouterJobAssignment(assignment_id="a", worker_id="w", assigned_at=NOW, completed_at=NOW)
    record = new_job(
        sent(JOB), status=JobStatus.COMPLETED, enqueued_at=NOW, scheduled_at=NOW, assignments={"a": assignment}
    )
    answer = wired(render_job(record))
    assert answer["notes"] == [
        {"message": "first", "addedAt": "0001-01-01T00:00:00.000005+00:00"},
        {"message": "later", "addedAt": "2024-01-01T00:00:00+00:00"},
    ]
    assert answer["matchingMode"] == {"kind": "scheduleAndSuspend", "scheduleAt": "2099-01-01T12:30:00+00:00"}
    assert answer["enqueuedAt"] == answer["scheduledAt"] == "2023-11-03T21:26:56.854593+00:00"
    assert answer["assignments"] == {
        "a": {
            "assignmentId": "a",
            "workerId": "w",
            "assignedAt": "2023-11-03T21:26:56.854593+00:00",
            "completedAt": "2023-11-03T21:26:56.854593+00:00",
        }
    }
    assert answer["labels"] == {"Id": "mine", "n": 1.5}
    seen = sdk.RouterJob(answer)
    assert seen.enqueued_at == NOW
    assert isinstance(seen.matching_mode, sdk.ScheduleAndSuspendMode)
    assert seen.matching_mode.schedule_at == datetime(2099, 1, 1, 12, 30, tzinfo=UTC)
    assert seen.assignments is not None
    assert seen.assignments["a"].assigned_at == NOW
    assert seen.notes is not None
    assert seen.notes[0].added_at == datetime(1, 1, 1, 0, 0, 0, 5, UTC)
    # Sent back as it is, read-only fields and a stale etag included, it asks for nothing new.
    assert job_input(record, answer, BEFORE).model_dump() == job_input(record, {}, BEFORE).model_dump() | {
        "notes": [note.model_dump() for note in sorted(record.job.notes, key=lambda note: str(note.added_at))]
    }


@pytest.mark.parametrize(
    ("mode", "answered"),
    [
        (sdk.QueueAndMatchMode(), {"kind": "queueAndMatch"}),
        (sdk.SuspendMode(), {"kind": "suspend"}),
        (
            sdk.ScheduleAndSuspendMode(schedule_at=NOW),
            {"kind": "scheduleAndSuspend", "scheduleAt": "2023-11-03T21:26:56.854593+00:00"},
        ),
    ],
)
def test_every_matching_mode(mode: Any, answered: dict[str, Any]) -> None:
    record = new_job(sent(sdk.RouterJob(channel_id="c", queue_id="q", matching_mode=mode)))
    assert wired(render_job(record))["matchingMode"] == answered
    other = job_input(record, {"matchingMode": {"kind": "suspend"}}, BEFORE)
    assert other.model_dump(by_alias=True)["matchingMode"] == {"kind": "suspend"}


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ("2023-11-03T21:26:56.8545932+00:00", "2023-11-03T21:26:56.854593+00:00"),
        ("2023-11-03T21:26:56.8545932Z", "2023-11-03T21:26:56.854593+00:00"),
        ("2023-11-03T23:26:56.5+02:00", "2023-11-03T21:26:56.5+00:00"),
        ("2023-11-03T21:26:56Z", "2023-11-03T21:26:56+00:00"),
        ("2023-11-03T21:26:56.0000000Z", "2023-11-03T21:26:56+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00.0000001+00:00", "0001-01-01T00:00:00+00:00"),
        ("2023-11-03T21:26:56.12345678901234567890Z", "2023-11-03T21:26:56.123456+00:00"),
        ("2023-11-03T21:26:56+2359", "2023-11-02T21:27:56+00:00"),
        # A leap second is the start of the second after it.
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31T23:59:60.999Z", "2017-01-01T00:00:00+00:00"),
        ("1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00+00:00"),
        ("2017-01-01T05:29:60+05:30", "2017-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_times(given: str, answered: str) -> None:
    record = new_job({"channelId": "c", "queueId": "q", "notes": [{"message": "m", "addedAt": given}]})
    assert render_job(record)["notes"] == [{"message": "m", "addedAt": answered}]


def test_selectors_sent_back_keep_their_status() -> None:
    record = new_job(
        {"channelId": "c", "queueId": "q", "requestedWorkerSelectors": [{"key": "a", "labelOperator": "equal"}]}
    )
    [selector] = record.job.requested_worker_selectors
    expired = selector.model_copy(update={"status": SelectorStatus.EXPIRED, "expires_at": NOW})
    record = new_job(job_document(record), requested_worker_selectors=[expired])
    assert job_input(record, {"priority": 2}, BEFORE).requested_worker_selectors == [expired]
    sent_back = render_job(record)["requestedWorkerSelectors"]
    assert sent_back[0]["status"] == "expired"
    assert job_input(record, {"requestedWorkerSelectors": sent_back}, BEFORE).requested_worker_selectors == [expired]
    twice = job_input(record, {"requestedWorkerSelectors": [*sent_back, *sent_back]}, BEFORE).requested_worker_selectors
    assert twice == [expired, selector]
    changed = job_input(record, {"requestedWorkerSelectors": [{**sent_back[0], "value": 1}]}, BEFORE)
    assert changed.requested_worker_selectors[0].status is SelectorStatus.ACTIVE
    assert changed.requested_worker_selectors[0].expires_at is None


def test_a_job_needs_a_way_into_a_queue() -> None:
    record = new_job({"channelId": "c", "queueId": "q"})
    for current, patch in ((None, {"channelId": "c"}), (record, {"queueId": None})):
        with pytest.raises(RouterError) as caught:
            job_input(current, patch, BEFORE)
        assert [(one.code, one.target) for one in caught.value.details] == [("MissingField", "queueId")]
    assert job_input(record, {"queueId": None, "classificationPolicyId": "p"}, BEFORE).queue_id is None


def _targets(record: JobRecord | None, patch: dict[str, Any], now: datetime) -> set[str | None]:
    try:
        job_input(record, patch, now)
    except RouterError as error:
        return {detail.target for detail in error.details}
    return set()


def test_a_schedule_in_the_past_is_named_with_everything_else() -> None:
    def mode(at: str) -> dict[str, Any]:
        return {"kind": "scheduleAndSuspend", "scheduleAt": at}

    scheduled = {"channelId": "c", "queueId": "q", "matchingMode": mode("2023-11-03T21:26:56Z")}
    past = "matchingMode.scheduleAt"
    assert _targets(None, scheduled, BEFORE) == set()
    assert _targets(None, scheduled, NOW) == {past}
    assert _targets(None, {**scheduled, "priority": "high", "queueId": None}, NOW) == {past, "priority", "queueId"}
    # Of a time that is none, only that is said.
    assert _targets(None, {**scheduled, "matchingMode": mode("soon")}, NOW) == {past}
    assert _targets(None, {**scheduled, "matchingMode": {"kind": "scheduleAndSuspend"}}, NOW) == {past}
    # Its time has come: the job is what it is, and other fields may change.
    record = new_job(scheduled)
    for patch in ({"priority": 2}, scheduled, {"matchingMode": mode("2023-11-03T22:26:56+01:00")}):
        assert _targets(record, patch, NOW) == set()
    assert _targets(record, {"matchingMode": {"scheduleAt": "2023-11-03T21:26:57Z"}}, NOW) == set()
    assert _targets(record, {"matchingMode": {"scheduleAt": "2023-11-03T21:26:55Z"}}, NOW) == {past}
    # Of an assigned job the engine says that its mode can no longer be changed.
    assigned = new_job(scheduled, status=JobStatus.ASSIGNED)
    assert _targets(assigned, {"matchingMode": {"scheduleAt": "2023-11-03T21:26:55Z"}}, NOW) == set()


def test_notes_without_a_time_come_last() -> None:
    record = new_job({"channelId": "c", "queueId": "q"})
    notes = [RouterJobNote(message="new"), RouterJobNote(message="new too"), RouterJobNote(message="old", added_at=NOW)]
    record = new_job(job_document(record), notes=notes)
    assert [note["message"] for note in render_job(record)["notes"]] == ["old", "new", "new too"]
