"""A played day's jobs in their queues: they come, are changed by rules and by clients, and leave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from router.engine import endings, exceptions, jobs, offers
from router.engine.evolve import evolve
from router.engine.selectors import all_selectors, next_expiry
from router.models.jobs import CancelJobOptions, JobRecord, JobStatus, QueueAndMatchMode
from router.models.policies import ExceptionPolicy
from router.models.selectors import RouterWorkerSelector
from router.replay.errors import NotReplayable
from router.replay.history import Entry, JobTrace
from router.replay.matching import Matching
from router.replay.played import Outcome
from router.replay.scene import Scene

#: A deadline that is over when it is armed is found when the router looks next: at the next whole second.
_LOOKS_EVERY: Final = timedelta(seconds=1)


class Stays:
    def __init__(self, scene: Scene, matching: Matching) -> None:
        self._scene, self._matching = scene, matching

    def comes(self, job: JobTrace) -> None:
        scene = self._scene
        record = _created(job, scene)
        if record.job.queue_id is None:
            raise NotReplayable(f"job '{job.id}' comes to no queue that the file has")
        skill = ", ".join(sorted(f"{one.key}={one.value}" for one in all_selectors(record.job))) or "-"
        if skill not in scene.played.asked:
            scene.played.asked[skill] = list(all_selectors(record.job))
        outcome = Outcome(job.id, record.job.queue_id, record.job.channel_id, skill, scene.second)
        scene.played.outcomes[job.id] = outcome
        self._enters_queue(jobs.enqueue(record, scene.now).record, is_new=True)
        self._may_leave(job.id)

    def comes_back(self, record: JobRecord) -> None:
        """From a worker, into its place in the line."""
        self._scene.job_becomes(record)
        self._watch_selectors(record)
        self._watch_wait(record)
        self._may_leave(record.id)

    def is_changed(self, job_id: str, entry: Entry) -> None:
        """By a client."""
        scene = self._scene
        record = scene.jobs.get(job_id)
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
            self._enters_queue(jobs.enqueue(evolve(revoked, job=fields), scene.now).record)
            self._match_freed(record, revoked)
        elif fields:
            scene.job_becomes(evolve(record, job=fields))

    def leaves(self, job_id: str, number: int) -> None:
        """Its customer's patience is over, if it waits still, after so many assignments."""
        scene = self._scene
        record = scene.jobs.get(job_id)
        if record is None or record.status is not JobStatus.QUEUED or scene.assigned[job_id] != number:
            return
        after = endings.cancel(record, CancelJobOptions(), scene.now).record
        assert after is not None
        self._free_offers(record, after)
        scene.played.outcomes[job_id].abandoned = not number
        self._ends_unserved(after)
        self._match_freed(record, after)

    def _may_leave(self, job_id: str) -> None:
        scene = self._scene
        number = scene.assigned[job_id]
        patience = scene.people.patience(job_id, number)
        if patience is not None:
            scene.at(scene.second + patience, self.leaves, job_id, number)

    def _enters_queue(self, record: JobRecord | None, *, is_new: bool = False) -> None:
        """A new stay: the rules of its queue, and then whoever is free. A new job is queued with its first offers, and
        what the rules do to it comes after that."""
        scene = self._scene
        assert record is not None
        assert record.job.queue_id is not None
        scene.rules.check(record.job.queue_id, record.id)
        scene.job_becomes(record)
        scene.played.outcomes[record.id].queue_id = record.job.queue_id
        self._watch_selectors(record)
        known = scene.rules.exceptions(record.job.queue_id)
        if known is None:
            self._matching.job(record.id)
            return
        policy_id, policy = known
        stay = record.routing.stay
        self._watch_wait(record)
        ahead = scene.lines.ahead_of(record.id)
        if is_new:
            self._matching.job(record.id)
        if exceptions.length_threshold(policy) is not None:
            self._fire(scene.jobs[record.id], policy_id, policy, exceptions.length_rules(policy, ahead))
        if scene.stays(record.id, stay):
            self._matching.job(record.id)

    # Rules.

    def _watch_wait(self, record: JobRecord) -> None:
        scene = self._scene
        known = scene.rules.exceptions(record.job.queue_id or "")
        if known is not None:
            policy = known[1]
            for rule_id, moment in exceptions.wait_deadlines(policy, record.job.enqueued_at or scene.now):
                if not exceptions.has_fired(record, rule_id):
                    if moment <= scene.now:
                        moment = scene.now.replace(microsecond=0) + _LOOKS_EVERY
                    scene.at_time(moment, self._rules_due, record.id, record.routing.stay)

    def _rules_due(self, job_id: str, stay: int) -> None:
        scene = self._scene
        if not scene.stays(job_id, stay):
            return
        record = scene.jobs[job_id]
        known = scene.rules.exceptions(record.job.queue_id or "")
        if known is not None:
            policy_id, policy = known
            self._fire(record, policy_id, policy, exceptions.wait_rules_due(policy, record, scene.now))

    def _fire(self, record: JobRecord, policy_id: str, policy: ExceptionPolicy, rules: Sequence[Any]) -> None:
        scene = self._scene
        changed = exceptions.trigger(record, policy_id, rules, scene.now).record
        for rule in rules:
            assert changed is not None
            if changed.status is not JobStatus.QUEUED:
                break
            before = changed
            changed = exceptions.run(changed, rule.id, rule.actions, scene.now).record
            assert changed is not None
            self._after_rule(before, changed)
            if scene.jobs.get(record.id) is not changed and record.id in scene.jobs:
                return  # it went on to another queue, whose rules have changed it since

    def _after_rule(self, before: JobRecord, after: JobRecord) -> None:
        self._free_offers(before, after)
        if after.status is JobStatus.CANCELLED:
            self._ends_unserved(after)
        elif after.routing.stay != before.routing.stay:
            self._enters_queue(after)
        else:
            self._scene.job_becomes(after)
            self._watch_selectors(after)
        waits = after.status is JobStatus.QUEUED and after.routing.stay == before.routing.stay
        self._match_freed(before, after, also=after.id if waits else "")

    def _free_offers(self, before: JobRecord, after: JobRecord) -> None:
        for offer_id, offer in before.routing.offers.items():
            if offer_id not in after.routing.offers:
                self._scene.drop(offer.worker_id, [offer_id])

    def _match_freed(self, before: JobRecord, after: JobRecord, also: str = "") -> None:
        gone = [one.worker_id for id, one in before.routing.offers.items() if id not in after.routing.offers]
        self._matching.workers(gone, also)

    def _ends_unserved(self, record: JobRecord) -> None:
        scene = self._scene
        scene.job_becomes(record)
        outcome = scene.played.outcomes[record.id]
        outcome.waited = scene.second - outcome.came if outcome.waited is None else outcome.waited

    # Selectors.

    def _watch_selectors(self, record: JobRecord) -> None:
        moment = next_expiry(record.job)
        if moment is not None:
            self._scene.at_time(moment, self._selectors_expire, record.id)

    def _selectors_expire(self, job_id: str) -> None:
        scene = self._scene
        record = scene.jobs.get(job_id)
        if record is None or record.status is not JobStatus.QUEUED:
            return
        changed = jobs.expire_selectors(record, scene.now).record
        if changed is not record:
            scene.job_becomes(changed)
            assert changed is not None
            self._watch_selectors(changed)
            self._matching.job(job_id)


def _created(job: JobTrace, scene: Scene) -> JobRecord:
    """As it was classified that day."""
    wanted = job.resource
    update: dict[str, Any] = {"matching_mode": QueueAndMatchMode(), "classification_policy_id": None, "notes": []}
    if job.classified is not None:
        update["queue_id"] = job.classified["queueId"]
        update["priority"] = job.classified.get("priority", wanted.priority)
    record = jobs.create(job.id, wanted.model_copy(update=update), scene.now).record
    assert record is not None
    if job.classified is not None and job.classified.get("attachedWorkerSelectors"):
        attached = [RouterWorkerSelector.model_validate(one) for one in job.classified["attachedWorkerSelectors"]]
        record = evolve(record, job={"attached_worker_selectors": attached})
    return record
