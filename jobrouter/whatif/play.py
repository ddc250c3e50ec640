"""A day on an event heap: the router's own engine and plan, without storage and without delay."""

from __future__ import annotations

import gc
import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from jobrouter.whatif.behaviour import People
from jobrouter.whatif.history import Day, Entry, Held, JobTrace
from jobrouter.whatif.lines import Lines
from jobrouter.whatif.played import Outcome, Played
from jobrouter.whatif.rules import NotReplayable, Rules
from jobrouter.whatif.team import Team
from router.engine import endings, exceptions, jobs, offers, workers
from router.engine.candidates import Candidate
from router.engine.evolve import evolve
from router.engine.plan import plan
from router.engine.selectors import all_selectors, first_failing, next_expiry
from router.models.jobs import (
    CancelJobOptions,
    JobOffer,
    JobRecord,
    JobStatus,
    QueueAndMatchMode,
    RouterJobAssignment,
    UnassignJobOptions,
)
from router.models.policies import DistributionPolicy, ExceptionPolicy, RoundRobinMode
from router.models.selectors import RouterWorkerSelector
from router.models.sizes import MOST_OFFERS
from router.models.workers import RouterWorkerInput, WorkerRecord

#: An expired offer has made its worker unavailable: such an entry of the day follows from the decision.
_FOLLOWS_SECONDS: Final = 5.0
#: A deadline that is over when it is armed is found when the router looks next: at the next whole second.
_LOOKS_EVERY: Final = timedelta(seconds=1)


