"""`python -m bench.viewers [viewers] [seconds]`: what viewers of the live picture cost those whose jobs are routed.

A call centre of 50 queues, 500 workers and 2,000 jobs that wait; ten jobs a second find a worker. Pairs of stretches of
the same router, without viewers and with them, each of whom asks every two seconds."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from bench.arguments import add_count, argument_parser, topology
from bench.figures import Figure, heading, line, table, title
from bench.pace import paced
from bench.stage import Stage, stage
from local.topology import Topology
from router.models.types import parse_time

_QUEUES: Final = 50
_WORKERS: Final = 500
_WAITING: Final = 2_000
_RATE: Final = 10.0
_EVERY_SECONDS: Final = 2.0
_AT_ONCE: Final = 4
_PAIRS: Final = 1
_OFFER_SECONDS: Final = 600


async def main(processes: Topology, viewers: int, seconds: int) -> None:
    title(processes)
    async with stage(processes, connections=64) as scene:
        await _prepare(scene)
        without: list[float] = []
        beside: list[float] = []
        looks: list[float] = []
        await _route(scene, "warm", 5)
        for pair in range(_PAIRS):
            without += await _route(scene, f"without{pair}", seconds)
            looking = [asyncio.create_task(_look(scene, number / viewers, looks)) for number in range(viewers)]
            try:
                beside += await _route(scene, f"with{pair}", seconds)
            finally:
                for one in looking:
                    one.cancel()
                await asyncio.gather(*looking, return_exceptions=True)
    heading(f"Routing beside {viewers} viewers of the live picture")
    figures = [Figure("submit to offer, nobody looks", without), Figure("submit to offer, with viewers", beside)]
    table([*figures, Figure("GetLive", looks)])
    ratio = figures[1].p50 / figures[0].p50 - 1
    line("median, with to without", f"{ratio:+.1%}", "5 %")


async def _prepare(scene: Stage) -> None:
    await scene.put(
        "/routing/distributionPolicies/v", {"mode": {"kind": "longestIdle"}, "offerExpiresAfterSeconds": _OFFER_SECONDS}
    )
    for number in range(_QUEUES):
        await scene.put(f"/routing/queues/q{number}", {"distributionPolicyId": "v"})
    limit = asyncio.Semaphore(_AT_ONCE)

    async def put(path: str, body: dict[str, Any]) -> None:
        async with limit:
            await scene.put(path, body)

    # Who waits asks for what nobody has; the workers are busy with nothing.
    selector = [{"key": "skill", "labelOperator": "equal", "value": "rare"}]
    waiting = [
        put(
            f"/routing/jobs/waits{number}",
            {"channelId": "chat", "queueId": f"q{number % _QUEUES}", "requestedWorkerSelectors": selector},
        )
        for number in range(_WAITING)
    ]
    channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
    workers = [
        put(
            f"/routing/workers/w{number}",
            {
                "capacity": 100,
                "queues": [f"q{number % _QUEUES}"],
                "channels": channels,
                "availableForOffers": True,
            },
        )
        for number in range(_WORKERS)
    ]
    await asyncio.gather(*waiting, *workers)


async def _route(scene: Stage, name: str, seconds: float) -> list[float]:
    """Milliseconds from the request that submits a job to its offer, whose own time tells when that was."""
    submitted: dict[str, float] = {}
    tasks: list[asyncio.Task[object]] = []
    async for number in paced(_RATE, int(_RATE * seconds)):
        job = f"{name}-{number}"
        submitted[job] = time.time()
        body = {"channelId": "voice", "queueId": f"q{number % _QUEUES}"}
        tasks.append(asyncio.create_task(scene.put(f"/routing/jobs/{job}", body)))
    await asyncio.gather(*tasks)
    await asyncio.sleep(3)
    taken = []
    for job, at in submitted.items():
        following = (await scene.wire.get(f"/routing/jobs/{job}/explain?maxpagesize=1")).body["next"]
        ends = [parse_time(step["at"]).timestamp() for step in following if step["what"] == "offerExpires"]
        taken += [(one - _OFFER_SECONDS - at) * 1000 for one in ends]
    return taken


async def _look(scene: Stage, offset: float, looks: list[float]) -> None:
    await asyncio.sleep(offset * _EVERY_SECONDS)
    etag = ""
    while True:
        started = time.perf_counter()
        headers = {"If-None-Match": etag} if etag else {}
        answer = await scene.wire.get("/routing/live", headers=headers)
        looks.append((time.perf_counter() - started) * 1000)
        assert answer.status in (200, 304), answer.status
        etag = answer.headers.get("ETag", "")
        await asyncio.sleep(max(0.0, _EVERY_SECONDS - (time.perf_counter() - started)))


if __name__ == "__main__":
    options = argument_parser("bench.viewers", __doc__)
    add_count(options, "viewers", 1, 20)
    add_count(options, "seconds", 1, 20)
    given = options.parse_args()
    asyncio.run(main(topology(workers=1), given.viewers, given.seconds))
