"""Everything that was ever committed, and what must hold at each commit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter

from router.engine.exceptions import MOST_STAYS
from router.models.events import PendingEvent
from router.models.jobs import JobRecord
from router.models.policies import DistributionPolicy
from router.models.workers import WorkerRecord
from router.storage.documents import read_document
from router.storage.port import Entity
from router.storage.truth_rows import read_entries
from tests.sim import reference
from tests.sim.event_grid import WAKES_JOB
from tests.sim.observer import Observer

if TYPE_CHECKING:
    from tests.sim.world import World

_OUTBOX: Final = TypeAdapter(list[PendingEvent])
_HOLDS: Final = frozenset({"assigned", "completed"})
#: Rows that a job, a worker or a queue owns at most, in any weather.
_MOST_ROWS: Final = {"deadlines": 40, "backlog": 12, "members": 40, "availability": 60, "jobs": 40, "workers": 40}


@dataclass
class Reservation:
    """A worker's offer from its reservation on, with the jobs that should have come first."""

    job_id: str
    ahead: dict[str, str] = field(default_factory=dict)


def _visible(kind: str, entity: Entity | None) -> Any:
    """What a timeline tells of a record: of a worker what clients write, and its state."""
    if entity is None or entity.columns["Kind"] != kind:
        return None
    found = json.loads(read_document("Doc", entity.columns))[kind]
    if kind == "worker":
        return {name: value for name, value in found.items() if name not in ("offers", "assignedJobs", "loadRatio")}
    return found


