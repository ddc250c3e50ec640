"""Many at the same moment, and kill -9 at any moment: two real processes that serve, one for the timer, real tables,
real events."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from scripts.event_run import Subscriber
from tests.acceptance.histories import Histories
from tests.eventually import eventually_async
from tests.local_router import LocalRouter
from tests.raw_wire import Answer, PatientWire, RawWire

pytestmark = [pytest.mark.ours, pytest.mark.slow, pytest.mark.timeout(600)]

StartRouter = Callable[..., LocalRouter]
#: How long the app is under load and killed again and again.
SECONDS = float(os.environ.get("ROUTER_RACES_SECONDS", "12"))
CHANNELS = [{"channelId": "voice", "capacityCostPerJob": 1}]


@pytest.fixture
async def wire(start_router: StartRouter) -> AsyncIterator[tuple[LocalRouter, RawWire]]:
    router = start_router(workers=2)
    async with PatientWire(router.port, router.key, connections=64) as wire:
        yield router, wire


async def every(wire: RawWire, path: str, **query: Any) -> list[dict[str, Any]]:
    """All resources of a list."""
    found: list[dict[str, Any]] = []
    page = (await wire.get(path, query={"maxpagesize": 500, **query})).expect(200)
    while True:
        found += page["value"]
        if "nextLink" not in page:
            return found
        page = (await wire.get(page["nextLink"])).expect(200)


async def workers_of(wire: RawWire, queue: str) -> list[dict[str, Any]]:
    return await every(wire, "/routing/workers", state="all", queueId=queue)


def offers_of(workers: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Worker, offer and job of all live offers."""
    return [(one["id"], offer["offerId"], offer["jobId"]) for one in workers for offer in one["offers"]]


async def test_of_many_who_accept_at_the_same_moment_one_gets_the_job(wire: tuple[LocalRouter, RawWire]) -> None:
    """200 offers of 40 jobs, each held by 5 of 50 workers, all accepted at once."""
    _, http = wire
    mode = {"kind": "longestIdle", "minConcurrentOffers": 1, "maxConcurrentOffers": 5}
    queue = await http.queue(distributionPolicyId=await http.policy(mode=mode, offerExpiresAfterSeconds=600))
    await asyncio.gather(
        *(http.worker(queue, capacity=10, channels=CHANNELS, availableForOffers=True) for _ in range(50))
    )
    jobs: list[str] = []
    for _ in range(10):
        jobs += [path.rpartition("/")[2] for path in await asyncio.gather(*(http.job(queue) for _ in range(4)))]

    async def offered() -> list[tuple[str, str, str]]:
        held = offers_of(await workers_of(http, queue))
        assert Counter(job for _, _, job in held) == dict.fromkeys(jobs, 5)
        return held

    held = await eventually_async(offered, "each job is offered to five workers", 120, pause=1)
    assert len({worker for worker, _, _ in held}) >= 20, "no worker holds more than ten"
    random.Random(1).shuffle(held)
    answers = await asyncio.gather(
        *(http.post(f"/routing/workers/{worker}/offers/{offer}:accept") for worker, offer, _ in held)
    )
    statuses: dict[str, Counter[int]] = {job: Counter() for job in jobs}
    winners: dict[str, tuple[str, str]] = {}
    for (worker, _, job), answer in zip(held, answers, strict=True):
        statuses[job][answer.status] += 1
        if answer.status == 200:
            assert (answer.body["jobId"], answer.body["workerId"]) == (job, worker)
            winners[job] = (worker, answer.body["assignmentId"])
    assert statuses == {job: Counter({200: 1, 409: 4}) for job in jobs}

    async def at_rest() -> bool:
        workers = {one["id"]: one for one in await workers_of(http, queue)}
        assert not offers_of(list(workers.values())), "the others are revoked"
        assigned = {
            (one["id"], held["jobId"], held["assignmentId"]) for one in workers.values() for held in one["assignedJobs"]
        }
        assert assigned == {(worker, job, assignment) for job, (worker, assignment) in winners.items()}
        assert all(one["loadRatio"] == len(one["assignedJobs"]) / 10 for one in workers.values())
        return True

    await eventually_async(at_rest, "nobody holds more than what was accepted", 40, pause=0.3)
    for job in jobs:
        found = (await http.get(f"/routing/jobs/{job}")).expect(200)
        assert (found["status"], list(found["assignments"])) == ("assigned", [winners[job][1]])


