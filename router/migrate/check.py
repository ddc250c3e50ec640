"""Comparing both sides: is everything there, is it the same, do the queues stand in the same order?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from router.migrate import documents
from router.migrate.compare import differences
from router.migrate.kinds import JOB, QUEUE, WORKER, Document, Kind
from router.migrate.plan import ORDER
from router.migrate.secrets import HOLDING, lost
from router.migrate.snapshot import Snapshot


@dataclass
class Verdict:
    """The outcome, kind by kind; every list names ids."""

    equal: dict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    missing: dict[Kind, list[str]] = field(default_factory=lambda: defaultdict(list))
    #: id to the paths that differ.
    differing: dict[Kind, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(dict))
    #: There, but not on the source.
    extra: dict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    #: Jobs that have been moved and have gone on: assigned, ended, or deleted there.
    gone_on: int = 0
    #: Jobs of the source that do not wait.
    not_waiting: int = 0
    #: Queues whose jobs stand in another order.
    disordered: list[str] = field(default_factory=list)
    #: Places of secrets that the source shows, masked, and the target has not.
    lost_secrets: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        unequal = any(self.missing.values()) or any(self.differing.values())
        return not unequal and not self.disordered and not self.lost_secrets


def compare(source: Snapshot, target: Snapshot, done: frozenset[str], now: datetime) -> Verdict:
    """The verdict. `done` are the jobs that were moved: one that is not there any more has ended."""
    verdict = Verdict()
    queues = frozenset({*source[QUEUE], *target[QUEUE]})
    for kind in ORDER:
        verdict.extra[kind] = len(target[kind].keys() - source[kind].keys())
        for id, document in source[kind].items():
            there = target[kind].get(id)
            if kind is JOB:
                _job(verdict, id, document, there, done, now)
                continue
            moved = documents.worker(document, queues) if kind is WORKER else None
            wanted = moved.body if moved else documents.writable(kind, document)
            _judge(verdict, kind, id, wanted, there)
            if kind in HOLDING and there is not None:
                verdict.lost_secrets += lost(kind, id, document, there)
    verdict.disordered = _disordered(source, target)
    return verdict


def _judge(verdict: Verdict, kind: Kind, id: str, wanted: Document, there: Document | None) -> None:
    if there is None:
        verdict.missing[kind].append(id)
        return
    differ = differences(wanted, documents.shown(kind, there))
    if differ:
        verdict.differing[kind][id] = differ
    else:
        verdict.equal[kind] += 1


def _job(
    verdict: Verdict, id: str, document: Document, there: Document | None, done: frozenset[str], now: datetime
) -> None:
    if document.get("status") not in documents.WAITING:
        verdict.not_waiting += 1
    elif (there is None and id in done) or (there is not None and there.get("status") not in documents.WAITING):
        verdict.gone_on += 1
    else:
        wanted = documents.job(document, now).body
        if documents.needs_classification(document) and there is not None:
            # The other side has classified it by now, the source not yet.
            wanted = {**wanted, **{name: there[name] for name in ("queueId", "priority") if name in there}}
        _judge(verdict, JOB, id, wanted, there)


def _disordered(source: Snapshot, target: Snapshot) -> list[str]:
    waiting: dict[str, list[str]] = defaultdict(list)
    for id, document in source[JOB].items():
        there = target[JOB].get(id)
        if there and there.get("status") == document.get("status") == "queued":
            waiting[str(document["queueId"])].append(id)
    return [queue_id for queue_id, ids in waiting.items() if _in_order(source, ids) != _in_order(target, ids)]


def _in_order(side: Snapshot, ids: list[str]) -> list[str]:
    return [str(one["id"]) for one in sorted((side[JOB][id] for id in ids), key=documents.order_of_service)]
