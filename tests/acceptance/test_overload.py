"""One caller floods, another is calm: both on real HTTP, each with a key of his own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from local.options import DEVELOPMENT_KEY
from tests.conftest import StartRouter
from tests.eventually import eventually_async
from tests.raw_wire import Answer, RawWire

pytestmark = [pytest.mark.ours, pytest.mark.timed, pytest.mark.timeout(240)]

OTHER_KEY = "b3RoZXIga2V5IG9mIGFub3RoZXIgY2FsbGVyLCBsb25nIGVub3VnaA=="
SECONDS = 6.0
CONNECTIONS = 300
WORKERS = 6
#: Nobody waits for longer, however much comes: what cannot be done in ten seconds is refused before. Some seconds more
#: are for the client itself, which opens hundreds of connections at a moment.
LONGEST = 14.0
#: Beside which the router has one core, where the machine is slowed.
HOGS = 2
#: Labels of a job that is as large as jobs may be.
LARGE = {f"k{number}": "x" * 16_000 for number in range(9)}


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
                    # What the host refuses itself has no body, as on the platform.
                    assert not answer.content or answer.error["code"] in ("TooManyRequests", "ServiceUnavailable")

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


async def test_a_flood_of_reads_and_submissions_is_answered_in_time_and_then_drains(start_router: StartRouter) -> None:
    """Afterwards each job that was taken has ended, and none has been offered to two or lost; meanwhile the team goes
    on working. On a slow machine it is asked to try again now and then, less often than who floods."""
    router = start_router(environment={"ROUTER_ACCESS_KEYS": f"{DEVELOPMENT_KEY},{OTHER_KEY}"})
    flood = Flood()
    team = Team()
    async with (
        RawWire(router.port, router.key, connections=2 * CONNECTIONS) as theirs,
        RawWire(router.port, OTHER_KEY) as ours,
    ):
        policy = await ours.policy(offerExpiresAfterSeconds=600)
        queue = await ours.queue(distributionPolicyId=policy)
        channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
        workers = [
            await ours.worker(queue, capacity=3, channels=channels, availableForOffers=True) for _ in range(WORKERS)
        ]
        agents = asyncio.gather(*(team.work(ours, worker) for worker in workers))
        ends = time.monotonic() + SECONDS
        flooding = [flood.submit(theirs, queue, ends) for _ in range(CONNECTIONS)]
        flooding += [flood.read(theirs, workers, ends) for _ in range(CONNECTIONS)]
        await asyncio.gather(*flooding)
        during = sorted(team.took)
        ended_during = len(team.ended)
        jobs = sorted(flood.taken)

        async def drained() -> bool:
            if agents.done():  # one of them has failed: that is why
                agents.result()
            return len(team.ended) >= len(jobs) and not (await ours.get("/routing/jobs?status=active")).body["value"]

        await eventually_async(drained, "all jobs have ended", seconds=150)
        team.is_over = True
        await agents
        states = Counter([(await ours.get(path)).expect(200)["status"] for path in jobs])
        rows = [(await ours.get(path)).expect(200) for path in workers]
    print(
        f"{len(jobs)} jobs, {ended_during} ended meanwhile; answers {dict(flood.statuses)}, worst {flood.worst:.2f} s"
    )
    refused = flood.statuses[429] + flood.statuses[503]
    print(f"refused: {team.refused} of the team, {refused} of the flood")
    print(f"the team: {len(during)} requests, median {during[len(during) // 2]:.3f} s, worst {during[-1]:.3f} s")
    assert set(flood.statuses) <= {200, 201, 429, 503}
    assert flood.worst < LONGEST
    assert during[-1] < LONGEST
    assert during[len(during) // 2] < flood.median
    assert team.refused * sum(flood.statuses.values()) <= refused * len(team.took)
    assert ended_during > 0
    assert states == {"closed": len(jobs)}
    assert {path.rpartition("/")[2] for path in jobs} <= set(team.ended)
    assert max(team.ended.values()) == 1
    assert [(row["offers"], row["assignedJobs"], row["loadRatio"]) for row in rows] == [([], [], 0)] * WORKERS


@pytest.fixture
def one_core() -> Iterator[None]:
    """What is started meanwhile has one core, which it shares with who computes without end."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("only Linux says who has which core")
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_cores)})
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(HOGS)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
        os.sched_setaffinity(0, all_cores)


