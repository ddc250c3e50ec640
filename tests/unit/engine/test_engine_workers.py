"""The worker's state machine: register, update, reserve, assign, release, drain, deregister, delete."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine import workers
from router.engine.capacity import in_use
from router.engine.change import WorkerChange
from router.models.jobs import RouterJobAssignment
from router.models.workers import RouterWorkerInput, WorkerRecord, WorkerState
from tests.unit.engine.engine_records import NOW, after, channel, events, later, offer, worker

ACTIVE, DRAINING, INACTIVE = WorkerState.ACTIVE, WorkerState.DRAINING, WorkerState.INACTIVE
AWAY: dict[str, Any] = {"available_for_offers": False}


def wanted(record: WorkerRecord | None = None, **changes: Any) -> RouterWorkerInput:
    fields = {"capacity": 3, "queues": ["q"], "channels": [channel()]}
    if record is not None:
        fields = {name: getattr(record.worker, name) for name in RouterWorkerInput.model_fields}
    return RouterWorkerInput(**{**fields, **changes})


def update(record: WorkerRecord, **changes: Any) -> WorkerChange:
    return workers.update(record, wanted(record, **changes), later(100), {})


def assignment(id: str = "a1", worker_id: str = "w1") -> RouterJobAssignment:
    return RouterJobAssignment(assignment_id=id, worker_id=worker_id, assigned_at=later(5))


class TestCreate:
    @pytest.mark.parametrize("available", [True, False, None])
    def test_registered_if_available(self, available: bool | None) -> None:
        change = workers.create("w", wanted(available_for_offers=available), NOW, {})
        record = after(change)
        assert record.worker.state is (ACTIVE if available else INACTIVE)
        assert record.worker.available_for_offers is available  # what was never said is not told
        assert events(change) == (["WorkerRegistered"] if available else [])
        assert record.routing.registered_at == (NOW if available else None)
        assert record.worker.load_ratio == 0

    def test_the_label_id_is_its_own(self) -> None:
        record = after(workers.create("w", wanted(labels={"Id": "other", "a": 1}), NOW, {}))
        assert record.worker.matching_labels == {"Id": "w", "a": 1}


class TestUpdate:
    def test_nothing_changed(self) -> None:
        record = worker()
        assert update(record).record == record
        assert not update(record).events

    @pytest.mark.parametrize(
        ("changes", "property"),
        [
            ({"capacity": 4}, "TotalCapacity"),
            ({"queues": ["q", "r"]}, "QueueAssignments"),
            ({"labels": {"a": 2}}, "Labels"),
            ({"labels": {"a": True}}, "Labels"),
            ({"tags": {"a": 2}}, "Tags"),
            ({"channels": [channel(most=4)]}, "ChannelConfigurations"),
        ],
    )
    def test_the_event_names_what_has_changed(self, changes: dict[str, Any], property: str) -> None:
        change = update(worker(labels={"a": 1}, tags={"a": 1}), **changes)
        assert events(change) == ["WorkerUpdated"]
        assert change.events[0].data["updatedWorkerProperties"] == [property]
        assert after(change).worker.state is ACTIVE
        assert after(change).routing.registered_at == NOW, "that is no new registration"

    def test_coming(self) -> None:
        away = worker(**AWAY, state=INACTIVE, routing={"registered_at": later(-900), "available_since": later(-900)})
        change = update(away, available_for_offers=True)
        assert events(change) == ["WorkerRegistered", "WorkerUpdated"]
        record = after(change)
        assert record.worker.state is ACTIVE
        assert (record.routing.registered_at, record.routing.available_since) == (later(100), later(100))

    def test_leaving_with_nothing_open(self) -> None:
        change = update(worker(assigned={"j": 1}), **AWAY)
        assert events(change) == ["WorkerUpdated", "WorkerDeregistered"]
        assert after(change).worker.state is INACTIVE
        assert len(after(change).worker.assigned_jobs) == 1, "assignments stay"

    def test_leaving_with_offers_drains(self) -> None:
        change = update(worker(held={"j": 1}), **AWAY)
        assert events(change) == ["WorkerUpdated"]
        draining = after(change)
        assert draining.worker.state is DRAINING
        assert after(update(draining, tags={"a": 1})).worker.state is DRAINING
        change = workers.drop_offers(draining, frozenset({"offer-j"}), deregister=False)
        assert (after(change).worker.state, events(change)) == (INACTIVE, ["WorkerDeregistered"])

    def test_coming_back_while_draining(self) -> None:
        draining = after(update(worker(held={"j": 1}), **AWAY))
        change = update(draining, available_for_offers=True)
        assert (after(change).worker.state, events(change)) == (ACTIVE, ["WorkerRegistered", "WorkerUpdated"])
        assert len(after(change).worker.offers) == 1

    def test_another_capacity_is_another_load(self) -> None:
        assert after(update(worker(capacity=2, assigned={"j": 1}), capacity=4)).worker.load_ratio == 0.25


class TestReserve:
    def test_capacity_is_taken(self) -> None:
        record = after(workers.reserve(worker(capacity=4), offer(cost=1), "j", "voice", "q"))
        held = record.worker.offers[0]
        assert (held.offer_id, held.job_id, held.capacity_cost, held.expires_at) == ("o1", "j", 1, later(60))
        assert record.worker.load_ratio == 0.25
        assert (record.routing.job_channels, record.routing.offer_queues) == ({"j": "voice"}, {"o1": "q"})

    @pytest.mark.parametrize(
        "fields",
        [
            {"channels": [channel("chat")]},
            AWAY,
            {"state": DRAINING},
            {"routing": {"deleting": True}},
            {"max_concurrent_offers": 1, "held": {"x": 1}},
            {"capacity": 1, "held": {"x": 1}},
            {"channels": [channel(most=1)], "assigned": {"x": 1}},
            {"held": {"j": 1}},
            {"assigned": {"j": 1}},
        ],
    )
    def test_unless_it_does_not_fit(self, fields: dict[str, Any]) -> None:
        assert workers.reserve(worker(**fields), offer(), "j", "voice", "q") is None


class TestAssign:
    def test_the_capacity_in_use_stays(self) -> None:
        record = worker(held={"j": 2})
        change = workers.assign(record, "offer-j", "j", "voice", assignment(), later(5))
        assert not events(change)
        held = after(change)
        assert held.worker.offers == []
        assert held.worker.load_ratio == pytest.approx(2 / 3)
        one = held.worker.assigned_jobs[0]
        assert (one.assignment_id, one.job_id, one.capacity_cost, one.assigned_at) == ("a1", "j", 2, later(5))
        assert held.routing.accepted_offers == {"offer-j": "j"}
        assert workers.assign(held, "offer-j", "j", "voice", assignment(), later(6)).record is held, "once"

    def test_of_one_that_leaves(self) -> None:
        draining = worker(held={"j": 1}, state=DRAINING, **AWAY)
        change = workers.assign(draining, "offer-j", "j", "voice", assignment(), NOW)
        assert (after(change).worker.state, events(change)) == (INACTIVE, ["WorkerDeregistered"])

    def test_released_it_counts_as_waiting_for_work(self) -> None:
        record = after(workers.assign(worker(held={"j": 2}), "offer-j", "j", "voice", assignment(), NOW))
        change = workers.release(record, "a1", later(50))
        free = after(change)
        assert (free.worker.assigned_jobs, free.worker.load_ratio) == ([], 0)
        assert (free.routing.available_since, free.routing.job_channels, free.routing.accepted_offers) == (
            later(50),
            {},
            {},
        )
        assert workers.release(free, "a1", later(51)).record is free, "once"

    def test_releasing_keeps_what_is_still_held_of_the_job(self) -> None:
        """Unassigned and offered again before the old assignment is released."""
        record = worker(held={"j": 1}, assigned={"j": 1})
        free = after(workers.release(record, "assignment-j", NOW))
        assert free.routing.job_channels == {"j": "voice"}


class TestOffersGo:
    def test_their_capacity_is_free(self) -> None:
        change = workers.drop_offers(worker(held={"i": 1, "j": 1}), frozenset({"offer-i"}), deregister=False)
        record = after(change)
        assert ([one.job_id for one in record.worker.offers], events(change)) == (["j"], [])
        assert (record.routing.job_channels, record.routing.offer_queues) == ({"j": "voice"}, {"offer-j": "q"})
        assert record.worker.state is ACTIVE

    def test_an_expired_one_deregisters(self) -> None:
        change = workers.drop_offers(worker(held={"j": 1}), frozenset({"offer-j"}), deregister=True)
        record = after(change).worker
        assert (record.state, record.available_for_offers, events(change)) == (INACTIVE, False, ["WorkerDeregistered"])

    def test_with_others_open_it_drains_first(self) -> None:
        change = workers.drop_offers(worker(held={"i": 1, "j": 1}), frozenset({"offer-j"}), deregister=True)
        assert (after(change).worker.state, events(change)) == (DRAINING, [])
        change = workers.drop_offers(after(change), frozenset({"offer-i"}), deregister=False)
        assert (after(change).worker.state, events(change)) == (INACTIVE, ["WorkerDeregistered"])


class TestTheEnd:
    def test_idle_for_too_long(self) -> None:
        change = workers.deregister(worker())
        assert (after(change).worker.state, events(change)) == (INACTIVE, ["WorkerDeregistered"])
        assert workers.deregister(after(change)).record is change.record, "once"
        assert after(workers.deregister(worker(held={"j": 1}))).worker.state is DRAINING

    def test_deletion_waits_for_its_offers(self) -> None:
        record = after(workers.start_deletion(worker(held={"j": 1}, assigned={"k": 1})))
        assert record.routing.deleting
        assert workers.delete(record, {}) is None
        record = after(workers.drop_offers(record, frozenset({"offer-j"}), deregister=False))
        change = workers.delete(record, {})
        assert change is not None
        assert (change.record, events(change)) == (None, ["WorkerDeleted"])


class TestIndexVersion:
    @pytest.mark.parametrize(
        "changes", [{"labels": {"a": 1}}, {"queues": ["r"]}, {"channels": [channel("chat")]}, AWAY]
    )
    def test_moves_on_with_what_the_index_tells(self, changes: dict[str, Any]) -> None:
        assert after(update(worker(), **changes)).routing.version == 1

    def test_stays_otherwise(self) -> None:
        assert after(update(worker(), tags={"a": 1})).routing.version == 0

    def test_true_is_not_1(self) -> None:
        assert after(update(worker(labels={"a": 1}), labels={"a": True})).routing.version == 1


STEPS = st.sampled_from(["reserve", "drop", "expire", "assign", "release", "leave", "come"])


@given(st.lists(st.tuples(STEPS, st.integers(0, 3)), max_size=25), st.integers(1, 4))
def test_whatever_happens_the_books_balance(steps: list[tuple[str, int]], capacity: int) -> None:
    record = worker(capacity=capacity)
    for number, (what, which) in enumerate(steps):
        offers, held = record.worker.offers, record.worker.assigned_jobs
        change: WorkerChange | None = None
        if what == "reserve":
            change = workers.reserve(record, offer(f"o{number}"), f"j{which}", "voice", "q")
        elif what in ("drop", "expire") and offers:
            gone = frozenset({offers[which % len(offers)].offer_id})
            change = workers.drop_offers(record, gone, deregister=what == "expire")
        elif what == "assign" and offers:
            one = offers[which % len(offers)]
            change = workers.assign(record, one.offer_id, one.job_id, "voice", assignment(f"a{number}"), NOW)
        elif what == "release" and held:
            change = workers.release(record, held[which % len(held)].assignment_id, NOW)
        elif what in ("leave", "come"):
            change = update(record, available_for_offers=what == "come")
        if change is None:
            continue
        before, record = record, after(change)
        names = events(change)
        state = record.worker.state
        assert ("WorkerDeregistered" in names) == (state is INACTIVE and before.worker.state is not INACTIVE)
        assert ("WorkerRegistered" in names) == (state is ACTIVE and before.worker.state is not ACTIVE)
        assert (state is ACTIVE) == bool(record.worker.available_for_offers)
        assert (state is DRAINING) == (not record.worker.available_for_offers and bool(record.worker.offers))
        jobs = {one.job_id for one in record.worker.offers} | {one.job_id for one in record.worker.assigned_jobs}
        assert set(record.routing.job_channels) == jobs
        assert set(record.routing.offer_queues) == {one.offer_id for one in record.worker.offers}
        assert in_use(record.worker) <= capacity
        assert record.worker.load_ratio == in_use(record.worker) / capacity
        assert set(record.routing.accepted_offers.values()) == {one.job_id for one in record.worker.assigned_jobs}
