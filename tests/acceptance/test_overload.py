"""One caller floods, another is calm: both on real HTTP, each with a key of his own."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from local.options import DEVELOPMENT_KEY
from tests.conftest import StartRouter
from tests.raw_wire import RawWire

pytestmark = [pytest.mark.ours, pytest.mark.timeout(240)]

OTHER_KEY = "b3RoZXIga2V5IG9mIGFub3RoZXIgY2FsbGVyLCBsb25nIGVub3VnaA=="
SECONDS = 6.0
CONNECTIONS = 300


async def test_one_who_floods_does_not_starve_another(start_router: StartRouter) -> None:
    router = start_router(environment={"ROUTER_ACCESS_KEYS": f"{DEVELOPMENT_KEY},{OTHER_KEY}"})
    statuses: Counter[int] = Counter()
    flooded: list[float] = []
    calm: list[float] = []
    async with (
        RawWire(router.port, router.key, connections=CONNECTIONS) as flood,
        RawWire(router.port, OTHER_KEY) as quiet,
    ):
        queue = await flood.queue()
        path = await quiet.worker(queue)
        ends = time.monotonic() + SECONDS

        async def submit() -> None:
            while time.monotonic() < ends:
                began = time.monotonic()
                body = {"channelId": "voice", "queueId": queue}
                answer = await flood.send("PATCH", f"/routing/jobs/{flood.id('job')}", body)
                flooded.append(time.monotonic() - began)
                statuses[answer.status] += 1
                if answer.status in (429, 503):
                    assert answer.headers["Retry-After"]
                    assert answer.error["code"] in ("TooManyRequests", "ServiceUnavailable")

        async def read() -> None:
            await asyncio.sleep(1)
            while time.monotonic() < ends:
                began = time.monotonic()
                (await quiet.get(path)).expect(200)
                calm.append(time.monotonic() - began)
                await asyncio.sleep(0.05)

        await asyncio.gather(read(), *(submit() for _ in range(CONNECTIONS)))
    flooded.sort()
    calm.sort()
    print(f"calm median {calm[len(calm) // 2]:.3f} worst {calm[-1]:.3f}; flood median {flooded[len(flooded) // 2]:.3f}")
    print(dict(statuses))
    assert set(statuses) <= {201, 429, 503}
    assert statuses[201] > 0
    assert calm[len(calm) // 2] < flooded[len(flooded) // 2] / 8
    assert calm[-1] < 10
