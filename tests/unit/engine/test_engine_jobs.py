"""Jobs coming in, changing and being queued: docs/behaviour.md, "Job life", rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from router.engine import jobs
from router.engine.change import JobChange
from router.errors import BadRequest, Conflict
from router.models.jobs import LATEST_SCHEDULE, SETTLED, JobRecord, JobStatus, RouterJobNote
from tests.unit.engine.engine_records import NOW, after, events, job, later, offer, offered, same, selector, wanted

S = JobStatus
MATCH, SUSPEND = {"kind": "queueAndMatch"}, {"kind": "suspend"}


def at(seconds: float) -> dict[str, Any]:
    return {"kind": "scheduleAndSuspend", "schedule_at": later(seconds)}


def update(record: JobRecord, seconds: float = 100, **changes: Any) -> JobChange:
    return jobs.update(record, same(record, **changes), later(seconds))


def told(change: JobChange) -> tuple[str, list[str]]:
    return after(change).status, events(change)


class TestCreate:
    @pytest.mark.parametrize(
        ("fields", "status", "then"),
        [
            ({}, "created", ["JobReceived"]),
            ({"classification_policy_id": "p"}, "pendingClassification", ["JobReceived"]),
            ({"classification_policy_id": "p", "queue_id": None}, "pendingClassification", ["JobReceived"]),
            ({"matching_mode": at(5)}, "pendingSchedule", ["JobReceived"]),
            ({"matching_mode": at(5), "classification_policy_id": "p"}, "pendingSchedule", ["JobReceived"]),
            ({"matching_mode": SUSPEND}, "waitingForActivation", ["JobReceived", "JobWaitingForActivation"]),
        ],
    )
    def test_the_first_status(self, fields: dict[str, Any], status: str, then: list[str]) -> None:
        change = jobs.create("j", wanted(**fields), NOW)
        assert told(change) == (status, then)
        record = after(change)
        assert (record.routing.created_at, record.job.enqueued_at, record.job.scheduled_at) == (NOW, None, None)

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_a_schedule_lies_in_the_future(self, seconds: float) -> None:
        with pytest.raises(BadRequest) as found:
            jobs.create("j", wanted(matching_mode=at(seconds)), NOW)
        assert [one.target for one in found.value.details] == ["matchingMode.scheduleAt"]

    def test_notes_are_stamped_and_sorted(self) -> None:
        notes = [RouterJobNote(message="now"), RouterJobNote(message="early", added_at=later(-5))]
        record = after(jobs.create("j", wanted(notes=notes), NOW))
        assert [(one.message, one.added_at) for one in record.job.notes] == [("early", later(-5)), ("now", NOW)]

    def test_no_label_id(self) -> None:
        assert after(jobs.create("j", wanted(labels={"a": 1}), NOW)).job.labels == {"a": 1}


class TestUpdateOfAQueuedJob:
    """Queued directly, with an offer."""

    record = offered(offer())

    def test_nothing_changed_is_nothing(self) -> None:
        change = update(self.record)
        assert change.record == self.record
        assert not change.events

    @pytest.mark.parametrize(
        "changes",
        [
            {"labels": {"a": 1}},
            {"channel_id": "chat"},
            {"requested_worker_selectors": [selector("a", "equal", 1)]},
        ],
    )
    def test_what_matching_looks_at_queues_again_in_the_same_place(self, changes: dict[str, Any]) -> None:
        change = update(self.record, **changes)
        assert told(change) == ("queued", ["WorkerOfferRevoked", "JobQueued"])
        record = after(change)
        assert record.job.enqueued_at == NOW
        assert not record.routing.offers
        assert record.routing.stay == self.record.routing.stay

    def test_another_queue_is_another_place(self) -> None:
        change = update(self.record, queue_id="other")
        assert told(change) == ("queued", ["WorkerOfferRevoked", "JobQueued"])
        record = after(change)
        assert (record.job.enqueued_at, record.routing.stay) == (later(100), self.record.routing.stay + 1)
        assert [event.data["queueId"] for event in change.events][-1] == "other"

    @pytest.mark.parametrize(
        "changes",
        [
            {"tags": {"a": 1}},
            {"notes": [RouterJobNote(message="n")]},
            {"channel_reference": "r"},
            {"disposition_code": "d"},
            {"priority": 9},
        ],
    )
    def test_the_rest_leaves_its_offers(self, changes: dict[str, Any]) -> None:
        change = update(self.record, **changes)
        assert told(change) == ("queued", [])
        record = after(change)
        assert record.routing.offers == self.record.routing.offers
        (name,) = changes
        assert getattr(record.job, name) != getattr(self.record.job, name)

    @pytest.mark.parametrize(
        ("before", "now"),
        [
            ({"labels": {"a": 1}}, {"labels": {"a": True}}),
            (
                {"requested_worker_selectors": [selector("a", "equal", 1)]},
                {"requested_worker_selectors": [selector("a", "equal", True)]},
            ),
        ],
    )
    def test_true_is_not_1(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        change = update(offered(offer(), **before), **now)
        assert told(change) == ("queued", ["WorkerOfferRevoked", "JobQueued"])
        (name,) = now
        assert repr(getattr(after(change).job, name)) != repr(before[name])

    def test_tags_true_is_not_1(self) -> None:
        assert after(update(job(tags={"a": 1}), tags={"a": True})).job.tags["a"] is True

    def test_a_first_policy_classifies(self) -> None:
        assert told(update(self.record, classification_policy_id="p")) == (
            "pendingClassification",
            ["WorkerOfferRevoked"],
        )


class TestUpdateOfAClassifiedJob:
    record = offered(
        offer(),
        classification_policy_id="p",
        priority=5,
        attached_worker_selectors=[selector("a", "equal", 1)],
    )

    @pytest.mark.parametrize("changes", [{"labels": {"a": 1}}, {"classification_policy_id": "p2"}])
    def test_labels_and_policy_classify_again(self, changes: dict[str, Any]) -> None:
        change = update(self.record, **changes)
        assert told(change) == ("pendingClassification", ["WorkerOfferRevoked"])
        record, before = after(change).job, self.record.job
        assert (record.queue_id, record.enqueued_at) == (before.queue_id, before.enqueued_at), "stay until it is done"
        assert record.attached_worker_selectors == before.attached_worker_selectors

    def test_a_priority_that_was_sent_is_shown_until_the_policy_gives_one(self) -> None:
        record = after(update(self.record, labels={"a": 1}, priority=9))
        assert (record.status, record.job.priority) == (JobStatus.PENDING_CLASSIFICATION, 9)

    def test_a_priority_alone_moves_it(self) -> None:
        change = update(self.record, priority=9)
        assert told(change) == ("queued", [])
        assert after(change).job.priority == 9

    def test_a_queue_alone_queues_it_there(self) -> None:
        change = update(self.record, queue_id="other")
        assert told(change) == ("queued", ["WorkerOfferRevoked", "JobQueued"])

    def test_without_its_policy_it_is_queued_directly(self) -> None:
        change = update(self.record, classification_policy_id=None)
        assert told(change) == ("queued", ["WorkerOfferRevoked", "JobQueued"])

    @pytest.mark.parametrize(
        "changes", [{"labels": {"b": 1}}, {"queue_id": "other"}, {"classification_policy_id": "p2"}]
    )
    def test_a_failed_one_is_classified_again(self, changes: dict[str, Any]) -> None:
        failed = job(S.CLASSIFICATION_FAILED, classification_policy_id="p", routing={"failure": "why"})
        change = update(failed, **changes)
        assert told(change) == ("pendingClassification", [])
        assert after(change).routing.failure is None

    def test_a_failed_one_without_its_policy_goes_to_its_queue(self) -> None:
        failed = job(S.CLASSIFICATION_FAILED, classification_policy_id="p")
        assert told(update(failed, classification_policy_id=None)) == ("queued", ["JobQueued"])

    def test_tags_of_a_failed_one_change_nothing_else(self) -> None:
        assert told(update(job(S.CLASSIFICATION_FAILED, classification_policy_id="p"), tags={"a": 1})) == (
            "classificationFailed",
            [],
        )


class TestUpdateBeforeItIsAnywhere:
    @pytest.mark.parametrize(
        ("status", "before", "changes", "then"),
        [
            (S.CREATED, {}, {"labels": {"a": 1}}, ("created", [])),
            (S.CREATED, {}, {"classification_policy_id": "p"}, ("pendingClassification", [])),
            (
                S.PENDING_CLASSIFICATION,
                {"classification_policy_id": "p"},
                {"labels": {"a": 1}},
                ("pendingClassification", []),
            ),
            (
                S.PENDING_CLASSIFICATION,
                {"classification_policy_id": "p"},
                {"classification_policy_id": None},
                ("queued", ["JobQueued"]),
            ),
        ],
    )
    def test_it_starts_again(
        self, status: JobStatus, before: dict[str, Any], changes: dict[str, Any], then: tuple[str, list[str]]
    ) -> None:
        assert told(update(job(status, **before), **changes)) == then

    @pytest.mark.parametrize("status", [S.CREATED, S.PENDING_CLASSIFICATION, S.QUEUED])
    def test_suspending_it(self, status: JobStatus) -> None:
        record = job(status, routing={"offers": {"o1": offer()}} if status is S.QUEUED else None)
        revoked = ["WorkerOfferRevoked"] if status is S.QUEUED else []
        change = update(record, matching_mode=SUSPEND)
        assert told(change) == ("waitingForActivation", [*revoked, "JobWaitingForActivation"])
        change = update(record, matching_mode=at(500))
        assert told(change) == ("pendingSchedule", revoked)


class TestSettledJobs:
    ROUTING: dict[str, Any] = {
        "channel_id": "chat",
        "queue_id": "other",
        "classification_policy_id": "p",
        "priority": 5,
        "requested_worker_selectors": [selector("a", "equal", 1)],
        "matching_mode": SUSPEND,
    }

    @pytest.mark.parametrize("status", sorted(SETTLED))
    @pytest.mark.parametrize("name", ROUTING)
    def test_routing_fields_are_refused(self, status: JobStatus, name: str) -> None:
        with pytest.raises(Conflict) as found:
            update(job(status), **{name: self.ROUTING[name]})
        assert len(found.value.details) == 1

    def test_each_refused_field_is_named(self) -> None:
        with pytest.raises(Conflict) as found:
            update(job(S.ASSIGNED), **self.ROUTING)
        assert {one.target for one in found.value.details} == {
            "channelId",
            "queueId",
            "classificationPolicyId",
            "priority",
            "requestedWorkerSelectors",
            "matchingMode",
        }

    @pytest.mark.parametrize("status", sorted(SETTLED))
    def test_the_rest_is_accepted(self, status: JobStatus) -> None:
        change = update(job(status), tags={"a": 1}, labels={"b": 2}, notes=[RouterJobNote(message="n")])
        assert told(change) == (status, [])
        record = after(change).job
        assert (record.tags, record.labels, record.notes[0].added_at) == ({"a": 1}, {"b": 2}, later(100))

    def test_naming_the_same_values_is_no_change(self) -> None:
        record = job(S.ASSIGNED, requested_worker_selectors=[selector("a", "equal", 1)])
        assert update(record).record == record


class TestSuspendedJobs:
    @pytest.mark.parametrize(
        ("status", "mode"),
        [
            (S.WAITING_FOR_ACTIVATION, SUSPEND),
            (S.SCHEDULED, at(500)),
            (S.PENDING_SCHEDULE, at(500)),
            (S.SCHEDULE_FAILED, at(500)),
        ],
    )
    def test_activation_queues_at_once(self, status: JobStatus, mode: dict[str, Any]) -> None:
        change = update(job(status, matching_mode=mode), matching_mode=MATCH)
        assert told(change) == ("queued", ["JobQueued"])
        assert after(change).job.enqueued_at == later(100)

    def test_activation_without_a_queue_classifies(self) -> None:
        record = job(S.WAITING_FOR_ACTIVATION, matching_mode=SUSPEND, queue_id=None, classification_policy_id="p")
        assert told(update(record, matching_mode=MATCH)) == ("pendingClassification", [])

    @pytest.mark.parametrize("change", [{"labels": {"a": 2}}, {"classification_policy_id": "other"}])
    def test_what_has_changed_meanwhile_is_classified_on_activation(self, change: dict[str, Any]) -> None:
        suspended = job(
            JobStatus.WAITING_FOR_ACTIVATION, classification_policy_id="p", matching_mode={"kind": "suspend"}
        )
        changed = after(jobs.update(suspended, same(suspended, **change), NOW))
        assert changed.status is JobStatus.WAITING_FOR_ACTIVATION
        active = same(changed, matching_mode={"kind": "queueAndMatch"})
        classified = after(jobs.update(changed, active, NOW))
        assert classified.status is JobStatus.PENDING_CLASSIFICATION
        assert not classified.routing.to_classify

    def test_with_a_queue_it_is_not_classified_for_being_activated(self) -> None:
        suspended = job(
            JobStatus.WAITING_FOR_ACTIVATION, classification_policy_id="p", matching_mode={"kind": "suspend"}
        )
        tagged = after(jobs.update(suspended, same(suspended, tags={"seen": True}), NOW))
        active = same(tagged, matching_mode={"kind": "queueAndMatch"})
        assert after(jobs.update(tagged, active, NOW)).status is JobStatus.QUEUED

    @pytest.mark.parametrize("status", [S.SCHEDULED, S.PENDING_SCHEDULE, S.WAITING_FOR_ACTIVATION, S.SCHEDULE_FAILED])
    def test_scheduling_it_anew(self, status: JobStatus) -> None:
        change = update(job(status, matching_mode=at(200), scheduled_at=later(50)), matching_mode=at(900))
        assert told(change) == ("pendingSchedule", [])
        assert after(change).job.scheduled_at == later(50), "kept from the time that came before"
        with pytest.raises(BadRequest):
            update(job(status, matching_mode=at(200)), matching_mode=at(100))

    def test_what_else_changes_does_not_wake_it(self) -> None:
        for status, mode in ((S.WAITING_FOR_ACTIVATION, SUSPEND), (S.SCHEDULED, at(500))):
            change = update(job(status, matching_mode=mode), labels={"a": 1}, priority=4, queue_id="other")
            assert told(change) == (status, [])

    def test_a_place_in_another_queue_is_a_new_one(self) -> None:
        """It was queued once, was suspended, and is moved before it is activated."""
        record = job(S.WAITING_FOR_ACTIVATION, matching_mode=SUSPEND, enqueued_at=NOW)
        assert after(update(record, matching_mode=MATCH)).job.enqueued_at == NOW
        assert after(update(record, matching_mode=MATCH, queue_id="other")).job.enqueued_at == later(100)
        moved = after(update(record, queue_id="other"))
        assert after(update(moved, matching_mode=MATCH)).job.enqueued_at == later(100)


class TestReclassify:
    @pytest.mark.parametrize("status", [one for one in S if one not in SETTLED])
    def test_a_job_not_yet_assigned(self, status: JobStatus) -> None:
        record = job(status, classification_policy_id="p", routing={"failure": "why"})
        change = jobs.reclassify(record)
        assert told(change) == ("pendingClassification", [])
        assert after(change).routing.failure is None

    def test_its_offers_are_revoked(self) -> None:
        assert told(jobs.reclassify(offered(offer(), classification_policy_id="p"))) == (
            "pendingClassification",
            ["WorkerOfferRevoked"],
        )

    def test_without_a_policy(self) -> None:
        with pytest.raises(BadRequest):
            jobs.reclassify(job())

    @pytest.mark.parametrize("status", sorted(SETTLED))
    def test_once_assigned(self, status: JobStatus) -> None:
        with pytest.raises(Conflict):
            jobs.reclassify(job(status, classification_policy_id="p"))


class TestQueueing:
    def test_the_clock_of_its_selectors_starts(self) -> None:
        record = job(S.CREATED, requested_worker_selectors=[selector("a", "equal", 1, expires_after_seconds=30)])
        record = after(jobs.enqueue(record, later(5)))
        assert record.job.requested_worker_selectors[0].expires_at == later(35)
        assert (record.job.enqueued_at, record.routing.stay) == (later(5), 1)

    def test_again_keeps_its_place_and_its_selectors_clock(self) -> None:
        record = job(S.CREATED, requested_worker_selectors=[selector("a", "equal", 1, expires_after_seconds=30)])
        record = after(jobs.enqueue(record, later(5)))
        fired = record.model_copy(update={"routing": record.routing.model_copy(update={"fired_rules": ["r"]})})
        again = after(jobs.enqueue(fired, later(34), new_stay=False))
        assert again.job == fired.job
        assert again.routing.fired_rules == ["r"]
        assert after(jobs.enqueue(fired, later(34))).routing.fired_rules == [], "a new stay, new rules"
        too_late = jobs.enqueue(fired, later(35), new_stay=False)
        assert told(too_late) == ("queued", ["JobQueued", "JobWorkerSelectorsExpired"]), "its clock ran on"

    def test_selectors_expire(self) -> None:
        timed = {"expires_after_seconds": 10.0, "expires_at": later(10)}
        record = job(
            requested_worker_selectors=[selector("a", "equal", 1, **timed), selector("b", "equal", 1)],
            attached_worker_selectors=[selector("c", "equal", 1, **timed)],
        )
        assert jobs.expire_selectors(record, later(9)).record is record
        change = jobs.expire_selectors(record, later(10))
        assert told(change) == ("queued", ["JobWorkerSelectorsExpired"])
        data = change.events[0].data
        assert [one["key"] for one in data["expiredRequestedWorkerSelectors"]] == ["a"]
        assert [one["key"] for one in data["expiredAttachedWorkerSelectors"]] == ["c"]
        assert not jobs.expire_selectors(after(change), later(11)).events, "once"
        assert not jobs.expire_selectors(
            job(S.ASSIGNED, requested_worker_selectors=record.job.requested_worker_selectors), later(11)
        ).events


class TestSchedules:
    pending = job(S.PENDING_SCHEDULE, matching_mode=at(100))

    def test_it_is_scheduled(self) -> None:
        change = jobs.schedule(self.pending)
        assert told(change) == ("scheduled", [])
        assert jobs.schedule(after(change)).record is change.record, "once"

    @pytest.mark.parametrize("year", [2040, 2100, 9998])
    def test_a_far_time_is_as_good_as_a_near_one(self, year: int) -> None:
        mode = {"kind": "scheduleAndSuspend", "schedule_at": datetime(year, 1, 1, tzinfo=UTC)}
        assert told(jobs.schedule(job(S.PENDING_SCHEDULE, matching_mode=mode))) == ("scheduled", [])

    def test_not_where_the_calendar_ends_before_its_life(self) -> None:
        mode = {"kind": "scheduleAndSuspend", "schedule_at": LATEST_SCHEDULE + timedelta(seconds=1)}
        change = jobs.schedule(job(S.PENDING_SCHEDULE, matching_mode=mode))
        assert told(change) == ("scheduleFailed", ["JobSchedulingFailed"])
        assert "too late" in change.events[0].data["failureReason"]
        assert after(change).routing.failure

    @pytest.mark.parametrize("status", [S.SCHEDULED, S.PENDING_SCHEDULE])
    def test_its_time_comes(self, status: JobStatus) -> None:
        record = job(status, matching_mode=at(100))
        assert jobs.activation_due(record, later(99.999)).record is record
        change = jobs.activation_due(record, later(100))
        assert told(change) == ("waitingForActivation", ["JobWaitingForActivation"])
        assert after(change).job.scheduled_at == later(100), "appears when the time has come"
        assert not jobs.activation_due(after(change), later(101)).events, "once"
