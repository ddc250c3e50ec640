"""A centre with all features of routing, played by the full services; its history is what the export makes of theirs.

`python -m tests.sim.whatif_trace --jobs 10000` replays it and says whether every job went to the same workers, and how
often each feature occurred."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, Final

from jobrouter.whatif.sources import Replayed
from router.errors import RouterError
from router.models.jobs import (
    ENDED,
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    JobRecord,
    JobStatus,
    RouterJobInput,
    UnassignJobOptions,
)
from router.models.types import format_time, parse_time
from router.models.workers import RouterWorkerInput
from router.replay.exported import lines
from router.replay.figures import doubts
from router.replay.history import parse, told
from router.replay.play import Play
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from router.usecases import timelines
from router.usecases import workers as worker_usecases
from router.usecases.timelines import Span
from tests.sim.foresight import Foresight
from tests.sim.topology import BOTH
from tests.sim.weather import CALM
from tests.sim.workload import anything
from tests.sim.world import START, World

_QUEUES: Final = ("q0", "q1", "q2")
_MODES: Final = (
    {"kind": "longestIdle", "maxConcurrentOffers": 1},
    {"kind": "roundRobin", "maxConcurrentOffers": 2},
    {"kind": "bestWorker", "maxConcurrentOffers": 2},
)
#: Whoever acts does so at half past a second, what is over when it is armed is found at the next whole second, and times
#: have fractions. So most things are apart by themselves; the rest is left to foresight.
_EXPIRES: Final = 60.72
_WORKERS_OF_EACH: Final = 5
#: Seconds between two jobs; the first of so many come faster, and lines grow.
_BETWEEN: Final = 9.0
_BETWEEN_BUSY: Final = 3.0
_BUSY: Final = (60, 150)
#: So long after the last one the log has every entry.
_LOGGED_AFTER: Final = 90.0
_IDLE: Final = 500
#: An act and what it leads to at once are over after so many seconds.
_OVER_AFTER: Final = 2.0


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


#: Events of jobs that follow from none.
_CAUSES: Final = frozenset(
    {
        "JobReceived",
        "JobWorkerSelectorsExpired",
        "JobUnassigned",
        "JobClosed",
        "WorkerOfferAccepted",
        "WorkerOfferDeclined",
        "WorkerOfferExpired",
    }
)
#: What `features` counts: each must occur in a day that is to show all.
FEATURES: Final = (
    *(f"offers, {mode['kind']}" for mode in _MODES),
    "offers beside another",
    "jobs with a priority",
    "jobs reprioritised by clients",
    "selectors expired",
    *(f"rule {queue}/{rule['id']}" for queue, rules in _RULES.items() for rule in rules),
    "declined",
    "offers expired",
    "unassigned",
    "left",
)


def features(entries: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How often each of them occurs in a log of all jobs."""
    found: Counter[str] = Counter()
    modes = {queue: str(mode["kind"]) for queue, mode in zip(_QUEUES, _MODES, strict=True)}
    open_offers: dict[str, set[str]] = {}
    for entry in entries:
        job_id = str(entry.get("jobId"))
        by_rule = str(entry.get("decidedBy", "")).startswith("exceptionPolicy/")
        for event in entry.get("events", ()):
            what, there = str(event["eventType"]).rpartition(".Router")[2], open_offers.setdefault(job_id, set())
            match what:
                case "JobReceived":
                    found["jobs with a priority"] += entry["what"].get("priority", 1) > 1
                case "WorkerOfferIssued":
                    found[f"offers, {modes[entry['queueId']]}"] += 1
                    found["offers beside another"] += bool(there)
                    there.add(event["offerId"])
                case "WorkerOfferDeclined" | "WorkerOfferExpired" | "WorkerOfferRevoked" | "WorkerOfferAccepted":
                    there.discard(event["offerId"])
                    found["declined"] += what == "WorkerOfferDeclined"
                    found["offers expired"] += what == "WorkerOfferExpired"
                case "JobWorkerSelectorsExpired":
                    found["selectors expired"] += 1
                case "JobExceptionTriggered":
                    queue = str(entry["decidedBy"]).split("/")[1]
                    found[f"rule {queue}/{event['exceptionRuleId']}"] += 1
                case "JobUnassigned":
                    found["unassigned"] += 1
                case "JobCancelled":
                    found["left"] += not by_rule
        if not by_rule:
            found["jobs reprioritised by clients"] += set(entry["what"]) == {"priority"}
    return found


