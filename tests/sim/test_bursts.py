"""Jobs that come in the same instant spread over the workers as jobs that come one by one do."""

from __future__ import annotations

import asyncio

import pytest

from tests.sim import scene
from tests.sim.process import Process
from tests.sim.world import World

WORKERS = 5


@pytest.mark.parametrize("jobs", [WORKERS, 2 * WORKERS, 2 * WORKERS + 3])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mode", ["longestIdle", "roundRobin", "bestWorker"])
def test_a_burst_spreads_evenly(mode: str, seed: int, jobs: int) -> None:
    """The least loaded and the longest idle first, or each in turn; here all are equally good
    (docs/behaviour.md, "Order of workers")."""

    async def story(_: World, process: Process) -> None:
        await _team(process, mode)
        await asyncio.gather(*(scene.job(process, f"job{number}") for number in range(jobs)))
        await asyncio.sleep(5)

    held = _held(scene.tell(story, seed))
    assert sum(held) == jobs
    assert max(held) - min(held) <= 1, held


@pytest.mark.parametrize("seed", range(5))
def test_round_robin_goes_on_behind_a_burst(seed: int) -> None:
    """Whoever had its turn last in a burst is where the next one starts from."""

    async def story(_: World, process: Process) -> None:
        await _team(process, "roundRobin")
        for burst in range(WORKERS):
            await asyncio.gather(*(scene.job(process, f"job{burst}-{number}") for number in range(3)))
            await asyncio.sleep(5)

    assert _held(scene.tell(story, seed)) == [3] * WORKERS


async def _team(process: Process, mode: str) -> None:
    await scene.queue(process, mode=mode)
    for number in range(WORKERS):
        await scene.worker(process, f"worker{number}", capacity=10)
    await asyncio.sleep(5)


def _held(world: World) -> list[int]:
    """How many offers each worker has."""
    return [len(scene.offers(world, f"worker{number}")) for number in range(WORKERS)]
