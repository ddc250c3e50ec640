"""What a run's clients do: a small contact centre whose people and callers behave badly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from router.models.jobs import (
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    JobRecord,
    RouterJobInput,
    UnassignJobOptions,
)
from router.models.policies import DistributionPolicy
from router.models.workers import RouterWorkerInput, WorkerRecord
from router.usecases import figures as figure_usecases
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from router.usecases import workers as worker_usecases
from tests.sim.world import World


def anything(*_: Any) -> None:
    """The caller sets no conditions."""


@dataclass(frozen=True)
class Acknowledged:
    """An answer of 2xx: what it promised must stand."""

    kind: str
    job_id: str = ""
    worker_id: str = ""
    assignment_id: str = ""
    offer_id: str = ""


class Workload:
    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = world.chance
        self.acknowledged: list[Acknowledged] = []
        self.queues: list[str] = []
        self.workers: list[str] = []
        self.jobs: list[str] = []
        self._actions = self._chance.choice((10, 25, 45))
        self._most_jobs = self._chance.randint(3, 8)
        self._classification: list[str] = []

    # Settings.

    async def set_up(self) -> None:
        """Policies, queues and workers; nothing fails yet."""
        chance, world = self._chance, self._world
        for number in range(chance.randint(1, 3)):
            queue_id = chance.choice((f"queue{number}", f"q {number}/ä"))
            policy = self._distribution()
            await self._resource("DistributionPolicy", f"d{number}", policy)
            queue: dict[str, Any] = {"distributionPolicyId": f"d{number}", "labels": {"region": number}}
            if chance.random() < 0.3:
                rules = self._exception_rules()
                await self._resource("ExceptionPolicy", f"e{number}", {"exceptionRules": rules})
                queue["exceptionPolicyId"] = f"e{number}"
                for rule in rules:
                    if rule["trigger"]["kind"] == "waitTime":
                        world.waits[(queue_id, rule["id"])] = rule["trigger"]["thresholdSeconds"]
            await self._resource("Queue", queue_id, queue)
            world.policies[queue_id] = DistributionPolicy.model_validate(policy)
            self.queues.append(queue_id)
        for number in range(chance.choice((0, 0, 1, 2))):
            await self._resource("ClassificationPolicy", f"c{number}", self._classification_policy())
            self._classification.append(f"c{number}")
        for number in range(chance.randint(1, 4)):
            self.workers.append(chance.choice((f"worker{number}", f"w#{number}")))
        for worker_id in self.workers:
            if chance.random() < 0.8:
                await self._call(worker_usecases.upsert, worker_id, self._wanted_worker(), anything)

    async def _resource(self, kind: str, id: str, document: dict[str, Any]) -> None:
        await self._call(setting_usecases.upsert, kind, id, lambda _: document, anything)

    def _distribution(self) -> dict[str, Any]:
        chance = self._chance
        least = chance.choice((1, 1, 2))
        mode: dict[str, Any] = {
            "kind": chance.choice(("longestIdle", "roundRobin", "bestWorker")),
            "minConcurrentOffers": least,
            "maxConcurrentOffers": least + chance.choice((0, 0, 1, 2)),
            "bypassSelectors": chance.random() < 0.15,
        }
        if mode["kind"] == "bestWorker" and chance.random() < 0.3:
            mode["scoringRule"] = {"kind": "static", "value": 1}
        return {"offerExpiresAfterSeconds": float(chance.choice((2, 8, 25, 400, 1000, 1000))), "mode": mode}

    def _exception_rules(self) -> list[dict[str, Any]]:
        chance = self._chance
        actions: list[dict[str, Any]] = [
            {"kind": "cancel", "note": "too long"},
            {"kind": "manualReclassify", "priority": 9},
            {
                "kind": "manualReclassify",
                "queueId": "queue0",
                "priority": 2,
                "workerSelectors": [{"key": "skill", "labelOperator": "lessThan", "value": 9}],
            },
            {"kind": "reclassify", "labelsToUpsert": {"late": True}},
        ]
        rules: list[dict[str, Any]] = []
        if chance.random() < 0.7:
            trigger: dict[str, Any] = {"kind": "waitTime", "thresholdSeconds": float(chance.choice((1, 5, 12, 30, 45)))}
            rules.append({"id": "waits", "trigger": trigger, "actions": [chance.choice(actions)]})
        if chance.random() < 0.5:
            trigger = {"kind": "queueLength", "threshold": chance.randint(1, 3)}
            rules.append({"id": "long", "trigger": trigger, "actions": chance.sample(actions, chance.randint(1, 2))})
        return rules

    def _classification_policy(self) -> dict[str, Any]:
        chance = self._chance
        policy: dict[str, Any] = {"fallbackQueueId": self.queues[0]}
        if chance.random() < 0.6:
            selector = {"key": "region", "labelOperator": "equal", "value": chance.randint(0, 2)}
            policy["queueSelectorAttachments"] = [{"kind": "static", "queueSelector": selector}]
        if chance.random() < 0.5:
            policy["prioritizationRule"] = {"kind": "static", "value": chance.choice((1, 5, 5, "fails"))}
        if chance.random() < 0.5:
            worker = self._selector() | {"expedite": chance.random() < 0.3}
            policy["workerSelectorAttachments"] = [{"kind": "static", "workerSelector": worker}]
        return policy

    def _selector(self) -> dict[str, Any]:
        chance = self._chance
        one: dict[str, Any] = {
            "key": "skill",
            "labelOperator": chance.choice(("greaterThan", "greaterThanOrEqual", "lessThan", "equal", "notEqual")),
            "value": chance.randint(1, 5),
            "expedite": chance.random() < 0.25,
        }
        if chance.random() < 0.4:
            one["expiresAfterSeconds"] = float(chance.choice((1, 4, 10, 30)))
        return one

    def _wanted_worker(self, current: WorkerRecord | None = None, **changes: Any) -> Callable[..., RouterWorkerInput]:
        chance = self._chance
        channels: list[dict[str, Any]] = [{"channelId": "chat", "capacityCostPerJob": 1}]
        if chance.random() < 0.4:
            channels[0]["maxNumberOfJobs"] = chance.randint(1, 2)
        if chance.random() < 0.7:
            channels.append({"channelId": "voice", "capacityCostPerJob": 2})
        fresh: dict[str, Any] = {
            "queues": chance.sample(self.queues, chance.randint(1, len(self.queues))),
            "capacity": chance.randint(1, 4),
            "labels": {"skill": chance.randint(1, 5)},
            "channels": channels,
            "availableForOffers": chance.random() < 0.9,
            "maxConcurrentOffers": chance.choice((None, None, 1, 2)),
        }
        if current is not None:
            kept = current.worker.model_dump(mode="json", by_alias=True)
            fresh = {name: kept[name] for name in fresh} | changes
        wanted = RouterWorkerInput.model_validate(fresh)
        return lambda _: wanted

    def _wanted_job(self) -> Callable[..., RouterJobInput]:
        chance = self._chance
        fields: dict[str, Any] = {
            "channelId": chance.choice(("chat", "chat", "voice")),
            "priority": chance.choice((1, 1, 5, 9)),
            "labels": {"skill": chance.randint(1, 5)},
            "requestedWorkerSelectors": [self._selector() for _ in range(chance.choice((0, 0, 1)))],
        }
        if self._classification and chance.random() < 0.5:
            fields["classificationPolicyId"] = chance.choice(self._classification)
            if chance.random() < 0.5:
                fields["queueId"] = chance.choice(self.queues)
        else:
            fields["queueId"] = chance.choice(self.queues)
        if chance.random() < 0.15:
            moment = self._world.now() + timedelta(seconds=chance.choice((0.5, 3, 10, 35)))
            fields["matchingMode"] = {"kind": "scheduleAndSuspend", "scheduleAt": moment.isoformat()}
        elif chance.random() < 0.05:
            fields["matchingMode"] = {"kind": "suspend"}
        wanted = RouterJobInput.model_validate(fields)
        return lambda _: wanted

    # Clients.

    async def play(self, seconds: float) -> None:
        clients = [self._client(seconds) for _ in range(self._chance.randint(2, 5))]
        await asyncio.gather(*clients)

    async def _client(self, seconds: float) -> None:
        loop, chance = self._world.loop, self._chance
        ends = loop.time() + seconds
        pace = chance.choice((0.05, 0.5, 2.0))
        while loop.time() < ends and self._actions > 0:
            self._actions -= 1
            await self._act()
            await asyncio.sleep(pace * 2 * chance.random())

    async def _act(self) -> None:
        chance = self._chance
        jobs, workers = self._world.truth()
        dice = chance.random()
        offers = [(worker.id, offer.offer_id) for worker in workers.values() for offer in worker.worker.offers]
        if dice < 0.25 and len(self.jobs) < self._most_jobs:
            await self.create_job(f"job{len(self.jobs)}")
        elif dice < 0.5 and offers:
            worker_id, offer_id = chance.choice(offers)
            if chance.random() < 0.2:
                await self._until_it_expires(workers[worker_id], offer_id)
            await self._call(offer_usecases.accept, worker_id, offer_id, told=("accept", offer_id))
        elif dice < 0.55 and offers:
            await self._rush(offers)
        elif dice < 0.63 and offers:
            worker_id, offer_id = chance.choice(offers)
            later = None if chance.random() < 0.6 else self._world.now() + timedelta(seconds=chance.choice((1, 5, 30)))
            await self._call(offer_usecases.decline, worker_id, offer_id, later)
        elif dice < 0.8 and jobs:
            await self._job_action(chance.choice(list(jobs.values())))
        elif dice < 0.97:
            await self._worker_action(chance.choice(self.workers))
        else:
            await self._look()

    async def _until_it_expires(self, worker: WorkerRecord, offer_id: str) -> None:
        """Waits until just before an offer expires, or just after, if that is soon."""
        offer = next(one for one in worker.worker.offers if one.offer_id == offer_id)
        wait = (offer.expires_at - self._world.now()).total_seconds() + self._chance.uniform(-0.03, 0.02)
        if 0 < wait < 9:
            await asyncio.sleep(wait)

    async def create_job(self, job_id: str) -> None:
        self.jobs.append(job_id)
        await self._call(job_usecases.upsert, job_id, self._wanted_job(), anything, told=("create", ""))

    async def _rush(self, offers: list[tuple[str, str]]) -> None:
        """Everybody accepts at once, some twice."""
        calls = [
            self._call(offer_usecases.accept, worker_id, offer_id, told=("accept", offer_id))
            for worker_id, offer_id in offers
            for _ in range(self._chance.choice((1, 1, 2)))
        ]
        await asyncio.gather(*calls)

    async def _job_action(self, job: JobRecord) -> None:
        chance, now = self._chance, self._world.now()
        held = [one for one in job.job.assignments.values() if one.closed_at is None]
        dice = chance.random()
        if held and job.job.status == "assigned":
            one = held[0].assignment_id
            if dice < 0.65:
                await self._call(
                    job_usecases.complete, job.id, one, CompleteJobOptions(note="done"), told=("complete", one)
                )
            elif dice < 0.9:
                options = UnassignJobOptions(suspend_matching=chance.random() < 0.2)
                await self._call(job_usecases.unassign, job.id, one, options, told=("unassign", one))
            else:
                await self._call(job_usecases.cancel, job.id, CancelJobOptions(), told=("cancel", ""))
        elif held:
            one = held[0].assignment_id
            at = None if dice < 0.6 else now + timedelta(seconds=chance.choice((0.5, 3, 8, 25, 40)))
            if at is None:
                self._world.history.closed_by_hand.add(job.id)
            await self._call(job_usecases.close, job.id, one, CloseJobOptions(close_at=at), told=("close", one))
        elif job.job.status in ("closed", "cancelled", "classificationFailed", "scheduleFailed") and dice < 0.5:
            await self._call(job_usecases.delete, job.id, told=("delete", ""))
        elif dice < 0.15:
            await self._call(job_usecases.cancel, job.id, CancelJobOptions(note="never mind"), told=("cancel", ""))
        elif dice < 0.25:
            await self._call(job_usecases.reclassify, job.id)
        else:
            await self._call(job_usecases.upsert, job.id, self._changed_job(), anything)

    def _changed_job(self) -> Callable[..., RouterJobInput]:
        chance = self._chance
        changes: dict[str, Any] = chance.choice(
            (
                {"priority": chance.choice((1, 5, 9))},
                {"labels": {"skill": chance.randint(1, 5), "new": 1}},
                {"requestedWorkerSelectors": [self._selector()]},
                {"requestedWorkerSelectors": []},
                {"queueId": chance.choice(self.queues)},
                {"channelId": chance.choice(("chat", "voice"))},
                {"tags": {"seen": True}},
                {"matchingMode": {"kind": "suspend"}},
                {"matchingMode": {"kind": "queueAndMatch"}},
                {"matchingMode": {"kind": "queueAndMatch"}},
            )
        )
        fallback = self._wanted_job()

        def wanted(current: JobRecord | None) -> RouterJobInput:
            if current is None:
                return fallback(None)
            kept = current.job.model_dump(mode="json", by_alias=True)
            return RouterJobInput.model_validate({**kept, **changes})

        return wanted

    async def _worker_action(self, worker_id: str) -> None:
        chance = self._chance
        current = self._world.history.workers.get(worker_id)
        if current is None:
            await self._call(worker_usecases.upsert, worker_id, self._wanted_worker(), anything, told=("worker", ""))
            return
        dice = chance.random()
        if dice < 0.45:
            await self.register(worker_id)
        elif dice < 0.6:
            wanted = self._wanted_worker(current, availableForOffers=False)
            await self._call(worker_usecases.upsert, worker_id, wanted, anything, told=("worker", ""))
        elif dice < 0.95:
            changes: dict[str, Any] = chance.choice(
                (
                    {"capacity": chance.randint(1, 4)},
                    {"labels": {"skill": chance.randint(1, 5)}},
                    {"queues": chance.sample(self.queues, chance.randint(1, len(self.queues)))},
                    {"maxConcurrentOffers": chance.choice((None, 1, 2))},
                    {"channels": [{"channelId": "chat", "capacityCostPerJob": chance.randint(1, 2)}]},
                )
            )
            wanted = self._wanted_worker(current, **changes)
            await self._call(worker_usecases.upsert, worker_id, wanted, anything, told=("worker", ""))
        else:
            await self._call(worker_usecases.delete, worker_id)

    async def register(self, worker_id: str) -> None:
        current = self._world.history.workers.get(worker_id)
        if current is not None and not current.routing.deleting:
            wanted = self._wanted_worker(current, availableForOffers=True)
            await self._call(worker_usecases.upsert, worker_id, wanted, anything, told=("worker", ""))

    async def _look(self) -> None:
        jobs = list(self._world.history.jobs)
        if jobs:
            await self._call(figure_usecases.position, self._chance.choice(jobs))
        await self._call(figure_usecases.statistics, self._chance.choice(self.queues))

    async def _call(
        self,
        function: Callable[..., Coroutine[Any, Any, Any]],
        *args: Any,
        told: tuple[str, str] | None = None,
    ) -> None:
        """One call of one process. What it answered is remembered."""
        process = self._world.some_process()
        name = function.__name__
        if process is None:
            return
        self._world.note(process, f"call {name} {[one for one in args if isinstance(one, str)]}")
        try:
            answer = await process.call(function, *args)
        except Exception as error:
            self._world.note(process, f"call {name}: {type(error).__name__}")
            self._world.judge_failure(name, error)
            return
        self._world.note(process, f"call {name}: done")
        if told is None:
            return
        kind, which = told
        if kind == "accept":
            job_id, assignment_id = answer
            said = Acknowledged(kind, job_id, args[0], assignment_id, which)
            self._check_visible(said)
        elif kind == "worker":
            said = Acknowledged(kind, worker_id=args[0])
        else:
            said = Acknowledged(kind, args[0], assignment_id=which)
        self.acknowledged.append(said)

    def _check_visible(self, said: Acknowledged) -> None:
        """An accepted job is in its worker's row when the answer comes, unless it has left it already."""
        jobs, workers = self._world.truth()
        job, worker = jobs.get(said.job_id), workers.get(said.worker_id)
        one = job.job.assignments.get(said.assignment_id) if job else None
        if one is None or one.closed_at is not None or worker is None:
            return
        held = [held.assignment_id for held in worker.worker.assigned_jobs]
        made_again = self._world.history.lives(worker.id)[0].modified > one.assigned_at
        if said.assignment_id not in held and not made_again:
            self._world.history.fault(f"worker {worker.id} accepted job {said.job_id} and does not have it")
