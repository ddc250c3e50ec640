"""An agent that is told of offers by events and never asks: it accepts, works, completes and closes.

    .venv/bin/python examples/event_driven_agent.py                                      # listens on PORT, 3000
    .venv/bin/jobrouter listen --forward-to http://localhost:3000/events                 # in another terminal

Environment: ROUTER_ENDPOINT and ROUTER_ACCESS_KEY (default: the local router). On Azure an Event Grid subscription
takes the place of `jobrouter listen` (docs/events.md). Give it jobs of channel "chat" in queue "agents"."""

from __future__ import annotations

import asyncio
import os

from aiohttp import web
from azure.communication.jobrouter.aio import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import LongestIdleMode, RouterChannel
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError

ENDPOINT = os.environ.get("ROUTER_ENDPOINT", "http://localhost:7071")
KEY = AzureKeyCredential(os.environ.get("ROUTER_ACCESS_KEY", "riaetDPYYWeahqIrcCZOezIrKGzEDrgUGF4epxH7GR8="))
AGENT, QUEUE = os.environ.get("AGENT", "ada"), os.environ.get("QUEUE", "agents")


class Agent:
    def __init__(self, router: JobRouterClient) -> None:
        self._router = router
        self._seen: set[str] = set()
        self._work: set[asyncio.Task[None]] = set()

    async def receive(self, request: web.Request) -> web.Response:
        for event in await request.json():
            data = event["data"]
            if "validationCode" in data:  # the handshake
                return web.json_response({"validationResponse": data["validationCode"]})
            is_offer = event["eventType"] == "Microsoft.Communication.RouterWorkerOfferIssued"
            if is_offer and data["workerId"] == AGENT and event["id"] not in self._seen:
                self._seen.add(event["id"])  # an event may come twice
                # Answered at once: Event Grid would send it again while the work lasts.
                task = asyncio.create_task(self._serve(data["offerId"]))
                self._work.add(task)
                task.add_done_callback(self._work.discard)
        return web.Response()

    async def _serve(self, offer_id: str) -> None:
        try:
            job = await self._router.accept_job_offer(AGENT, offer_id)
        except HttpResponseError as error:  # it has expired, or the job was cancelled
            print(f"offer {offer_id}: {error.status_code}", flush=True)
            return
        print(f"{AGENT} works on {job.job_id}", flush=True)
        await self._router.complete_job(job.job_id, job.assignment_id)
        await self._router.close_job(job.job_id, job.assignment_id)
        print(f"{AGENT} has done {job.job_id}", flush=True)


async def main() -> None:
    async with JobRouterAdministrationClient(ENDPOINT, KEY) as administration, JobRouterClient(ENDPOINT, KEY) as router:
        app = web.Application()
        app.router.add_post("/events", Agent(router).receive)
        runner = web.AppRunner(app)
        await runner.setup()
        port = int(os.environ.get("PORT", "3000"))
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await administration.upsert_distribution_policy(
            "agents", offer_expires_after_seconds=60, mode=LongestIdleMode()
        )
        await administration.upsert_queue(QUEUE, distribution_policy_id="agents")
        channel = RouterChannel(channel_id="chat", capacity_cost_per_job=1)
        await router.upsert_worker(AGENT, capacity=2, queues=[QUEUE], channels=[channel], available_for_offers=True)
        print(f"{AGENT} waits for offers at http://localhost:{port}/events", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
