"""The replay is a queue as the books have it: job by job the same as a recursion, which is Erlang's in the long run."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable

import pytest

from jobrouter.whatif.erlang import erlang_a, erlang_c
from jobrouter.whatif.sources import Generated
from router.replay.play import Play
from tests.unit.whatif.whatif_days import profile, worker

WORK, PATIENCE = 300.0, 240.0


def recursion(agents: int, jobs: Iterable[tuple[float, float, float]]) -> list[tuple[float, bool]]:
    """Of jobs (coming, work, patience) in their order: the wait, and whether the customer left."""
    free = [0.0] * agents
    found: list[tuple[float, bool]] = []
    for came, work, patience in jobs:
        wait = max(free[0] - came, 0.0)
        if wait > patience:
            found.append((patience, True))
            continue
        heapq.heapreplace(free, came + wait + work)
        found.append((wait, False))
    return found


@pytest.mark.parametrize("patience", [None, PATIENCE])
def test_job_by_job(patience: float | None) -> None:
    made = profile(hours=4, rate=70, answerSeconds=0)
    job = {"share": 1, "resource": {"queueId": "q", "channelId": "voice"}, "handleSeconds": WORK}
    made["jobs"] = [job | ({"patienceSeconds": patience} if patience else {})]
    made["workers"] = [{"id": "w", "count": 6, "resource": worker()}]
    day, people = Generated(made).day(0)
    played = Play(day, people).run()
    jobs = []
    for one in day.jobs:
        came, left = people.enters(one.id), people.patience(one.id, 0)
        assert came is not None
        jobs.append((came, people.work(one.id, "voice", 0, came)[0], math.inf if left is None else left))
    expected = recursion(6, jobs)
    assert sum(wait > 0 for wait, _ in expected) > 50
    compared = 0
    for one, (wait, left_early) in zip(day.jobs, expected, strict=True):
        outcome = played.outcomes[one.id]
        if outcome.waited is not None and outcome.came + wait < 4 * 3600:  # the team goes home then
            compared += 1
            assert outcome.waited == pytest.approx(wait, abs=1e-4)
            assert outcome.abandoned is left_early
    assert compared > 200


def long_run(agents: int, load: float, patience: float | None, jobs: int) -> list[tuple[float, bool]]:
    chance, moment = random.Random(7), 0.0
    line = []
    for _ in range(jobs):
        moment += chance.expovariate(agents * load / WORK)
        left = math.inf if patience is None else chance.expovariate(1 / patience)
        line.append((moment, chance.expovariate(1 / WORK), left))
    return recursion(agents, line)


def test_erlang_c_in_the_long_run() -> None:
    found, expected = long_run(5, 0.5, None, 400_000), erlang_c(5, 2.5 / WORK, WORK)
    assert sum(wait for wait, _ in found) / len(found) == pytest.approx(expected.mean_wait, rel=0.02)
    assert sum(wait > 0 for wait, _ in found) / len(found) == pytest.approx(expected.waits, rel=0.02)
    assert sum(wait <= 20 for wait, _ in found) / len(found) == pytest.approx(expected.within, rel=0.02)


def test_erlang_a_in_the_long_run() -> None:
    found, expected = long_run(5, 1.2, PATIENCE, 200_000), erlang_a(5, 6 / WORK, WORK, PATIENCE)
    assert sum(wait for wait, _ in found) / len(found) == pytest.approx(expected.mean_wait, rel=0.02)
    assert sum(wait > 0 for wait, _ in found) / len(found) == pytest.approx(expected.waits, rel=0.02)
    assert sum(left for _, left in found) / len(found) == pytest.approx(expected.abandoned, rel=0.02)
