"""Who gets which job: the plan against the rules written down as simply as can be, and examples that are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.engine.candidates import candidate
from router.engine.plan import Plan, Rival, plan
from router.engine.scoring import default_score
from router.engine.selectors import holds
from router.models.jobs import Decline, JobRecord, JobStatus
from router.models.policies import DistributionPolicy
from router.models.workers import WorkerRecord
from tests.unit.engine.engine_records import NOW, channel, job, later, offer, selector, worker

_T = TypeVar("_T")
Scores = Mapping[str, Mapping[str, float]]
Pairs = list[tuple[str, str]]


def policy(kind: str = "longestIdle", **mode: Any) -> DistributionPolicy:
    return DistributionPolicy.model_validate({"mode": {"kind": kind, **mode}})


def named(id: str, record: JobRecord) -> JobRecord:
    return record.model_copy(update={"job": record.job.model_copy(update={"id": id})})


def waiting(id: str, at: float = 0, **fields: Any) -> JobRecord:
    return named(id, job(enqueued_at=later(at), **fields))


def planned(
    jobs: Sequence[JobRecord], workers: Sequence[WorkerRecord], how: DistributionPolicy, **more: Any
) -> tuple[Pairs, set[str]]:
    found = plan(jobs, [candidate(one) for one in workers], how, NOW, **more)
    return pairs(found), set(found.left)


def pairs(found: Plan) -> Pairs:
    return [(match.job.id, match.worker_id) for match in found.matches]


# The rules, once more.


@dataclass
class _Hand:
    """A worker, and what it has been given so far."""

    record: WorkerRecord
    jobs: list[tuple[str, str, int]]
    offers: int

    @property
    def used(self) -> int:
        return sum(cost for _, _, cost in self.jobs)

    @property
    def load(self) -> float:
        return min(self.used / self.record.worker.capacity, 1.0)

    def give(self, one: JobRecord) -> None:
        found = self.record.worker.channel(one.job.channel_id)
        assert found is not None
        self.jobs.append((one.id, one.job.channel_id, found.capacity_cost_per_job))
        self.offers += 1


def _hand(record: WorkerRecord) -> _Hand:
    who = record.worker
    held = [(one.job_id, record.routing.job_channels[one.job_id], one.capacity_cost) for one in who.offers]
    has = [(one.job_id, record.routing.job_channels[one.job_id], one.capacity_cost) for one in who.assigned_jobs]
    return _Hand(record, [*held, *has], len(who.offers))


def _may_have(one: JobRecord, hand: _Hand, how: DistributionPolicy) -> bool:
    who, wanted = hand.record.worker, one.job
    serves = [found for found in who.channels if found.channel_id == wanted.channel_id]
    if wanted.queue_id not in who.queues or not serves:
        return False
    if any(id == one.id for id, _, _ in hand.jobs) or who.id in [x.worker_id for x in one.routing.offers.values()]:
        return False
    if hand.used + serves[0].capacity_cost_per_job > who.capacity:
        return False
    on_channel = [id for id, name, _ in hand.jobs if name == wanted.channel_id]
    most = serves[0].max_number_of_jobs
    if most is not None and len(on_channel) + 1 > most:
        return False
    if who.max_concurrent_offers is not None and hand.offers + 1 > who.max_concurrent_offers:
        return False
    if not how.mode.bypass_selectors:
        labels = {**who.labels, "Id": who.id}
        asked = [*wanted.requested_worker_selectors, *wanted.attached_worker_selectors]
        if not all(holds(each, labels) for each in asked if each.status == "active"):
            return False
    decline = one.routing.declined.get(who.id)
    if decline is None:
        return True
    registered = hand.record.routing.registered_at
    over = decline.retry_at is not None and decline.retry_at <= NOW
    return over or (registered is not None and registered > decline.declined_at)


def _place(one: JobRecord) -> tuple[bool, int, datetime, str]:
    asked = [*one.job.requested_worker_selectors, *one.job.attached_worker_selectors]
    expedited = any(each.expedite and each.status == "active" for each in asked)
    since = one.job.enqueued_at or one.routing.created_at
    return (not expedited, -one.job.priority, since, one.id)


def _wants(one: JobRecord, how: DistributionPolicy) -> int:
    return how.mode.max_concurrent_offers - len(one.routing.offers)


def reference(
    jobs: Sequence[JobRecord],
    workers: Sequence[WorkerRecord],
    how: DistributionPolicy,
    turn: str | None,
    scores: Scores | None,
    rivals: Sequence[Rival],
) -> tuple[Pairs, set[str]]:
    hands = [_hand(one) for one in workers]
    given: Pairs = []
    left: set[str] = set()

    def rank(one: JobRecord, hand: _Hand) -> Any:
        who = hand.record.worker
        idle = (hand.load, hand.record.routing.available_since, who.id)
        if how.mode.kind == "longestIdle":
            return idle
        if how.mode.kind == "roundRobin":
            return (0 if turn is None or who.id > turn else 1, who.id)
        if scores is not None:
            return (-scores[one.id][who.id], idle)
        asked = [*one.job.requested_worker_selectors, *one.job.attached_worker_selectors]
        return (-default_score(one.job.labels, asked, {**who.labels, "Id": who.id}, use_selectors=False), idle)

    #: The workers without what is set aside, and for jobs of which queues something is.
    own = [_hand(one) for one in workers]
    aside: dict[str, set[str]] = {}

    turns = {one.job.job.queue_id: one.turn for one in rivals}

    def first_for(rival: JobRecord, other: DistributionPolicy) -> _Hand | None:
        """Whom the rival's own queue would take, as far as that can be told."""
        able = [hand for hand in hands if _may_have(rival, hand, other)]
        kind = other.mode.kind

        def by(hand: _Hand) -> Any:
            who = hand.record.worker
            idle = (hand.load, hand.record.routing.available_since, who.id)
            asked = [*rival.job.requested_worker_selectors, *rival.job.attached_worker_selectors]
            if kind == "roundRobin":
                last = turns[rival.job.queue_id]
                return (0 if last is None or who.id > last else 1, who.id)
            if kind == "bestWorker":
                labels = {**who.labels, "Id": who.id}
                return (-default_score(rival.job.labels, asked, labels, use_selectors=False), idle)
            return idle

        return min(able, key=by) if able else None

    all_jobs = [(one, how) for one in jobs]
    all_jobs += [(one.job, one.policy) for one in rivals if one.job.job.queue_id not in {x.job.queue_id for x in jobs}]
    mine = {one.id for one in jobs}
    for one, of in sorted(all_jobs, key=lambda both: _place(both[0])):
        if one.routing.retry_at is not None and one.routing.retry_at > NOW:
            continue
        if one.id not in mine:
            for _ in range(_wants(one, of)):
                if (hand := first_for(one, of)) is not None:
                    hand.give(one)
                    turns[one.job.queue_id] = hand.record.id
                    aside.setdefault(hand.record.id, set()).add(str(one.job.queue_id))
            continue
        if scores is not None and one.id not in scores:
            continue
        for _ in range(_wants(one, how)):
            able = [hand for hand in hands if _may_have(one, hand, how)]
            if scores is not None:
                able = [hand for hand in able if hand.record.id in scores[one.id]]
            if not able:
                left |= {
                    queue
                    for hand in own
                    if hand.record.id in aside and _may_have(one, hand, how)
                    for queue in aside[hand.record.id]
                }
                break
            hand = min(able, key=lambda each: rank(one, each))
            for each in (hand, next(other for other in own if other.record.id == hand.record.id)):
                each.give(one)
            given.append((one.id, hand.record.id))
            turn = hand.record.id
    return given, left


