"""Jobs that come in the same instant spread over the workers as jobs that come one by one do."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from router.models.jobs import RouterJobInput
from router.models.workers import RouterWorkerInput
from router.service import job_api, resource_api, worker_api
from tests.sim.process import Process
from tests.sim.weather import CALM
from tests.sim.workload import anything
from tests.sim.world import World

WORKERS = 5


@pytest.mark.parametrize("jobs", [WORKERS, 2 * WORKERS, 2 * WORKERS + 3])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mode", ["longestIdle", "roundRobin", "bestWorker"])
def test_a_burst_spreads_evenly(mode: str, seed: int, jobs: int) -> None:
    """Contract section 5: the least loaded and the longest idle first, or each in turn; here all are equally good."""
    held = _held_after(_burst(mode, jobs), seed)
    assert sum(held.values()) == jobs
    assert len(held) == WORKERS
    assert max(held.values()) - min(held.values()) <= 1, dict(held)


@pytest.mark.parametrize("seed", range(5))
def test_round_robin_goes_on_behind_a_burst(seed: int) -> None:
    """Whoever came last in the burst is where the next job starts from."""
    held = _held_after(_bursts_of_three, seed)
    assert sum(held.values()) == 3 * WORKERS
    assert set(held.values()) == {3}, dict(held)


def _burst(mode: str, jobs: int) -> Any:
    async def story(process: Process) -> None:
        await _set_up(process, mode)
        await asyncio.gather(*(_create(process, number) for number in range(jobs)))
        await asyncio.sleep(5)

    return story


async def _bursts_of_three(process: Process) -> None:
    await _set_up(process, "roundRobin")
    for number in range(0, 3 * WORKERS, 3):
        await asyncio.gather(*(_create(process, one) for one in range(number, number + 3)))
        await asyncio.sleep(5)


async def _set_up(process: Process, mode: str) -> None:
    policy = {"offerExpiresAfterSeconds": 600.0, "mode": {"kind": mode}}
    queue = {"distributionPolicyId": "policy"}
    await process.call(resource_api.upsert, "DistributionPolicy", "policy", lambda _: policy, anything)
    await process.call(resource_api.upsert, "Queue", "queue", lambda _: queue, anything)
    wanted = RouterWorkerInput.model_validate(
        {
            "queues": ["queue"],
            "capacity": 10,
            "channels": [{"channelId": "chat", "capacityCostPerJob": 1}],
            "availableForOffers": True,
        }
    )
    for number in range(WORKERS):
        await process.call(worker_api.upsert, f"worker{number}", lambda _: wanted, anything)
    await asyncio.sleep(5)


async def _create(process: Process, number: int) -> None:
    wanted = RouterJobInput.model_validate({"channelId": "chat", "queueId": "queue"})
    await process.call(job_api.upsert, f"job{number}", lambda _: wanted, anything)


def _held_after(story: Any, seed: int) -> Counter[str]:
    """How many offers each worker has after the story, told in a world of the seed."""
    world = World(random.Random(seed).randrange(1 << 30), CALM)

    async def told() -> Counter[str]:
        await story(world.start_process())
        _, workers = world.truth()
        return Counter({id: len(worker.worker.offers) for id, worker in workers.items() if worker.worker.offers})

    try:
        held = world.loop.run(world.outside.run(world.loop.create_task, told()))
    finally:
        world.end()
    assert not world.history.faults
    assert isinstance(held, Counter)
    return held