class Shift:
    """Clients that go on whatever happens to the app, and remember what was acknowledged."""

    CAPACITY = 3

    def __init__(self, wire: RawWire, seed: int) -> None:
        self.wire = wire
        self.chance = random.Random(seed)
        self.queues: list[str] = []
        self.workers: list[str] = []
        self.jobs: list[str] = []
        self.accepted: dict[tuple[str, str], str] = {}
        self.over: dict[str, str] = {}
        self.failures: list[str] = []
        self.answers: Counter[int] = Counter()

    async def set_up(self) -> None:
        policy = await self.wire.policy(offerExpiresAfterSeconds=600)
        self.queues = [await self.wire.queue(distributionPolicyId=policy) for _ in range(2)]
        for number in range(8):
            queues = self.queues if number % 2 else self.queues[:1]
            path = await self.wire.worker(*queues, capacity=self.CAPACITY, channels=CHANNELS, availableForOffers=True)
            self.workers.append(path.rpartition("/")[2])

    async def ask(self, method: str, path: str, body: Any = None) -> Answer | None:
        """The answer; None when the app was away. Whatever it answers must be an answer that the API has."""
        try:
            answer = await self.wire.send(method, path, body)
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(0.2)
            return None
        self.answers[answer.status] += 1
        if answer.status not in (200, 201, 204, 400, 404, 409, 429, 503):
            self.failures.append(f"{method} {path}: {answer.status} {answer.content[:200]!r}")
        return answer

    async def work(self, until: float) -> None:
        await asyncio.gather(self._customers(until), *(self._agent(worker, until) for worker in self.workers))

    async def _customers(self, until: float) -> None:
        while time.monotonic() < until:
            job = self.wire.id("job")
            body = {
                "channelId": "voice",
                "queueId": self.chance.choice(self.queues),
                "priority": self.chance.randint(1, 3),
            }
            answer = await self.ask("PATCH", f"/routing/jobs/{job}", body)
            if answer is not None and answer.status == 201:
                self.jobs.append(job)
            if self.jobs and self.chance.random() < 0.1:
                gone = self.chance.choice(self.jobs)
                answer = await self.ask("POST", f"/routing/jobs/{gone}:cancel")
                if answer is not None and answer.status == 200:
                    self.over[gone] = "cancelled"
            await asyncio.sleep(self.chance.random() * 0.3)

    async def _agent(self, worker: str, until: float) -> None:
        while time.monotonic() < until:
            await self.step(worker, self.chance.random)
            await asyncio.sleep(self.chance.random() * 0.4)

    async def step(self, worker: str, chance: Callable[[], float]) -> bool:
        """Answers its offers, and ends what it is assigned to. Whether it had anything to do."""
        answer = await self.ask("GET", f"/routing/workers/{worker}")
        if answer is None or answer.status != 200:
            return True
        found = answer.body
        for offer in found["offers"]:
            decline = chance() < 0.2
            act = "decline" if decline else "accept"
            answer = await self.ask("POST", f"/routing/workers/{worker}/offers/{offer['offerId']}:{act}")
            if answer is not None and answer.status == 200 and not decline:
                self.accepted[offer["jobId"], worker] = answer.body["assignmentId"]
        for held in found["assignedJobs"]:
            if chance() < 0.6:
                path = f"/routing/jobs/{held['jobId']}/assignments/{held['assignmentId']}"
                await self.ask("POST", f"{path}:complete")
                answer = await self.ask("POST", f"{path}:close")
                if answer is not None and answer.status == 200:
                    self.over[held["jobId"]] = "closed"
        return bool(found["offers"] or found["assignedJobs"])

    async def check_rest(self) -> bool:
        """What must hold when nothing is going on any more."""
        wire = self.wire
        jobs = {one["id"]: one for one in await every(wire, "/routing/jobs", status="all")}
        workers = {one["id"]: one for queue in self.queues for one in await workers_of(wire, queue)}
        assert set(self.jobs) <= set(jobs), "an acknowledged job is not there"
        for id, status in self.over.items():
            assert jobs[id]["status"] == status, f"{id} was acknowledged to be {status}"
        assigned: dict[str, str] = {}
        for job in jobs.values():
            open_ones = [one for one in job["assignments"].values() if "closedAt" not in one]
            assert len(open_ones) == (1 if job["status"] in ("assigned", "completed") else 0), job
            assert job["status"] in ("queued", "assigned", "completed", "closed", "cancelled"), job
            for one in open_ones:
                assigned[one["assignmentId"]] = one["workerId"]
        held = {one["assignmentId"]: worker for worker in workers for one in workers[worker]["assignedJobs"]}
        assert held == assigned, "capacity is leaked, or an assignment forgotten"
        offered = [offer["jobId"] for worker in workers.values() for offer in worker["offers"]]
        assert len(offered) == len(set(offered))
        assert all(jobs[job]["status"] == "queued" for job in offered), "an offer of a job that does not wait"
        for worker in workers.values():
            used = sum(one["capacityCost"] for one in (*worker["offers"], *worker["assignedJobs"]))
            assert used <= worker["capacity"]
            assert worker["loadRatio"] == pytest.approx(used / worker["capacity"])
        for job in jobs.values():
            if job["status"] == "queued" and job["id"] not in offered:
                await self._check_nobody_qualifies(job["id"])
        return True

    async def _check_nobody_qualifies(self, job: str) -> None:
        page = (await self.wire.get(f"/routing/jobs/{job}/explain", query={"maxpagesize": 500})).expect(200)
        idle = [one["workerId"] for one in page["workers"] if one["qualifies"]]
        assert not idle, f"{job} waits while {idle} could take it"

    async def finish(self) -> bool:
        """Takes everything to its end; true when nothing is left. Workers whom all declined jobs register again."""
        for worker in self.workers:
            await self.step(worker, lambda: 0.5)
        left = await every(self.wire, "/routing/jobs", status="queued")
        left += await every(self.wire, "/routing/jobs", status="assigned")
        left += await every(self.wire, "/routing/jobs", status="completed")
        if left and not offers_of([one for queue in self.queues for one in await workers_of(self.wire, queue)]):
            for worker in self.workers:
                for available in (False, True):
                    await self.ask("PATCH", f"/routing/workers/{worker}", {"availableForOffers": available})
        return not left


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    subscriber = Subscriber()
    try:
        yield subscriber
    finally:
        subscriber.close()


