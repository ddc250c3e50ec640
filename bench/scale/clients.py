"""Who uses the router: clients that submit jobs, and workers who answer offers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bench.scale import calls
from bench.scale.meter import Meter
from tests.sim.process import Process
from tests.sim.world import World

T = TypeVar("T")

#: How long a client waits before it tries a call again that could not be answered.
_TRY_AGAIN_SECONDS: Final = (0.5, 1.5)
#: An offer that is made sooner has not waited for a settle deadline, though what one has set going may have made it.
_AT_ONCE_SECONDS: Final = 1.0
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Manner:
    """How a worker deals with offers. Times are bounds, in seconds."""

    #: None: offers are never answered.
    answers_after: tuple[float, float] | None = (0.0, 0.0)
    holds: tuple[float, float] = (0.5, 1.5)
    declines: float = 0.0


PROMPT: Final = Manner()


@dataclass
class Job:
    """What became of one job that a client has submitted, in seconds of the world."""

    submitted: float
    priority: int = 1
    #: When UpsertJob was answered, and by which process.
    answered: float | None = None
    answered_by: str = ""
    #: When its first offer was known: the topic took the event, or (where that is asked for) its commit was made.
    offered: float | None = None
    settled: bool = False
    closed: float | None = None
    times_closed: int = 0


@dataclass
class Load:
    """The jobs of one stretch of time."""

    began: float
    ended: float = 0.0
    jobs: dict[str, Job] = field(default_factory=dict)


class Clients:
    def __init__(self, world: World, meter: Meter, seed: int) -> None:
        self._world = world
        self._meter = meter
        self._seed = seed
        self.manners: dict[str, Manner] = {}
        self.jobs: dict[str, Job] = {}
        #: Answers that were no success, by their class.
        self.failures: Counter[str] = Counter()
        #: The longest time until an answer, since this was last set to nothing.
        self.longest_answer = 0.0
        self.faults: list[str] = []
        self.over = False
        self._held: Counter[str] = Counter()
        self._listen(meter.on_taken)

    def offers_are_seen_at_once(self) -> None:
        """Workers look at their offers themselves instead of waiting for events."""
        self._meter.on_taken.clear()
        self._listen(self._meter.on_commit)

    def _listen(self, listeners: list[Callable[[calls.Event], None]]) -> None:
        listeners.append(self._offered)

    # Jobs.

    async def submit(self, job_id: str, fields: Fields) -> None:
        job = self.jobs[job_id]

        async def send(process: Process) -> str:
            await calls.submit(process, job_id, fields)
            return process.name

        job.answered_by = await self._call(send)
        job.answered = self._world.loop.time()

    async def come(self, load: Load, name: str, rate: float, seconds: float, fields: Callable[[int], Fields]) -> None:
        """Jobs come for so long, at random moments."""
        chance, loop = random.Random(f"{self._seed} {name}"), self._world.loop
        ends = loop.time() + seconds
        number = 0
        while True:
            await asyncio.sleep(chance.expovariate(rate))
            if loop.time() >= ends or self.over:
                break
            self.one(load, f"{name}{number}", fields(number))
            number += 1
        load.ended = min(loop.time(), ends)

    def one(self, load: Load, job_id: str, fields: Fields) -> None:
        """One job comes."""
        job = Job(self._world.loop.time(), fields.get("priority", 1))
        self.jobs[job_id] = load.jobs[job_id] = job
        self._start(self.submit(job_id, fields))

    # Workers.

    def _offered(self, offer: calls.Event) -> None:
        job = self.jobs.get(offer.job_id)
        if job is not None and job.offered is None:
            job.offered = self._world.loop.time()
            made = self._meter.offers[offer.data["offerId"]]
            job.settled = made.settled and made.at - job.submitted > _AT_ONCE_SECONDS
        worker_id = offer.data["workerId"]
        manner = self.manners.get(worker_id, PROMPT)
        if manner.answers_after is not None:
            self._start(self._answer(manner, worker_id, offer.data["offerId"], offer.job_id))

    async def _answer(self, manner: Manner, worker_id: str, offer_id: str, job_id: str) -> None:
        chance = random.Random(f"{self._seed} {job_id} {worker_id}")
        await asyncio.sleep(chance.uniform(*manner.answers_after or (0.0, 0.0)))
        if chance.random() < manner.declines:
            await self._unless_refused(lambda process: calls.decline(process, worker_id, offer_id))
            return
        assignment = await self._unless_refused(lambda process: calls.accept(process, worker_id, offer_id))
        if assignment is None:
            return
        self._held[worker_id] += 1
        if self._held[worker_id] > 1:  # all have a capacity of 1
            self.faults.append(f"{worker_id} holds {self._held[worker_id]} jobs")
        await asyncio.sleep(chance.uniform(*manner.holds))
        await self._surely(lambda process: calls.complete(process, job_id, assignment))
        self._held[worker_id] -= 1  # before the answer: the next job may come before it
        await self._surely(lambda process: calls.close(process, job_id, assignment))
        job = self.jobs.get(job_id)
        if job is not None:
            job.times_closed += 1
            job.closed = self._world.loop.time()

    async def _unless_refused(self, call: Callable[[Process], Awaitable[T]]) -> T | None:
        try:
            return await self._call(call)
        except Exception as error:
            if not calls.is_refusal(error):
                raise
            return None

    async def _surely(self, call: Callable[[Process], Awaitable[None]]) -> None:
        """A call that has been done already if it is refused when it is made again."""
        tries = 0

        async def again(process: Process) -> None:
            nonlocal tries
            tries += 1
            try:
                await call(process)
            except Exception as error:
                if tries == 1 or not calls.is_refusal(error):
                    raise

        await self._call(again)

    async def _call(self, call: Callable[[Process], Awaitable[T]]) -> T:
        """What any process that serves answers, sooner or later."""
        loop, chance = self._world.loop, self._world.chance
        while True:
            process, began = self._world.some_process(), loop.time()
            if process is not None:
                try:
                    return await call(process)
                except Exception as error:
                    self.failures[type(error).__name__] += 1
                    if self.over or not calls.is_passing(error):
                        raise
                finally:
                    self.longest_answer = max(self.longest_answer, loop.time() - began)
            await asyncio.sleep(chance.uniform(*_TRY_AGAIN_SECONDS))

    def _start(self, work: Any) -> None:
        """Outside of all processes: what a process does for the event that tells of an offer ends there."""
        self._world.outside.run(self._world.loop.create_task, self._told(work))

    async def _told(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            if not self.over:
                self.faults.append(f"a client's call failed: {error!r}")
