"""Which waiting job goes to which worker: the only place where both orders meet (docs/behaviour.md, "Matching").

Jobs are taken in the order of service; each gets the best workers of its queue's mode, whose capacity is counted down
as it goes. Nothing is changed here: a plan is carried out under the versions of the rows that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.engine.candidates import Candidate
from router.engine.matching import has_offer, no_room, still_declined, wants_offers
from router.engine.scoring import default_score
from router.engine.selectors import all_selectors, first_failing
from router.engine.service_order import standing
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
    #: The worker that its queue's round robin served last.
    turn: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    matches: tuple[Match, ...]
    #: Queues to whose jobs workers were left that a job of these would have had otherwise.
    left: frozenset[str]
    #: Workers of whom something was set aside for rivals.
    aside: frozenset[str] = frozenset()


class _Team:
    """The workers, as the plan has loaded them so far, and as they were loaded without what is set aside for rivals."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._now_as = {one.worker_id: one for one in candidates}
        self._own_as = dict(self._now_as)
        #: The queues of the rivals for whom something of the worker is set aside.
        self._aside: dict[str, set[str]] = {}
        self._fitting: dict[tuple[Any, ...], list[str]] = {}

    def fitting(self, job: JobRecord, bypass: bool) -> list[Candidate]:
        """Who could take the job, its room aside. Jobs that ask for the same have the same."""
        return [self._now_as[worker_id] for worker_id in self._who_fits(job, bypass)]

    def _who_fits(self, job: JobRecord, bypass: bool) -> list[str]:
        selectors = tuple(one for one in all_selectors(job.job) if one.active)
        asked = (
            job.job.queue_id,
            job.job.channel_id,
            bypass or tuple((one.key, one.label_operator, type(one.value), one.value) for one in selectors),
        )
        if asked not in self._fitting:
            self._fitting[asked] = [
                one.worker_id
                for one in self._now_as.values()
                if job.job.channel_id in one.channels
                and job.job.queue_id in one.queues
                and (bypass or first_failing(selectors, one.labels) is None)
            ]
        return self._fitting[asked]

    def take(self, worker: Candidate, job: JobRecord) -> None:
        who, own = worker.worker_id, self._own_as[worker.worker_id]
        self._now_as[who] = worker.with_offer(job.id, job.job.channel_id)
        self._own_as[who] = own.with_offer(job.id, job.job.channel_id)

    def set_aside(self, worker: Candidate, rival: JobRecord) -> None:
        self._now_as[worker.worker_id] = worker.with_offer(rival.id, rival.job.channel_id)
        self._aside.setdefault(worker.worker_id, set()).add(rival.job.queue_id or "")

    @property
    def aside(self) -> frozenset[str]:
        return frozenset(self._aside)

    def left_to(self, job: JobRecord, bypass: bool, now: datetime) -> set[str]:
        """The queues of rivals without whom the job would have a worker more."""
        found: set[str] = set()
        if self._aside:
            for who in self._who_fits(job, bypass):
                if who in self._aside and _can_take(self._own_as[who], job, now):
                    found |= self._aside[who]
        return found


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
    `scores` are those of a scoring rule (a job without gets nothing). Who comes first among `rivals` has workers set
    aside: as many as it wants, those that its own queue would take first as far as that can be told from here."""
    team, mode = _Team(candidates), policy.mode
    rank = _ranking(policy, turn, scores)
    matches: list[Match] = []
    left: set[str] = set()
    own = {one.job.queue_id for one in jobs}
    waiting = [(where.place, job, policy) for job in jobs if (where := standing(job)) is not None]
    turns = {one.job.job.queue_id: one.turn for one in rivals}
    waiting += [
        (where.place, one.job, one.policy)
        for one in rivals
        if (where := standing(one.job)) is not None and one.job.job.queue_id not in own
    ]
    for _, job, of in sorted(waiting, key=lambda one: one[0]):
        if job.routing.retry_at and job.routing.retry_at > now:
            continue
        if job.job.queue_id not in own:
            turns[job.job.queue_id] = _set_aside(team, job, of, turns[job.job.queue_id], now)
            continue
        if scores is not None and job.id not in scores:
            continue
        for _ in range(wants_offers(job, mode)):
            found = [one for one in team.fitting(job, mode.bypass_selectors) if _can_take(one, job, now)]
            if scores is not None:
                found = [one for one in found if one.worker_id in scores[job.id]]
            if not found:
                left |= team.left_to(job, mode.bypass_selectors, now)
                break
            best = min(found, key=lambda one: rank(job, one))
            team.take(best, job)
            matches.append(Match(job, best.worker_id))
            if isinstance(mode, RoundRobinMode):
                rank = _by_turn(best.worker_id)
    return Plan(tuple(matches), frozenset(left), team.aside)


def _set_aside(
    team: _Team, rival: JobRecord, policy: DistributionPolicy, turn: str | None, now: datetime
) -> str | None:
    """Who would be the last that the rival's queue has served."""
    for _ in range(wants_offers(rival, policy.mode)):
        rank = _ranking(policy, turn, None)
        found = [one for one in team.fitting(rival, policy.mode.bypass_selectors) if _can_take(one, rival, now)]
        if not found:
            break
        first = min(found, key=lambda one: rank(rival, one))
        team.set_aside(first, rival)
        turn = first.worker_id
    return turn


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
