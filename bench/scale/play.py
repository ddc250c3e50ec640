"""One scenario's world: processes, clients and workers, from the first setting to the figures."""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from bench.scale import calls
from bench.scale.clients import PROMPT, Clients, Fields, Load, Manner
from bench.scale.figures import Figures
from bench.scale.meter import Meter
from tests.sim.process import Process
from tests.sim.topology import apart
from tests.sim.virtual_loop import Stuck
from tests.sim.weather import Weather
from tests.sim.world import World

T = TypeVar("T")

#: What storage, the topic and a delivery take, on average.
LATENCY: Final = 0.005
#: While the stage is set.
_QUICK: Final = Weather(latency=0.0001)
#: Longer than settle deadlines and what they set going take.
SETTLED_SECONDS: Final = 20.0
#: How long jobs may take from their first offer to closed.
_WORK_SECONDS: Final = 2.5
#: Seconds until as many jobs are closed as come.
_WARM_SECONDS: Final = 1.8
#: Operations (and rows) after which a scenario is given up: for the stage, for each job in front, and for each that is
#: routed, which is more than any design may need. One that looks at everything again and again takes hours otherwise.
_MOST_WORK: Final = (60_000, 60, 600)


#: Calls that set the stage side by side.
_AT_ONCE: Final = 50
#: Where so many of the jobs still wait when the last has come so long ago, more come than are carried.
_SOON_SECONDS: Final = 2.0
_FEW: Final = 0.1


class GivenUp(Exception):
    """The scenario takes more work than is worth it."""


