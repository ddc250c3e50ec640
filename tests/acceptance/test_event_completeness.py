"""Many whole jobs while the subscriber fails every fifth delivery and the topic is killed twice: nothing is missing.

EVENT_JOBS=500 python -m pytest tests/acceptance/test_event_completeness.py    # more of them, for longer
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.communication.jobrouter import models as m
from azure.communication.jobrouter.aio import JobRouterAdministrationClient, JobRouterClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError

from local.options import DEVELOPMENT_KEY, ROOT
from scripts.event_run import Event, EventRun, Subscriber, free_ports, running_router, type_of, wait_for
from tests.acceptance.event_checker import JobHistory, WorkerHistory, complaints

JOBS = int(os.environ.get("EVENT_JOBS", "60"))
AT_ONCE = 10
WORKERS_PER_QUEUE = 5
FAILING = 0.2
TOPIC_KEY = base64.b64encode(b"a topic that is killed").decode()


class KilledTopic:
    """The local topic in a process that this test may kill."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.folder = folder
        # The router's start writes its subscriptions there; the topic follows the file.
        self.subscriptions = folder / "subscriptions.json"
        self.subscriptions.write_text("[]")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / "killed-topic.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "local.topic", "--port", str(self.port), "--key", TOPIC_KEY),
                    *("--data-dir", str(self.folder / "killed-topic"), "--subscriptions", str(self.subscriptions)),
                    *("--retry-schedule", "0.1,0.2,0.5,1"),
                ],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(self.state, "the topic")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def state(self) -> dict[str, Any] | None:
        request = urllib.request.Request(f"{self.url}/admin/state", headers={"aeg-sas-key": TOPIC_KEY})
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return dict(json.load(answer))
        except OSError:
            return None

    def follows(self, subscriptions: int) -> bool:
        known = (self.state() or {}).get("subscriptions", {})
        return len(known) == subscriptions and all(one["validated"] for one in known.values())


class Deliveries:
    """What the subscriber says to a delivery, and the news that go to the test's event loop."""

    def __init__(self) -> None:
        self.random = random.Random(20)
        self.failed = 0
        self.taken = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.listener: Callable[[Event], None] = lambda event: None

    def __call__(self, events: list[Event]) -> int:
        if self.random.random() < FAILING:
            self.failed += 1
            return 500
        self.taken += 1
        if self.loop is not None and not self.loop.is_closed():
            for event in events:
                self.loop.call_soon_threadsafe(self.listener, event)
        return 200


class CallCentre:
    """An application that lives on events: it takes each offer and works on the job, in one of five ways."""

    def __init__(self, client: JobRouterClient) -> None:
        self.client = client
        self.jobs: dict[str, JobHistory] = {}
        self.ways: dict[str, str] = {}
        self.seen: set[str] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.faults: list[BaseException] = []
        self.over = 0
        self.limit = asyncio.Semaphore(AT_ONCE)

    def on_event(self, event: Event) -> None:
        if event["id"] in self.seen or not type_of(event).endswith("RouterWorkerOfferIssued"):
            return
        self.seen.add(event["id"])
        task = asyncio.get_running_loop().create_task(self.work(event["data"]))
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.faults.append(error)

    async def create(self, number: int, queue: str) -> None:
        job, way = f"job-{number}", ("plain", "cancel", "decline", "unassign", "delete")[number % 5]
        self.jobs[job], self.ways[job] = JobHistory(job, None), way
        async with self.limit:
            await self.client.upsert_job(job, m.RouterJob(channel_id="voice", queue_id=queue, priority=1))
            if way == "cancel":
                await self.client.cancel_job(job, m.CancelJobOptions(disposition_code=f"Hung up {number}"))
                self.over += 1

    async def work(self, offer: dict[str, Any]) -> None:
        job, worker, offer_id = offer["jobId"], offer["workerId"], offer["offerId"]
        history, way = self.jobs[job], self.ways[job]
        async with self.limit:
            try:
                if way == "decline" and not history.declined:
                    history.declined.append(offer_id)
                    await self.client.decline_job_offer(worker, offer_id)
                    return
                accepted = await self.client.accept_job_offer(worker, offer_id)
            except HttpResponseError as error:
                if error.status_code not in (404, 409):
                    raise
                if offer_id in history.declined:
                    history.declined.remove(offer_id)
                return  # revoked in the meantime: cancelled, or another worker was faster
            assignment = accepted.assignment_id
            if way == "unassign" and not history.unassigned:
                history.unassigned.append(assignment)
                await self.client.unassign_job(job, assignment)
                return
            await self.client.complete_job(job, assignment)
            await self.client.close_job(job, assignment, m.CloseJobOptions(disposition_code=f"Solved {job}"))
            if way == "delete":
                history.final = (await self.client.get_job(job)).as_dict()
                history.deleted = True
                await self.client.delete_job(job)
            self.over += 1

    async def until_over(self, jobs: int, seconds: float = 600) -> None:
        async with asyncio.timeout(seconds):
            while self.over < jobs:
                if self.faults:
                    raise self.faults[0]
                await asyncio.sleep(0.05)


