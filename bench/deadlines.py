"""Deadlines: how exact one is, and how a thousand in one second are worked off."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

from bench.figures import heading, line
from bench.stage import Stage, stage
from router.models.types import parse_time

_OFFERS = 1_000
_BATCH = 10


async def run() -> None:
    heading("Deadlines")
    async with stage() as scene:
        await _one(scene)
        await _thousand(scene)


async def _one(scene: Stage) -> None:
    """How late a single offer expires."""
    lateness = []
    for number in range(5):
        queue = await _queue(scene, f"single{number}", 1.0 + number / 5)
        worker = f"single{number}"
        await scene.put(f"/routing/workers/{worker}", _worker(queue, 1))
        await scene.put(f"/routing/jobs/{worker}", {"channelId": "voice", "queueId": queue})
        expires: datetime | None = None
        while True:
            found = (await scene.wire.get(f"/routing/workers/{worker}")).body
            if found["offers"]:
                expires = parse_time(found["offers"][0]["expiresAt"])
            elif expires is not None and found["state"] == "inactive":
                break
            await asyncio.sleep(0.01)
        lateness.append(time.time() - expires.timestamp())
    line("a single offer expires late by at most", f"{max(lateness) * 1000:.0f} ms", "under 1100 ms")


async def _thousand(scene: Stage) -> None:
    """Many offers, each of another worker, that expire within one second. They are made in small batches, each with
    a policy of its own whose offers live until the same moment."""
    moment = time.time() + _OFFERS / 10
    for batch in range(_OFFERS // _BATCH):
        queue = await _queue(scene, f"batch{batch}", moment - time.time())
        names = [f"{queue}-{number}" for number in range(_BATCH)]
        await asyncio.gather(*(scene.put(f"/routing/workers/{name}", _worker(queue, 1)) for name in names))
        job = {"channelId": "voice", "queueId": queue}
        await asyncio.gather(*(scene.put(f"/routing/jobs/{name}", job) for name in names))
    expiries = [parse_time(one["expiresAt"]).timestamp() for one in await _offers(scene)]
    line("offers out", f"{len(expiries)}, expiring over {max(expiries) - min(expiries):.1f} s")
    line("all of them are out", f"{min(expiries) - time.time():.0f} s before the first expires")
    await asyncio.sleep(max(max(expiries) - time.time(), 0))
    done = 0.0
    while not done:
        looked = time.time()
        if not await _offers(scene):
            done = looked
        await asyncio.sleep(0.1)
    line("the last one is processed after the last expiry by", f"{done - max(expiries):.1f} s", "under 5 s")


async def _offers(scene: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path: str | None = "/routing/workers?maxpagesize=1000"
    while path:
        page = (await scene.wire.get(path)).body
        found += [offer for worker in page["value"] for offer in worker["offers"]]
        path = page.get("nextLink")
    return found


async def _queue(scene: Stage, name: str, seconds: float) -> str:
    await scene.put(
        f"/routing/distributionPolicies/{name}",
        {"offerExpiresAfterSeconds": seconds, "mode": {"kind": "longestIdle"}},
    )
    await scene.put(f"/routing/queues/{name}", {"distributionPolicyId": name})
    return name


def _worker(queue: str, capacity: int) -> dict[str, Any]:
    return {
        "capacity": capacity,
        "queues": [queue],
        "channels": [{"channelId": "voice", "capacityCostPerJob": 1}],
        "availableForOffers": True,
    }
