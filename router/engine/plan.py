"""Which waiting job goes to which worker: the only place where both orders meet (docs/behaviour.md, "Matching").

Jobs are taken in the order of service; each gets the best workers of its queue's mode, whose capacity is counted down
as it goes. Nothing is changed here: a plan is carried out under the versions of the rows that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.engine.candidates import Candidate
from router.engine.matching import has_offer, no_room, still_declined, unfit, wants_offers
from router.engine.scoring import default_score
from router.engine.selectors import all_selectors, first_failing
from router.engine.service_order import Place, standing
from router.models.jobs import JobRecord
from router.models.policies import BestWorkerMode, DistributionPolicy, RoundRobinMode

#: Scores of a job's workers by worker id, by job id.
Scores = Mapping[str, Mapping[str, float]]
_Rank = Callable[[JobRecord, Candidate], Any]


@dataclass(frozen=True, slots=True)
class Match:
    """A job that is to be offered to a worker."""

    job: JobRecord
    worker_id: str


@dataclass(frozen=True, slots=True)
class Rival:
    """A job that waits in another queue, for a worker that serves both."""

    job: JobRecord
    policy: DistributionPolicy


@dataclass(frozen=True, slots=True)
class Plan:
    matches: tuple[Match, ...]
    #: Queues in which a job stands before one of these and qualifies for a worker: it was left to them.
    left: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Rivalry:
    place: Place
    rival: Rival


class _Team:
    """The workers, as the plan has loaded them so far."""

    def __init__(self, candidates: Sequence[Candidate], policy: DistributionPolicy, rivals: Sequence[Rival]) -> None:
        self._now_as = {one.worker_id: one for one in candidates}
        self._mode = policy.mode
        self._rivals = sorted(
            (_Rivalry(where.place, rival) for rival in rivals if (where := standing(rival.job)) is not None),
            key=lambda one: one.place,
        )
        self._fitting: dict[tuple[Any, ...], list[str]] = {}

    def fitting(self, job: JobRecord) -> list[Candidate]:
        """Who could take the job, its room aside. Jobs that ask for the same have the same."""
        selectors = tuple(one for one in all_selectors(job.job) if one.active)
        asked = (
            job.job.channel_id,
            tuple((one.key, one.label_operator, type(one.value), one.value) for one in selectors),
        )
        if asked not in self._fitting:
            bypass = self._mode.bypass_selectors
            self._fitting[asked] = [
                one.worker_id
                for one in self._now_as.values()
                if job.job.channel_id in one.channels
                and job.job.queue_id in one.queues
                and (bypass or first_failing(selectors, one.labels) is None)
            ]
        return [self._now_as[worker_id] for worker_id in self._fitting[asked]]

    def take(self, worker: Candidate, job: JobRecord) -> None:
        self._now_as[worker.worker_id] = worker.with_offer(job.id, job.job.channel_id)

    def rival_of(self, place: Place, worker: Candidate, queue_id: str | None, now: datetime) -> str | None:
        """The other queue in which a job stands before `place` that the worker qualifies for."""
        for one in self._rivals:
            if one.place > place:
                return None
            job, mode = one.rival.job, one.rival.policy.mode
            if job.routing.retry_at and job.routing.retry_at > now:
                continue
            if job.job.queue_id != queue_id and wants_offers(job, mode) and unfit(job, worker, mode, now) is None:
                return job.job.queue_id
        return None


def plan(
    jobs: Sequence[JobRecord],
    candidates: Sequence[Candidate],
    policy: DistributionPolicy,
    now: datetime,
    *,
    turn: str | None = None,
    scores: Scores | None = None,
    rivals: Sequence[Rival] = (),
) -> Plan:
    """What the waiting `jobs` of one queue get of the workers. `turn` is the worker that round robin served last;
    `scores` are those of a scoring rule (a job without gets nothing); `rivals` may wait for the same workers."""
    team = _Team(candidates, policy, rivals)
    rank = _ranking(policy, turn, scores)
    matches: list[Match] = []
    left: set[str] = set()
    waiting = [(where.place, job) for job in jobs if (where := standing(job)) is not None]
    for place, job in sorted(waiting, key=lambda one: one[0]):
        if (job.routing.retry_at and job.routing.retry_at > now) or (scores is not None and job.id not in scores):
            continue
        for _ in range(wants_offers(job, policy.mode)):
            found = [one for one in team.fitting(job) if _can_take(one, job, now)]
            if scores is not None:
                found = [one for one in found if one.worker_id in scores[job.id]]
            best = _best(found, job, place, rank, team, left, now)
            if best is None:
                break
            team.take(best, job)
            matches.append(Match(job, best.worker_id))
            if isinstance(policy.mode, RoundRobinMode):
                rank = _by_turn(best.worker_id)
    return Plan(tuple(matches), frozenset(left))


def _best(
    found: list[Candidate],
    job: JobRecord,
    place: Place,
    rank: _Rank,
    team: _Team,
    left: set[str],
    now: datetime,
) -> Candidate | None:
    """The first of them in the mode's order that is not to be left to another queue."""
    while found:
        best = min(found, key=lambda one: rank(job, one))
        queue_id = team.rival_of(place, best, job.job.queue_id, now)
        if queue_id is None:
            return best
        left.add(queue_id)
        found.remove(best)
    return None


def _can_take(worker: Candidate, job: JobRecord, now: datetime) -> bool:
    if no_room(worker, job.job.channel_id) is not None or has_offer(job, worker):
        return False
    decline = job.routing.declined.get(worker.worker_id)
    return decline is None or not still_declined(decline, worker.registered_at, now)


# The order of workers.


def idle_order(worker: Candidate) -> tuple[Any, ...]:
    """The least loaded first, then who could have taken work for longest."""
    return (worker.load_ratio, worker.since, worker.worker_id)


def _by_turn(last: str | None) -> _Rank:
    """Round robin: by id, beginning behind the one who was served last."""
    return lambda _, worker: (last is not None and worker.worker_id <= last, worker.worker_id)


def _ranking(policy: DistributionPolicy, turn: str | None, scores: Scores | None) -> _Rank:
    mode = policy.mode
    if isinstance(mode, RoundRobinMode):
        return _by_turn(turn)
    if not isinstance(mode, BestWorkerMode):
        return lambda _, worker: idle_order(worker)
    options = mode.scoring_rule_options
    sign: Final = -1.0 if options.descending_order else 1.0
    known: dict[tuple[str, str], float] = {}

    def score(job: JobRecord, worker: Candidate) -> float:
        if scores is not None:
            return scores[job.id][worker.worker_id]
        if (job.id, worker.worker_id) not in known:
            known[job.id, worker.worker_id] = default_score(
                job.job.labels,
                all_selectors(job.job),
                worker.labels,
                use_labels="jobLabels" in options.scoring_parameters,
                use_selectors="workerSelectors" in options.scoring_parameters,
            )
        return known[job.id, worker.worker_id]

    return lambda job, worker: (sign * score(job, worker), idle_order(worker))