@pytest.fixture
async def told_wire(start_router: StartRouter, subscriber: Subscriber) -> AsyncIterator[tuple[LocalRouter, RawWire]]:
    router = start_router(workers=2, environment={"ROUTER_EVENT_SUBSCRIBERS": subscriber.url})
    async with PatientWire(router.port, router.key, connections=64) as wire:
        yield router, wire


async def test_killed_at_any_moment_under_load(told_wire: tuple[LocalRouter, RawWire], subscriber: Subscriber) -> None:
    router, http = told_wire
    seed = int(os.environ.get("ROUTER_RACES_SEED", str(random.SystemRandom().randrange(10_000))))
    print(f"ROUTER_RACES_SEED={seed}")
    shift, chance = Shift(http, seed), random.Random(seed)
    await shift.set_up()
    until = time.monotonic() + SECONDS
    load = asyncio.create_task(shift.work(until))
    kills = 0
    try:
        while time.monotonic() < until:
            await asyncio.sleep(min(1 + chance.random() * 4, max(until - time.monotonic(), 0)))
            if kills and chance.random() < 0.5:
                await asyncio.to_thread(router.kill_process, chance.choice(router.topology.processes).name)
            else:
                await asyncio.to_thread(router.kill_app)
                await asyncio.to_thread(router.start_app)
            kills += 1
        await load
    finally:
        load.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await load
    assert kills >= 1
    assert not shift.failures
    assert len(shift.jobs) > 5, "there was some load"
    await eventually_async(shift.check_rest, "everything is at rest", 60, pause=0.5)
    accepts = [
        await shift.ask("POST", f"/routing/workers/{worker}/offers/{offer}:accept")
        for queue in shift.queues
        for worker, offer, _ in offers_of(await workers_of(http, queue))
    ]
    assert {answer.status for answer in accepts if answer} <= {200}, "an offer that cannot be accepted"
    await eventually_async(shift.finish, "every job is brought to its end", 60, pause=0.2)
    await eventually_async(shift.check_rest, "everything is at rest again", 30, pause=0.5)
    loads = {one["id"]: one["loadRatio"] for queue in shift.queues for one in await workers_of(http, queue)}
    assert loads == dict.fromkeys(shift.workers, 0), "capacity is leaked"
    assert not shift.failures
    histories, rested = Histories(http, subscriber.events), time.monotonic()
    told = [
        *((job, "JobReceived", "") for job in shift.jobs),
        *((job, "WorkerOfferAccepted", assignment) for (job, _), assignment in shift.accepted.items()),
        *((job, "JobClosed" if how == "closed" else "JobCancelled", "") for job, how in shift.over.items()),
    ]
    await eventually_async(lambda: histories.check(told), "each change is told once", 120, pause=2)
    await eventually_async(lambda: histories.counted(*shift.queues), "reports count what happened", 120, pause=2)
    number = {"events": len(subscriber.events), "jobs": len(shift.jobs), "kills": kills}
    print(f"{number}, told and counted within {time.monotonic() - rested:.0f} s")