# Drawn at random.

_IDS = ["a", "b", "c", "d"]
_SELECTORS = [
    selector("skill", "greaterThanOrEqual", 3),
    selector("skill", "lessThan", 4, expedite=True),
    selector("site", "equal", "north"),
    selector("site", "notEqual", "north", status="expired"),
    selector("Id", "notEqual", "b"),
]
_DECLINES = [
    Decline(declined_at=NOW),
    Decline(declined_at=later(-30), retry_at=later(-1)),
    Decline(declined_at=later(-30), retry_at=later(5)),
    Decline(declined_at=later(-90)),
]


# Made once: making and checking a strategy takes longer than drawing from it.
_HOLDERS = st.sets(st.sampled_from(_IDS), max_size=2)
_ASKED = st.lists(st.sampled_from(_SELECTORS), max_size=2)
_DECLINED = st.dictionaries(st.sampled_from(_IDS), st.sampled_from(_DECLINES), max_size=2)
_WORKER_IDS = st.lists(st.sampled_from(_IDS), unique=True)
_TURNS = st.sampled_from([None, *_IDS])
_SCORES = st.dictionaries(st.sampled_from(_IDS), st.sampled_from([0.0, 0.5, 1.0, 7.0]))
_BOOLEANS = st.booleans()


@cache
def _integers(lowest: int, highest: int) -> st.SearchStrategy[int]:
    return st.integers(lowest, highest)


def _pick(draw: st.DrawFn, values: Sequence[_T]) -> _T:
    return values[draw(_integers(0, len(values) - 1))]


