"""A thousand requests at a time in one process, many of them with the largest bodies: it answers each, and lives."""

from __future__ import annotations

import asyncio
import json
from typing import Final

import aiohttp

from router.wire.parse import MAX_BODY_BYTES
from tests.hostile.ground import Ground, Tally
from tests.raw_wire import RawWire

_AT_ONCE: Final = 1_000
_EXPECTED: Final = (200, 201, 400, 404, 413, 429, 503)


async def attack(ground: Ground, tally: Tally) -> None:
    label = "x" * 16_000
    most = {f"k{number}": label for number in range((MAX_BODY_BYTES - 2_000) // (len(label) + 12))}
    large = json.dumps({"channelId": "voice", "queueId": "none", "labels": most}).encode()
    small = json.dumps({"channelId": "voice", "queueId": await ground.wire.queue()}).encode()
    async with RawWire(ground.wire.port, ground.wire.key, connections=_AT_ONCE) as wire:
        while ground.goes_on():
            bodies = [ground.chance.choice((large, large, small, None)) for _ in range(_AT_ONCE)]
            await asyncio.gather(*(_one(wire, body, tally) for body in bodies))


async def _one(wire: RawWire, body: bytes | None, tally: Tally) -> None:
    path = f"/routing/jobs/{wire.id('job')}"
    try:
        answer = await (wire.patch(path, body) if body is not None else wire.get(path))
    except aiohttp.ClientError as error:
        tally.tried(False, f"a request among many was not answered: {error!r}")
        return
    except TimeoutError:
        tally.tried(False, "a request among many had no answer in time")
        return
    told = answer.status not in (429, 503) or bool(answer.headers.get("Retry-After"))
    tally.tried(told and answer.status in _EXPECTED, f"a request among many: {answer.status} {answer.content[:100]!r}")
