"""What `make scale` measures is what has happened, and its goals see what they are for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from bench.scale import calls
from bench.scale.clients import Manner
from bench.scale.figures import Figures, number, overtaken, percentile
from bench.scale.goals import judged, table
from bench.scale.measure import chosen, scenarios
from bench.scale.meter import Meter, Peak
from bench.scale.play import Play
from bench.scale.scenario import Size
from bench.scale.scenarios.steady import steady
from tests.sim.observer import Operation
from tests.sim.process import Process


def _play(change: Callable[[Play], None] = lambda _: None, *, workers: int = 20, **worker: Any) -> Play:
    """Some twenty jobs in 5 s."""
    play = Play("small", 2)
    change(play)

    async def story() -> None:
        await play.settings()
        await play.workers(workers, **worker)
        await play.calm()
        await play.load(4.0, 5.0)
        await play.work_off(30)

    play.perform(story)
    return play


def test_a_calm_load_is_measured() -> None:
    play = _play()
    figures = play.figures(since=0.0)
    assert len(figures.latencies) == len(play.clients.jobs) == round(5 * figures.offered) > 10
    assert 20 < figures.p50 <= figures.p95 < 500
    assert 20 < figures.operations < 80
    assert (figures.kept_up, figures.settled, figures.faults) == (1.0, 0, [])
    assert 0 < figures.busiest_partition <= figures.busiest_account
    assert all(job.closed and job.times_closed == 1 for job in play.clients.jobs.values())
    assert play.meter.untold() == 0


def test_where_nothing_but_deadlines_drives_they_make_the_offers() -> None:
    """What a deadline has set going is told from what a call or an event has."""

    def lose_all(play: Play) -> None:
        play.weather = replace(play.weather, dropped=1.0, drives=False)
        play.world.drives = False

    play = _play(lose_all)
    figures = play.figures()
    assert figures.settled == len(play.clients.jobs)
    assert figures.p50 > 10_000


def test_jobs_that_nobody_takes_are_told() -> None:
    figures = _play(workers=0).figures(since=0.0)
    assert figures.faults == [f"{len(figures.latencies)} jobs are not closed"]
    assert figures.p50 > 30_000
    assert figures.kept_up < 1


def test_offers_that_are_declined_go_to_others() -> None:
    play = _play(manner=Manner(declines=0.5))
    assert len(play.meter.offers) > len(play.clients.jobs)
    assert not play.figures().faults


def test_a_load_that_is_not_carried_ends_early() -> None:
    figures = steady("much", 1, 20.0, 3.0, workers=2, hopeless=True)
    assert figures.faults[0].startswith("given up with")


def test_timers_are_apart_from_what_serves() -> None:
    play = Play("roles", 3)
    play.perform(lambda: play.pass_by(1.0))
    roles = [(process.roles.serves, process.roles.timer) for process in play.world.processes]
    assert sorted(roles) == [(False, True), *[(True, False)] * 3]


def test_who_matches_is_the_process_that_makes_offers() -> None:
    play = Play("who", 1)
    seen: list[bool] = []

    async def story() -> None:
        await play.settings()
        await play.workers(5)
        assert play.meter.matching() is None
        await calls.submit(play.somebody, "job", play.job(0))
        await play.pass_by(0.25)
        seen.append(play.meter.matching() is play.somebody)

    play.perform(story)
    assert seen == [True]
    assert not play.faults


def test_the_busiest_second_is_found() -> None:
    peak = Peak()
    for at, where in ((0.1, "a"), (0.9, "a"), (1.0, "a"), (1.1, "b"), (1.2, "b"), (1.9, "b"), (2.0, "b")):
        peak.add(at, where)
    assert (peak.most, peak.where) == (3, "b")
    peak.add(2.5, "c", 7)
    assert (peak.most, peak.where) == (7, "c")


def test_operations_are_counted_by_what_they_are() -> None:
    meter, process = Meter(lambda: 1.0), cast(Process, None)
    meter.operated(process, Operation("get", "jobs", "before the start"))
    meter.start()
    meter.operated(process, Operation("query", "deadlines", "00"))  # the timer's look
    meter.operated(process, Operation("get", "queues", "Queue"))
    meter.operated(process, Operation("replace", "jobs", "j", writes=1), conflict=True)
    meter.operated(process, Operation("transact", "backlog", "q", writes=7))
    meter.stop()
    meter.operated(process, Operation("get", "jobs", "after the end"))
    assert (meter.operations, meter.settings, meter.conflicts) == (3, 1, 1)
    assert (meter.account.most, meter.partitions.most, meter.partitions.where) == (4, 7, "backlog/q")


def test_percentiles_and_numbers() -> None:
    assert [percentile(range(100), part) for part in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert math.isnan(percentile([], 0.5))
    assert [number(value) for value in (1234.5, 12.345, 0.0, math.nan)] == ["1234", "12.3", "0", "-"]


@pytest.mark.parametrize(
    ("jobs", "found"),
    [
        # Priority, submitted, answered, offered.
        ([(1, 0.0, 0.1, 5.0), (1, 3.0, 3.1, 9.0)], 0),
        ([(1, 0.0, 0.1, 9.0), (1, 3.0, 3.1, 5.0)], 1),
        ([(1, 0.0, 0.1, 9.0), (1, 0.9, 1.0, 5.0)], 0),  # they came together
        ([(1, 0.0, 0.1, 5.9), (1, 3.0, 3.1, 5.0)], 0),  # they were offered together
        ([(9, 3.0, 3.1, 9.0), (1, 0.0, 0.1, 5.0)], 1),  # a less urgent one was served while it waited
        ([(9, 6.0, 6.1, 9.0), (1, 0.0, 0.1, 5.0)], 0),  # it had not come yet
        ([(1, 0.0, 0.1, 9.0), (9, 3.0, 3.1, 5.0)], 0),  # a more urgent one may pass
    ],
)
def test_who_was_overtaken(jobs: list[tuple[int, float, float, float]], found: int) -> None:
    assert overtaken(jobs, 1.0) == found


def _figures(name: str, **changes: Any) -> Figures:
    good: dict[str, Any] = {"latencies": [30.0] * 20, "operations": 20.0, "offered": 100.0, "closed": 100.0}
    return Figures(name, 4, 1, "longestIdle", **{**good, **changes})


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("one-queue-4", {"latencies": [301.0]}),
        ("one-queue-4", {"kept_up": 0.9}),
        ("one-queue-4", {"faults": ["1 jobs are not closed"]}),
        ("one-queue-4", {"settled": 1}),
        ("one-queue-8", {"closed": 94.0}),
        ("one-queue-8", {"operations": 37.0}),
        ("eight-queues", {"busiest_partition": 2_001}),
        ("eight-queues", {"busiest_account": 20_000}),
        ("lone-1", {"latencies": [46.0]}),
        ("lone-1", {"more": {"calls": 9}}),
        ("rest-4", {"operations": 42.0}),
        ("mix-all", {"latencies": [451.0]}),
        ("mix-all", {"operations": 55.0}),
        ("overload", {"more": {"least": 0.89, "overtaken": 0}}),
        ("overload", {"more": {"least": 1.0, "overtaken": 1}}),
        ("pause", {"more": {"least": 0.89}}),
        ("topic-silent", {"more": {"other_p95": 30, "late": 2_001, "untold": 0, "p95_after": 30}}),
        ("topic-silent", {"more": {"other_p95": 301, "late": 20, "untold": 0, "p95_after": 30}}),
        ("topic-silent", {"more": {"other_p95": 30, "late": 20, "untold": 1, "p95_after": 30}}),
        ("topic-silent", {"more": {"other_p95": 30, "late": 20, "untold": 0, "p95_after": 301}}),
        ("storage-silent", {"more": {"longest_answer": 10.1, "line_seconds": 30, "silence": 60}}),
        ("storage-silent", {"more": {"longest_answer": 9, "line_seconds": 61, "silence": 60}}),
        ("unanswered-40", {"latencies": [47.0], "more": {"tasks": 10}}),
        ("waiting-many-40", {"operations": 24.1, "more": {"tasks": 10}}),
        ("waiting-many-40", {"more": {"tasks": 121}}),
        ("slow-answers", {"latencies": [47.0]}),
        ("plain-40", {"latencies": [301.0]}),
        ("dies", {"more": {"longest": 5_001}}),
        ("freezes", {"faults": ["1 jobs were closed twice"], "more": {"longest": 100}}),
    ],
)
def test_each_goal_sees_what_falls_short(name: str, changes: dict[str, Any]) -> None:
    good = {
        "lone-1": {"calls": 8.0},
        "overload": {"least": 1.0, "overtaken": 0.0},
        "pause": {"least": 1.0},
        "topic-silent": {"other_p95": 30.0, "late": 20.0, "untold": 0.0, "p95_after": 30.0},
        "storage-silent": {"longest_answer": 9.0, "line_seconds": 30.0, "silence": 60.0},
        "dies": {"longest": 100.0},
        "freezes": {"longest": 100.0},
    }
    others = {
        other: _figures(other, more={"tasks": 10.0})
        for other in ("one-queue-1", "plain-40", "plain-8")
        if other != name
    }
    fine = {**others, name: _figures(name, more=good.get(name, {"tasks": 10.0}))}
    assert [one.what for one in judged(fine) if one.must and not one.met] == []
    short = [
        one for one in judged({**fine, name: _figures(name, **{"more": fine[name].more, **changes})}) if not one.met
    ]
    assert [one for one in short if one.must]
    assert "**NO**" in table(short)


def test_what_would_only_be_better_is_told_and_is_no_failure() -> None:
    (better,) = [one for one in judged({"rest-1": _figures("rest-1", operations=35.0)}) if not one.met]
    assert not better.must
    assert "not yet" in table([better])


def test_a_scenario_comes_with_what_it_is_compared_with() -> None:
    every = scenarios(Size())
    assert [one.name for one in chosen(every, ["unanswered-40"])] == ["plain-40", "unanswered-40"]
    assert len(chosen(every, [])) == len(every) == len({one.name for one in every})
    quick = {one.name for one in scenarios(Size(quick=True))}
    assert quick < {one.name for one in every}
    assert all(set(one.needs) <= quick for one in scenarios(Size(quick=True)))
