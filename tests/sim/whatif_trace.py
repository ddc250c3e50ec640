"""A centre with all features of routing, played by the full services; its history is what the export makes of theirs.

`python -m tests.sim.whatif_trace --jobs 10000` replays it and says whether every job went to the same workers."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from datetime import datetime, timedelta
from typing import Any, Final

from jobrouter.history import lines
from jobrouter.whatif.figures import doubts
from jobrouter.whatif.history import parse, told
from jobrouter.whatif.play import Play
from jobrouter.whatif.sources import Replayed
from router.errors import RouterError
from router.models.jobs import (
    ENDED,
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    JobStatus,
    RouterJobInput,
    UnassignJobOptions,
)
from router.models.types import format_time
from router.models.workers import RouterWorkerInput
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from router.usecases import timelines
from router.usecases import workers as worker_usecases
from router.usecases.timelines import Span
from tests.sim.topology import BOTH
from tests.sim.weather import CALM
from tests.sim.workload import anything
from tests.sim.world import World

_QUEUES: Final = ("q0", "q1", "q2")
_MODES: Final = (
    {"kind": "longestIdle", "maxConcurrentOffers": 1},
    {"kind": "roundRobin", "maxConcurrentOffers": 2},
    {"kind": "bestWorker", "maxConcurrentOffers": 2},
)
#: Thresholds have fractions, and whoever acts does so at a whole second of its own: no two things happen at once.
_EXPIRES: Final = 60.07
_WORKERS_OF_EACH: Final = 5
_BETWEEN: Final = 9.0
#: So long after the last one the log has every entry.
_LOGGED_AFTER: Final = 90.0
_IDLE: Final = 500


def _rule(id: str, trigger: dict[str, Any], *actions: dict[str, Any]) -> dict[str, Any]:
    return {"id": id, "trigger": trigger, "actions": list(actions)}


def _waits(seconds: float) -> dict[str, Any]:
    return {"kind": "waitTime", "thresholdSeconds": seconds}


_RULES: Final = {
    "q0": [
        _rule("late", _waits(37.31), {"kind": "manualReclassify", "priority": 9}),
        _rule("over", _waits(241.47), {"kind": "manualReclassify", "queueId": "q1", "priority": 12}),
    ],
    "q1": [_rule("never", _waits(400.23), {"kind": "cancel", "note": "too late"})],
    "q2": [
        _rule("long", {"kind": "queueLength", "threshold": 5}, {"kind": "manualReclassify", "queueId": "q0"}),
        _rule("late", _waits(61.59), {"kind": "manualReclassify", "priority": 20}),
    ],
}


class Centre:
    """What happens in it. `assigned` has job and worker of each acceptance, in order."""

    def __init__(self, seed: int, jobs: int, often: float = 1.0) -> None:
        self.world = World(seed, CALM, topology=(BOTH,))
        self.assigned: list[tuple[str, str]] = []
        self.counts: dict[str, int] = {}
        self._jobs = jobs
        #: How much more often than usual something goes wrong.
        self._often = often
        self._chance = random.Random(seed)
        self._taken: set[int] = set()
        self._open: dict[str, None] = {}
        self._all_came = False
        self._seen: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: list[dict[str, Any]] = []

    def run(self) -> list[str]:
        """The lines of the history file."""
        world = self.world
        world.loop.run(world.outside.run(world.loop.create_task, self._play()))
        world.end()
        assert not world.history.faults, world.history.faults[:3]
        return [json.dumps(one) for one in self._lines]

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    async def _call(self, function: Any, *args: Any) -> Any:
        return await self.world.processes[0].call(function, *args)

    async def _turn(self, after: float) -> None:
        """Waits so long, and then for a whole second in which nobody else acts."""
        second = int(self.world.loop.time() + after) + 1
        while second in self._taken:
            second += 1
        self._taken.add(second)
        await asyncio.sleep(second - self.world.loop.time())

    def _start(self, work: Any) -> None:
        task = self.world.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self) -> None:
        self.world.start_process(BOTH)
        since = self.world.now()
        for queue, mode in zip(_QUEUES, _MODES, strict=True):
            policy = {"offerExpiresAfterSeconds": _EXPIRES, "mode": mode}
            await self._set("DistributionPolicy", queue, policy)
            await self._set("Queue", queue, {"distributionPolicyId": queue})
        for queue, rules in _RULES.items():
            await self._set("ExceptionPolicy", queue, {"exceptionRules": rules})
            await self._set("Queue", queue, {"distributionPolicyId": queue, "exceptionPolicyId": queue})
        for queue in _QUEUES:
            for number in range(_WORKERS_OF_EACH):
                await self._turn(0)
                await self._worker(f"{queue}-w{number}", queue, number)
        looking = self.world.loop.create_task(self._look())
        for number in range(self._jobs):
            await self._turn(self._chance.expovariate(1 / _BETWEEN))
            await self._job(f"j{number}")
        self._all_came = True
        await looking
        await asyncio.sleep(_LOGGED_AFTER)
        await self._export(since)

    async def _set(self, kind: str, id: str, document: dict[str, Any]) -> None:
        await self._call(setting_usecases.upsert, kind, id, lambda _: document, anything)

    async def _worker(self, id: str, queue: str, number: int) -> None:
        channels = [{"channelId": "chat", "capacityCostPerJob": 1}, {"channelId": "voice", "capacityCostPerJob": 2}]
        document = {
            "queues": [queue],
            "capacity": 2,
            "labels": {"skill": number},
            "channels": channels,
            "availableForOffers": True,
        }
        wanted = RouterWorkerInput.model_validate(document)
        await self._call(worker_usecases.upsert, id, lambda _: wanted, anything)

    async def _job(self, id: str) -> None:
        chance = self._chance
        document: dict[str, Any] = {
            "channelId": chance.choice(("chat", "voice", "voice")),
            "queueId": chance.choice(_QUEUES),
            "priority": chance.choice((1, 1, 1, 5, 10)),
        }
        if chance.random() < 0.5:
            selector: dict[str, Any] = {
                "key": "skill",
                "labelOperator": "greaterThanOrEqual",
                "value": chance.choice((1, 2, 3)),
            }
            if chance.random() < 0.6:
                selector["expiresAfterSeconds"] = chance.choice((7.13, 21.17))
            document["requestedWorkerSelectors"] = [selector]
        wanted = RouterJobInput.model_validate(document)
        await self._call(job_usecases.upsert, id, lambda _: wanted, anything)
        self._open[id] = None
        if chance.random() < 0.1 * self._often:
            self._start(self._client_changes(id, chance.choice((3, 15))))
        if chance.random() < 0.1 * self._often:
            self._start(self._leaves(id))

    async def _client_changes(self, id: str, priority: int) -> None:
        await self._turn(self._chance.uniform(5, 60))
        job = self.world.history.jobs[id]
        if job.status is JobStatus.QUEUED:
            self._count("changed by clients")
            wanted = {"priority": priority}

            def patched(current: Any) -> RouterJobInput:
                return RouterJobInput.model_validate(
                    RouterJobInput.model_validate(current.model_dump()).model_copy(update=wanted).model_dump()
                )

            await self._call(job_usecases.upsert, id, patched, anything)

    async def _leaves(self, id: str) -> None:
        await self._turn(self._chance.uniform(20, 200))
        job = self.world.history.jobs[id]
        if job.status is JobStatus.QUEUED and not job.job.assignments:
            self._count("left")
            await self._call(job_usecases.cancel, id, CancelJobOptions())

    async def _look(self) -> None:
        """Each offer is answered after a while, by whoever is first."""
        idle = 0  # a job that everybody has declined waits for ever
        while not self._all_came or idle < _IDLE:
            await asyncio.sleep(1)
            idle = 0 if self._tasks else idle + 1
            for id in list(self._open):
                job = self.world.history.jobs[id]
                if job.status in ENDED:
                    del self._open[id]
                for offer in job.routing.offers.values():
                    if offer.offer_id not in self._seen:
                        self._seen.add(offer.offer_id)
                        self._count("offers")
                        self._start(self._answer(job.id, offer.worker_id, offer.offer_id))

    async def _answer(self, job_id: str, worker_id: str, offer_id: str) -> None:
        what = self._chance.random() / self._often
        if what < 0.03:  # nobody answers: the worker is taken out, and comes back after a while
            await asyncio.sleep(_EXPIRES)
            await self._turn(self._chance.uniform(5, 30))
            worker = self.world.history.workers[worker_id].worker
            if not worker.available_for_offers:
                self._count("came back")

                def back(current: Any) -> RouterWorkerInput:
                    fields = {name: getattr(current, name) for name in RouterWorkerInput.model_fields}
                    return RouterWorkerInput(**{**fields, "available_for_offers": True})

                await self._call(worker_usecases.upsert, worker_id, back, anything)
            return
        await self._turn(self._chance.uniform(1, 12))
        job = self.world.history.jobs[job_id]
        if offer_id not in job.routing.offers:
            return
        if what < 0.1:
            self._count("declined")
            await self._call(offer_usecases.decline, worker_id, offer_id, None)
            return
        try:
            _, assignment_id = await self._call(offer_usecases.accept, worker_id, offer_id)
        except RouterError:
            self._count("too late")
            return
        self.assigned.append((job_id, worker_id))
        self._start(self._work(job_id, assignment_id))

    async def _work(self, job_id: str, assignment_id: str) -> None:
        await self._turn(self._chance.uniform(20, 140))
        if self._chance.random() < 0.05:
            self._count("unassigned")
            await self._call(job_usecases.unassign, job_id, assignment_id, UnassignJobOptions())
            return
        await self._call(job_usecases.complete, job_id, assignment_id, CompleteJobOptions())
        await self._call(job_usecases.close, job_id, assignment_id, CloseJobOptions())

    async def _export(self, since: datetime) -> None:
        entries, _ = await self._call(timelines.of_all, Span(), 100 * self._jobs + 1000, None)
        changes, _ = await self._call(timelines.of_settings, Span(), None, None, 1000, None)
        until = self.world.now() + timedelta(seconds=1)
        shown = [worker.worker.model_dump(mode="json", by_alias=True) for worker in self.world.history.workers.values()]
        self._lines = list(lines(format_time(since), format_time(until), entries, changes, {}, shown))


def replayed(given: list[str]) -> tuple[list[tuple[str, str]], list[str], float]:
    """Job and worker of each assignment, what is doubted or not known, and the seconds of processor time."""
    day = parse(given, "trace")
    source = Replayed(day)
    began = time.process_time()
    played = Play(*source.day(0)).run()
    seconds = time.process_time() - began
    found = [*told(day), *(str(one) for one in doubts(day, played, 20))]
    return [(job, worker) for job, worker, _ in played.assignments], found, seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.sim.whatif_trace", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    options = parser.parse_args()
    centre = Centre(options.seed, options.jobs)
    began = time.process_time()
    given = centre.run()
    print(f"services: {options.jobs} jobs, {time.process_time() - began:.0f} s of processor time, {centre.counts}")
    assigned, found, seconds = replayed(given)
    rate = options.jobs / seconds
    print(f"replay: {seconds:.1f} s of processor time, {rate:.0f} jobs a second; {found or 'nothing is doubted'}")
    same = sum(one == other for one, other in zip(centre.assigned, assigned, strict=False))
    print(f"assignments: {len(centre.assigned)} by the services, {len(assigned)} by the replay, {same} alike in order")
    off = next((n for n, (a, b) in enumerate(zip(centre.assigned, assigned, strict=False)) if a != b), None)
    if off is not None:
        print(f"first difference: number {off}, {centre.assigned[off]} by the services, {assigned[off]} by the replay")
    raise SystemExit(0 if assigned == centre.assigned else 1)


if __name__ == "__main__":
    main()