def causes(entries: Iterable[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """When something happened that follows from nothing else that happens then, and to which job, in order."""
    found: list[tuple[float, str]] = []
    at_once = {rule["id"] for rules in _RULES.values() for rule in rules if rule["trigger"]["kind"] == "queueLength"}
    for entry in entries:
        whats = {str(event["eventType"]).rpartition(".Router")[2] for event in entry.get("events", ())}
        rules = {str(event["exceptionRuleId"]) for event in entry.get("events", ()) if "exceptionRuleId" in event}
        if whats & _CAUSES or rules - at_once:
            found.append((_second(parse_time(str(entry["at"]))), str(entry["jobId"])))
    return sorted(found)


class Centre:
    """What happens in it. `assigned` has job and worker of each acceptance, in order."""

    def __init__(self, seed: int, jobs: int, often: float = 1.0) -> None:
        self.world = World(seed, CALM, topology=(BOTH,))
        self.assigned: list[tuple[str, str]] = []
        self.features: Counter[str] = Counter()
        self.causes: list[tuple[float, str]] = []
        self._jobs = jobs
        #: How much more often than usual something goes wrong.
        self._often = often
        self._chance = random.Random(seed)
        self._foresight = Foresight(_RULES)
        self._open: dict[str, None] = {}
        self._all_came = False
        self._seen: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: list[BaseException] = []
        self._lines: list[dict[str, Any]] = []

    def run(self) -> list[str]:
        """The lines of the history file."""
        world = self.world
        world.loop.run(world.outside.run(world.loop.create_task, self._play()))
        world.end()
        assert not world.history.faults, world.history.faults[:3]
        if self._failed:
            raise ExceptionGroup(
                "somebody in the centre failed", [one for one in self._failed if isinstance(one, Exception)]
            )
        return [json.dumps(one) for one in self._lines]

    async def _call(self, function: Any, *args: Any) -> Any:
        return await self.world.processes[0].call(function, *args)

    async def _turn(self, after: float, leads_to: Callable[[float], Iterable[float]] = lambda _: ()) -> None:
        """Waits so long, and then for half past a second at which neither the act nor what it leads to comes near to
        anything else."""
        moment = int(self.world.loop.time() + after) + 1.5
        while not self._plan(moment, leads_to(moment)):
            moment += 1
        await asyncio.sleep(moment - self.world.loop.time())

    def _plan(self, moment: float, leads_to: Iterable[float] = ()) -> bool:
        self._foresight.forget_before(self.world.loop.time() - _OVER_AFTER)
        waiting = [one for job in self.world.history.waiting.values() for one in self._will_happen(job)]
        return self._foresight.plan(moment, list(leads_to), waiting)

    def _will_happen(self, record: JobRecord) -> Iterator[float]:
        """When rules fire and selectors expire of a job that waits; some of it may be over."""
        job = record.job
        if job.queue_id is not None and job.enqueued_at is not None:
            yield from self._foresight.of_wait(job.queue_id, _second(job.enqueued_at))
            yield from (_second(one.expires_at) for one in job.requested_worker_selectors if one.expires_at)

    def _start(self, work: Any) -> None:
        task = self.world.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if (error := task.exception()) is not None:
            self._failed.append(error)

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
            between = _BETWEEN_BUSY if number % _BUSY[1] < _BUSY[0] else _BETWEEN
            await self._job(f"j{number}", self._chance.expovariate(1 / between))
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

    async def _job(self, id: str, after: float) -> None:
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
        expire = [one.expires_after_seconds for one in wanted.requested_worker_selectors if one.expires_after_seconds]

        def leads_to(moment: float) -> list[float]:
            return [*self._foresight.of_new(document["queueId"], moment), *(moment + one for one in expire)]

        await self._turn(after, leads_to)
        await self._call(job_usecases.upsert, id, lambda _: wanted, anything)
        self._open[id] = None
        if chance.random() < 0.3 * self._often:
            self._start(self._client_changes(id, chance.choice((3, 15))))
        if chance.random() < 0.1 * self._often:
            self._start(self._leaves(id))

    async def _client_changes(self, id: str, priority: int) -> None:
        await self._turn(self._chance.uniform(3, 40))
        job = self.world.history.jobs[id]
        if job.status is JobStatus.QUEUED:
            wanted = {"priority": priority}

            def patched(current: Any) -> RouterJobInput:
                known = current or job  # a process that does not know the job takes it for a new one first
                fields = {name: getattr(known.job, name) for name in RouterJobInput.model_fields}
                return RouterJobInput(**{**fields, **wanted})

            await self._call(job_usecases.upsert, id, patched, anything)

    async def _leaves(self, id: str) -> None:
        await self._turn(self._chance.uniform(20, 200))
        job = self.world.history.jobs[id]
        if job.status is JobStatus.QUEUED and not job.job.assignments:
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
                        self._start(self._answer(job.id, offer.worker_id, offer.offer_id, _second(offer.expires_at)))

    async def _answer(self, job_id: str, worker_id: str, offer_id: str, ends: float) -> None:
        what = self._chance.random() / self._often
        if what < 0.03 and self._plan(ends):  # nobody answers: the worker is taken out, and comes back after a while
            await asyncio.sleep(_EXPIRES)
            await self._turn(self._chance.uniform(5, 30))
            worker = self.world.history.workers[worker_id].worker
            if not worker.available_for_offers:

                def back(current: Any) -> RouterWorkerInput:
                    fields = {name: getattr(current.worker, name) for name in RouterWorkerInput.model_fields}
                    return RouterWorkerInput(**{**fields, "available_for_offers": True})

                await self._call(worker_usecases.upsert, worker_id, back, anything)
            return
        await self._turn(self._chance.uniform(1, 12))
        job = self.world.history.jobs[job_id]
        if offer_id not in job.routing.offers:
            return
        if what < 0.1:
            await self._call(offer_usecases.decline, worker_id, offer_id, None)
            return
        try:
            _, assignment_id = await self._call(offer_usecases.accept, worker_id, offer_id)
        except RouterError:
            return
        self.assigned.append((job_id, worker_id))
        self._start(self._work(job_id, assignment_id))

    async def _work(self, job_id: str, assignment_id: str) -> None:
        after = self._chance.uniform(30, 180)
        comes_back = self._chance.random() < 0.05

        def leads_to(moment: float) -> Iterator[float]:
            """It has waited since it came: what is over by now is found at the next whole second."""
            for one in self._will_happen(self.world.history.jobs[job_id]):
                yield one if one > moment else int(moment) + 1.0

        await self._turn(after, leads_to if comes_back else lambda _: ())
        if comes_back:
            await self._call(job_usecases.unassign, job_id, assignment_id, UnassignJobOptions())
            return
        await self._call(job_usecases.complete, job_id, assignment_id, CompleteJobOptions())
        await self._call(job_usecases.close, job_id, assignment_id, CloseJobOptions())

    async def _export(self, since: datetime) -> None:
        entries, _ = await self._call(timelines.of_all, Span(), 100 * self._jobs + 1000, None)
        changes, _ = await self._call(timelines.of_settings, Span(), None, None, 1000, None)
        self.features, self.causes = features(entries), causes(entries)
        until = self.world.now() + timedelta(seconds=1)
        shown = [worker.worker.model_dump(mode="json", by_alias=True) for worker in self.world.history.workers.values()]
        self._lines = list(lines(format_time(since), format_time(until), entries, changes, {}, shown))


def _second(moment: datetime) -> float:
    return (moment - START).total_seconds()


def replayed(given: list[str]) -> tuple[list[tuple[str, str]], list[str], float]:
    """Job and worker of each assignment, what is doubted or not known, and the seconds of processor time."""
    day = parse(given, "trace")
    source = Replayed(day)
    began = time.process_time()
    played = Play(*source.day(0)).run()
    seconds = time.process_time() - began
    found = [*told(day), *(str(one) for one in doubts(day, played, 20))]
    return [(job, worker) for job, worker, _ in played.assignments], found, seconds


def differences(one: Sequence[tuple[str, str]], other: Sequence[tuple[str, str]]) -> list[int]:
    """The numbers of the assignments that are not the same in both, in order."""
    return [number for number, (a, b) in enumerate(zip_longest(one, other)) if a != b]


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.sim.whatif_trace", description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--often", type=float, default=1.0, metavar="N", help="so much more often things go wrong")
    options = parser.parse_args()
    centre = Centre(options.seed, options.jobs, options.often)
    began = time.process_time()
    given = centre.run()
    print(f"services: {options.jobs} jobs, {time.process_time() - began:.0f} s of processor time", flush=True)
    print("; ".join(f"{name}: {centre.features[name]}" for name in FEATURES))
    assigned, found, seconds = replayed(given)
    rate = options.jobs / seconds
    print(f"replay: {seconds:.1f} s of processor time, {rate:.0f} jobs a second; {found or 'nothing is doubted'}")
    different = differences(centre.assigned, assigned)
    print(
        f"assignments: {len(centre.assigned)} by the services, {len(assigned)} by the replay, compared one by one in"
        f" their order: {len(different)} differences"
    )
    for number in different[:1]:
        sides = (
            f"{some[number : number + 1]} by the {who}"
            for some, who in ((centre.assigned, "services"), (assigned, "replay"))
        )
        print(f"the first is number {number}: {', '.join(sides)}")
    raise SystemExit(1 if different or found else 0)


if __name__ == "__main__":
    main()
