"""Short stories in a calm world: one queue, one process, everything the services do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from router.models.jobs import RouterJobInput
from router.models.workers import RouterWorkerInput
from router.usecases import jobs as job_usecases
from router.usecases import settings as setting_usecases
from router.usecases import workers as worker_usecases
from tests.sim.process import Process
from tests.sim.weather import CALM
from tests.sim.workload import anything
from tests.sim.world import World


async def queue(process: Process, queue_id: str = "queue", mode: str = "longestIdle", **fields: Any) -> None:
    await distribution(process, "policy", kind=mode)
    await setting(process, "Queue", queue_id, {"distributionPolicyId": "policy", **fields})


async def distribution(process: Process, id: str, **mode: Any) -> None:
    policy = {"offerExpiresAfterSeconds": 600.0, "mode": {"kind": "longestIdle", **mode}}
    await setting(process, "DistributionPolicy", id, policy)


async def setting(process: Process, kind: str, id: str, document: dict[str, Any]) -> None:
    await process.call(setting_usecases.upsert, kind, id, lambda _: document, anything)


async def worker(process: Process, worker_id: str, capacity: int = 1, **fields: Any) -> None:
    wanted = RouterWorkerInput.model_validate(
        {
            "queues": ["queue"],
            "capacity": capacity,
            "channels": [{"channelId": "chat", "capacityCostPerJob": 1}],
            "availableForOffers": True,
            **fields,
        }
    )
    await process.call(worker_usecases.upsert, worker_id, lambda _: wanted, anything)


async def job(process: Process, job_id: str, queue_id: str = "queue", **fields: Any) -> None:
    wanted = RouterJobInput.model_validate({"channelId": "chat", "queueId": queue_id, **fields})
    await process.call(job_usecases.upsert, job_id, lambda _: wanted, anything)


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