async def test_on_a_slow_machine_nobody_waits_for_longer(one_core: None, start_router: StartRouter) -> None:
    """What is carried is much less there, and what is refused is refused as soon."""
    router = await asyncio.to_thread(start_router, environment={"ROUTER_ACCESS_KEYS": f"{DEVELOPMENT_KEY},{OTHER_KEY}"})
    flood = Flood()
    took: list[float] = []
    refused: list[Answer] = []
    async with (
        RawWire(router.port, router.key, connections=3 * CONNECTIONS) as theirs,
        RawWire(router.port, OTHER_KEY) as ours,
    ):
        queue = await ours.queue()
        workers = [await ours.worker(queue) for _ in range(WORKERS)]
        os.sched_setaffinity(0, range(os.cpu_count() or 1))  # who asks is not slowed
        ends = time.monotonic() + SECONDS

        async def read() -> None:
            while time.monotonic() < ends:
                began = time.monotonic()
                answer = await ours.get(workers[0])
                took.append(time.monotonic() - began)
                if answer.status != 200:
                    refused.append(answer)
                await asyncio.sleep(0.05)

        flooding = [flood.submit(theirs, queue, ends) for _ in range(CONNECTIONS)]
        flooding += [flood.submit(theirs, queue, ends, labels=LARGE) for _ in range(CONNECTIONS)]
        flooding += [flood.read(theirs, workers, ends) for _ in range(CONNECTIONS)]
        await asyncio.gather(read(), *flooding)
    took.sort()
    print(f"answers {dict(flood.statuses)}, median {flood.median:.2f} s, worst {flood.worst:.2f} s")
    print(
        f"another caller: {len(took)} GETs, {len(refused)} refused, median {took[len(took) // 2]:.2f} s, worst {took[-1]:.2f} s"
    )
    assert set(flood.statuses) <= {200, 201, 429, 503}
    assert flood.worst < LONGEST
    assert took[-1] < LONGEST
    assert len(refused) < len(took)


class Flood:
    """One caller with hundreds of connections, each of which asks again at once."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.taken: list[str] = []
        self._took: list[float] = []

    @property
    def worst(self) -> float:
        return max(self._took)

    @property
    def median(self) -> float:
        return sorted(self._took)[len(self._took) // 2]

    async def submit(self, wire: RawWire, queue: str, ends: float, **fields: Any) -> None:
        while time.monotonic() < ends:
            path = f"/routing/jobs/{wire.id('job')}"
            body = {"channelId": "voice", "queueId": queue, **fields}
            answer = await self._timed(wire.send("PATCH", path, body))
            if answer.status == 201:
                self.taken.append(path)

    async def read(self, wire: RawWire, workers: Sequence[str], ends: float) -> None:
        while time.monotonic() < ends:
            for path in (*workers, "/routing/jobs?maxpagesize=50"):
                await self._timed(wire.get(path))

    async def _timed(self, request: Coroutine[Any, Any, Answer]) -> Answer:
        began = time.monotonic()
        answer = await request
        self._took.append(time.monotonic() - began)
        self.statuses[answer.status] += 1
        if answer.status in (429, 503):
            assert answer.headers["Retry-After"]
        return answer


class Team:
    """Agents who take what they are offered, and end it."""

    def __init__(self) -> None:
        self.is_over = False
        #: How often each job was accepted and ended.
        self.ended: Counter[str] = Counter()
        #: Seconds of each request.
        self.took: list[float] = []
        #: How often one was asked to try again.
        self.refused = 0

    async def work(self, wire: RawWire, worker: str) -> None:
        while not self.is_over:
            offers = (await self._timed(partial(wire.get, worker)))["offers"]
            for offer in offers:
                accepted = await self._timed(partial(wire.post, f"{worker}/offers/{offer['offerId']}:accept"))
                assignment = f"/routing/jobs/{accepted['jobId']}/assignments/{accepted['assignmentId']}"
                await self._timed(partial(wire.post, f"{assignment}:complete", {}))
                await self._timed(partial(wire.post, f"{assignment}:close", {}))
                self.ended[accepted["jobId"]] += 1
            if not offers:
                await asyncio.sleep(0.05)

    async def _timed(self, request: Callable[[], Coroutine[Any, Any, Answer]]) -> Any:
        """As the official clients do: who is asked to try again does so."""
        while True:
            began = time.monotonic()
            answer = await request()
            self.took.append(time.monotonic() - began)
            if answer.status not in (429, 503):
                return answer.expect(200)
            self.refused += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
