"""The workers that may take a job, best first, while other jobs take some of them (contract section 5, "Matching")."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from router.commit import worker as worker_commits
from router.commit.parts import Parts
from router.engine.scoring import default_score
from router.engine.selectors import all_selectors
from router.models.jobs import JobRecord
from router.models.policies import BestWorkerMode, DistributionPolicy, RoundRobinMode
from router.models.rules import ScoringRuleOptions
from router.models.workers import WorkerRecord
from router.storage.availability import Candidate
from router.storage.keys import time_key

#: After this long a worker's change has moved its index rows, or never will.
_MOVED_BY: Final = timedelta(seconds=10)
#: Round robin's rank of a worker that has got a job while this one looked for one.
_NEXT_LAP: Final = 2.0


@dataclass(frozen=True, order=True)
class _Place:
    """Where a worker stands: round robin's lap or best worker's score, then the order of the index."""

    rank: float
    row: str


@dataclass(frozen=True, order=True)
class Standing:
    """A worker where it was seen last: its version then."""

    place: _Place
    worker_id: str
    version: int


def _next_lap(worker: WorkerRecord) -> _Place:
    """Round robin's place of a worker that has just had its turn: again after all the others."""
    return _Place(_NEXT_LAP, time_key(max(offer.offered_at for offer in worker.worker.offers)))


class Candidates:
    """The workers of one search, in the order of its policy. The index was read before others had their turn: a
    worker that they have taken since stands further back, and is met again there."""

    def __init__(self, parts: Parts, job: JobRecord, policy: DistributionPolicy) -> None:
        assert job.job.queue_id is not None
        self._parts = parts
        self._job = job
        self._mode = policy.mode
        self._queue_id = job.job.queue_id
        self._began = parts.clock.now()
        self._rows = self._read()
        self._next: Standing | None = None
        self._moved: list[Standing] = []
        self._met: dict[str, int] = {}

    async def next(self) -> Standing | None:
        """The best worker that was not met yet, or has moved since; None when there is no other. Raises RuleFailure
        where a scoring rule fails."""
        while True:
            if self._next is None:
                self._next = await self._next_of_index()
            if self._moved and (self._next is None or self._moved[0] < self._next):
                found = heapq.heappop(self._moved)
            elif self._next is not None:
                found, self._next = self._next, None
            else:
                return None
            if self._met.get(found.worker_id, -1) >= found.version:
                continue
            known = self._parts.recent_workers.get(found.worker_id)
            if known is not None and known.routing.version > found.version:
                self.moved(found, known)
            elif known is not None and self._has_had_its_turn(found, known):
                heapq.heappush(self._moved, replace(found, place=_next_lap(known)))
            else:
                self._met[found.worker_id] = found.version
                return found

    def moved(self, standing: Standing, worker: WorkerRecord) -> None:
        """The worker has a newer version than the one that was met: it is met again where that one stands."""
        availability = worker_commits.availability(worker)
        if availability is None:
            return  # it can take nothing; whoever frees it looks for jobs
        place = _Place(standing.place.rank, availability.row_keys()[0])
        if isinstance(self._mode, RoundRobinMode):
            place = _next_lap(worker) if worker.worker.offers else standing.place
        heapq.heappush(self._moved, Standing(place, worker.id, worker.routing.version))

    def _has_had_its_turn(self, standing: Standing, worker: WorkerRecord) -> bool:
        """Whether round robin has come to the worker after this search looked where it stands."""
        return (
            isinstance(self._mode, RoundRobinMode)
            and standing.place.rank < _NEXT_LAP
            and any(offer.offered_at >= self._began for offer in worker.worker.offers)
        )

    async def _next_of_index(self) -> Standing | None:
        async for rank, candidate in self._rows:
            if self._left_behind(candidate):
                await self._parts.availability.remove(self._queue_id, [candidate.row])
                continue
            return Standing(_Place(rank, candidate.row), candidate.worker_id, candidate.version)
        return None

    def _left_behind(self, candidate: Candidate) -> bool:
        """Whether the row belongs to a version that the worker has left long since: nobody moves it away any more."""
        known = self._parts.recent_workers.get(candidate.worker_id)
        return (
            known is not None
            and candidate.version < known.routing.version
            and self._parts.clock.now() - known.modified > _MOVED_BY
        )

    async def _read(self) -> AsyncIterator[tuple[float, Candidate]]:
        """The index, in the policy's order."""
        queue_id, channel_id = self._queue_id, self._job.job.channel_id
        selectors = [] if self._mode.bypass_selectors else [one for one in all_selectors(self._job.job) if one.active]
        index = self._parts.availability
        if isinstance(self._mode, BestWorkerMode):
            for scored in await self._by_score(self._mode):
                yield scored
        elif isinstance(self._mode, RoundRobinMode):
            cursor = await index.cursor(queue_id)
            async for one in index.candidates(queue_id, "n", channel_id, selectors, after=cursor):
                yield 0.0, one
            if cursor is not None:
                async for one in index.candidates(queue_id, "n", channel_id, selectors, until=cursor):
                    yield 1.0, one
        else:
            async for one in index.candidates(queue_id, "i", channel_id, selectors):
                yield 0.0, one

    async def _by_score(self, mode: BestWorkerMode) -> list[tuple[float, Candidate]]:
        """All workers that fit, best score first; equal scores by longest idle. Raises RuleFailure."""
        selectors = [one for one in all_selectors(self._job.job) if one.active]
        found: dict[str, Candidate] = {}
        async for one in self._parts.availability.candidates(
            self._queue_id,
            "i",
            self._job.job.channel_id,
            [] if mode.bypass_selectors else selectors,
            page=1000,
            with_labels=True,
        ):
            if one.worker_id not in found or found[one.worker_id].version < one.version:
                found[one.worker_id] = one
        candidates = list(found.values())
        labels = [one.labels if one.labels is not None else await self._labels(one.worker_id) for one in candidates]
        options = mode.scoring_rule_options or ScoringRuleOptions()
        if mode.scoring_rule is None:
            use_labels = "jobLabels" in options.scoring_parameters
            use_selectors = "workerSelectors" in options.scoring_parameters
            scores = [
                default_score(self._job.job.labels, selectors, one, use_labels=use_labels, use_selectors=use_selectors)
                for one in labels
            ]
        elif candidates:
            queue = await self._parts.resources.cached("Queue", self._queue_id)
            policy_id = queue.model.distribution_policy_id if queue else ""
            scores = await self._parts.rules.scores(
                mode.scoring_rule,
                self._job.job.labels,
                selectors,
                list(labels),
                options,
                f"DistributionPolicy/{policy_id}",
            )
        else:
            scores = []
        sign = -1.0 if options.descending_order else 1.0
        ranked = [(sign * score, one) for score, one in zip(scores, candidates, strict=True)]
        return sorted(ranked, key=lambda each: (each[0], each[1].row))

    async def _labels(self, worker_id: str) -> dict[str, object]:
        row = await self._parts.workers.store.load(worker_id)
        return dict(row.record.worker.matching_labels) if row.record else {}
