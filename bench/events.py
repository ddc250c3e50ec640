"""Published and delivered over the local topic, beside a bare HTTP post to the same kind of listener."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import aiohttp
from aiohttp import web

from bench.figures import Figure, heading, table
from bench.stage import running_parts, start_router
from local.network import choose_port
from router.events.publisher import EventPublisher
from router.events.topic import Topic
from router.models.events import PendingEvent

_TIMES = 300


def _bare_listener(port: int, ready: Connection) -> None:
    """A webhook in a process of its own, as a subscriber is."""

    async def main() -> None:
        async def take(request: web.Request) -> web.Response:
            await request.read()
            return web.Response()

        app = web.Application()
        app.router.add_post("/", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.send(True)
        await asyncio.Event().wait()

    asyncio.run(main())


async def run() -> None:
    port, hook_port = choose_port(None, ()), choose_port(None, ())
    mine, theirs = multiprocessing.Pipe()
    listener = multiprocessing.Process(target=_bare_listener, args=(port, theirs), daemon=True)
    listener.start()
    mine.recv()
    arrived: asyncio.Queue[float] = asyncio.Queue()

    async def hook(request: web.Request) -> web.Response:
        for event in await request.json():
            if "validationCode" in event.get("data", {}):
                return web.json_response({"validationResponse": event["data"]["validationCode"]})
            arrived.put_nowait(time.perf_counter())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", hook_port).start()
    with tempfile.TemporaryDirectory() as folder:
        environment = {"ROUTER_EVENT_SUBSCRIBERS": f"http://127.0.0.1:{hook_port}/"}
        router = start_router(folder, None, environment)
        try:
            parts = running_parts(router)
            topic = Topic(f"{parts.topic_endpoint}/api/events", key=parts.topic_key)
            publisher = EventPublisher(topic)
            bare, delivered = [], []
            async with aiohttp.ClientSession() as session:
                for number in range(_TIMES + 20):
                    started = time.perf_counter()
                    async with session.post(
                        f"http://127.0.0.1:{port}/", json=[{"data": {"text": "x" * 300}}]
                    ) as answer:
                        await answer.read()
                    bare.append((time.perf_counter() - started) * 1000)
                    event = PendingEvent(
                        id=f"bench{number}",
                        type="RouterWorkerDeregistered",
                        subject=f"worker/bench{number}",
                        time=datetime.now(UTC),
                        data={"workerId": f"bench{number}", "text": "x" * 300},
                    )
                    started = time.perf_counter()
                    await asyncio.gather(publisher.publish([event], key="bench"))
                    delivered.append((await arrived.get() - started) * 1000)
            await publisher.close()
        finally:
            router.end()
            await runner.cleanup()
            listener.terminate()
    floor = Figure("a bare HTTP post", bare[20:])
    heading("One event, published and delivered (wanted: at most 3 times a bare HTTP post at p50)")
    table([floor, Figure("published to delivered", delivered[20:])], floor.p50, "post")
