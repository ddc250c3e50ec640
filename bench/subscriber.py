"""A webhook in this process that says when each event arrived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from local.network import choose_port


@dataclass(frozen=True)
class Arrival:
    """One event; `name` is its type without the namespace."""

    moment: float
    name: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Subscriber:
    """Each event stands in `arrivals` once, though it may be delivered more often."""

    url: str
    arrivals: asyncio.Queue[Arrival]


@asynccontextmanager
async def subscriber() -> AsyncIterator[Subscriber]:
    port = choose_port(None, ())
    listening = Subscriber(f"http://127.0.0.1:{port}/", asyncio.Queue())
    known: set[str] = set()

    async def hook(request: web.Request) -> web.Response:
        moment = time.perf_counter()
        for event in await request.json():
            if "validationCode" in event.get("data", {}):
                return web.json_response({"validationResponse": event["data"]["validationCode"]})
            if event["id"] not in known:
                known.add(event["id"])
                listening.arrivals.put_nowait(Arrival(moment, event["eventType"].rpartition(".")[2], event["data"]))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield listening
    finally:
        await runner.cleanup()
