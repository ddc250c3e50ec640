"""What has to be done to make the other side equal: decided from two snapshots, nothing is sent here."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from router.migrate import documents
from router.migrate.compare import differences
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, JOB, QUEUE, WORKER, Document, Kind
from router.migrate.own import is_own
from router.migrate.secrets import HOLDING, Secrets
from router.migrate.snapshot import Snapshot

#: What names others comes after them. A queue names an exception policy, whose actions name queues: queues are written
#: without that, and get it when the policies are there. Jobs last: they are offered as soon as somebody is available.
ORDER: Final = (DISTRIBUTION, QUEUE, CLASSIFICATION, EXCEPTION, WORKER, JOB)
#: What a queue gets when the exception policies are there.
LATER: Final = "exceptionPolicyId"


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    #: A job that was written, suspended, by a run that did not come to queueing it.
    QUEUE = "queue"
    SAME = "same"
    #: Different on the other side, and left so: somebody may have changed it there on purpose.
    LEAVE = "leave"


@dataclass(frozen=True)
class Step:
    """One resource of the plan."""

    kind: Kind
    id: str
    action: Action
    body: Document = field(repr=False)
    #: Where it differs on the other side.
    differs: tuple[str, ...] = ()
    #: What a job is to be queued in order with: the jobs of its queue that only time ranks. None for other steps.
    lane: str | None = None


@dataclass
class Plan:
    steps: dict[Kind, list[Step]] = field(default_factory=dict)
    #: What does not go over, or not as it is: reason to ids (`kind id`).
    notes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    missing_secrets: list[str] = field(default_factory=list)
    #: Places of supplied secrets that no policy of the source has.
    unknown_secrets: list[str] = field(default_factory=list)
    #: Workers that are available on the source.
    available: list[str] = field(default_factory=list)

    def count(self, kind: Kind, *actions: Action) -> int:
        return sum(1 for step in self.steps[kind] if step.action in actions)

    def note(self, reason: str, kind: Kind, id: str) -> None:
        self.notes[reason].append(f"{kind.name} {id}")


def make(
    source: Snapshot,
    target: Snapshot,
    secrets: Secrets,
    done: frozenset[str],
    now: datetime,
    *,
    left: frozenset[str] = frozenset(),
    overwrite: bool = False,
) -> Plan:
    """The plan. `done` are the jobs that an earlier run has moved: they have their own life there by now. `left` are
    those that it wrote and did not come to queueing."""
    plan = Plan()
    queues = frozenset({*source[QUEUE], *target[QUEUE]})
    for kind in ORDER:
        steps: list[Step] = []
        if kind is JOB:
            steps = _jobs(plan, source, target, done, now)
        else:
            for id, document in source[kind].items():
                there = target[kind].get(id)
                if kind is WORKER:
                    moved = documents.worker(document, queues)
                else:
                    moved = documents.Moved(documents.writable(kind, document))
                for note in moved.notes:
                    plan.note(note, kind, id)
                body = moved.body
                if kind in HOLDING:
                    body, missing = secrets.fill(kind, id, body, there)
                    plan.missing_secrets += missing
                steps.append(_step(plan, kind, id, body, there, secrets, overwrite))
        plan.steps[kind] = steps
    plan.unknown_secrets = secrets.unknown((kind, id, one) for kind in HOLDING for id, one in source[kind].items())
    for id in sorted(left):
        status = source[JOB].get(id, {}).get("status")
        if status not in documents.WAITING and target[JOB].get(id, {}).get("status") == "waitingForActivation":
            plan.note("was written by an earlier run and waits on the source no more: cancel it on the target", JOB, id)
    _note_workers(plan, source)
    _note_length_rules(plan, source)
    return plan


def _step(
    plan: Plan, kind: Kind, id: str, body: Document, there: Document | None, secrets: Secrets, overwrite: bool
) -> Step:
    if there is None:
        return Step(kind, id, Action.CREATE, body)
    differ = tuple(differences(body, documents.writable(kind, there)))
    if not differ:
        supplied = kind in HOLDING and secrets.touches(kind, id, body)
        return Step(kind, id, Action.UPDATE if supplied else Action.SAME, body)
    if kind is QUEUE and differ == (LATER,) and LATER not in there:
        # An earlier run wrote it, and did not come to that.
        return Step(kind, id, Action.UPDATE, body, differ)
    if overwrite:
        return Step(kind, id, Action.UPDATE, complete(body, documents.writable(kind, there)), differ)
    plan.note("is there already and differs; left as it is (--overwrite writes over it)", kind, id)
    return Step(kind, id, Action.LEAVE, body, differ)


def complete(body: Document, there: Document, *, own: bool = False) -> Document:
    """The body as a merge patch that also removes what only the other side has. An object of another kind is replaced
    by the service; in what is the client's own, `kind` is a name like any other."""
    patch: dict[str, Any] = {name: None for name in there if name not in body}
    for name, value in body.items():
        old, plain = there.get(name), own or is_own(body, name)
        if isinstance(value, dict) and isinstance(old, dict) and (plain or value.get("kind") == old.get("kind")):
            patch[name] = complete(value, old, own=plain)
        else:
            patch[name] = value
    return patch


