"""The settings of a day as they are at a moment, and which of them cannot be decided again."""

from __future__ import annotations

from typing import Any

from router.models.policies import (
    BestWorkerMode,
    DistributionPolicy,
    ExceptionPolicy,
    ReclassifyExceptionAction,
)
from router.models.queues import RouterQueue
from router.replay.errors import NotReplayable


class Rules:
    """Queues, distribution policies and exception policies."""

    def __init__(self) -> None:
        self._queues: dict[str, RouterQueue] = {}
        self._policies: dict[str, DistributionPolicy] = {}
        self._exceptions: dict[str, ExceptionPolicy] = {}
        #: Why a policy cannot be decided again; raised once a job meets it.
        self._refused: dict[tuple[str, str], str] = {}

    def set(self, kind: str, id: str, resource: Any) -> None:
        """As it is from now on; None where it has been deleted."""
        kinds: dict[str, dict[str, Any]] = {"queue": self._queues, "distributionPolicy": self._policies}
        known = kinds.get(kind, self._exceptions)
        self._refused.pop((kind, id), None)
        if resource is None:
            known.pop(id, None)
            return
        known[id] = resource
        if kind == "distributionPolicy":
            mode = resource.mode
            if isinstance(mode, BestWorkerMode) and mode.scoring_rule is not None:
                reason = f"distribution policy '{id}' has a scoring rule: its scores cannot be had here"
                self._refused[kind, id] = reason
        elif kind == "exceptionPolicy":
            for rule in resource.exception_rules:
                if any(isinstance(one, ReclassifyExceptionAction) for one in rule.actions):
                    reason = f"rule '{rule.id}' of exception policy '{id}' classifies: that is not replayed"
                    self._refused[kind, id] = reason

    def distribution(self, queue_id: str) -> DistributionPolicy:
        return self._policies[self._queues[queue_id].distribution_policy_id]

    def exceptions(self, queue_id: str) -> tuple[str, ExceptionPolicy] | None:
        """The queue's exception policy and its id."""
        policy_id = self._queues[queue_id].exception_policy_id
        policy = self._exceptions.get(policy_id or "")
        return None if policy_id is None or policy is None else (policy_id, policy)

    def check(self, queue_id: str, job_id: str) -> None:
        """Raises NotReplayable where what a job meets there cannot be decided."""
        queue = self._queues.get(queue_id)
        if queue is None or queue.distribution_policy_id not in self._policies:
            raise NotReplayable(f"job '{job_id}' comes to a queue '{queue_id}' that the file does not have then")
        for named in (
            ("distributionPolicy", queue.distribution_policy_id),
            ("exceptionPolicy", queue.exception_policy_id or ""),
        ):
            if named in self._refused:
                raise NotReplayable(self._refused[named])
