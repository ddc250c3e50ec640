"""What `apply` would do: decided from files and from what is there, nothing is sent here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jobrouter import files
from jobrouter.files import CONFIGURATION, Configuration
from router.migrate.compare import differences
from router.migrate.kinds import DISTRIBUTION, EXCEPTION, QUEUE, WORKER, Document, Kind
from router.migrate.plan import complete
from router.migrate.secrets import HOLDING, Secrets


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Step:
    """One resource that is not as the files say. `etag` is that of the state the plan was made of."""

    kind: Kind
    id: str
    action: Action
    #: What is sent, as a merge patch.
    body: Document = field(repr=False, default_factory=dict)
    etag: str | None = None
    #: Where it differs.
    differs: tuple[str, ...] = ()


@dataclass
class Plan:
    """Steps in the order in which they can be done: what is named before what names it, deletions the other way."""

    steps: list[Step] = field(default_factory=list)
    same: int = 0
    #: There, and in no file of their kind: left alone, unless they are to be deleted.
    extra: list[str] = field(default_factory=list)
    missing_secrets: list[str] = field(default_factory=list)
    #: Queues whose waiting jobs go by something that changes.
    touched_queues: list[str] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """The same for the same steps on the same state. Bodies count by a hash: they may hold secrets."""
        content = [[s.kind.name, s.id, s.action, s.etag, s.body] for s in self.steps]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Effect:
    """Of the jobs that were looked at: how many match differently, and of these how many gain or lose all workers."""

    looked_at: int = 0
    differently: int = 0
    #: Nobody qualifies now, somebody would.
    first: int = 0
    #: Somebody qualifies now, nobody would.
    last: int = 0


def make(wanted: Configuration, there: Configuration, secrets: Secrets, *, prune: bool = False) -> Plan:
    """`there` as the router shows it. Kinds without a file are left alone."""
    plan = Plan()
    deletions: list[Step] = []
    for kind in CONFIGURATION:
        if kind not in wanted:
            continue
        for id, document in sorted(wanted[kind].items()):
            step = _step(plan, kind, id, files.shown(kind, document), there[kind].get(id), secrets)
            if step is None:
                plan.same += 1
            else:
                plan.steps.append(step)
        for id in sorted(there[kind].keys() - wanted[kind].keys()):
            if prune:
                deletions.append(Step(kind, id, Action.DELETE, etag=there[kind][id].get("etag")))
            else:
                plan.extra.append(f"{kind.name} {id}")
    plan.steps += _in_order_of_deletion(deletions)
    plan.touched_queues = _touched(plan.steps, there)
    return plan


def _step(
    plan: Plan, kind: Kind, id: str, body: Document, there: Mapping[str, Any] | None, secrets: Secrets
) -> Step | None:
    if kind in HOLDING:
        body, missing = secrets.fill(kind, id, body, there)
        plan.missing_secrets += missing
    if there is None:
        return Step(kind, id, Action.CREATE, body)
    now = files.shown(kind, there)
    differ = tuple(differences(body, now))
    if not differ and not (kind in HOLDING and secrets.touches(kind, id, body)):
        return None
    return Step(kind, id, Action.UPDATE, complete(body, now), there.get("etag"), differ or ("a secret",))


def _in_order_of_deletion(steps: Sequence[Step]) -> list[Step]:
    """A classification policy may name a queue, and a queue names policies."""
    order = [kind.name for kind in reversed(CONFIGURATION)]
    return sorted(steps, key=lambda step: order.index(step.kind.name))


def _touched(steps: Sequence[Step], there: Configuration) -> list[str]:
    """Queues that are there and change, whose policy changes, or whose workers do."""
    changed = {(step.kind, step.id) for step in steps}
    touched = {
        id
        for id, queue in there[QUEUE].items()
        if (QUEUE, id) in changed
        or (DISTRIBUTION, str(queue.get("distributionPolicyId"))) in changed
        or (EXCEPTION, str(queue.get("exceptionPolicyId"))) in changed
    }
    for step in steps:
        if step.kind is WORKER:
            before = (there[WORKER].get(step.id) or {}).get("queues") or []
            touched |= {id for id in (*before, *(step.body.get("queues") or [])) if id in there[QUEUE]}
    return sorted(touched)