def _jobs(plan: Plan, source: Snapshot, target: Snapshot, done: frozenset[str], now: datetime) -> list[Step]:
    steps: list[Step] = []
    for id, document in sorted(source[JOB].items(), key=lambda item: documents.entered_at(item[1])):
        status = str(document.get("status"))
        if status not in documents.WAITING:
            plan.note(f"is {status}, not waiting: it stays where it is", JOB, id)
            continue
        moved = documents.job(document, now)
        for note in moved.notes:
            plan.note(note, JOB, id)
        queued = moved.body["matchingMode"]["kind"] == "queueAndMatch"
        lane = documents.lane(document) if queued and not documents.needs_classification(document) else None
        steps.append(_job_step(plan, id, moved.body, target[JOB].get(id), done, lane))
    return steps


def _job_step(
    plan: Plan, id: str, body: Document, there: Document | None, done: frozenset[str], lane: str | None
) -> Step:
    if id in done:
        return Step(JOB, id, Action.SAME, body, lane=lane)
    if there is None:
        return Step(JOB, id, Action.CREATE, body, lane=lane)
    differ = tuple(differences(body, documents.shown_job(there)))
    if not differ or there.get("status") not in documents.WAITING:
        return Step(JOB, id, Action.SAME, body, lane=lane)
    if lane is not None and there.get("status") == "waitingForActivation" and set(differ) == {"matchingMode.kind"}:
        return Step(JOB, id, Action.QUEUE, body, lane=lane)
    plan.note("is there already and differs; jobs are never written over", JOB, id)
    return Step(JOB, id, Action.LEAVE, body, differ, lane)


def _note_workers(plan: Plan, source: Snapshot) -> None:
    for id, document in source[WORKER].items():
        if document.get("availableForOffers"):
            plan.available.append(id)
        if document.get("offers"):
            plan.note("holds offers on the source: they are not moved", WORKER, id)
        if document.get("assignedJobs"):
            plan.note("has assigned jobs on the source: they are finished there", WORKER, id)


def _note_length_rules(plan: Plan, source: Snapshot) -> None:
    """Jobs that come into a queue again meet its queueLength rules again."""
    waiting: dict[str, int] = defaultdict(int)
    for step in plan.steps[JOB]:
        if step.lane is not None and step.action in (Action.CREATE, Action.QUEUE):
            waiting[str(step.body["queueId"])] += 1
    for id, queue in source[QUEUE].items():
        policy = source[EXCEPTION].get(str(queue.get("exceptionPolicyId")), {})
        triggers = [rule.get("trigger") or {} for rule in policy.get("exceptionRules") or []]
        if any(one.get("kind") == "queueLength" and waiting[id] > int(one["threshold"]) for one in triggers):
            plan.note("has more waiting jobs than a queueLength rule allows: the rule fires again", QUEUE, id)
