"""The replay beside others' programs, where they are installed: ciw, a simulator of queues; pyworkforce's Erlang C."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from jobrouter.whatif.erlang import erlang_c
from jobrouter.whatif.sources import Generated
from router.replay.behaviour import People
from router.replay.history import Day
from router.replay.play import Play
from tests.unit.whatif.test_whatif_queueing import PATIENCE, WORK, long_run
from tests.unit.whatif.whatif_days import profile, worker

AGENTS, HOURS = 6, 10
CALM, URGENT = 1, 7


def made(patience: float | None, urgent: float) -> tuple[Day, People]:
    found = profile(hours=HOURS, rate=70, answerSeconds=0)
    resource = {"queueId": "q", "channelId": "voice"}
    more = {"handleSeconds": WORK} | ({"patienceSeconds": patience} if patience else {})
    found["jobs"] = [{"share": 1 - urgent, "resource": resource | {"priority": CALM}, **more}]
    if urgent:
        found["jobs"].append({"share": urgent, "resource": resource | {"priority": URGENT}, **more})
    found["workers"] = [{"id": "w", "count": AGENTS, "resource": worker()}]
    return Generated(found).day(0)


def simulated(ciw: Any, day: Day, people: People) -> Mapping[str, tuple[float, bool]]:
    """By ciw: how long each job of the day waits, and whether its customer leaves. Who comes, their work and their
    patience are those of the day."""
    draws: list[tuple[str, float, float]] = []
    came: dict[str, list[float]] = {"urgent": [], "calm": []}
    leaves = False
    for job in day.jobs:
        second, patience = people.enters(job.id), people.patience(job.id, 0)
        assert second is not None
        leaves = leaves or patience is not None
        draws.append((job.id, people.work(job.id, "voice", 0, second)[0], patience or float("inf")))
        came["urgent" if job.resource.priority == URGENT else "calm"].append(second)

    def of_each(column: int) -> Any:
        def sample(self: Any, t: Any = None, ind: Any = None) -> Any:
            return draws[ind.id_number - 1][column]

        return type("OfEach", (ciw.dists.Distribution,), {"sample": sample})()

    def arrivals(moments: list[float]) -> Any:
        gaps = [later - earlier for earlier, later in zip([0.0, *moments], moments, strict=False)]
        return ciw.dists.Sequential([*gaps, float("inf")])

    names = [name for name, moments in came.items() if moments]
    network = ciw.create_network(
        arrival_distributions={name: [arrivals(came[name])] for name in names},
        service_distributions={name: [of_each(1)] for name in names},
        number_of_servers=[AGENTS],
        priority_classes={name: number for number, name in enumerate(names)},
        **({"reneging_time_distributions": {name: [of_each(2)] for name in names}} if leaves else {}),
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(HOURS * 3600.0 * 2)
    return {
        draws[one.id_number - 1][0]: (one.waiting_time, one.record_type == "renege")
        for one in simulation.get_all_records()
    }


@pytest.mark.parametrize(
    ("patience", "urgent"),
    [(None, 0.0), (PATIENCE, 0.0), (None, 0.3), (PATIENCE, 0.3)],
    ids=["one line", "impatience", "priorities", "priorities and impatience"],
)
def test_ciw_simulates_the_same(patience: float | None, urgent: float) -> None:
    ciw: Any = pytest.importorskip("ciw", reason="ciw is not installed: `make setup` does it (requirements-dev.txt)")
    day, people = made(patience, urgent)
    played, expected = Play(day, people).run(), simulated(ciw, day, people)
    waits: list[tuple[float, float]] = []
    for one in played.outcomes.values():
        wait, left = expected[one.job_id]
        if one.waited is not None and one.came + wait < HOURS * 3600:  # the team goes home then
            assert one.abandoned is left, one.job_id
            waits.append((one.waited, wait))
    assert len(waits) > 0.9 * HOURS * 70
    assert sum(wait > 0 for _, wait in waits) > 100
    ours, theirs = (sum(one) / len(waits) for one in zip(*waits, strict=True))
    assert ours == pytest.approx(theirs, rel=0.02)
    for wait, other in waits:
        assert wait == pytest.approx(other, abs=1e-3), "job by job, too: the draws are the same"


def test_pyworkforce_has_the_same_erlang_c() -> None:
    """Of the formula, and of the line that the replay is job by job (test_whatif_queueing)."""
    reason = "pyworkforce is not installed: it brings solvers of 170 MB, so it is no part of requirements-dev.txt"
    queuing: Any = pytest.importorskip("pyworkforce.queuing", reason=reason)
    for agents, load in ((5, 0.5), (10, 0.8), (40, 0.9)):
        theirs = queuing.ErlangC(transactions=agents * load * 3600 / WORK, aht=WORK / 60, asa=20 / 60, interval=60)
        ours = erlang_c(agents, agents * load / WORK, WORK)
        assert ours.waits == pytest.approx(theirs.waiting_probability(agents), rel=1e-4)
        assert ours.within == pytest.approx(theirs.service_level(agents), rel=1e-4)
    theirs = queuing.ErlangC(transactions=30, aht=WORK / 60, asa=20 / 60, interval=60)
    found = long_run(5, 0.5, None, 400_000)
    assert sum(wait > 0 for wait, _ in found) / len(found) == pytest.approx(theirs.waiting_probability(5), rel=0.02)
    assert sum(wait <= 20 for wait, _ in found) / len(found) == pytest.approx(theirs.service_level(5), rel=0.02)
