"""Complete, close, unassign, cancel, delete, and the end of a job's life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.engine import endings, jobs
from router.errors import Conflict, NotFound
from router.models.jobs import (
    DELETABLE,
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    JobStatus,
    UnassignJobOptions,
)
from tests.unit.engine.engine_records import NOW, after, events, job, later, offer, offered, same

S = JobStatus
CLOSE, COMPLETE, UNASSIGN, CANCEL = CloseJobOptions(), CompleteJobOptions(), UnassignJobOptions(), CancelJobOptions()


@pytest.mark.parametrize("status", list(S))
def test_complete(status: JobStatus) -> None:
    if status is not S.ASSIGNED:
        with pytest.raises(Conflict if "a1" in job(status).job.assignments else NotFound):
            endings.complete(job(status), "a1", COMPLETE, NOW)
        return
    with pytest.raises(NotFound):
        endings.complete(job(status), "other", COMPLETE, NOW)
    change = endings.complete(job(status), "a1", CompleteJobOptions(note="done"), later(9))
    assert (after(change).status, events(change)) == (S.COMPLETED, ["JobCompleted"])
    assert after(change).job.assignments["a1"].completed_at == later(9)
    assert after(change).job.assignments["a1"].closed_at is None, "the capacity stays in use"
    assert [(note.message, note.added_at) for note in after(change).job.notes] == [("done", later(9))]


class TestClose:
    @pytest.mark.parametrize("status", [one for one in S if one is not S.COMPLETED])
    def test_only_completed_jobs(self, status: JobStatus) -> None:
        with pytest.raises(Conflict if "a1" in job(status).job.assignments else NotFound):
            endings.close(job(status), "a1", CLOSE, NOW)

    @pytest.mark.parametrize(
        ("asked", "had", "disposition"),
        [(None, None, "Closed"), ("Won", None, "Won"), (None, "Lead", "Lead"), ("Won", "Lead", "Won")],
    )
    @pytest.mark.parametrize("close_at", [None, later(-5), later(9)])
    def test_at_once(self, asked: str | None, had: str | None, disposition: str, close_at: object) -> None:
        options = CloseJobOptions(disposition_code=asked, close_at=close_at, note="bye")
        change = endings.close(job(S.COMPLETED, disposition_code=had), "a1", options, later(9))
        record = after(change)
        assert (record.status, events(change)) == (S.CLOSED, ["JobClosed"])
        assert record.job.disposition_code == disposition
        assert change.events[0].data["dispositionCode"] == disposition
        assert record.job.assignments["a1"].closed_at == later(9)
        assert record.job.notes[0].message == "bye"

    def test_later(self) -> None:
        change = endings.close(job(S.COMPLETED), "a1", CloseJobOptions(close_at=later(60), disposition_code="Won"), NOW)
        waiting = after(change)
        assert (waiting.status, events(change)) == (S.COMPLETED, [])
        assert endings.close_due(waiting, later(59.9)).record is waiting
        change = endings.close_due(waiting, later(60))
        assert (after(change).status, events(change)) == (S.CLOSED, ["JobClosed"])
        assert (after(change).job.disposition_code, after(change).routing.close_at) == ("Won", None)
        assert endings.close_due(after(change), later(61)).record is change.record, "once"

    def test_at_once_after_all(self) -> None:
        waiting = after(endings.close(job(S.COMPLETED), "a1", CloseJobOptions(close_at=later(60)), NOW))
        change = endings.close(waiting, "a1", CLOSE, later(5))
        assert (after(change).status, after(change).routing.close_at) == (S.CLOSED, None)


class TestUnassign:
    def test_back_to_its_place(self) -> None:
        record = job(S.ASSIGNED, routing={"stay": 1, "fired_rules": ["r"]})
        change = endings.unassign(record, "a1", UNASSIGN, later(60))
        waiting = after(change)
        assert (waiting.status, events(change)) == (S.QUEUED, ["JobUnassigned", "JobQueued"])
        assert (waiting.job.enqueued_at, waiting.job.assignments) == (NOW, {})
        assert (waiting.routing.unassignment_count, waiting.routing.stay) == (1, 1)
        assert waiting.routing.fired_rules == ["r"], "the same stay"

    def test_suspended(self) -> None:
        change = endings.unassign(job(S.ASSIGNED), "a1", UnassignJobOptions(suspend_matching=True), NOW)
        assert (after(change).status, events(change)) == (
            S.WAITING_FOR_ACTIVATION,
            ["JobUnassigned", "JobWaitingForActivation"],
        )
        assert after(change).job.matching_mode.kind == "suspend"
        assert change.events[1].data["unavailableForMatching"] is True

    def test_three_times(self) -> None:
        change = endings.unassign(job(S.ASSIGNED, routing={"unassignment_count": 2}), "a1", UNASSIGN, NOW)
        assert after(change).routing.unassignment_count == 3
        with pytest.raises(Conflict, match="3 times"):
            endings.unassign(job(S.ASSIGNED, routing={"unassignment_count": 3}), "a1", UNASSIGN, NOW)

    @pytest.mark.parametrize("status", [S.COMPLETED, S.CLOSED, S.QUEUED, S.CREATED])
    def test_only_assigned_jobs(self, status: JobStatus) -> None:
        with pytest.raises(Conflict if "a1" in job(status).job.assignments else NotFound):
            endings.unassign(job(status), "a1", UNASSIGN, NOW)


class TestCancel:
    @pytest.mark.parametrize("status", [one for one in S if one not in (S.COMPLETED, S.CLOSED, S.CANCELLED)])
    def test_in_any_state_before_the_end(self, status: JobStatus) -> None:
        change = endings.cancel(job(status), CancelJobOptions(note="no", disposition_code="Lost"), later(5))
        record = after(change)
        assert (record.status, events(change)) == (S.CANCELLED, ["JobCancelled"])
        assert (record.job.disposition_code, record.job.notes[0].message) == ("Lost", "no")
        assert (change.events[0].data["note"], change.events[0].data["dispositionCode"]) == ("no", "Lost")
        closed = {id: one.closed_at for id, one in record.job.assignments.items()}
        assert closed == ({"a1": later(5)} if status is S.ASSIGNED else {}), "releases the worker"

    @pytest.mark.parametrize("status", [S.COMPLETED, S.CLOSED, S.CANCELLED])
    def test_not_after_it(self, status: JobStatus) -> None:
        with pytest.raises(Conflict):
            endings.cancel(job(status), CANCEL, NOW)

    def test_offers_are_revoked_and_the_disposition_defaults(self) -> None:
        change = endings.cancel(offered(offer("o1", "w1"), offer("o2", "w2")), CANCEL, NOW)
        assert events(change) == ["WorkerOfferRevoked", "WorkerOfferRevoked", "JobCancelled"]
        assert after(change).job.disposition_code == "Cancelled"


class TestLife:
    END = NOW + timedelta(days=90)

    @pytest.mark.parametrize("status", list(S))
    def test_after_90_days(self, status: JobStatus) -> None:
        record = job(status)
        assert endings.life_ends(record) == self.END
        assert endings.expire_life(record, self.END - timedelta(microseconds=1)).record is record
        change = endings.expire_life(record, self.END)
        if status in (S.CLOSED, S.CANCELLED):
            assert change.record is record
            return
        ended = S.CLOSED if status is S.COMPLETED else S.CANCELLED
        assert (after(change).status, after(change).job.disposition_code) == (ended, "Expired")
        assert not endings.expire_life(after(change), self.END).events, "once"


@pytest.mark.parametrize("status", list(S))
def test_delete(status: JobStatus) -> None:
    if status in DELETABLE:
        change = endings.delete(job(status))
        assert change.record is None
        assert events(change) == ["JobDeleted"]
    else:
        with pytest.raises(Conflict):
            endings.delete(job(status))


def test_what_can_be_deleted() -> None:
    assert {str(one) for one in DELETABLE} == {"closed", "cancelled", "classificationFailed", "scheduleFailed"}


class TestLifeOfASuspendedJob:
    LIFE = timedelta(days=90)

    def test_it_counts_from_the_time_that_it_is_scheduled_for(self) -> None:
        far = NOW + timedelta(days=400)
        record = job(JobStatus.SCHEDULED, matching_mode={"kind": "scheduleAndSuspend", "schedule_at": far})
        assert endings.life_ends(record) == far + self.LIFE

    def test_it_counts_from_that_time_when_it_has_come(self) -> None:
        come = NOW + timedelta(days=400)
        record = job(JobStatus.QUEUED, scheduled_at=come)
        assert endings.life_ends(record) == come + self.LIFE

    def test_it_counts_from_its_first_activation(self) -> None:
        late = NOW + timedelta(days=80)
        suspended = job(JobStatus.WAITING_FOR_ACTIVATION, matching_mode={"kind": "suspend"})
        assert endings.life_ends(suspended) == NOW + self.LIFE
        wanted = same(suspended, matching_mode={"kind": "queueAndMatch"})
        active = after(jobs.update(suspended, wanted, late))
        assert endings.life_ends(active) == late + self.LIFE
        again = after(jobs.update(active, same(active, matching_mode={"kind": "suspend"}), late))
        later_still = late + timedelta(days=5)
        assert endings.life_ends(after(jobs.update(again, wanted, later_still))) == late + self.LIFE

    def test_it_ends_before_the_calendar_does(self) -> None:
        last = datetime.max.replace(tzinfo=UTC)
        record = job(JobStatus.PENDING_SCHEDULE, matching_mode={"kind": "scheduleAndSuspend", "schedule_at": last})
        assert endings.life_ends(record) <= last
