"""A steady load whatever happens to the parts: jobs at a pace, ten workers that end what they are offered, and what was
answered to them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.raw_wire import Answer, RawWire

WORKERS = 10
#: Before this an answer must have come: an own one or a 503.
LONGEST_SECONDS = 10.0
_GIVES_UP_SECONDS = 15.0


@dataclass
class Round:
    """What was answered during one fault."""

    #: When each job was accepted.
    jobs: dict[str, float] = field(default_factory=dict)
    accepted: dict[str, tuple[str, str]] = field(default_factory=dict)
    closed: dict[str, float] = field(default_factory=dict)
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)

    def open(self) -> list[str]:
        return [job for job in self.jobs if job not in self.closed]


class Shift:
    """`async with` it: it works until it is left."""

    def __init__(self, wire: RawWire, rate: float) -> None:
        self._wire = wire
        self._rate = rate
        self._tasks: list[asyncio.Task[None]] = []
        self._queue = ""
        self._one_by_one: set[asyncio.Task[None]] = set()
        self.workers: list[str] = []
        #: Jobs by worker whose close had no answer: done or not, the worker's next answer tells.
        self._unsure: dict[str, set[str]] = {}
        self.round = Round()
        self.submits = True

    async def __aenter__(self) -> Shift:
        policy = await self._wire.policy(offerExpiresAfterSeconds=25)
        self._queue = await self._wire.queue(distributionPolicyId=policy)
        for _ in range(WORKERS):
            channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
            path = await self._wire.worker(self._queue, capacity=1, channels=channels, availableForOffers=True)
            self.workers.append(path.rpartition("/")[2])
        self._tasks = [asyncio.create_task(self._submit())]
        self._tasks += [asyncio.create_task(self._work(worker)) for worker in self.workers]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (*self._tasks, *self._one_by_one):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._one_by_one, return_exceptions=True)

    def begin_round(self) -> Round:
        self.round = Round()
        self.submits = True
        return self.round

    async def _ask(self, method: str, path: str, body: Any = None) -> Answer | None:
        """None when nothing came."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_GIVES_UP_SECONDS):
                answer = await self._wire.send(method, path, body)
        except (aiohttp.ClientError, OSError):
            return None  # the process died, or is away
        except TimeoutError:
            self.round.slowest = _GIVES_UP_SECONDS
            return None
        self.round.slowest = max(self.round.slowest, time.monotonic() - began)
        if answer.status not in (200, 201, 204, 404, 409, 429, 503):
            self.round.failures.append(f"{method} {path}: {answer.status} {answer.content[:200]!r}")
        if answer.status in (429, 503) and not answer.headers.get("Retry-After"):
            self.round.failures.append(f"{method} {path}: {answer.status} without Retry-After")
        return answer

    async def _submit(self) -> None:
        while True:
            if self.submits:
                task = asyncio.create_task(self._one_job())
                self._one_by_one.add(task)
                task.add_done_callback(self._one_by_one.discard)
            await asyncio.sleep(1 / self._rate)

    async def _one_job(self) -> None:
        job, round = self._wire.id("job"), self.round
        answer = await self._ask("PATCH", f"/routing/jobs/{job}", {"channelId": "voice", "queueId": self._queue})
        if answer is not None and answer.status in (200, 201):
            round.jobs[job] = time.monotonic()

    async def _work(self, worker: str) -> None:
        while True:
            if not await self._step(worker):
                await asyncio.sleep(0.4)

    async def _step(self, worker: str) -> bool:
        """Whether there was something to do."""
        answer = await self._ask("GET", f"/routing/workers/{worker}")
        if answer is None or answer.status != 200:
            return False
        held_jobs = {held["jobId"] for held in answer.body["assignedJobs"]}
        for job in self._unsure.pop(worker, set()) - held_jobs:
            self.round.closed.setdefault(job, time.monotonic())
        for offer in answer.body["offers"]:
            done = await self._ask("POST", f"/routing/workers/{worker}/offers/{offer['offerId']}:accept")
            if done is not None and done.status == 200:
                self.round.accepted[offer["jobId"]] = (done.body["assignmentId"], worker)
        for held in answer.body["assignedJobs"]:
            path = f"/routing/jobs/{held['jobId']}/assignments/{held['assignmentId']}"
            await self._ask("POST", f"{path}:complete")
            done = await self._ask("POST", f"{path}:close")
            if done is not None and done.status == 200:
                self.round.closed[held["jobId"]] = time.monotonic()
            else:
                self._unsure.setdefault(worker, set()).add(held["jobId"])
        return bool(answer.body["offers"] or answer.body["assignedJobs"])