@pytest.fixture
def deliveries() -> Deliveries:
    return Deliveries()


@pytest.fixture
def topic(tmp_path: Path) -> Iterator[KilledTopic]:
    topic = KilledTopic(tmp_path)
    topic.start()
    yield topic
    topic.kill()


@pytest.fixture
def run(tmp_path: Path, topic: KilledTopic, deliveries: Deliveries) -> Iterator[EventRun]:
    settings = {"ROUTER_EVENTGRID_ENDPOINT": topic.url, "ROUTER_EVENTGRID_KEY": TOPIC_KEY, "WORKERS": "2"}
    with running_router(tmp_path, Subscriber(deliveries), **settings) as run:
        subscriptions = len(json.loads(topic.subscriptions.read_text()))
        wait_for(lambda: topic.follows(subscriptions), "the topic to know its subscribers")
        yield run


async def set_up(
    admin: JobRouterAdministrationClient, client: JobRouterClient
) -> tuple[list[str], list[WorkerHistory]]:
    queues, workers = [], []
    for number, offers_at_once in enumerate((1, 2)):
        policy, queue = f"policy-{number}", f"queue-{number}"
        mode = m.LongestIdleMode(max_concurrent_offers=offers_at_once)
        await admin.upsert_distribution_policy(policy, m.DistributionPolicy(offer_expires_after_seconds=600, mode=mode))
        await admin.upsert_queue(queue, m.RouterQueue(distribution_policy_id=policy))
        queues.append(queue)
        for place in range(WORKERS_PER_QUEUE):
            worker = f"worker-{number}-{place}"
            channel = m.RouterChannel(channel_id="voice", capacity_cost_per_job=1)
            await client.upsert_worker(
                worker, m.RouterWorker(capacity=4, queues=[queue], channels=[channel], available_for_offers=True)
            )
            workers.append(WorkerHistory(worker))
    return queues, workers


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_subscriber_has_every_event_that_the_final_state_implies(
    run: EventRun, topic: KilledTopic, deliveries: Deliveries
) -> None:
    key = AzureKeyCredential(DEVELOPMENT_KEY)
    async with (
        JobRouterClient(run.endpoint, key, use_env_settings=False) as client,
        JobRouterAdministrationClient(run.endpoint, key) as admin,
    ):
        queues, workers = await set_up(admin, client)
        centre = CallCentre(client)
        deliveries.loop, deliveries.listener = asyncio.get_running_loop(), centre.on_event
        creating = asyncio.gather(*(centre.create(number, queues[number % 2]) for number in range(JOBS)))
        for share in (3, 2):
            await centre.until_over(JOBS // share)
            topic.kill()
            await asyncio.sleep(0.5)  # requests go on meanwhile, and must succeed
            await asyncio.to_thread(topic.start)
        await creating
        await centre.until_over(JOBS)
        for worker in workers:
            await client.upsert_worker(worker.id, m.RouterWorker(available_for_offers=False))
            worker.deregistered += 1
        for history in centre.jobs.values():
            if not history.deleted:
                history.final = (await client.get_job(history.id)).as_dict()
        histories = list(centre.jobs.values())

        def left() -> list[str]:
            return complaints(histories, workers, own(run.subscriber.events))

        async with asyncio.timeout(60):
            while left():  # noqa: ASYNC110 (nothing tells when)
                await asyncio.sleep(0.5)
        await asyncio.gather(*centre.tasks)
    events = own(run.subscriber.events)
    assert not complaints(histories, workers, events)
    assert deliveries.failed > 0.15 * (deliveries.failed + deliveries.taken)
    check_the_checker(histories, workers, events)


def own(events: list[Event]) -> list[Event]:
    """The events that histories speak of: not the updates that a worker's PATCH tells as well."""
    return [event for event in list(events) if not type_of(event).endswith("RouterWorkerUpdated")]


def check_the_checker(histories: list[JobHistory], workers: list[WorkerHistory], events: list[Event]) -> None:
    """It must miss an event of each type when that is taken away, and see one that is doubled under a new id."""
    by_type = {type_of(event): event for event in events}
    assert len(by_type) >= 12
    for name, gone in by_type.items():
        assert complaints(histories, workers, [event for event in events if event["id"] != gone["id"]]), name
        assert complaints(histories, workers, [*events, {**gone, "id": "another"}]), name
        assert complaints(histories, workers, [*events, {**gone, "subject": "another"}]), name