class Play:
    """A world with the timer apart and `processes` that serve."""

    def __init__(self, name: str, processes: int, *, queues: int = 1, mode: str = "longestIdle", seed: int = 1) -> None:
        self.name = name
        self.processes = processes
        self.queues = [f"q{number}" for number in range(queues)]
        self.mode = mode
        self.weather = Weather(latency=LATENCY)
        self.world = World(seed, _QUICK, topology=apart(processes))
        self.meter = Meter(self.world.loop.time)
        self.world.observer = self.meter
        self.clients = Clients(self.world, self.meter, seed)
        self.faults: list[str] = []
        self.loads: dict[str, Load] = {}
        #: What is in the queues before the measurement begins.
        self.in_front = 0

    def perform(self, story: Callable[[], Awaitable[None]]) -> None:
        """Sets the processes going and tells the story to its end, or until it is given up."""

        async def told() -> None:
            self.world.start_missing()
            try:
                await story()
            except GivenUp as error:
                self.faults.append(str(error))
            self.clients.over = True

        gc.disable()  # hardly anything here is a circle, and a look at all that is alive takes longer than the rest
        try:
            self.world.loop.run(self.world.outside.run(self.world.loop.create_task, told()))
        except Stuck:
            self.faults.append("the run is stuck")
        finally:
            failures = [f"{one.get('message')}: {one.get('exception')!r}" for one in self.world.loop.faults]
            self.faults += [*self.clients.faults, *self.world.history.faults, *dict.fromkeys(failures)]
            self.world.end()
            gc.enable()

    # Time.

    @property
    def now(self) -> float:
        return self.world.loop.time()

    async def pass_by(self, seconds: float) -> None:
        """Lets time pass. Raises GivenUp."""
        ends = self.now + seconds
        while self.now < ends:
            await asyncio.sleep(min(0.25, ends - self.now))
            stage, in_front, routed = _MOST_WORK
            most = stage + in_front * self.in_front + routed * len(self.clients.jobs)
            if self.meter.work > most:
                raise GivenUp(f"given up after {self.meter.work:.0f} operations and rows")

    async def until(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Lets time pass until something is reached, but no longer than so many seconds. Whether it is."""
        ends = self.now + seconds
        while not reached():
            if self.now >= ends:
                return False
            await self.pass_by(0.25)
        return True

    # The stage.

    @property
    def somebody(self) -> Process:
        process = self.world.some_process()
        assert process is not None
        return process

    async def settings(self, **mode: Any) -> None:
        """A distribution policy and the queues."""
        policy = {"offerExpiresAfterSeconds": 600.0, "mode": {"kind": self.mode, **mode}}
        await calls.setting(self.somebody, "DistributionPolicy", "policy", policy)
        for queue in self.queues:
            await calls.setting(self.somebody, "Queue", queue, {"distributionPolicyId": "policy"})

    async def workers(
        self,
        count: int,
        fields: Callable[[int], Mapping[str, Any]] | None = None,
        name: str = "w",
        manner: Manner = PROMPT,
    ) -> None:
        """Workers with a capacity of 1, spread over the queues unless their fields say otherwise."""

        async def one(number: int) -> None:
            self.clients.manners[f"{name}{number}"] = manner
            queues = [self.queues[number % len(self.queues)]]
            own = fields(number) if fields is not None else {}
            await calls.worker(self.somebody, f"{name}{number}", **{"queues": queues, **own})

        await self._many(one, count)

    async def put_in_front(self, count: int, fields: Callable[[int], Fields], *, offered: bool = False) -> None:
        """Jobs that are there before the measurement begins, and nobody's concern in it. With `offered` each comes when
        those before it are, at most two minutes later."""
        self.in_front += count
        before = len(self.meter.offers)

        async def one(number: int) -> None:
            await calls.submit(self.somebody, f"front{number}", fields(number))

        for start in range(0, count, _AT_ONCE):
            some = range(start, min(start + _AT_ONCE, count))
            await asyncio.gather(*(one(number) for number in some))

            def all_are(count: int = some.stop) -> bool:
                return len(self.meter.offers) - before >= count

            if offered and not await self.until(all_are, 120):
                self.faults.append(f"{len(self.meter.offers) - before} of {some.stop} are offered")
                break

    async def _many(self, act: Callable[[int], Awaitable[None]], count: int) -> None:
        for start in range(0, count, _AT_ONCE):
            await asyncio.gather(*(act(number) for number in range(start, min(start + _AT_ONCE, count))))

    async def calm(self) -> None:
        """Everything so far is done; from here on storage takes its time and all is counted."""
        await self.pass_by(SETTLED_SECONDS)
        self.world.weather = self.weather
        self.meter.start()

    def change_weather(self, **changes: Any) -> None:
        self.world.weather = replace(self.weather, **changes)

    # Load.

    def job(self, number: int) -> dict[str, Any]:
        return {"queueId": self.queues[number % len(self.queues)]}

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Beside what goes on."""
        return self.world.loop.create_task(work)

    async def load(
        self, rate: float, seconds: float, fields: Callable[[int], Fields] | None = None, name: str = "j"
    ) -> Load:
        """Jobs come at this rate, at random moments."""
        load = self.loads[name] = Load(self.now)
        coming = self.start(self.clients.come(load, name, rate, seconds, fields or self.job))
        try:
            if await self.until(coming.done, seconds + 1):
                coming.result()
        finally:
            load.ended = load.ended or self.now
        return load

    async def work_off(self, seconds: float = SETTLED_SECONDS, *, hopeless: bool = False) -> None:
        """Waits until all jobs are closed, at most so long, and until everything is settled. With `hopeless`, what is
        bound to take very long is given up soon."""
        jobs = self.clients.jobs.values()

        def closed() -> bool:
            return all(job.closed is not None for job in jobs)

        if hopeless and not await self.until(closed, _SOON_SECONDS):
            waiting = sum(job.offered is None for job in jobs)
            if waiting > _FEW * len(jobs):
                raise GivenUp(f"given up with {waiting} of {len(jobs)} jobs still waiting")
        await self.until(closed, seconds)
        await self.pass_by(SETTLED_SECONDS)

    # What has come of it.

    def figures(self, name: str = "j", since: float | None = None, until: float = math.inf) -> Figures:
        """Of the jobs of the load of that name; latencies of those submitted since then, else of all that came when
        the load was well under way."""
        self.meter.stop()
        load = self.loads.get(name) or Load(self.now, self.now)
        seconds = max(load.ended - load.began, 1e-9)
        warm = min(_WARM_SECONDS, seconds / 3)
        figures = Figures(self.name, self.processes, len(self.queues), self.mode)
        figures.offered = len(load.jobs) / seconds
        figures.closed = self.closed_a_second(load.began + warm, load.ended)
        figures.latencies = self.latencies(name, load.began + warm if since is None else since, until)
        figures.kept_up = _kept_up(load)
        routed = max(sum(job.closed is not None for job in self.clients.jobs.values()), 1)
        figures.operations = self.meter.operations / routed
        figures.more["settings"] = self.meter.settings / routed
        figures.conflicts = self.meter.conflicts / routed
        figures.settled = sum(job.settled for job in self.clients.jobs.values())
        figures.busiest_partition = self.meter.partitions.most
        figures.busiest_account = self.meter.account.most
        figures.faults = [*self.faults, *self._check()]
        return figures

    def latencies(self, name: str, since: float = 0.0, until: float = math.inf) -> list[float]:
        """From submit to offer, in milliseconds. A job that has none has waited until now."""
        load = self.loads.get(name) or Load(self.now)
        return [
            ((self.now if job.offered is None else job.offered) - job.submitted) * 1000
            for job in load.jobs.values()
            if since <= job.submitted < until
        ]

    def closed_a_second(self, since: float, until: float) -> float:
        closed = [job.closed for job in self.clients.jobs.values() if job.closed is not None]
        return sum(since < at <= until for at in closed) / max(until - since, 1e-9)

    def least_closed_a_second(self, since: float, until: float, window: float) -> float:
        """In the worst stretch of that length; infinite if there is none."""
        starts = [since + window * number for number in range(int((until - since) / window))]
        return min((self.closed_a_second(start, start + window) for start in starts), default=math.inf)

    def _check(self) -> list[str]:
        jobs = self.clients.jobs.values()
        faults = []
        if unclosed := sum(job.closed is None for job in jobs):
            faults.append(f"{unclosed} jobs are not closed")
        if twice := sum(job.times_closed > 1 for job in jobs):
            faults.append(f"{twice} jobs were closed twice")
        return faults


def _kept_up(load: Load) -> float:
    """Jobs whose time to be closed has come before the last ones came; of those, the part that was."""
    due = [job for job in load.jobs.values() if job.submitted <= load.ended - _WORK_SECONDS]
    in_time = [job for job in due if job.closed is not None and job.closed <= load.ended]
    return len(in_time) / len(due) if due else 1.0
