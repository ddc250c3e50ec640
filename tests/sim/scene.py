"""Short stories in a calm world: one queue, one process, everything the services do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from router.models.jobs import RouterJobInput
from router.models.workers import RouterWorkerInput
from router.service import job_api, resource_api, worker_api
from tests.sim.process import Process
from tests.sim.weather import CALM
from tests.sim.workload import anything
from tests.sim.world import World


async def queue(process: Process, queue_id: str = "queue", mode: str = "longestIdle") -> None:
    policy = {"offerExpiresAfterSeconds": 600.0, "mode": {"kind": mode}}
    wanted = {"distributionPolicyId": "policy"}
    await process.call(resource_api.upsert, "DistributionPolicy", "policy", lambda _: policy, anything)
    await process.call(resource_api.upsert, "Queue", queue_id, lambda _: wanted, anything)


async def worker(process: Process, worker_id: str, capacity: int = 1) -> None:
    wanted = RouterWorkerInput.model_validate(
        {
            "queues": ["queue"],
            "capacity": capacity,
            "channels": [{"channelId": "chat", "capacityCostPerJob": 1}],
            "availableForOffers": True,
        }
    )
    await process.call(worker_api.upsert, worker_id, lambda _: wanted, anything)


async def job(process: Process, job_id: str, queue_id: str = "queue") -> None:
    wanted = RouterJobInput.model_validate({"channelId": "chat", "queueId": queue_id})
    await process.call(job_api.upsert, job_id, lambda _: wanted, anything)


def tell(story: Callable[[World, Process], Awaitable[None]], seed: int = 1) -> World:
    """Tells the story in a world of the seed; afterwards that holds what every row last said."""
    world = World(seed, CALM)

    async def told() -> None:
        await story(world, world.start_process())

    try:
        world.loop.run(world.outside.run(world.loop.create_task, told()))
    finally:
        world.end()
    assert not world.history.faults
    return world


def offers(world: World, worker_id: str) -> list[Any]:
    return world.history.workers[worker_id].worker.offers
