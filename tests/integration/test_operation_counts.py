"""What each call and each routed job costs in storage operations, counted and as docs/performance.md has it."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Coroutine, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from router.commit.background import Background
from router.commit.parts import Parts
from router.ids import Ids
from router.models.events import PendingEvent
from router.models.filters import JobFilter, WorkerFilter
from router.models.jobs import CancelJobOptions, CloseJobOptions, CompleteJobOptions, RouterJobInput, UnassignJobOptions
from router.models.workers import RouterChannel, RouterWorkerInput
from router.storage.deadlines import SHARDS
from router.storage.port import Entity, Page
from router.upkeep import deadlines as deadline_runner
from router.upkeep import events as wake
from router.upkeep.procedures import PROCEDURES
from router.usecases import explain as explain_usecases
from router.usecases import figures as figure_usecases
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from router.usecases import workers as worker_usecases
from tests.eventually import eventually_async
from tests.sim.memory_tables import MemoryTable, Rows

ROOT = Path(__file__).parents[2]
DOC = ROOT / "docs" / "performance.md"
PLACE = re.compile(r"(?<=<!-- operations -->\n\n)(.*?)(?=\n\n<!-- /operations -->)", re.DOTALL)
FUNCTIONS = {
    "OnJobEvent": wake.on_job_event,
    "OnWorkerEvent": wake.on_worker_event,
    "OnExceptionEvent": wake.on_job_event,
}
SUBSCRIBERS: dict[str, list[str]] = {}
for subscription in json.loads((ROOT / "infra" / "event-subscriptions.json").read_text()):
    for name in subscription["includedEventTypes"]:
        SUBSCRIBERS.setdefault(name.rsplit(".", 1)[1], []).append(subscription["function"])

T = TypeVar("T")
#: What is being counted: a call, and whether it has been answered.
PHASE: ContextVar[tuple[str, str]] = ContextVar("phase")


class Counting:
    """Tables in memory that count each call of the port: who makes it, and whether it reads or writes."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._rows: dict[str, Rows] = {}

    def table(self, name: str) -> MemoryTable:
        return _Table(self._rows.setdefault(name, Rows(name)), self.counts)

    async def ready(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _Table(MemoryTable):
    def __init__(self, rows: Rows, counts: Counter[tuple[str, str, str]]) -> None:
        super().__init__(rows)
        self._counts = counts

    def _count(self, kind: str) -> None:
        if phase := PHASE.get(None):
            self._counts[*phase, kind] += 1

    async def get(self, *args: Any, **options: Any) -> Entity | None:
        self._count("read")
        return await super().get(*args, **options)

    async def query(self, *args: Any, **options: Any) -> Page:
        self._count("read")
        return await super().query(*args, **options)

    async def insert(self, *args: Any) -> str:
        self._count("write")
        return await super().insert(*args)

    async def replace(self, *args: Any) -> str:
        self._count("write")
        return await super().replace(*args)

    async def upsert(self, *args: Any) -> str:
        self._count("write")
        return await super().upsert(*args)

    async def delete(self, *args: Any, **options: Any) -> None:
        self._count("write")
        await super().delete(*args, **options)

    async def transact(self, *args: Any) -> None:
        self._count("write")
        await super().transact(*args)


class Afterwards(Background):
    """What runs here is not waited for by the call that started it."""

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        token = PHASE.set((PHASE.get()[0], "after")) if PHASE.get(None) else None
        try:
            return super().start(work, name)
        finally:
            if token:
                PHASE.reset(token)


class Loopback:
    """Takes events and wakes the router's own functions with them, as the subscriptions say."""

    def __init__(self) -> None:
        self.parts: Parts

    async def publish(self, events: Sequence[PendingEvent], *, key: str) -> None:
        for event in events:
            for function in SUBSCRIBERS.get(event.type, []):
                target = event.data.get("workerId" if function == "OnWorkerEvent" else "jobId")
                if target:
                    woken = Wake(event.id, event.type, event.time, **{_TARGETS[function]: target})
                    self.parts.background.start(FUNCTIONS[function](self.parts, woken), function)


class Clock:
    """Stands still, so that nothing expires from a cache."""

    moment = datetime(2024, 3, 4, 8, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


class Router:
    def __init__(self) -> None:
        self.tables, self.clock, publisher = Counting(), Clock(), Loopback()
        self.parts = Parts(self.tables, self.clock, Ids(), publisher, None, PROCEDURES, background=Afterwards())  # type: ignore[arg-type]
        publisher.parts = self.parts

    async def count(self, name: str, call: Awaitable[T]) -> T:
        """Makes the call and waits until everything it started rests."""

        async def run() -> T:
            PHASE.set((name, "call"))
            return await call

        result = await asyncio.create_task(run())
        await self.rest()
        return result

    async def rest(self) -> None:
        async def rests() -> bool:
            return not len(self.parts.background)

        await eventually_async(rests)

    async def settle(self, name: str, *kinds: str) -> None:
        """Runs the settle deadlines of these kinds that are there, as the timer does."""

        async def run() -> None:
            parts, later = self.parts, self.clock.moment + timedelta(seconds=16)
            found = [one for shard in range(SHARDS) for one in await parts.deadlines.due(shard, later, 1000)]
            due = [one for one in found if one.kind in kinds]
            assert due
            PHASE.set((name, "call"))
            for deadline in due:
                await deadline_runner.HANDLERS[deadline.kind](parts, deadline)
            await parts.deadlines.remove(due)

        await asyncio.create_task(run())
        await self.rest()

    def costs(self) -> dict[str, tuple[int, int, int]]:
        """Of each call: reads and writes before its answer, and operations after it."""
        counts = self.tables.counts
        found: dict[str, tuple[int, int, int]] = {}
        for name, _, _ in counts:
            later = counts[name, "after", "read"] + counts[name, "after", "write"]
            found[name] = (counts[name, "call", "read"], counts[name, "call", "write"], later)
        return found

    # The calls.

    async def set_up(self, worker: str | None = "w") -> None:
        await self.resource("DistributionPolicy", "p", offerExpiresAfterSeconds=60, mode={"kind": "longestIdle"})
        await self.resource("Queue", "q", distributionPolicyId="p")
        if worker:
            await self.worker(worker)
        await self.rest()

    async def resource(self, kind: str, id: str, **document: Any) -> None:
        await setting_usecases.upsert(self.parts, kind, id, lambda current: document, _always)

    async def worker(self, id: str, **changes: Any) -> None:
        fields = {
            "queues": ["q"],
            "capacity": 1,
            "channels": [RouterChannel(channel_id="c", capacity_cost_per_job=1)],
            "available_for_offers": True,
            **changes,
        }
        await worker_usecases.upsert(self.parts, id, lambda current: RouterWorkerInput(**fields), _always)

    async def job(self, id: str, **changes: Any) -> None:
        fields = {"channel_id": "c", "queue_id": "q", **changes}
        await job_usecases.upsert(self.parts, id, lambda current: RouterJobInput(**fields), _always)

    async def offer(self, worker_id: str = "w") -> str:
        row = await self.parts.workers.store.load(worker_id)
        assert row.record
        return row.record.worker.offers[0].offer_id


def _always(etag: str | None, modified: datetime | None) -> None:
    pass


async def routed_job(router: Router, job: str) -> None:
    """One job from its creation to its end, at a human's pace: all rests between two steps."""
    parts = router.parts
    await router.count("UpsertJob, new, for an idle worker", router.job(job))
    _, assignment = await router.count("AcceptJobOffer", offer_usecases.accept(parts, "w", await router.offer()))
    await router.count("CompleteJob", job_usecases.complete(parts, job, assignment, CompleteJobOptions()))
    await router.count("CloseJob", job_usecases.close(parts, job, assignment, CloseJobOptions()))
    await router.settle("settling the job and its worker", "settle-job", "settle-worker")


async def whole_jobs() -> dict[str, tuple[int, int, int]]:
    router = Router()
    await router.set_up()
    await routed_job(router, "first")
    router.tables.counts.clear()
    await routed_job(router, "second")
    return router.costs()


async def waiting_job() -> dict[str, tuple[int, int, int]]:
    """As whole_jobs, of a job that waits for its worker, who is done with another one."""
    router = Router()
    await router.set_up()
    parts, count = router.parts, router.count
    await router.job("first")
    await router.rest()
    _, before = await offer_usecases.accept(parts, "w", await router.offer())
    await job_usecases.complete(parts, "first", before, CompleteJobOptions())
    await router.rest()
    await count("UpsertJob, new, nobody is free", router.job("j"))
    router.clock.moment += timedelta(seconds=3)
    await count("its worker closes another job", job_usecases.close(parts, "first", before, CloseJobOptions()))
    _, assignment = await count("AcceptJobOffer", offer_usecases.accept(parts, "w", await router.offer()))
    await count("CompleteJob", job_usecases.complete(parts, "j", assignment, CompleteJobOptions()))
    await count("CloseJob", job_usecases.close(parts, "j", assignment, CloseJobOptions()))
    await router.settle("settling the job and its worker", "settle-job", "settle-worker")
    return router.costs()


async def other_calls() -> dict[str, tuple[int, int, int]]:
    router = Router()
    await router.set_up(worker=None)
    parts, count = router.parts, router.count
    await count("UpsertQueue, new", router.resource("Queue", "q2", distributionPolicyId="p"))
    await count("UpsertQueue, nothing changed", router.resource("Queue", "q2", distributionPolicyId="p"))
    await count("GetQueue (and each policy)", setting_usecases.get(parts, "Queue", "q"))
    await count("GetQueues (and each list of policies), a page", setting_usecases.page(parts, "Queue", 100, None))
    await count("DeleteQueue", setting_usecases.delete(parts, "Queue", "q2"))
    await count("UpsertWorker, new, in one queue", router.worker("w"))
    await count("UpsertWorker, nothing changed", router.worker("w"))
    await count("UpsertWorker, other labels", router.worker("w", labels={"a": 1}))
    await count("GetWorker", worker_usecases.get(parts, "w"))
    await count("GetWorkers, a page", worker_usecases.page(parts, WorkerFilter(), 100, None))
    await count("UpsertWorker, no longer available", router.worker("w", labels={"a": 1}, available_for_offers=False))
    await count("UpsertJob, new, nobody is free", router.job("j"))
    await count("UpsertJob, nothing changed", router.job("j"))
    await count("UpsertJob, other tags", router.job("j", tags={"a": 1}))
    await count("GetJob", job_usecases.get(parts, "j"))
    await count("GetJobs, a page", job_usecases.page(parts, JobFilter(), 100, None))
    await count("GetInQueuePosition", figure_usecases.position(parts, "j"))
    await count("GetQueueStatistics", figure_usecases.statistics(parts, "q"))
    await count("ExplainJob, a page", explain_usecases.explain(parts, "j", 100, None))
    await count("UpsertWorker, new, for a waiting job", router.worker("v"))
    await count("DeclineJobOffer", offer_usecases.decline(parts, "v", await router.offer("v"), None))
    await count("CancelJob, waiting", job_usecases.cancel(parts, "j", CancelJobOptions()))
    await count("DeleteJob", job_usecases.delete(parts, "j"))
    await router.job("k")
    await router.rest()
    await count("CancelJob, offered", job_usecases.cancel(parts, "k", CancelJobOptions()))
    await router.job("l")
    await router.rest()
    _, assignment = await offer_usecases.accept(parts, "v", await router.offer("v"))
    await router.rest()
    unassign = job_usecases.unassign(parts, "l", assignment, UnassignJobOptions())
    await count("UnassignJob, offered again", unassign)
    await count("DeleteWorker, with an offer", worker_usecases.delete(parts, "v"))
    return router.costs()


def table(title: str, costs: dict[str, tuple[int, int, int]]) -> list[str]:
    lines = [f"| {title} | reads | writes | after the answer | all |", "| --- | --- | --- | --- | --- |"]
    for name, (reads, writes, after) in costs.items():
        lines.append(f"| {name} | {reads} | {writes} | {after} | {reads + writes + after} |")
    return lines


async def tables() -> str:
    job, waiting, calls = await whole_jobs(), await waiting_job(), await other_calls()
    sums = [sum(cost[place] for cost in job.values()) for place in range(3)]
    assert sum(sums) <= 40
    job["**one whole job**"] = (sums[0], sums[1], sums[2])
    return "\n".join(
        [*table("a routed job", job), "", *table("a job that waits", waiting), "", *table("other calls", calls)]
    )


async def test_the_documented_operations_are_the_counted_ones() -> None:
    counted, found = await tables(), PLACE.search(DOC.read_text())
    assert found, "docs/performance.md has no table of operations"
    assert found[1] == counted, f"`python -m tests.integration.test_operation_counts` writes this:\n\n{counted}\n"


async def test_counting_again_counts_the_same() -> None:
    assert await whole_jobs() == await whole_jobs()


async def test_how_fast_a_line_moves_is_written_at_most_every_ten_seconds() -> None:
    router = Router()
    await router.set_up(worker=None)
    for number in range(5):
        await router.job(f"j{number}")
    await router.rest()
    router.clock.moment += timedelta(seconds=60)
    await router.worker("w", capacity=5)
    await router.rest()
    row = await router.parts.workers.store.load("w")
    assert row.record is not None
    for held in row.record.worker.offers:
        await router.count("accept", offer_usecases.accept(router.parts, "w", held.offer_id))
    assert len(router.tables._rows["throughput"]) == 1
    recent = await router.parts.throughput.recent("q")
    assert (recent.assigned, len(recent.busy)) == (5, 1)


if __name__ == "__main__":
    written = asyncio.run(tables())
    DOC.write_text(PLACE.sub(lambda _: written, DOC.read_text()))
