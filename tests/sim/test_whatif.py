"""What the services decided, decided again by the replay: the same jobs go to the same workers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from jobrouter.whatif.sources import Replayed, play
from router.models.jobs import CloseJobOptions, CompleteJobOptions, RouterJobInput
from router.models.workers import RouterWorkerInput
from router.replay.history import parse
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from router.usecases import workers as worker_usecases
from tests.sim.foresight import APART
from tests.sim.topology import BOTH
from tests.sim.weather import CALM
from tests.sim.whatif_trace import FEATURES, Centre, differences, replayed
from tests.sim.workload import anything
from tests.sim.world import World

JOBS = 14
ROOT: Final = Path(__file__).parents[2]
MODES = ("longestIdle", "roundRobin", "bestWorker")


class Trace:
    """A centre that behaves well, and the history that it leaves."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed, CALM, topology=(BOTH,))
        self._chance = random.Random(seed)
        self._mode = {"kind": MODES[seed % 3], "maxConcurrentOffers": 1 + seed % 2}
        self._lines: list[dict[str, Any]] = []
        self._entries: dict[str, list[dict[str, Any]]] = {}
        self._created: dict[str, tuple[datetime, dict[str, Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._all_assigned = asyncio.Event()
        self.assigned: list[tuple[str, str]] = []

    async def _call(self, function: Any, *args: Any) -> Any:
        return await self.world.processes[0].call(function, *args)

    async def play(self) -> None:
        for process in (self.world.start_process(BOTH),):
            assert process.alive
        begins = self.world.now()
        self._lines.append({"kind": "header", "version": 1, "from": begins.isoformat()})
        await self._resource("DistributionPolicy", "d", {"offerExpiresAfterSeconds": 500, "mode": self._mode})
        late = {"kind": "manualReclassify", "priority": 9}
        rule = {"id": "late", "trigger": {"kind": "waitTime", "thresholdSeconds": 37}, "actions": [late]}
        await self._resource("ExceptionPolicy", "e", {"exceptionRules": [rule]})
        await self._resource("Queue", "q", {"distributionPolicyId": "d", "exceptionPolicyId": "e"})
        for number in range(4):
            await self._worker(f"w{number}", {"skill": number})
            await asyncio.sleep(1)
        looking = self.world.loop.create_task(self._look())
        for number in range(JOBS):
            await asyncio.sleep(self._chance.uniform(4, 24))
            await self._job(f"j{number}")
        await self._all_assigned.wait()
        await asyncio.gather(*self._tasks)
        looking.cancel()
        self._lines[0]["to"] = (self.world.now() + timedelta(seconds=1)).isoformat()

    async def _resource(self, kind: str, id: str, document: dict[str, Any]) -> None:
        await self._call(setting_usecases.upsert, kind, id, lambda _: document, anything)
        self._lines.append({"kind": kind[0].lower() + kind[1:], "id": id, "resource": document})

    async def _worker(self, id: str, labels: dict[str, Any]) -> None:
        document = {
            "queues": ["q"],
            "capacity": 1,
            "labels": labels,
            "channels": [{"channelId": "chat", "capacityCostPerJob": 1}],
            "availableForOffers": True,
        }
        wanted = RouterWorkerInput.model_validate(document)
        at = self.world.now().isoformat()
        await self._call(worker_usecases.upsert, id, lambda _: wanted, anything)
        self._lines.append(
            {"kind": "worker", "id": id, "resource": document, "entries": [{"at": at, "what": "registered"}]}
        )

    async def _job(self, id: str) -> None:
        document: dict[str, Any] = {"channelId": "chat", "queueId": "q", "priority": self._chance.choice((1, 1, 5))}
        if self._chance.random() < 0.6:
            least = self._chance.choice((1, 2, 3))
            selector = {"key": "skill", "labelOperator": "greaterThanOrEqual", "value": least}
            if self._chance.random() < 0.5:
                selector["expiresAfterSeconds"] = self._chance.choice((7, 21))
            document["requestedWorkerSelectors"] = [selector]
        wanted = RouterJobInput.model_validate(document)
        self._created[id] = (self.world.now(), document)
        self._entries[id] = []
        await self._call(job_usecases.upsert, id, lambda _: wanted, anything)

    async def _look(self) -> None:
        """Each offer is answered after a while, by whoever is first."""
        seen: set[str] = set()
        while True:
            await asyncio.sleep(0.02)
            for job in list(self.world.history.jobs.values()):
                for offer in job.routing.offers.values():
                    if offer.offer_id not in seen:
                        seen.add(offer.offer_id)
                        fields = {"workerId": offer.worker_id, "offerId": offer.offer_id}
                        entry = {"at": offer.offered_at.isoformat(), "what": "offered", **fields}
                        self._entries[job.id].append(entry)
                        self.world.loop.create_task(self._answer(job.id, offer.worker_id, offer.offer_id))

    async def _answer(self, job_id: str, worker_id: str, offer_id: str) -> None:
        await asyncio.sleep(self._chance.uniform(1, 6))
        job = self.world.history.jobs[job_id]
        if offer_id not in job.routing.offers:
            return
        _, assignment_id = await self._call(offer_usecases.accept, worker_id, offer_id)
        record = self.world.history.jobs[job_id]
        at = record.job.assignments[assignment_id].assigned_at.isoformat()
        self._entries[job_id].append({"at": at, "what": "accepted", "workerId": worker_id, "offerId": offer_id})
        for other in job.routing.offers:
            if other != offer_id:
                self._entries[job_id].append({"at": at, "what": "revoked", "offerId": other})
        self.assigned.append((job_id, worker_id))
        self._tasks.append(self.world.loop.create_task(self._work(job_id, assignment_id)))
        if len(self.assigned) == JOBS:
            self._all_assigned.set()

    async def _work(self, job_id: str, assignment_id: str) -> None:
        await asyncio.sleep(self._chance.uniform(15, 90))
        await self._call(job_usecases.complete, job_id, assignment_id, CompleteJobOptions())
        await self._call(job_usecases.close, job_id, assignment_id, CloseJobOptions())
        self._entries[job_id].append({"at": self.world.now().isoformat(), "what": "closed"})

    def lines(self) -> list[str]:
        for id, (created, document) in self._created.items():
            record = self.world.history.jobs[id]
            assert record.job.enqueued_at is not None
            queued = {"at": record.job.enqueued_at.isoformat(), "what": "queued"}
            entries = sorted([queued, *self._entries[id]], key=lambda one: str(one["at"]))
            resource = {**document, "createdAt": created.isoformat()}
            self._lines.append({"kind": "job", "id": id, "resource": resource, "entries": entries})
        return [json.dumps(one) for one in self._lines]


@pytest.mark.parametrize("seed", range(20))
def test_the_replay_assigns_as_the_services_did(seed: int) -> None:
    trace = Trace(seed)
    world = trace.world
    world.loop.run(world.outside.run(world.loop.create_task, trace.play()))
    lines = trace.lines()
    world.end()
    assert len(trace.assigned) == JOBS
    replayed = play(Replayed(parse(lines, "trace")), 0)
    assert {job: worker for job, worker, _ in replayed.assignments} == dict(trace.assigned)


def check_alike(centre: Centre) -> set[str]:
    """The features that occur."""
    assigned, found, _ = replayed(centre.run())
    assert differences(centre.assigned, assigned) == []
    assert found == [], "nothing is doubted, and all is known"
    return {name for name in FEATURES if centre.features[name]}


def test_the_export_of_the_services_history_is_replayed_alike_with_all_features() -> None:
    """Three modes, two offers at a time, priorities, selectors that expire, rules of both triggers with all actions
    but classifying, declines, expiries, unassignments, and changes by clients."""
    lacking = set(FEATURES)
    for seed in range(24, 34):  # a queue need not become long in each of them
        centre = Centre(seed=seed, jobs=140, often=2.0)
        lacking -= check_alike(centre)
        near = [(one, other) for one, other in pairwise(centre.causes) if other[0] - one[0] < APART / 2]
        assert [pair for pair in near if pair[0][1] != pair[1][1]] == [], "what comes in either order is not in the day"
        if not lacking:
            break
    assert lacking == set(), "all features occur"


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_long_trace_is_replayed_alike() -> None:
    assert check_alike(Centre(seed=8, jobs=1_500)) == set(FEATURES)


def test_a_trace_is_the_same_under_every_hash_seed() -> None:
    """Each call of storage is made at the same moment, whatever order sets have."""
    code = (
        "from tests.sim.whatif_trace import FEATURES, Centre, differences, replayed\n"
        "centre = Centre(seed=11, jobs=50, often=3.0)\n"
        "lines = centre.run()\n"
        "print(centre.world.digest, lines, replayed(lines)[0])\n"
    )

    def run(seed: int) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    assert len({run(seed) for seed in (1, 2)}) == 1
