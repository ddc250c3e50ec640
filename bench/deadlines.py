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
_BATCH = 5
#: Seconds; routers cache policies for 3.
_POLICIES_ARE_READ_AGAIN = 4.0


async def run() -> None:
    heading("Deadlines")
    async with stage() as scene:
        await _one(scene)
        await _thousand(scene)


async def _one(scene: Stage) -> None:
    """How late a single offer expires."""
    lateness = []
    for number in range(10):
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
    batches: list[tuple[str, list[str]]] = []
    for number in range(_OFFERS // _BATCH):
        queue = await _queue(scene, f"batch{number}", 1.0)
        names = [f"{queue}-{worker}" for worker in range(_BATCH)]
        await asyncio.gather(*(scene.put(f"/routing/workers/{name}", _worker(queue, 1)) for name in names))
        batches.append((queue, names))
    await asyncio.sleep(_POLICIES_ARE_READ_AGAIN)
    moment = time.time() + _OFFERS / 10
    for queue, names in batches:
        await scene.put(f"/routing/distributionPolicies/{queue}", {"offerExpiresAfterSeconds": moment - time.time()})
        job = {"channelId": "voice", "queueId": queue}
        await asyncio.gather(*(scene.put(f"/routing/jobs/{name}", job) for name in names))
        for name in names:
            while not (await scene.wire.get(f"/routing/workers/{name}")).body["offers"]:
                await asyncio.sleep(0.02)
    expiries: list[float] = []
    while len(expiries) < _OFFERS:
        await asyncio.sleep(1)
        expiries = sorted(parse_time(one["expiresAt"]).timestamp() for one in await _offers(scene))
    line("offers out", f"{len(expiries)}, {min(expiries) - time.time():.0f} s before the first expires")
    line("they expire within", f"{expiries[-1] - expiries[0]:.1f} s; 99 % of them {expiries[-11] - expiries[0]:.1f} s")
    await asyncio.sleep(max(expiries[-1] - time.time(), 0))
    done = 0.0
    while not done:
        looked = time.time()
        if not await _any_active(scene):
            done = looked
        await asyncio.sleep(0.1)
    assert not await _offers(scene)
    line("the last one is processed after the last expiry by", f"{done - expiries[-1]:.1f} s", "under 5 s")
    line("and after the first expiry by", f"{done - expiries[0]:.1f} s")


async def _any_active(scene: Stage) -> bool:
    """Whether there is a worker yet whose offer has not expired: expiry deregisters it."""
    path: str | None = "/routing/workers?state=active&maxpagesize=1"
    while path:
        page = (await scene.wire.get(path)).body
        if page["value"]:
            return True
        path = page.get("nextLink")
    return False


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
