"""Seeds of the simulation, a test that a seed replays exactly, and tests that its checks see what they are for."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim import scene
from tests.sim.__main__ import simulate
from tests.sim.process import Process
from tests.sim.rest import check_rest, is_busy
from tests.sim.run import describe
from tests.sim.virtual_loop import Stuck, VirtualLoop
from tests.sim.world import World

ROOT = Path(__file__).parents[2]
SEEDS = 100
MORE_SEEDS = int(os.environ.get("SEEDS", "500")) - SEEDS


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_seeds() -> None:
    """Whatever fails, whoever races: every invariant of the design holds in every seed."""
    _hold(0, SEEDS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_more_seeds() -> None:
    _hold(SEEDS, MORE_SEEDS)


def _hold(first: int, count: int) -> None:
    done, calls, _, failed = simulate(first, count, workers=1, stop_after=3)
    assert not failed, "\n".join(describe(outcome) for outcome in failed)
    assert done == count
    assert calls > 100 * count  # they did something


@pytest.mark.parametrize("seed", ["7", "12552", "4"])  # of three topologies
def test_a_seed_replays_exactly(seed: str) -> None:
    """In another process, with other hashes, at another time: call by call the same."""
    digests = set()
    for hash_seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-m", "tests.sim", "--seed", seed, "--trace"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        digests.add(found.stdout)
    assert len(digests) == 1
    assert found.stdout.count("\n") > 100


def test_time_jumps() -> None:
    loop = VirtualLoop()  # type: ignore[abstract]
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, loop.time()))

    async def story() -> None:
        await asyncio.gather(sleeper("late", 3600.0), sleeper("soon", 0.5), sleeper("later", 3600.0))

    loop.run(loop.create_task(story()))
    assert woken == [("soon", 0.5), ("late", 3600.0), ("later", 3600.0)]


def test_a_run_without_end_is_told() -> None:
    loop = VirtualLoop()  # type: ignore[abstract]
    with pytest.raises(Stuck):
        loop.run(loop.create_future())


def test_what_has_just_changed_does_not_rest() -> None:
    """An offer that expires when the run is judged: its events and its worker follow within moments."""

    async def story(world: World, process: Process) -> None:
        policy = {"offerExpiresAfterSeconds": 5.0, "mode": {"kind": "longestIdle"}}
        await scene.setting(process, "DistributionPolicy", "policy", policy)
        await scene.setting(process, "Queue", "queue", {"distributionPolicyId": "policy"})
        await scene.worker(process, "w")
        await scene.job(process, "j")
        await asyncio.sleep(3)
        assert not is_busy(world)
        for _ in range(10_000):
            if is_busy(world):
                break
            await asyncio.sleep(0.0005)
        assert not world.history.jobs["j"].routing.offers
        assert scene.offers(world, "w")  # the worker's row follows
        await asyncio.sleep(2)
        assert not is_busy(world)
        check_rest(world, [])

    scene.tell(story)