@st.composite
def _jobs(draw: st.DrawFn, names: str, queues: Sequence[str], *, back_off: bool = True) -> list[JobRecord]:
    found = []
    for number in range(draw(_integers(0, 4))):
        holders = draw(_HOLDERS)
        asked = draw(_ASKED)
        attached = draw(_integers(0, len(asked)))
        record = job(
            _pick(draw, [JobStatus.QUEUED, JobStatus.CREATED]),
            queue_id=_pick(draw, queues),
            channel_id=_pick(draw, ["voice", "voice", "chat"]),
            priority=_pick(draw, [1, 1, 5]),
            labels=_pick(draw, [{}, {"skill": 3}, {"skill": 4, "site": "north"}]),
            requested_worker_selectors=asked[attached:],
            attached_worker_selectors=asked[:attached],
            enqueued_at=later(draw(_integers(-3, 0))),
            routing={
                "offers": {f"o-{id}": offer(f"o-{id}", id) for id in holders},
                "declined": draw(_DECLINED),
                "retry_at": _pick(draw, [None, None, later(-1), later(1)]) if back_off else None,
            },
        )
        found.append(named(f"{names}{number}", record))
    return found


@st.composite
def _workers(draw: st.DrawFn) -> list[WorkerRecord]:
    found = []
    for id in draw(_WORKER_IDS):
        voice = channel("voice", _pick(draw, [1, 1, 2]), _pick(draw, [None, 1, 2]))
        chat = channel("chat", _pick(draw, [1, 3]), _pick(draw, [None, 2]))
        found.append(
            worker(
                id=id,
                capacity=draw(_integers(1, 5)),
                queues=_pick(draw, [["q"], ["q", "r"], ["r", "s", "q"], ["r"]]),
                channels=_pick(draw, [[voice], [voice, chat], [chat]]),
                max_concurrent_offers=_pick(draw, [None, None, 1, 2]),
                labels=_pick(draw, [{}, {"skill": 3}, {"skill": 4, "site": "north"}, {"skill": "3"}]),
                held=_pick(draw, [{}, {}, {"x": 1}, {"j0": 1}]),
                assigned=_pick(draw, [{}, {}, {"y": 1}, {"j1": 1}]),
                routing={
                    "available_since": later(draw(_integers(-3, 0))),
                    "registered_at": _pick(draw, [None, later(-100), later(-60)]),
                },
            )
        )
    return found


@st.composite
def _policies(draw: st.DrawFn) -> DistributionPolicy:
    options = {"scoringRuleOptions": {"scoringParameters": ["jobLabels"]}}
    kind = _pick(draw, ["longestIdle", "roundRobin", "bestWorker"])
    return policy(
        kind,
        maxConcurrentOffers=draw(_integers(1, 3)),
        bypassSelectors=draw(_BOOLEANS),
        **(options if kind == "bestWorker" else {}),
    )


@settings(max_examples=400)
@given(data=st.data())
def test_the_plan_is_what_the_rules_say(data: st.DataObject) -> None:
    how, other = data.draw(_policies()), data.draw(_policies())
    jobs, workers = data.draw(_jobs("j", ["q"])), data.draw(_workers())
    turn, turns = data.draw(_TURNS), {queue: data.draw(_TURNS) for queue in ("r", "s", "q")}
    elsewhere = data.draw(_jobs("r", ["r", "s", "q"], back_off=False))
    rivals = [Rival(one, other, turns[str(one.job.queue_id)]) for one in elsewhere]
    scores: Scores | None = None
    if how.mode.kind == "bestWorker" and data.draw(_BOOLEANS):
        scores = {one.id: data.draw(_SCORES) for one in jobs if data.draw(_integers(0, 4))}
    found = planned(jobs, workers, how, turn=turn, scores=scores, rivals=rivals)
    assert found == reference(jobs, workers, how, turn, scores, rivals)


# Told.


def test_the_longest_idle_of_the_least_loaded() -> None:
    long, short = worker(id="a", routing={"available_since": later(-9)}), worker(id="b")
    loaded = worker(id="c", assigned={"x": 1}, routing={"available_since": later(-99)})
    assert planned([waiting("j")], [loaded, short, long], policy())[0] == [("j", "a")]
    assert planned([waiting("j")], [loaded, short], policy())[0] == [("j", "b")]


def test_workers_fill_up_evenly() -> None:
    """What a job takes counts for the next one."""
    jobs, workers = [waiting(f"j{n}", n) for n in range(5)], [worker(id="a", capacity=2), worker(id="b", capacity=4)]
    found = [who for _, who in planned(jobs, workers, policy())[0]]
    assert found == ["a", "b", "b", "a", "b"]


