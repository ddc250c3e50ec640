"""The engine against a naive model of one job and its workers: a status, sets of offers, sums of capacity.

The model is told from docs/behaviour.md and knows no records. Every rule makes the same step in both, or sees both
refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.engine import capacity, endings, jobs, matching, offers, workers
from router.engine.change import JobChange
from router.errors import Conflict, NotFound
from router.models.jobs import (
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    JobOffer,
    JobRecord,
    QueueAndMatchMode,
    RouterJobInput,
    SuspendMode,
    UnassignJobOptions,
)
from router.models.policies import LongestIdleMode
from router.models.workers import RouterWorkerInput, WorkerRecord

START = datetime(2030, 1, 1, tzinfo=UTC)
LIFETIME = timedelta(seconds=30)
MODE = LongestIdleMode(kind="longestIdle", min_concurrent_offers=1, max_concurrent_offers=2)
NAMES = ("ann", "bob", "cyd")
ENDED = {"closed", "cancelled"}


@dataclass
class ModelWorker:
    """A worker as people think of it."""

    capacity: int
    skill: int
    most_offers: int | None
    available: bool = True
    registered: datetime = START
    offers: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)


@dataclass
class ModelJob:
    status: str = "created"
    wanted_skill: int | None = None
    offers: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    declined: dict[str, tuple[datetime, datetime | None]] = field(default_factory=dict)
    assignment: tuple[str, str] | None = None
    unassigned: int = 0


class EngineMachine(RuleBasedStateMachine):
    """Commits in the order of the services: the job's row decides, then the worker's row follows."""

    @initialize(
        limits=st.tuples(
            *(st.tuples(st.integers(1, 3), st.integers(1, 5), st.sampled_from((None, 1, 2))) for _ in NAMES)
        ),
        skill=st.sampled_from((None, 1, 3, 5)),
    )
    def begin(self, limits: Any, skill: int | None) -> None:
        self.now = START
        self.number = 0
        self.events: list[str] = []
        self.model = ModelJob(wanted_skill=skill)
        self.people = {name: ModelWorker(*limit) for name, limit in zip(NAMES, limits, strict=True)}
        self.records: dict[str, WorkerRecord] = {}
        for name, person in self.people.items():
            change = workers.create(name, self._wanted(person), START, {})
            assert change.record is not None
            self.records[name] = change.record
        selectors = [] if skill is None else [{"key": "skill", "labelOperator": "greaterThanOrEqual", "value": skill}]
        wanted = RouterJobInput.model_validate(
            {"channelId": "chat", "queueId": "q", "requestedWorkerSelectors": selectors}
        )
        self._take(jobs.create("job", wanted, START))

    # Time and workers.

    @rule(seconds=st.sampled_from((1, 10, 29, 30, 31)))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(name=st.sampled_from(NAMES))
    def registers(self, name: str) -> None:
        person = self.people[name]
        if not person.available:
            person.available, person.registered = True, self.now
        self._patch(name)

    @rule(name=st.sampled_from(NAMES))
    def goes_home(self, name: str) -> None:
        self.people[name].available = False
        self._patch(name)
        mine = [id for id, (who, _) in self.model.offers.items() if who == name]
        self._take(offers.revoke(self.record, mine))
        self._end(mine)

    @rule(name=st.sampled_from(NAMES), skill=st.integers(1, 5))
    def learns(self, name: str, skill: int) -> None:
        self.people[name].skill = skill
        self._patch(name)
        if self.model.wanted_skill is not None and skill < self.model.wanted_skill:
            mine = [id for id, (who, _) in self.model.offers.items() if who == name]
            self._take(offers.revoke(self.record, mine))
            self._end(mine)

    @rule(name=st.sampled_from(NAMES), units=st.integers(1, 3))
    def has_other_work(self, name: str, units: int) -> None:
        """Offers of other jobs, as many as fit."""
        person = self.people[name]
        for _ in range(units):
            self.number += 1
            offer_id, job_id = f"other{self.number}", f"job{self.number}"
            offer = self._offer(offer_id, name)
            change = workers.reserve(self.records[name], offer, job_id, "chat", "q")
            fits = (
                person.available
                and len(person.offers) + len(person.busy) < person.capacity
                and (person.most_offers is None or len(person.offers) < person.most_offers)
            )
            assert (change is not None) == fits
            if change is not None:
                assert change.record is not None
                self.records[name] = change.record
                person.offers.add(offer_id)

    @rule(name=st.sampled_from(NAMES))
    def drops_other_work(self, name: str) -> None:
        others = {id for id in self.people[name].offers if id.startswith("other")}
        self._drop(name, others, deregister=False)

    # The job.

    @precondition(lambda self: self.model.status == "created")
    @rule()
    def is_queued(self) -> None:
        self._enter()

    def _enter(self) -> None:
        self._take(jobs.enqueue(self.record, self.now))
        self.model.status = "queued"
        assert self.events[-1] == "RouterJobQueued"

    @rule(name=st.sampled_from(NAMES))
    def is_offered(self, name: str) -> None:
        """Reserve, then attach: the engine agrees with the model on whether it may be. One that enters the line is
        queued by that."""
        may = self._may_be_offered(name)
        refused = matching.disqualified(self.record, self.records[name], MODE, self.now)
        wanted = matching.wants_offers(self.record, MODE) > 0
        assert (refused is None and wanted) == may, refused
        if not may:
            return
        self.number += 1
        offer = self._offer(f"offer{self.number}", name)
        reserved = workers.reserve(self.records[name], offer, "job", "chat", "q")
        assert reserved is not None
        assert reserved.record is not None
        self.records[name] = reserved.record
        if self.model.status == "created":
            self._enter()
        attached = offers.attach(self.record, offer, reserved.record.worker, MODE.max_concurrent_offers, self.now)
        assert attached is not None
        self._take(attached)
        assert self.events[-1] == "RouterWorkerOfferIssued"
        self.model.offers[offer.offer_id] = (name, offer.expires_at)
        self.people[name].offers.add(offer.offer_id)

    @rule(data=st.data())
    def is_accepted(self, data: st.DataObject) -> None:
        known = [*self.model.offers, *([f"offer{self.number}"] if self.number else [])]
        if not known:
            return
        offer_id = data.draw(st.sampled_from(sorted(set(known))))
        found = self.model.offers.get(offer_id)
        name = found[0] if found else NAMES[0]
        repeated = self.model.assignment is not None and self.model.assignment[1] == offer_id
        try:
            change, assignment_id = offers.accept(
                self.record, offer_id, self.records[name].worker, f"assignment-of-{offer_id}", self.now
            )
        except Conflict:
            assert not repeated
            assert found is None or found[1] <= self.now
            return
        assert assignment_id == f"assignment-of-{offer_id}"
        if repeated:
            assert change.record is self.record
            assert not change.events
            return
        assert found is not None
        assert found[1] > self.now
        self._take(change)
        assert self.events.count("RouterWorkerOfferAccepted") == 1
        losers = [id for id in self.model.offers if id != offer_id]
        assert self.events.count("RouterWorkerOfferRevoked") == len(losers)
        assignment = self.record.job.assignments[assignment_id]
        taken = workers.assign(self.records[name], offer_id, "job", "chat", assignment, self.now)
        assert taken.record is not None
        self.records[name] = taken.record
        del self.model.offers[offer_id]
        self.people[name].offers.discard(offer_id)
        self.people[name].busy.add(assignment_id)
        self.model.status, self.model.assignment = "assigned", (name, offer_id)
        self._end(losers)

    @rule(data=st.data(), later=st.sampled_from((None, 5)))
    def is_declined(self, data: st.DataObject, later: int | None) -> None:
        if not self.model.offers:
            return
        offer_id = data.draw(st.sampled_from(sorted(self.model.offers)))
        name, expires_at = self.model.offers[offer_id]
        other = next(one for one in NAMES if one != name)
        self._refused(NotFound, lambda: offers.decline(self.record, offer_id, other, None, self.now))
        if expires_at <= self.now:
            self._refused(NotFound, lambda: offers.decline(self.record, offer_id, name, None, self.now))
            return
        retry_at = None if later is None else self.now + timedelta(seconds=later)
        self._take(offers.decline(self.record, offer_id, name, retry_at, self.now))
        self.model.declined[name] = (self.now, retry_at)
        self._end([offer_id])
        self._refused(NotFound, lambda: offers.decline(self.record, offer_id, name, None, self.now))

    @rule()
    def offers_expire(self) -> None:
        due = [id for id, (_, at) in self.model.offers.items() if at <= self.now]
        self._take(offers.expire(self.record, self.now))
        assert self.events.count("RouterWorkerOfferExpired") == len(due)
        for offer_id in due:
            name, _ = self.model.offers.pop(offer_id)
            self.people[name].available = False
            self._drop(name, {offer_id}, deregister=True)

    @rule()
    def is_completed(self) -> None:
        id = self._assignment()

        def step() -> JobChange:
            return endings.complete(self.record, id, CompleteJobOptions(note="done"), self.now)

        if self.model.status == "assigned":
            self._take(step())
            self.model.status = "completed"
        else:
            self._refused((Conflict, NotFound), step)

    @rule(later=st.booleans())
    def is_closed(self, later: bool) -> None:
        id = self._assignment()
        at = self.now + timedelta(seconds=20) if later else None

        def step() -> JobChange:
            return endings.close(self.record, id, CloseJobOptions(close_at=at), self.now)

        if self.model.status != "completed":
            self._refused((Conflict, NotFound), step)
            return
        self._take(step())
        if later:
            assert self.record.status == "completed"
            early = endings.close_due(self.record, self.now + timedelta(seconds=19))
            assert early.record is self.record
            self.now += timedelta(seconds=20)
            self._take(endings.close_due(self.record, self.now))
        assert self.events == ["RouterJobClosed"]
        self._release()
        self.model.status = "closed"

    @rule(suspend=st.booleans())
    def is_unassigned(self, suspend: bool) -> None:
        id = self._assignment()
        options = UnassignJobOptions(suspend_matching=suspend)

        def step() -> JobChange:
            return endings.unassign(self.record, id, options, self.now)

        if self.model.status != "assigned" or self.model.unassigned >= 3:
            self._refused((Conflict, NotFound), step)
            return
        enqueued_at = self.record.job.enqueued_at
        self._take(step())
        self._release()
        self.model.unassigned += 1
        self.model.status = "waitingForActivation" if suspend else "queued"
        assert self.record.job.enqueued_at == enqueued_at
        assert id not in self.record.job.assignments

    @rule()
    def is_cancelled(self) -> None:
        def step() -> JobChange:
            return endings.cancel(self.record, CancelJobOptions(), self.now)

        if self.model.status in {"completed", *ENDED}:
            self._refused(Conflict, step)
            return
        mine = list(self.model.offers)
        self._take(step())
        assert self.events == ["RouterWorkerOfferRevoked"] * len(mine) + ["RouterJobCancelled"]
        self._end(mine)
        if self.model.assignment is not None:
            self._release()
        self.model.status = "cancelled"

    @rule(suspended=st.booleans())
    def is_suspended_or_activated(self, suspended: bool) -> None:
        mode = SuspendMode(kind="suspend") if suspended else QueueAndMatchMode()
        fields = {name: getattr(self.record.job, name) for name in RouterJobInput.model_fields}
        wanted = RouterJobInput(**{**fields, "matching_mode": mode})
        changes = wanted.matching_mode != self.record.job.matching_mode
        if changes and self.model.status in {"assigned", "completed", *ENDED}:
            self._refused(Conflict, lambda: jobs.update(self.record, wanted, self.now))
            return
        mine = list(self.model.offers)
        self._take(jobs.update(self.record, wanted, self.now))
        if changes and suspended:
            self._end(mine)
            self.model.status = "waitingForActivation"
        elif changes:
            self.model.status = "queued"

    @rule()
    def may_be_deleted(self) -> None:
        if self.model.status in ENDED:
            assert endings.delete(self.record).record is None
        else:
            self._refused(Conflict, lambda: endings.delete(self.record))

    # What must always be true.

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "record"):
            return
        assert self.record.status == self.model.status
        assert {
            id: (one.worker_id, one.expires_at) for id, one in self.record.routing.offers.items()
        } == self.model.offers
        held = [one for one in self.record.job.assignments.values() if one.closed_at is None]
        assert len(held) == (self.model.assignment is not None)
        for name, person in self.people.items():
            record = self.records[name]
            who = record.worker
            assert {one.offer_id for one in who.offers} == person.offers
            assert {one.assignment_id for one in who.assigned_jobs} == person.busy
            used = len(person.offers) + len(person.busy)
            assert capacity.in_use(who) == used
            assert who.load_ratio == min(used / person.capacity, 1.0)
            expected = "active" if person.available else "draining" if person.offers else "inactive"
            assert who.state == expected
            assert used <= person.capacity
            assert len(record.routing.job_channels) == used

    # Steps.

    def _may_be_offered(self, name: str) -> bool:
        person, model = self.people[name], self.model
        decline = model.declined.get(name)
        declined = (
            decline is not None and (decline[1] is None or decline[1] > self.now) and person.registered <= decline[0]
        )
        return (
            model.status in ("created", "queued")
            and len(model.offers) < 2
            and person.available
            and all(who != name for who, _ in model.offers.values())
            and len(person.offers) + len(person.busy) < person.capacity
            and (person.most_offers is None or len(person.offers) < person.most_offers)
            and (model.wanted_skill is None or person.skill >= model.wanted_skill)
            and not declined
        )

    def _offer(self, offer_id: str, name: str) -> JobOffer:
        return JobOffer(
            offer_id=offer_id, worker_id=name, capacity_cost=1, offered_at=self.now, expires_at=self.now + LIFETIME
        )

    def _wanted(self, person: ModelWorker) -> RouterWorkerInput:
        return RouterWorkerInput.model_validate(
            {
                "queues": ["q"],
                "capacity": person.capacity,
                "channels": [{"channelId": "chat", "capacityCostPerJob": 1}],
                "labels": {"skill": person.skill},
                "availableForOffers": person.available,
                "maxConcurrentOffers": person.most_offers,
            }
        )

    def _patch(self, name: str) -> None:
        change = workers.update(self.records[name], self._wanted(self.people[name]), self.now, {})
        assert change.record is not None
        self.records[name] = change.record

    def _take(self, change: JobChange) -> None:
        assert change.record is not None
        self.record: JobRecord = change.record
        self.events = [event.type for event in change.events]

    def _refused(self, errors: Any, step: Any) -> None:
        try:
            step()
        except errors:
            return
        raise AssertionError("the engine did what must be refused")

    def _end(self, offer_ids: list[str]) -> None:
        """Offers that the job no longer has are taken from their workers."""
        for offer_id in offer_ids:
            name, _ = self.model.offers.pop(offer_id)
            self._drop(name, {offer_id}, deregister=False)

    def _drop(self, name: str, offer_ids: set[str], *, deregister: bool) -> None:
        change = workers.drop_offers(self.records[name], frozenset(offer_ids), deregister=deregister)
        assert change.record is not None
        self.records[name] = change.record
        self.people[name].offers -= offer_ids

    def _assignment(self) -> str:
        return f"assignment-of-{self.model.assignment[1]}" if self.model.assignment else "none"

    def _release(self) -> None:
        assert self.model.assignment is not None
        name, id = self.model.assignment[0], self._assignment()
        change = workers.release(self.records[name], id, self.now)
        assert change.record is not None
        self.records[name] = change.record
        self.people[name].busy.discard(id)
        self.model.assignment = None


EngineMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestEngineAgainstModel = EngineMachine.TestCase