class History(Observer):
    def __init__(self, world: World) -> None:
        self._world = world
        self.faults: list[str] = []
        self.jobs: dict[str, JobRecord] = {}
        #: Of the jobs those that wait or have just come: the only ones that others must not overtake.
        self.waiting: dict[str, JobRecord] = {}
        self.workers: dict[str, WorkerRecord] = {}
        self.past_jobs: dict[str, list[JobRecord]] = {}
        self.past_workers: dict[str, list[WorkerRecord]] = {}
        self.changed: dict[str, datetime] = {}
        #: Jobs whose last change wakes none of the router's functions, and was not made by one that goes on with them.
        self.untold: set[str] = set()
        #: When each row of the backlog was last written.
        self.shown: dict[tuple[str, str], datetime] = {}
        self.events: dict[str, list[PendingEvent]] = {}
        #: Keys of the entries that commits have made, in their order, by job and worker.
        self.entries: dict[str, list[str]] = {}
        #: How many of them are of lives before.
        self.born: dict[str, int] = {}
        #: How often each event of a job was committed, by the queue and channel that the job had with it.
        self.happened: Counter[tuple[str, str, str]] = Counter()
        self._known: set[str] = set()
        self._spilled: list[PendingEvent] = []
        self._fired: set[tuple[str, int, str]] = set()
        self._reservations: dict[str, Reservation] = {}
        self._offers: dict[str, Any] = {}
        #: When a job was first seen waiting with this selector.
        self._selectors: dict[tuple[str, str, datetime], datetime] = {}
        self._waits_since: dict[str, datetime] = {}
        self.deleted: set[str] = set()
        self.deleted_workers: set[str] = set()
        #: How many rows of a table one job, worker or queue owns.
        self.rows_of: Counter[tuple[str, str]] = Counter()
        #: Jobs that a client has asked to close at once, perhaps after a close that was put off.
        self.closed_by_hand: set[str] = set()

    def lives(self, worker_id: str) -> list[WorkerRecord]:
        """The states of the worker since it was last created."""
        return self.past_workers.get(worker_id, [])

    def fault(self, text: str) -> None:
        self.faults.append(f"{self._world.loop.time():.4f}: {text}")

    def observe(self, table: str, before: Entity | None, after: Entity | None) -> None:
        if table == "jobs":
            self._row("job", before, after)
        elif table == "workers":
            self._row("worker", before, after)
        elif table == "backlog" and after is not None:
            self.shown[after.partition, after.row] = self._world.now()
        elif table == "deadlines" and after is not None:
            self.changed[f"deadline/{after.row}"] = self._world.now()
        self._count(table, before, after)

    def _count(self, table: str, before: Entity | None, after: Entity | None) -> None:
        """Nothing multiplies: whatever fails, however often, one job, worker or queue owns a bounded number of rows."""
        if table not in _MOST_ROWS or (before is None) is (after is None):
            return
        entity = after or before
        assert entity is not None
        if table == "deadlines" and entity.row.startswith(("h~", "i~")):
            return  # the log: it has an entry a change
        columns = entity.columns
        owner = (
            table,
            str(columns.get("Target") or columns.get("JobId") or columns.get("WorkerId") or entity.partition),
        )
        self.rows_of[owner] += 1 if before is None else -1
        if self.rows_of[owner] > _MOST_ROWS[table]:
            self.fault(f"{owner[1]} owns {self.rows_of[owner]} rows of {table}")

    def _row(self, kind: str, before: Entity | None, after: Entity | None) -> None:
        if after is None:
            return
        if after.row != after.partition:
            # The row that these events have moved out of follows in the same transaction.
            self._spilled.extend(self._new_events(after))
            return
        id = str(after.columns["Id"])
        document = read_document("Doc", after.columns) if after.columns["Kind"] == kind else None
        unchanged = before is not None and document == (read_document("Doc", before.columns) or None)
        events = [*self._spilled, *self._new_events(after)]
        self._spilled.clear()
        if events:
            self.events.setdefault(f"{kind}/{id}", []).extend(events)
        self._told(kind, id, before, after, events)
        if unchanged and not events:
            return
        self.changed[f"{kind}/{id}"] = self._world.now()
        if kind == "job":
            if events:
                self._wakes(id, events)
            job = JobRecord.model_validate_json(document) if document else None
            self._happened(job or self.jobs.get(id), events)
            self._job(id, self.jobs.get(id), job, events)
        else:
            worker = WorkerRecord.model_validate_json(document) if document else None
            self._worker(id, self.workers.get(id), worker, events)

    def _told(self, kind: str, id: str, before: Entity | None, after: Entity, events: Sequence[PendingEvent]) -> None:
        """A change that clients see, or that an event tells of, has one entry; another write has none."""
        known = self.entries.setdefault(f"{kind}/{id}", [])
        there = [entry.key for entry in read_entries(read_document("Hist", after.columns))]
        new = [one for one in there if one not in known]
        known += new
        seen = _visible(kind, before) != _visible(kind, after)
        if len(new) != (1 if seen or events else 0):
            names = [event.type for event in events]
            self.fault(f"{kind} {id}: a commit has {len(new)} entries, its events are {names}, seen: {seen}")
        # Of one life: who stood still before it made a row anew dates that by when it decided.
        born = self.born.setdefault(f"{kind}/{id}", 0)
        if before is None:
            born = self.born[f"{kind}/{id}"] = len(known) - len(new)
        if known[born:] != sorted(known[born:]):
            self.fault(f"{kind} {id}: its entries are not in the order of its commits")

    def _wakes(self, job_id: str, events: Sequence[PendingEvent]) -> None:
        """Who queues a job that has come or is classified is about to match it."""
        before = self.jobs.get(job_id)
        goes_on = before is not None and before.job.status in ("created", "pendingClassification")
        wakes = any(f"Microsoft.Communication.{event.type}" in WAKES_JOB for event in events)
        (self.untold.discard if goes_on or wakes else self.untold.add)(job_id)

    def _happened(self, record: JobRecord | None, events: Sequence[PendingEvent]) -> None:
        if record is not None and record.job.queue_id and record.job.channel_id:
            place = record.job.queue_id, record.job.channel_id
            self.happened.update((*place, event.type) for event in events)

    def _new_events(self, entity: Entity) -> list[PendingEvent]:
        text = read_document("Out", entity.columns)
        events = _OUTBOX.validate_json(text) if text else []
        new = [event for event in events if event.id not in self._known]
        self._known.update(event.id for event in new)
        return new

    # Jobs.

    def _job(self, id: str, before: JobRecord | None, after: JobRecord | None, events: list[PendingEvent]) -> None:
        names = Counter(event.type.removeprefix("Router") for event in events)
        if after is None:
            self.jobs.pop(id, None)
            self.waiting.pop(id, None)
            self.deleted.add(id)
            self._fired = {mark for mark in self._fired if mark[0] != id}
            self._expect(f"job {id} is gone", names, Counter({"JobDeleted": 1}))
            return
        self.jobs[id] = after
        if after.job.status in ("queued", "created"):
            self.waiting[id] = after
        else:
            self.waiting.pop(id, None)
        self.past_jobs.setdefault(id, []).append(after)
        self._check_assignments(after)
        if after.job.status == "queued" and after.job.matching_mode.kind != "queueAndMatch":
            self.fault(f"job {id} is queued and its matching is suspended")
        self._check_offers(before, after, events)
        self._check_times(before, after, events)
        what = f"job {id}: {before and before.job.status} -> {after.job.status}"
        # An exception's actions may queue a job again and again, and cancel it in the end.
        if not names.pop("JobQueued", 0) and _must_be_queued(before, after):
            self.fault(f"{what} without RouterJobQueued")
        expired = names.pop("JobWorkerSelectorsExpired", 0)
        if _has_expired(before, after) and not expired:
            self.fault(f"{what}: selectors expire without a word")
        if expired and not _expired(after):
            self.fault(f"{what}: {expired} times RouterJobWorkerSelectorsExpired")
        classified = names.pop("JobClassified", 0)
        if bool(classified) != bool(
            before and before.job.status == "pendingClassification" and after.job.status == "queued"
        ):
            # It may also have got its queue from a client, or be suspended again once it is classified.
            suspended = after.job.status in ("waitingForActivation", "pendingSchedule")
            by_hand = before is not None and before.routing.triggered and not after.routing.triggered
            if (classified and not suspended) or (
                not classified and after.job.classification_policy_id and not by_hand
            ):
                self.fault(f"{what}: {classified} times RouterJobClassified")
        self._expect(what, names, _job_news(before, after))

    def _check_assignments(self, job: JobRecord) -> None:
        unclosed = [one for one in job.job.assignments.values() if one.closed_at is None]
        if len(unclosed) != (1 if job.job.status in _HOLDS else 0):
            self.fault(f"job {job.id} is {job.job.status} with {len(unclosed)} open assignments")
        if any((one.completed_at is None) != (job.job.status == "assigned") for one in unclosed):
            self.fault(f"job {job.id} is {job.job.status} and its assignment says otherwise")

    def _check_offers(self, before: JobRecord | None, after: JobRecord, events: Sequence[PendingEvent]) -> None:
        old = before.routing.offers if before else {}
        new = [one for id, one in after.routing.offers.items() if id not in old]
        if after.routing.offers and after.job.status != "queued":
            self.fault(f"job {after.id} is {after.job.status} and has offers")
        workers = [one.worker_id for one in after.routing.offers.values()]
        if len(set(workers)) < len(workers):
            self.fault(f"job {after.id} is offered twice to a worker")
        for offer in new:
            if offer.offer_id in self._offers:
                self.fault(f"offer {offer.offer_id} of job {after.id} lives twice")
            self._offers[offer.offer_id] = offer
            self._check_attached(after, offer)
            policy = self._world.policy_of(after.job.queue_id)
            if policy and len(after.routing.offers) > policy.mode.max_concurrent_offers:
                self.fault(f"job {after.id} has {len(after.routing.offers)} offers")
        for event in events:
            told = event.data.get("offerId")
            if told is not None and told not in self._offers:
                self.fault(f"{event.type} of an offer that never was")
            if event.type == "RouterWorkerOfferExpired":
                self._timed(f"offer of {after.id}", self._offers[event.data["offerId"]].expires_at)
        for assignment_id, offer_id in after.routing.accepted_offers.items():
            assignment = after.job.assignments.get(assignment_id)
            accepted = self._offers.get(offer_id)
            if assignment is None or accepted is None:
                self.fault(f"job {after.id} remembers an accepted offer without its assignment")
            elif assignment.assigned_at >= accepted.expires_at or assignment.worker_id != accepted.worker_id:
                self.fault(f"job {after.id} was accepted too late, or by another")

    def _check_times(self, before: JobRecord | None, after: JobRecord, events: Sequence[PendingEvent]) -> None:
        now, job = self._world.now(), after.job
        for one in (*job.requested_worker_selectors, *job.attached_worker_selectors):
            if one.expires_at is not None and job.status == "queued":
                runs = (after.id, one.key, one.expires_at)
                if runs not in self._selectors or before is None or before.job.status != "queued":
                    self._selectors[runs] = now
        if before is not None:
            old = {
                one.key: one for one in (*before.job.requested_worker_selectors, *before.job.attached_worker_selectors)
            }
            for one in (*job.requested_worker_selectors, *job.attached_worker_selectors):
                was = old.get(one.key)
                expired_now = one.status == "expired" and was is not None and was.status == "active"
                if expired_now and one.expires_at is not None and was is not None and was.expires_at == one.expires_at:
                    since = self._selectors.get((after.id, one.key, one.expires_at), now)
                    self._timed(f"selector {one.key} of {after.id}", one.expires_at, since)
            if job.scheduled_at and not before.job.scheduled_at:
                self._timed(f"schedule of {after.id}", job.scheduled_at)
            if before.routing.close_at and job.status == "closed" and after.id not in self.closed_by_hand:
                self._timed(f"close of {after.id}", before.routing.close_at)
        if job.status == "queued" and (before is None or before.job.status != "queued"):
            self._waits_since[after.id] = now
        for event in events:
            if event.type != "RouterJobExceptionTriggered":
                continue
            rule_id = event.data["exceptionRuleId"]
            mark = (after.id, after.routing.stay, rule_id)
            if mark in self._fired:
                self.fault(f"rule {rule_id} fired twice for {after.id} in one stay")
            self._fired.add(mark)
            threshold = self._world.wait_threshold(job.queue_id, rule_id)
            if threshold is not None and job.enqueued_at is not None:
                # It may have come back with its old enqueuedAt, when the time had passed already.
                due = job.enqueued_at + timedelta(seconds=threshold)
                self._timed(f"rule {rule_id} of {after.id}", due, self._waits_since.get(after.id))

    def _timed(self, what: str, due: datetime, known: datetime | None = None) -> None:
        """It happens now: not before its time, and in calm weather within two seconds of it, or of the moment when
        it became known."""
        now = self._world.now()
        if now < due:
            self.fault(f"{what} came {(due - now).total_seconds():.3f} s early")
        if self._world.always_calm and (now - max(due, known or due)).total_seconds() > 2.0:
            self.fault(f"{what} came {(now - due).total_seconds():.3f} s late")

    # Workers.

    def _worker(
        self, id: str, before: WorkerRecord | None, after: WorkerRecord | None, events: list[PendingEvent]
    ) -> None:
        names = Counter(event.type.removeprefix("Router") for event in events)
        if after is None:
            self.workers.pop(id, None)
            self.past_workers.pop(id, None)
            self.deleted_workers.add(f"worker/{id}")
            self._expect(f"worker {id} is gone", names, Counter({"WorkerDeleted": 1}))
            return
        self.workers[id] = after
        self.past_workers.setdefault(id, []).append(after)
        self._check_limits(before, after)
        who = after.worker
        right = "active" if who.available_for_offers else ("draining" if who.offers else "inactive")
        if str(who.state) != right:
            self.fault(f"worker {id} is {who.state} and should be {right}")
        if names.pop("WorkerUpdated", 0) > 1:
            self.fault(f"worker {id} is updated twice in one commit")
        self._expect(
            f"worker {id}: {before and before.worker.state} -> {who.state}", names, _worker_news(before, after)
        )

    def _check_limits(self, before: WorkerRecord | None, after: WorkerRecord) -> None:
        """What a commit adds must fit. A client may lower a limit below what is in use."""
        who = after.worker
        held = (
            {one.job_id for one in before.worker.offers} | {one.job_id for one in before.worker.assigned_jobs}
            if before
            else set()
        )
        had = {one.offer_id for one in before.worker.offers} if before else set()
        if who.load_ratio != min(reference.in_use(after) / who.capacity, 1.0):
            self.fault(f"worker {after.id} has load ratio {who.load_ratio}")
        for number, offer in enumerate(who.offers):
            if offer.offer_id in had:
                continue
            if before is None or not before.worker.available_for_offers or before.routing.deleting:
                self.fault(f"worker {after.id} got an offer while it takes none")
            # One commit may reserve for several jobs, in their order.
            earlier = who.model_copy(update={"offers": who.offers[:number]})
            self._check_reserved(before and before.model_copy(update={"worker": earlier}), after, offer)
        new = [one for one in reference.held(after) if one.job_id not in held]
        if not new:
            return
        if reference.in_use(after) > who.capacity:
            self.fault(f"worker {after.id} uses {reference.in_use(after)} of {who.capacity}")
        if who.max_concurrent_offers and len(who.offers) > who.max_concurrent_offers:
            self.fault(f"worker {after.id} has {len(who.offers)} offers of {who.max_concurrent_offers}")
        for channel in who.channels:
            count = reference.on_channel(after, channel.channel_id, self.jobs)
            on_it = any(
                one.job_id in self.jobs and self.jobs[one.job_id].job.channel_id == channel.channel_id for one in new
            )
            if on_it and channel.max_number_of_jobs and count > channel.max_number_of_jobs:
                self.fault(f"worker {after.id} has {count} jobs on {channel.channel_id}")

    # Order.

    def _check_reserved(self, before: WorkerRecord | None, after: WorkerRecord, offer: Any) -> None:
        """Notes which waiting jobs come before this one and would have been served by this worker."""
        job, now = self.jobs.get(offer.job_id), self._world.now()
        if job is None or before is None:
            self._reservations[offer.offer_id] = Reservation(offer.job_id)
            return  # the job has just been deleted: the offer will not be attached
        ahead: dict[str, str] = {}
        place = reference.order(job, now)
        for other in self.waiting.values():
            policy = self._world.policy_of(other.job.queue_id)
            if other.id == job.id or other.job.status != "queued" or policy is None:
                continue
            if not reference.order(other, now) < place or not reference.wants(other, policy, now):
                continue
            if self._reserved_for(other) >= policy.mode.max_concurrent_offers:
                continue  # workers of its own are reserved for it
            if any(one.job_id == other.id for one in after.worker.offers):
                continue  # the worker takes it with this very commit
            if not self._world.in_backlog(other, offer.offered_at):
                continue  # it has come after the round had begun: its own round comes next
            # A selector may expire two seconds late, and later if nobody was there meanwhile.
            moments = (now, now - timedelta(seconds=2 + self._world.away))
            if not all(reference.qualifies(other, before, policy, self.jobs, moment) for moment in moments):
                continue
            if other.job.queue_id != job.job.queue_id and (
                self._has_a_worker_yet(other, after, policy, now) or self._world.is_matched(other.job.queue_id)
            ):
                continue  # its own queue's round gives it that room, or is deciding at this very moment
            if self._has_a_rival(other, job.job.queue_id, before, now):
                continue  # what is set aside for that one may be what it lacks
            ahead[other.id] = self._version(other)
        self._reservations[offer.offer_id] = Reservation(offer.job_id, ahead)

    def _has_a_worker_yet(self, job: JobRecord, one: WorkerRecord, policy: DistributionPolicy, now: datetime) -> bool:
        """Whether somebody has room for the job, when `one` is as it is now."""
        others = (worker for worker in self.workers.values() if worker.id != one.id)
        return any(reference.qualifies(job, worker, policy, self.jobs, now) for worker in (one, *others))

    def _has_a_rival(self, job: JobRecord, queue_id: str | None, worker: WorkerRecord, now: datetime) -> bool:
        """Whether a job of another queue than the one that is matched comes before this one and wants the worker."""
        for other in self.waiting.values():
            policy = self._world.policy_of(other.job.queue_id)
            if (
                other.id != job.id
                and other.job.queue_id != queue_id
                and policy is not None
                and reference.order(other, now) < reference.order(job, now)
                and reference.wants(other, policy, now, or_will=True)
                and reference.qualifies(other, worker, policy, self.jobs, now)
            ):
                return True
        return False

    def _reserved_for(self, job: JobRecord) -> int:
        held = {
            one.offer_id for worker in self.workers.values() for one in worker.worker.offers if one.job_id == job.id
        }
        return len(held | set(job.routing.offers))

    def _check_attached(self, job: JobRecord, offer: Any) -> None:
        """None of those may still be waiting as it was."""
        reservation = self._reservations.pop(offer.offer_id, None)
        if reservation is None:
            self.fault(f"job {job.id} has an offer that its worker never reserved")
            return
        for other_id, version in reservation.ahead.items():
            other = self.jobs.get(other_id)
            if other is None or self._version(other) != version:
                continue
            policy = self._world.policy_of(other.job.queue_id)
            if policy is not None and self._reserved_for(other) >= policy.mode.max_concurrent_offers:
                continue  # a worker has been reserved for it since
            # The place that the job got with its offer may be an earlier one than that of its reservation's moment.
            now = self._world.now()
            if reference.order(other, now) < reference.order(job, now):
                self.fault(f"job {job.id} got {offer.worker_id} before job {other_id}, which comes first")

    @staticmethod
    def _version(job: JobRecord) -> str:
        return job.model_dump_json()

    def _expect(self, what: str, found: Counter[str], wanted: Counter[str]) -> None:
        if found != wanted:
            self.fault(f"{what}: its events are {dict(found)}, not {dict(wanted)}")