class Play:
    def __init__(self, day: Day, people: People) -> None:
        self._day, self._people = day, people
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0
        self._second = 0.0
        self._rules = Rules()
        self._jobs: dict[str, JobRecord] = {}
        self._lines = Lines()
        self._turns: dict[str, str] = {}
        self._offered: dict[str, int] = defaultdict(int)
        self._offered_to: dict[tuple[str, str], int] = defaultdict(int)
        self._assigned: dict[str, int] = defaultdict(int)
        self.played = Played()
        self._last = (day.ends - day.begins).total_seconds()
        self._team = Team(self.played, self._last)

    # Time.

    @property
    def _now(self) -> datetime:
        return self._day.begins + timedelta(seconds=self._second)

    def _at(self, second: float, act: Callable[..., None], *about: Any) -> None:
        self._number += 1
        heapq.heappush(self._heap, (second, self._number, act, about))

    def _at_time(self, moment: datetime, act: Callable[..., None], *about: Any) -> None:
        """What is due already is done next."""
        self._at(max((moment - self._day.begins).total_seconds(), self._second), act, *about)

    def run(self) -> Played:
        """The whole day, and what is left of it after its end."""
        collects = gc.isenabled()
        gc.disable()  # nothing here is a circle, and there is much of it
        try:
            return self._run()
        finally:
            if collects:
                gc.enable()

    def _run(self) -> Played:
        self._set_up()
        while self._heap:
            self._second, _, act, about = heapq.heappop(self._heap)
            if self._second > self._last and act not in (self._answered, self._ends, self._offer_expires, self._leaves):
                continue  # the day is over: nobody comes any more
            act(*about)
        self._team.count_all(self._second)
        return self.played

    def _set_up(self) -> None:
        for setting in self._day.settings.values():
            self._rules.set(setting.kind, setting.id, setting.resource)
            for moment, resource in setting.changes:
                self._at_time(moment, self._rules.set, setting.kind, setting.id, resource)
        came = [one for one in (self._people.enters(job.id) for job in self._day.jobs) if one is not None]
        self._second = min([0.0, *came])
        first = self._second
        expired = {
            (str(entry.fields.get("workerId")), entry.at)
            for job in self._day.jobs
            for entry in job.entries
            if entry.what == "expired"
        }
        by_worker: dict[str, list[datetime]] = defaultdict(list)
        for worker_id, moment in expired:
            by_worker[worker_id].append(moment)
        for worker in self._day.workers.values():
            begins = first
            if worker.entries and worker.entries[0].what == "registered" and worker.entries[0].at > self._day.begins:
                begins = (worker.entries[0].at - self._day.begins).total_seconds()
            self._at(begins, self._worker_is, worker.id, worker.resource)
            for entry in worker.entries:
                follows = entry.what in ("unavailable", "deregistered") and any(
                    abs((entry.at - moment).total_seconds()) <= _FOLLOWS_SECONDS for moment in by_worker[worker.id]
                )
                if not follows:
                    self._at_time(entry.at, self._worker_does, worker.id, entry)
        for held in self._day.held:
            self._at_time(held.begins, self._holds, held)
        for job in self._day.jobs:
            enters = self._people.enters(job.id)
            if enters is not None:
                self._at(enters, self._job_comes, job)
                for second, entry in self._people.acts(job.id):
                    self._at(second, self._job_is_changed, job.id, entry)

    # Workers.

    def _worker_is(self, worker_id: str, wanted: RouterWorkerInput) -> None:
        known = self._team.get(worker_id)
        if known is None:
            change = workers.create(worker_id, wanted, self._now, {})
        else:
            change = workers.update(known, wanted, self._now, {})
        assert change.record is not None
        self._put(change.record)
        self._revoke_of_drained(worker_id)
        self._worker_is_free(worker_id)

    def _worker_does(self, worker_id: str, entry: Entry) -> None:
        known = self._team.get(worker_id)
        if entry.resource is not None:
            wanted = entry.resource
        elif known is not None:
            wanted = known.worker
        else:
            return
        if entry.what in ("available", "registered"):
            wanted = wanted.model_copy(update={"available_for_offers": True})
        elif entry.what in ("unavailable", "deregistered"):
            wanted = wanted.model_copy(update={"available_for_offers": False})
        self._worker_is(worker_id, wanted)

    def _holds(self, held: Held) -> None:
        """A job that is not played takes its worker's capacity all the same."""
        worker = self._team.get(held.worker_id)
        channel = worker.worker.channel(held.channel_id) if worker is not None else None
        if worker is None or channel is None:
            return
        assignment_id = f"{held.job_id}/held"
        assignment = RouterJobAssignment(assignment_id=assignment_id, worker_id=held.worker_id, assigned_at=self._now)
        assigned = workers.assign(worker, "", held.job_id, held.channel_id, assignment, self._now).record
        assert assigned is not None
        self._put(assigned)
        if held.ends is not None:
            self._at_time(held.ends, self._lets_go, held.worker_id, assignment_id)

    def _lets_go(self, worker_id: str, assignment_id: str) -> None:
        released = workers.release(self._team[worker_id], assignment_id, self._now).record
        assert released is not None
        self._put(released)
        self._worker_is_free(worker_id)

    def _revoke_of_drained(self, worker_id: str) -> None:
        record = self._team[worker_id]
        if record.worker.available_for_offers or not record.worker.offers:
            return
        gone = [(one.job_id, one.offer_id) for one in record.worker.offers]
        self._drop(worker_id, [offer_id for _, offer_id in gone])
        for job_id, offer_id in gone:
            self._job_becomes(offers.revoke(self._jobs[job_id], [offer_id]).record)
        for job_id in self._lines.waiting_of([job_id for job_id, _ in gone]):
            self._match_job(job_id)

    def _drop(self, worker_id: str, offer_ids: Sequence[str], *, deregister: bool = False) -> None:
        change = workers.drop_offers(self._team[worker_id], frozenset(offer_ids), deregister=deregister)
        assert change.record is not None
        self._put(change.record)

    def _put(self, record: WorkerRecord) -> None:
        self._team.put(record, self._second)

    # Jobs.

    def _job_comes(self, job: JobTrace) -> None:
        wanted = job.resource
        update: dict[str, Any] = {"matching_mode": QueueAndMatchMode(), "classification_policy_id": None, "notes": []}
        if job.classified is not None:
            update["queue_id"] = job.classified["queueId"]
            update["priority"] = job.classified.get("priority", wanted.priority)
        record = jobs.create(job.id, wanted.model_copy(update=update), self._now).record
        assert record is not None
        if job.classified is not None and job.classified.get("attachedWorkerSelectors"):
            attached = [RouterWorkerSelector.model_validate(one) for one in job.classified["attachedWorkerSelectors"]]
            record = evolve(record, job={"attached_worker_selectors": attached})
        if record.job.queue_id is None:
            raise NotReplayable(f"job '{job.id}' comes to no queue that the file has")
        skill = ", ".join(sorted(f"{one.key}={one.value}" for one in all_selectors(record.job))) or "-"
        if skill not in self.played.asked:
            self.played.asked[skill] = list(all_selectors(record.job))
        outcome = Outcome(job.id, record.job.queue_id, record.job.channel_id, skill, self._second)
        self.played.outcomes[job.id] = outcome
        self._enters_queue(jobs.enqueue(record, self._now).record, is_new=True)
        self._may_leave(job.id)

    def _enters_queue(self, record: JobRecord | None, *, is_new: bool = False) -> None:
        """A new stay: the rules of its queue, and then whoever is free. A new job is queued with its first offers, and
        what the rules do to it comes after that."""
        assert record is not None
        assert record.job.queue_id is not None
        self._rules.check(record.job.queue_id, record.id)
        self._job_becomes(record)
        self.played.outcomes[record.id].queue_id = record.job.queue_id
        self._watch_selectors(record)
        known = self._rules.exceptions(record.job.queue_id)
        if known is None:
            self._match_job(record.id)
            return
        policy_id, policy = known
        stay = record.routing.stay
        self._watch_wait(record)
        ahead = self._lines.ahead_of(record.id)
        if is_new:
            self._match_job(record.id)
        if exceptions.length_threshold(policy) is not None:
            self._fire(self._jobs[record.id], policy_id, policy, exceptions.length_rules(policy, ahead))
        if self._stays(record.id, stay):
            self._match_job(record.id)

    def _watch_wait(self, record: JobRecord) -> None:
        known = self._rules.exceptions(record.job.queue_id or "")
        if known is not None:
            policy = known[1]
            for rule_id, moment in exceptions.wait_deadlines(policy, record.job.enqueued_at or self._now):
                if not exceptions.has_fired(record, rule_id):
                    if moment <= self._now:
                        moment = self._now.replace(microsecond=0) + _LOOKS_EVERY
                    self._at_time(moment, self._rules_due, record.id, record.routing.stay)

    def _stays(self, job_id: str, stay: int) -> bool:
        record = self._jobs.get(job_id)
        return record is not None and record.status is JobStatus.QUEUED and record.routing.stay == stay

    def _rules_due(self, job_id: str, stay: int) -> None:
        if not self._stays(job_id, stay):
            return
        record = self._jobs[job_id]
        known = self._rules.exceptions(record.job.queue_id or "")
        if known is not None:
            policy_id, policy = known
            self._fire(record, policy_id, policy, exceptions.wait_rules_due(policy, record, self._now))

    def _fire(self, record: JobRecord, policy_id: str, policy: ExceptionPolicy, rules: Sequence[Any]) -> None:
        changed = exceptions.trigger(record, policy_id, rules, self._now).record
        for rule in rules:
            assert changed is not None
            if changed.status is not JobStatus.QUEUED:
                break
            before = changed
            changed = exceptions.run(changed, rule.id, rule.actions, self._now).record
            assert changed is not None
            self._after_rule(before, changed)
            if self._jobs.get(record.id) is not changed and record.id in self._jobs:
                return  # it went on to another queue, whose rules have changed it since

    def _after_rule(self, before: JobRecord, after: JobRecord) -> None:
        self._free_offers(before, after)
        if after.status is JobStatus.CANCELLED:
            self._ends_unserved(after)
        elif after.routing.stay != before.routing.stay:
            self._enters_queue(after)
        else:
            self._job_becomes(after)
            self._watch_selectors(after)
        waits = after.status is JobStatus.QUEUED and after.routing.stay == before.routing.stay
        self._match_freed(before, after, also=after.id if waits else "")

    def _free_offers(self, before: JobRecord, after: JobRecord) -> None:
        for offer_id, offer in before.routing.offers.items():
            if offer_id not in after.routing.offers:
                self._drop(offer.worker_id, [offer_id])

    def _match_freed(self, before: JobRecord, after: JobRecord, also: str = "") -> None:
        gone = [one.worker_id for id, one in before.routing.offers.items() if id not in after.routing.offers]
        self._are_free(gone, also)

    def _watch_selectors(self, record: JobRecord) -> None:
        moment = next_expiry(record.job)
        if moment is not None:
            self._at_time(moment, self._selectors_expire, record.id)

    def _selectors_expire(self, job_id: str) -> None:
        record = self._jobs.get(job_id)
        if record is None or record.status is not JobStatus.QUEUED:
            return
        changed = jobs.expire_selectors(record, self._now).record
        if changed is not record:
            self._job_becomes(changed)
            assert changed is not None
            self._watch_selectors(changed)
            self._match_job(job_id)

    def _job_is_changed(self, job_id: str, entry: Entry) -> None:
        record = self._jobs.get(job_id)
        if record is None or record.status is not JobStatus.QUEUED:
            return
        priority, queue_id = entry.fields.get("priority"), entry.fields.get("queueId")
        fields: dict[str, Any] = {}
        if isinstance(priority, int):
            fields["priority"] = priority
        if entry.what == "moved" and isinstance(queue_id, str) and queue_id != record.job.queue_id:
            fields |= {"queue_id": queue_id, "enqueued_at": None}
            revoked = offers.revoke(record, list(record.routing.offers)).record
            assert revoked is not None
            self._free_offers(record, revoked)
            self._enters_queue(jobs.enqueue(evolve(revoked, job=fields), self._now).record)
            self._match_freed(record, revoked)
        elif fields:
            self._job_becomes(evolve(record, job=fields))

    def _may_leave(self, job_id: str) -> None:
        number = self._assigned[job_id]
        patience = self._people.patience(job_id, number)
        if patience is not None:
            self._at(self._second + patience, self._leaves, job_id, number)

    def _leaves(self, job_id: str, number: int) -> None:
        record = self._jobs.get(job_id)
        if record is None or record.status is not JobStatus.QUEUED or self._assigned[job_id] != number:
            return
        after = endings.cancel(record, CancelJobOptions(), self._now).record
        assert after is not None
        self._free_offers(record, after)
        self.played.outcomes[job_id].abandoned = not number
        self._ends_unserved(after)
        self._match_freed(record, after)

    def _ends_unserved(self, record: JobRecord) -> None:
        self._job_becomes(record)
        outcome = self.played.outcomes[record.id]
        outcome.waited = self._second - outcome.came if outcome.waited is None else outcome.waited

    def _job_becomes(self, record: JobRecord | None) -> None:
        assert record is not None
        self._jobs[record.id] = record
        self._lines.put(record)

    # Matching.

    def _match_job(self, job_id: str) -> None:
        """Whoever is free, for a job that may take an offer."""
        record = self._jobs[job_id]
        if record.status is JobStatus.QUEUED and (free := self._team.free_for(record.job.queue_id or "")):
            self._plan(record, free)

    def _plan(self, record: JobRecord, candidates: Sequence[Candidate]) -> None:
        queue_id = record.job.queue_id or ""
        policy = self._rules.distribution(queue_id)
        found = plan([record], candidates, policy, self._now, turn=self._turns.get(queue_id))
        for match in found.matches:
            self._offer(match.job.id, match.worker_id, queue_id, policy)

    def _worker_is_free(self, worker_id: str) -> None:
        self._are_free((worker_id,))

    def _are_free(self, worker_ids: Sequence[str], also: str = "") -> None:
        """The jobs of all their queues, in the order of service; the job `also` may have any worker."""
        free = self._team.still_free(worker_ids)
        queue_ids = list(dict.fromkeys(queue_id for one in free for queue_id in one.queues))
        fits: dict[tuple[Any, ...], bool] = {}
        for place in self._lines.in_order(queue_ids):
            job = self._jobs[place.job_id]
            queue_id = job.job.queue_id or ""
            if place.job_id == also:
                self._match_job(also)
                free = self._team.still_free([one.worker_id for one in free])
                continue
            policy = self._rules.distribution(queue_id)
            if len(job.routing.offers) >= min(policy.mode.max_concurrent_offers, MOST_OFFERS):
                continue
            asked = [one for one in all_selectors(job.job) if one.active]
            bypass = policy.mode.bypass_selectors
            sort = (
                job.job.channel_id,
                bypass,
                *((one.key, one.label_operator, type(one.value), one.value) for one in asked),
            )
            suit: list[Candidate] = []
            for one in free:
                key = (one.worker_id, *sort)
                if key not in fits:
                    fits[key] = job.job.channel_id in one.channels and (
                        bypass or first_failing(asked, one.labels) is None
                    )
                if fits[key] and queue_id in one.queues:
                    suit.append(one)
            if not suit:
                continue
            self._plan(job, suit)
            if self._jobs[place.job_id] is not job:
                free = self._team.still_free([one.worker_id for one in free])
                if not free:
                    break
        if also:
            self._match_job(also)

    def _offer(self, job_id: str, worker_id: str, queue_id: str, policy: DistributionPolicy) -> None:
        record, worker = self._jobs[job_id], self._team[worker_id]
        channel = worker.worker.channel(record.job.channel_id)
        assert channel is not None
        number = self._offered[job_id]
        self._offered[job_id] += 1
        offer = JobOffer(
            offer_id=f"{job_id}/{number}",
            worker_id=worker_id,
            capacity_cost=channel.capacity_cost_per_job,
            offered_at=self._now,
            expires_at=self._now + timedelta(seconds=policy.offer_expires_after_seconds),
        )
        reserved = workers.reserve(worker, offer, job_id, record.job.channel_id, queue_id)
        if reserved is None or reserved.record is None:
            return
        attached = offers.attach(record, offer, worker.worker, policy.mode.max_concurrent_offers, self._now)
        if attached is None:
            return
        self._put(reserved.record)
        self._job_becomes(attached.record)
        if isinstance(policy.mode, RoundRobinMode):
            self._turns[queue_id] = worker_id
        of_worker = self._offered_to[job_id, worker_id]
        self._offered_to[job_id, worker_id] += 1
        answer = self._people.answer(job_id, worker_id, number, of_worker, self._second)
        if answer.what == "expired" or answer.after >= policy.offer_expires_after_seconds:
            self._at_time(offer.expires_at, self._offer_expires, job_id, worker_id)
        else:
            self._at(self._second + answer.after, self._answered, job_id, worker_id, offer.offer_id, answer.what)

    def _offer_expires(self, job_id: str, worker_id: str) -> None:
        record = self._jobs[job_id]
        after = offers.expire(record, self._now).record
        assert after is not None
        gone = [one for one in record.routing.offers if one not in after.routing.offers]
        if not gone:
            return
        for offer_id in gone:
            self._drop(record.routing.offers[offer_id].worker_id, [offer_id], deregister=True)
        self._job_becomes(after)
        for offer_id in gone:
            self._revoke_of_drained(record.routing.offers[offer_id].worker_id)
        self._match_job(job_id)

    def _answered(self, job_id: str, worker_id: str, offer_id: str, what: str) -> None:
        record = self._jobs[job_id]
        if offer_id not in record.routing.offers:
            return
        if what == "declined":
            declined = offers.decline(record, offer_id, worker_id, None, self._now).record
            self._drop(worker_id, [offer_id])
            self._job_becomes(declined)
            self._match_job(job_id)
            self._worker_is_free(worker_id)
            return
        number = self._assigned[job_id]
        self._assigned[job_id] += 1
        worker = self._team[worker_id]
        change, assignment_id = offers.accept(record, offer_id, worker.worker, f"{job_id}/a{number}", self._now)
        after = change.record
        assert after is not None
        assigned = workers.assign(
            worker, offer_id, job_id, record.job.channel_id, after.job.assignments[assignment_id], self._now
        )
        assert assigned.record is not None
        self._put(assigned.record)
        self._job_becomes(after)
        outcome = self.played.outcomes[job_id]
        if outcome.waited is None:
            outcome.waited = self._second - outcome.came
            outcome.worker_id = worker_id
        self.played.assignments.append((job_id, worker_id, self._second))
        seconds, comes_back = self._people.work(job_id, record.job.channel_id, number, self._second)
        self._at(self._second + seconds, self._ends, job_id, worker_id, assignment_id, comes_back)
        others = {id: one for id, one in record.routing.offers.items() if id != offer_id}
        for other_id, offer in others.items():
            self._drop(offer.worker_id, [other_id])
        freed = [offer.worker_id for offer in others.values()]
        if worker.worker.max_concurrent_offers is not None:
            freed.append(worker_id)
        self._are_free(freed)

    def _ends(self, job_id: str, worker_id: str, assignment_id: str, comes_back: bool) -> None:
        released = workers.release(self._team[worker_id], assignment_id, self._now).record
        assert released is not None
        self._put(released)
        if comes_back:
            after = endings.unassign(self._jobs[job_id], assignment_id, UnassignJobOptions(), self._now).record
            assert after is not None
            self._job_becomes(after)
            self._watch_selectors(after)
            self._watch_wait(after)
            self._may_leave(job_id)
        else:
            del self._jobs[job_id]
        self._are_free((worker_id,), also=job_id if comes_back else "")
