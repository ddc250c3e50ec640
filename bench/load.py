"""`python -m bench.load [requests a second] [seconds]`: mixed requests, 70 % of them reads, at a steady rate.

WORKERS and TIMER say in which processes the app runs; without them two serve and the timer is apart."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from bench.arguments import rate_and_seconds, topology
from bench.figures import Figure, heading, line, table, title
from bench.pace import paced
from bench.stage import Stage, stage
from local.topology import Topology


async def main(processes: Topology, rate: float, seconds: float) -> None:
    title(processes)
    async with stage(processes) as scene:
        await _prepare(scene)
        await _drive(scene, rate, seconds)


async def _prepare(scene: Stage) -> None:
    await scene.put("/routing/distributionPolicies/load", {"mode": {"kind": "longestIdle"}})
    await scene.put("/routing/queues/load", {"distributionPolicyId": "load"})
    for number in range(50):
        channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
        await scene.put(f"/routing/workers/load{number}", {"capacity": 5, "queues": ["load"], "channels": channels})
        await scene.put(f"/routing/jobs/load{number}", {"channelId": "chat", "queueId": "load"})


def _mix(scene: Stage) -> list[tuple[int, str, Callable[[int], Awaitable[int]]]]:
    async def get(path: str) -> int:
        return (await scene.wire.get(path)).status

    async def patch(path: str, body: Mapping[str, object]) -> int:
        return (await scene.wire.patch(path, body)).status

    def some() -> int:
        return random.randrange(50)

    job = {"channelId": "chat", "queueId": "load", "labels": {"language": "en", "tier": 2}}
    return [
        (30, "GetJob", lambda _: get(f"/routing/jobs/load{some()}")),
        (20, "GetWorker", lambda _: get(f"/routing/workers/load{some()}")),
        (8, "GetQueue", lambda _: get("/routing/queues/load")),
        (6, "GetJobs, a page of 20", lambda _: get("/routing/jobs?maxpagesize=20&status=active")),
        (6, "GetWorkers, a page of 20", lambda _: get("/routing/workers?maxpagesize=20")),
        (10, "UpsertJob, a new one", lambda number: patch(f"/routing/jobs/new{number}", job)),
        (10, "UpsertJob, an update", lambda number: patch(f"/routing/jobs/load{some()}", {"tags": {"n": number}})),
        (10, "UpsertWorker", lambda number: patch(f"/routing/workers/load{some()}", {"tags": {"n": number}})),
    ]


async def _drive(scene: Stage, rate: float, seconds: float) -> None:
    mix = _mix(scene)
    weights = [one[0] for one in mix]
    taken: dict[str, list[float]] = {}
    statuses: Counter[int] = Counter()
    memory = [scene.app_memory()]
    tasks: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        _, name, action = random.choices(mix, weights)[0]
        started = time.perf_counter()
        statuses[await action(number)] += 1
        taken.setdefault(name, []).append((time.perf_counter() - started) * 1000)

    started = time.perf_counter()
    async for number in paced(rate, int(rate * seconds)):
        task = asyncio.create_task(one(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if number % max(int(rate * 10), 1) == 0:
            memory.append(scene.app_memory())
    await asyncio.gather(*tasks)
    elapsed = time.perf_counter() - started
    memory.append(scene.app_memory())
    every = Figure("all", [one for some in taken.values() for one in some])
    heading(f"{rate:g} mixed requests a second for {seconds:g} s (wanted: p95 under 250 ms)")
    line("answered", f"{len(every.milliseconds)}, {len(every.milliseconds) / elapsed:.1f} a second")
    line("statuses", ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
    line("memory of the app's largest process", " ".join(f"{one:.0f}" for one in memory) + " MB", "flat, under 200 MB")
    table([every, *(Figure(name, some) for name, some in sorted(taken.items()))])


if __name__ == "__main__":
    given = rate_and_seconds("bench.load", __doc__, 100, 60)
    asyncio.run(main(topology(), *given))