def _job_news(before: JobRecord | None, after: JobRecord) -> Counter[str]:
    """The events that this step of a job must tell of, in any order."""
    news: Counter[str] = Counter()
    old = before.job.status if before else None
    status = after.job.status
    if before is None:
        news["JobReceived"] += 1
    old_offers = before.routing.offers if before else {}
    for offer_id in after.routing.offers:
        news["WorkerOfferIssued"] += offer_id not in old_offers
    for offer_id in old_offers:
        if offer_id not in after.routing.offers:
            ended = after.routing.ended_offers[offer_id].outcome
            news[f"WorkerOffer{ended.capitalize()}"] += 1
    same_stay = before is not None and before.routing.stay == after.routing.stay
    fired = set(after.routing.fired_rules) - set(before.routing.fired_rules if before and same_stay else [])
    if after.routing.fired_stays <= MOST_STAYS:  # more: it goes in a circle and is stopped
        news["JobExceptionTriggered"] += len(fired)
    for name in ("completed", "closed", "cancelled", "classificationFailed"):
        news[f"Job{name[0].upper()}{name[1:]}"] += status == name and old != name
    news["JobSchedulingFailed"] += status == "scheduleFailed" and old != "scheduleFailed"
    news["JobWaitingForActivation"] += status == "waitingForActivation" and old != "waitingForActivation"
    if before is not None:
        news["JobUnassigned"] += after.routing.unassignment_count - before.routing.unassignment_count
    return +news


