"""`python -m bench.jobs [jobs a second] [seconds]`: whole jobs, from submission to closed, at a steady rate.

Workers are agents that act on RouterWorkerOfferIssued at a webhook, as applications do."""

from __future__ import annotations

import asyncio
import os
import time

from aiohttp import web

from bench.arguments import rate_and_seconds
from bench.figures import Figure, heading, line, table
from bench.stage import Stage, stage
from local.network import choose_port

_TEAM = 60


async def main(rate: float, seconds: float) -> None:
    hook_port = choose_port(None, ())
    offers: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def hook(request: web.Request) -> web.Response:
        for event in await request.json():
            if "validationCode" in event.get("data", {}):
                return web.json_response({"validationResponse": event["data"]["validationCode"]})
            if event["eventType"].endswith("RouterWorkerOfferIssued"):
                offers.put_nowait(event["data"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", hook_port).start()
    environment = {"ROUTER_EVENT_SUBSCRIBERS": f"http://127.0.0.1:{hook_port}/"}
    async with stage(workers=int(os.environ.get("WORKERS", "1")), environment=environment) as scene:
        await _drive(scene, offers, rate, seconds)
    await runner.cleanup()


async def _drive(scene: Stage, offers: asyncio.Queue[dict[str, str]], rate: float, seconds: float) -> None:
    await scene.put("/routing/distributionPolicies/jobs", {"mode": {"kind": "longestIdle"}})
    await scene.put("/routing/queues/jobs", {"distributionPolicyId": "jobs"})
    channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
    worker = {"capacity": 1, "queues": ["jobs"], "channels": channels, "availableForOffers": True}
    for number in range(_TEAM):
        await scene.put(f"/routing/workers/agent{number}", worker)
    total = int(rate * seconds)
    submitted: dict[str, float] = {}
    to_offer: list[float] = []
    whole: list[float] = []
    problems: list[str] = []
    done = asyncio.Event()

    async def agent(data: dict[str, str]) -> None:
        job = data["jobId"]
        to_offer.append((time.perf_counter() - submitted[job]) * 1000)
        answer = await scene.wire.post(f"/routing/workers/{data['workerId']}/offers/{data['offerId']}:accept")
        if answer.status != 200:
            problems.append(f"accept {answer.status}")
            return
        path = f"/routing/jobs/{job}/assignments/{answer.body['assignmentId']}"
        for action in ("complete", "close"):
            status = (await scene.wire.post(f"{path}:{action}")).status
            if status != 200:
                problems.append(f"{action} {status}")
        whole.append((time.perf_counter() - submitted[job]) * 1000)
        if len(whole) + len(problems) >= total:
            done.set()

    async def pump(tasks: set[asyncio.Task[None]]) -> None:
        while True:
            tasks.add(asyncio.create_task(agent(await offers.get())))

    async def submit(job: str) -> None:
        submitted[job] = time.perf_counter()
        await scene.put(f"/routing/jobs/{job}", {"channelId": "voice", "queueId": "jobs"})

    tasks: set[asyncio.Task[None]] = set()
    pumping = asyncio.create_task(pump(tasks))
    memory = [scene.app_memory()]
    started = time.perf_counter()
    for number in range(total):
        tasks.add(asyncio.create_task(submit(f"job{number}")))
        if number % max(int(rate * 10), 1) == 0:
            memory.append(scene.app_memory())
        await asyncio.sleep(max(started + (number + 1) / rate - time.perf_counter(), 0))
    submitting = time.perf_counter() - started
    try:
        await asyncio.wait_for(done.wait(), 60)
    except TimeoutError:
        problems.append(f"only {len(whole)} of {total} closed")
    elapsed = time.perf_counter() - started
    pumping.cancel()
    memory.append(scene.app_memory())
    heading(f"Whole jobs at {rate:g} a second for {seconds:g} s (create, queue, offer, accept, complete, close)")
    line(
        "closed",
        f"{len(whole)} of {total}, {len(whole) / elapsed:.1f} a second, {elapsed - submitting:.1f} s after the last",
    )
    line("problems", ", ".join(problems[:5]) or "none")
    line("app memory", " ".join(f"{one:.0f}" for one in memory) + " MB", "flat, under 200 MB")
    table([Figure("submitted to offer event", to_offer), Figure("submitted to closed", whole)])


if __name__ == "__main__":
    asyncio.run(main(*rate_and_seconds("bench.jobs", __doc__, 15, 60)))
