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
    """All offers of many workers expire within one second."""
    queue = await _queue(scene, "thousand", 60.0)
    team = 100
    for number in range(team):
        await scene.put(f"/routing/workers/crowd{number}", _worker(queue, _OFFERS // team))
    slots = asyncio.Semaphore(12)

    async def submit(number: int) -> None:
        async with slots:
            await scene.put(f"/routing/jobs/crowd{number}", {"channelId": "voice", "queueId": queue})

    await asyncio.gather(*(submit(number) for number in range(_OFFERS)))
    expiries: list[float] = []
    while len(expiries) < _OFFERS:
        await asyncio.sleep(1)
        expiries = [parse_time(one["expiresAt"]).timestamp() for one in await _offers(scene, queue)]
    line("offers out", f"{len(expiries)}, expiring over {max(expiries) - min(expiries):.1f} s")
    await asyncio.sleep(max(max(expiries) - time.time(), 0))
    while await _offers(scene, queue):
        await asyncio.sleep(0.1)
    line("the last one is processed after the last expiry by", f"{time.time() - max(expiries):.1f} s", "under 5 s")


async def _offers(scene: Stage, queue: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path: str | None = f"/routing/workers?queueId={queue}&maxpagesize=1000"
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