def test_round_robin_goes_on_behind_its_last() -> None:
    jobs, workers = [waiting(f"j{n}", n) for n in range(4)], [worker(id=id) for id in "cab"]
    found = planned(jobs, workers, policy("roundRobin"), turn="a")[0]
    assert [who for _, who in found] == ["b", "c", "a", "b"]


def test_the_first_of_the_line_gets_the_only_worker() -> None:
    jobs = [
        waiting("late", 5),
        waiting("early", 1),
        waiting("urgent", 9, priority=3),
        waiting("expedited", 9, requested_worker_selectors=[selector("Id", "equal", "w1", expedite=True)]),
    ]
    one = [worker(capacity=4)]
    assert [id for id, _ in planned(jobs, one, policy())[0]] == ["expedited", "urgent", "early", "late"]
    assert planned(jobs, [worker(capacity=1)], policy())[0] == [("expedited", "w1")]


def test_who_cannot_be_served_holds_nobody_back() -> None:
    jobs = [waiting("first", 0, channel_id="chat"), waiting("second", 1)]
    assert planned(jobs, [worker(capacity=1)], policy())[0] == [("second", "w1")]


def test_offers_side_by_side_go_to_different_workers() -> None:
    workers = [worker(id=id, routing={"available_since": later(at)}) for id, at in (("a", -1), ("b", -2), ("c", -3))]
    two = policy(maxConcurrentOffers=2)
    assert planned([waiting("j")], workers, two)[0] == [("j", "c"), ("j", "b")]
    has_one = waiting("j", routing={"offers": {"o": offer("o", "c")}})
    assert planned([has_one], workers, two)[0] == [("j", "b")]


@pytest.mark.parametrize(("descending", "best"), [(True, "b"), (False, "a")])
def test_the_scores_decide(descending: bool, best: str) -> None:
    how = policy("bestWorker", scoringRuleOptions={"descendingOrder": descending})
    scores = {"j": {"a": 1.0, "b": 2.0}}
    assert planned([waiting("j")], [worker(id="a"), worker(id="b")], how, scores=scores)[0] == [("j", best)]


def test_a_worker_without_a_score_gets_nothing() -> None:
    how = policy("bestWorker")
    assert planned([waiting("j"), waiting("k")], [worker()], how, scores={"j": {}})[0] == []


def test_a_worker_is_left_to_who_comes_first_elsewhere() -> None:
    both, own = worker(id="a", queues=["q", "r"], capacity=1), worker(id="b", assigned={"x": 1})
    rival = Rival(waiting("r", -5, queue_id="r"), policy())
    assert planned([waiting("j")], [both, own], policy(), rivals=[rival]) == ([("j", "b")], set())
    behind = Rival(waiting("r", 5, queue_id="r"), policy())
    assert planned([waiting("j")], [both, own], policy(), rivals=[behind]) == ([("j", "a")], set())


def test_a_rival_takes_no_more_workers_than_it_wants() -> None:
    """Who comes first elsewhere gets the longest idle one of them; the next one is free."""
    first = worker(id="a", queues=["q", "r"], capacity=1, routing={"available_since": later(-9)})
    second = worker(id="b", queues=["q", "r"], capacity=1)
    rival = Rival(waiting("r", -5, queue_id="r"), policy())
    assert planned([waiting("j")], [second, first], policy(), rivals=[rival]) == ([("j", "b")], set())
    greedy = Rival(waiting("r", -5, queue_id="r"), policy(maxConcurrentOffers=2))
    assert planned([waiting("j")], [second, first], policy(), rivals=[greedy]) == ([], {"r"})


def test_a_rival_takes_whose_turn_it_is_in_its_queue() -> None:
    """Who is next there is left to it, and not who comes first by name."""
    both = [worker(id=id, queues=["q", "r"], capacity=1) for id in "abc"]
    urgent = [Rival(waiting(id, -5, queue_id="r"), policy("roundRobin"), "b") for id in ("r1", "r2")]
    assert planned([waiting("j")], both, policy(), rivals=urgent) == ([("j", "b")], set())


def test_a_rival_that_has_its_offers_is_none() -> None:
    served = waiting("r", -5, queue_id="r", routing={"offers": {"o": offer("o", "z")}})
    found = planned([waiting("j")], [worker(queues=["q", "r"])], policy(), rivals=[Rival(served, policy())])
    assert found == ([("j", "w1")], set())


def test_a_job_that_has_left_the_line_gets_nothing() -> None:
    assert planned(
        [named("j", job(JobStatus.CANCELLED)), named("k", job(JobStatus.ASSIGNED))], [worker()], policy()
    ) == (
        [],
        set(),
    )
