"""What a plan means for the jobs that wait: which of them would match differently, decided by the engine's selectors.

A job matches differently when other workers qualify for it after the change, or when its queue's mode asks the same
workers in another way. A worker qualifies that serves the job's queue and channel, whose capacity is enough for one
such job, and whose labels satisfy every active selector (unless the mode bypasses selectors). Whether somebody is
available and has room now does not count, nor does what a later classification would give.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from jobrouter.files import Configuration
from jobrouter.plan import Effect
from router.engine.selectors import first_failing
from router.errors import RouterError
from router.migrate.kinds import DISTRIBUTION, QUEUE, WORKER, Document, Kind
from router.models.policies import DistributionPolicy
from router.models.queues import RouterQueue
from router.models.selectors import RouterWorkerSelector
from router.models.types import with_id_label
from router.models.workers import RouterWorkerInput
from router.wire.names import canonicalise

M = TypeVar("M", bound=BaseModel)


def after(wanted: Configuration, there: Configuration, *, prune: bool) -> Configuration:
    """The configuration as it is when all of a plan is done. Kinds without a file stay."""
    return {
        kind: resources if kind not in wanted else {**({} if prune else resources), **wanted[kind]}
        for kind, resources in there.items()
    }


def effect(jobs: Iterable[Mapping[str, Any]], now: Configuration, then: Configuration) -> Effect:
    """`jobs` as the router lists them, queued. What the router would refuse of the files counts as it is now."""
    before, later = _Side(now, {}), _Side(then, now)
    looked_at = differently = first = last = 0
    for job in jobs:
        looked_at += 1
        (mode, who), (new_mode, new_who) = before.of(job), later.of(job)
        if who == new_who and (mode == new_mode or not who):
            continue
        differently += 1
        first += not who
        last += not new_who
    return Effect(looked_at, differently, first, last)


class _Side:
    """One configuration. Jobs that ask for the same are answered once."""

    def __init__(self, configuration: Configuration, instead: Configuration) -> None:
        self._modes = {id: one.mode for id, one in _valid(configuration, instead, DISTRIBUTION, DistributionPolicy)}
        self._policies = {
            id: one.distribution_policy_id for id, one in _valid(configuration, instead, QUEUE, RouterQueue)
        }
        self._teams: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
        for id, worker in _valid(configuration, instead, WORKER, RouterWorkerInput):
            for channel in worker.channels:
                if channel.capacity_cost_per_job <= worker.capacity:
                    for queue_id in worker.queues:
                        self._teams[queue_id, channel.channel_id].append((id, with_id_label(worker.labels, id)))
        self._found: dict[tuple[str, str, str], frozenset[str]] = {}

    def of(self, job: Mapping[str, Any]) -> tuple[object, frozenset[str]]:
        """How the job's queue asks, and who qualifies; nobody where there is no such queue or policy."""
        queue_id, channel_id = str(job.get("queueId")), str(job.get("channelId"))
        mode = self._modes.get(self._policies.get(queue_id) or "")
        if mode is None:
            return None, frozenset()
        selectors = [] if mode.bypass_selectors else _selectors(job)
        asked = (queue_id, channel_id, repr(selectors))
        if asked not in self._found:
            self._found[asked] = frozenset(
                id for id, labels in self._teams[queue_id, channel_id] if first_failing(selectors, labels) is None
            )
        return mode, self._found[asked]


def _selectors(job: Mapping[str, Any]) -> Sequence[RouterWorkerSelector]:
    given = [*(job.get("requestedWorkerSelectors") or []), *(job.get("attachedWorkerSelectors") or [])]
    return [RouterWorkerSelector.model_validate(one) for one in given]


def _valid(configuration: Configuration, instead: Configuration, kind: Kind, model: type[M]) -> list[tuple[str, M]]:
    found = []
    for id, document in configuration[kind].items():
        for one in (document, instead.get(kind, {}).get(id)):
            if one is not None and (read := _read(model, one)) is not None:
                found.append((id, read))
                break
    return found


def _read(model: type[M], document: Document) -> M | None:
    try:
        return model.model_validate(canonicalise(document, model))
    except (ValidationError, RouterError):
        return None