def _must_be_queued(before: JobRecord | None, after: JobRecord) -> bool:
    """A job that comes to wait is queued; a change of labels, queue, channel or selectors queues it again."""
    if after.job.status != "queued":
        return False
    if before is None or before.job.status != "queued":
        return True
    one, other = before.job, after.job
    return not before.routing.triggered and (
        (one.labels, one.queue_id, one.channel_id) != (other.labels, other.queue_id, other.channel_id)
        or [(s.key, s.value, s.label_operator) for s in one.requested_worker_selectors]
        != [(s.key, s.value, s.label_operator) for s in other.requested_worker_selectors]
    )


def _expired(job: JobRecord) -> int:
    every = (*job.job.requested_worker_selectors, *job.job.attached_worker_selectors)
    return sum(one.status == "expired" for one in every)


def _has_expired(before: JobRecord | None, after: JobRecord) -> bool:
    """Whether a selector that was active is expired now."""
    if before is None or before.job.status != after.job.status:
        return False
    return any(
        one.status == "expired"
        and any(
            other.status == "active"
            and (other.key, other.value, other.expires_at) == (one.key, one.value, one.expires_at)
            for other in was
        )
        for was, now in (
            (before.job.requested_worker_selectors, after.job.requested_worker_selectors),
            (before.job.attached_worker_selectors, after.job.attached_worker_selectors),
        )
        for one in now
    )


def _worker_news(before: WorkerRecord | None, after: WorkerRecord) -> Counter[str]:
    news: Counter[str] = Counter()
    old = str(before.worker.state) if before else "inactive"
    state = str(after.worker.state)
    news["WorkerRegistered"] += state == "active" and old != "active"
    news["WorkerDeregistered"] += state == "inactive" and old != "inactive"
    return +news
