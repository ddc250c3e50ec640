"""What measurements with jobs share: a queue, its team, customers who submit jobs, and agents who answer offers or not.

Agents act on RouterWorkerOfferIssued at a webhook, as applications do, and try again what was not answered.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp

from bench.pace import comes_true, paced
from bench.stage import Stage, stage
from bench.subscriber import Arrival, subscriber
from local.topology import Topology
from tests.raw_wire import Answer

K = TypeVar("K")

#: Seconds in which whatever is under way after the last job should come to its end.
PATIENCE: Final = 60.0
_AGAIN_SECONDS: Final = 1.0
_AT_ONCE: Final = 8
_CHANNELS: Final = [{"channelId": "voice", "capacityCostPerJob": 1}]


@dataclass(frozen=True)
class Asked:
    """One request, and how it was answered: `status` is `timeout` or `cut` where no answer came."""

    operation: str
    sent: float
    milliseconds: float
    status: str


class CallCentre:
    """All moments are those of `time.perf_counter`."""

    def __init__(self, scene: Stage, *, answering: bool) -> None:
        self.scene = scene
        self.answering = answering
        self.asked: Final[list[Asked]] = []
        #: By job: when it was submitted, and that was answered; when an offer of it was first seen at all, and told by
        #: an event; when it was closed.
        self.submitted: Final[dict[str, float]] = {}
        self.answered: Final[dict[str, float]] = {}
        self.offered: Final[dict[str, float]] = {}
        self.told: Final[dict[str, float]] = {}
        self.closed: Final[dict[str, float]] = {}
        #: By event and job or offer: since when the router owes it, and when it arrived.
        self.owed: Final[dict[tuple[str, str], float]] = {}
        self.arrived: Final[dict[tuple[str, str], float]] = {}
        self.problems: Final[Counter[str]] = Counter()
        self._offers: Final[set[str]] = set()
        self._tasks: Final[set[asyncio.Task[None]]] = set()
        self._failures: Final[list[BaseException]] = []

    async def open(self, queue: str, *, team: int) -> None:
        """No offer expires while anything is measured, since a worker whose offer does is not available any more."""
        policy = {"mode": {"kind": "longestIdle"}, "offerExpiresAfterSeconds": 600}
        await self.scene.put(f"/routing/distributionPolicies/{queue}", policy)
        await self.scene.put(f"/routing/queues/{queue}", {"distributionPolicyId": queue})
        worker = {"capacity": 1, "queues": [queue], "channels": _CHANNELS, "availableForOffers": True}
        await self._put_all((f"/routing/workers/{queue}-agent{number}" for number in range(team)), worker)

    async def fill(self, queue: str, waiting: int, selector: Mapping[str, Any]) -> None:
        """Jobs that nobody can take; returns when all stand in the queue."""
        job = {"channelId": "voice", "queueId": queue, "requestedWorkerSelectors": [selector]}
        await self._put_all((f"/routing/jobs/{queue}-waiting{number}" for number in range(waiting)), job)

        async def all_queued() -> bool:
            statistics = (await self.scene.wire.get(f"/routing/queues/{queue}/statistics")).expect(200)
            return bool(statistics["length"] == waiting)

        assert await comes_true(all_queued, PATIENCE, pause=1), "the jobs that wait are not in their queue"

    async def submit(self, queue: str, rate: float, count: int) -> list[str]:
        """So many jobs at that rate, whether the ones before are answered or not. Their ids."""
        first = len(self.submitted)
        jobs = [f"{queue}-job{number}" for number in range(first, first + count)]
        async for number in paced(rate, count):
            self._start(self._submit(jobs[number], queue))
        return jobs

    async def until(self, moments: Mapping[K, float], these: Iterable[K], seconds: float = PATIENCE) -> bool:
        """Whether all of these (jobs, events) come to have a moment in time."""
        wanted = set(these)

        async def all_there() -> bool:
            return wanted <= moments.keys()

        return await comes_true(all_there, seconds)

    def acknowledged(self, jobs: Iterable[str]) -> list[str]:
        return [job for job in jobs if ("RouterJobReceived", job) in self.owed]

    def waits(self, jobs: Iterable[str], moments: Mapping[str, float]) -> list[float]:
        """Milliseconds from submission to that moment, of the jobs that have come there."""
        return [(moments[job] - self.submitted[job]) * 1000 for job in jobs if job in moments]

    async def ask(self, operation: str, method: str, path: str, body: Any = None) -> Answer | None:
        """The answer, or None where there was none; noted either way."""
        sent = time.perf_counter()
        answer = None
        try:
            answer = await self.scene.wire.send(method, path, body)
            status = str(answer.status)
        except TimeoutError:
            status = "timeout"
        except (aiohttp.ClientError, OSError):
            status = "cut"
        self.asked.append(Asked(operation, sent, (time.perf_counter() - sent) * 1000, status))
        if answer is None or answer.status >= 400:
            self.problems[f"{operation}_{status}"] += 1
        return answer

    def see_offer(self, worker: str, offer: str, job: str, moment: float) -> None:
        """An offer, however it became known; an agent who answers takes it once."""
        self.offered.setdefault(job, moment)
        self.owed.setdefault(("RouterWorkerOfferIssued", offer), moment)
        if self.answering and offer not in self._offers:
            self._offers.add(offer)
            self._start(self._answer(worker, offer, job))

    def take_events(self, arrivals: asyncio.Queue[Arrival]) -> None:
        self._start(self._take(arrivals))

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._failures:
            raise BaseExceptionGroup("what was measured is not to be believed", self._failures)

    async def _take(self, arrivals: asyncio.Queue[Arrival]) -> None:
        while True:
            event = await arrivals.get()
            job = event.data.get("jobId", "")
            self.arrived.setdefault((event.name, event.data.get("offerId") or job), event.moment)
            if event.name == "RouterWorkerOfferIssued":
                self.told.setdefault(job, event.moment)
                self.see_offer(event.data["workerId"], event.data["offerId"], job, event.moment)

    async def _submit(self, job: str, queue: str) -> None:
        self.submitted[job] = time.perf_counter()
        answer = await self.ask("upsert", "PATCH", f"/routing/jobs/{job}", {"channelId": "voice", "queueId": queue})
        self.answered[job] = time.perf_counter()
        if answer is not None and answer.status == 201:
            self.owed["RouterJobReceived", job] = self.answered[job]

    async def _answer(self, worker: str, offer: str, job: str) -> None:
        accepted = await self._insist("accept", f"/routing/workers/{worker}/offers/{offer}:accept")
        if accepted is None or accepted.status != 200:
            return
        self.owed["RouterWorkerOfferAccepted", offer] = time.perf_counter()
        path = f"/routing/jobs/{job}/assignments/{accepted.body['assignmentId']}"
        for operation, event in (("complete", "RouterJobCompleted"), ("close", "RouterJobClosed")):
            if await self._insist(operation, f"{path}:{operation}") is None:
                return
            self.owed[event, job] = time.perf_counter()
        self.closed[job] = time.perf_counter()

    async def _insist(self, operation: str, path: str) -> Answer | None:
        """Asks until it is answered. A refusal counts only of the first request: an earlier one may have been heard."""
        lost = False
        while True:
            answer = await self.ask(operation, "POST", path)
            if answer is not None and answer.status < 500:
                return answer if lost or answer.status < 400 else None
            lost = True
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _put_all(self, paths: Iterable[str], body: dict[str, Any]) -> None:
        left = iter(paths)

        async def some() -> None:
            for path in left:
                await self.scene.put(path, body)

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)


@asynccontextmanager
async def call_centre(
    topology: Topology, *, answering: bool, connections: int = 32, environment: Mapping[str, str] | None = None
) -> AsyncIterator[CallCentre]:
    """A router of that topology, whose events come to the agents."""
    async with (
        subscriber() as events,
        stage(
            topology,
            environment={"ROUTER_EVENT_SUBSCRIBERS": events.url, **(environment or {})},
            connections=connections,
        ) as scene,
    ):
        centre = CallCentre(scene, answering=answering)
        centre.take_events(events.arrivals)
        try:
            yield centre
        finally:
            await centre.end()
