"""What each call and each routed job costs in storage operations, counted and as docs/performance.md has it."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from router.commit.background import Background
from router.commit.parts import Parts
from router.events.receive import Wake
from router.ids import Ids
from router.models.event_catalogue import EventName
from router.models.events import PendingEvent
from router.models.filters import JobFilter, WorkerFilter
from router.models.jobs import CancelJobOptions, CloseJobOptions, CompleteJobOptions, RouterJobInput, UnassignJobOptions
from router.models.workers import RouterChannel, RouterWorkerInput
from router.storage.deadlines import SHARDS, Deadline
from router.storage.port import Entity, Page
from router.storage.resources import ResourceStore
from router.storage.turns import Urgency
from router.upkeep import deadlines as deadline_runner
from router.upkeep import events as wake
from router.upkeep.procedures import PROCEDURES
from router.usecases import explain as explain_usecases
from router.usecases import figures as figure_usecases
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from router.usecases import workers as worker_usecases
from tests.sim.memory_tables import MemoryTable, Rows
from tests.sim.virtual_loop import VirtualLoop

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

START = datetime(2024, 3, 4, 8, tzinfo=UTC)
#: Longer than a job lives on after its end.
LONG = timedelta(days=400)

#: Seconds in which all events are out and rows are cleared, and rows are watched still.
SOON = 2.0
#: Seconds after which the timer has seen to what a change of settings leaves to do.
FOLLOWED = 20.0

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

    def begin(self, work: Coroutine[Any, Any, T], name: str, urgency: Urgency | None = None) -> asyncio.Task[T]:
        with _afterwards():
            return super().begin(work, name, urgency)

    def start(self, work: Coroutine[Any, Any, Any], name: str, urgency: Urgency = Urgency.FOLLOW) -> asyncio.Task[Any]:
        with _afterwards():
            return super().start(work, name, urgency)


@contextmanager
def _afterwards() -> Iterator[None]:
    token = PHASE.set((PHASE.get()[0], "after")) if PHASE.get(None) else None
    try:
        yield
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
                woken = _wake(event)
                self.parts.background.start(FUNCTIONS[function](self.parts, woken), function)


def _wake(event: PendingEvent) -> Wake:
    job_id, worker_id = event.data.get("jobId"), event.data.get("workerId")
    return Wake(event.id, EventName(event.type), event.subject, job_id, worker_id, event.time, None)


class Clock:
    """The loop's time. It jumps to whatever comes next."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())


class Still:
    """For the settings: nothing of them is forgotten meanwhile."""

    def now(self) -> datetime:
        return START


class Router:
    """Two processes over the same tables: one is called and woken by events, the other one is the timer."""

    def __init__(self) -> None:
        self.tables = Counting()
        self.parts, self.timer = self._process(), self._process()

    def _process(self) -> Parts:
        publisher = Loopback()
        parts = Parts(self.tables, Clock(), Ids(), publisher, None, PROCEDURES, background=Afterwards())  # type: ignore[arg-type]
        parts.resources = ResourceStore(self.tables, Still())
        publisher.parts = parts
        return parts

    async def count(self, name: str, call: Awaitable[T], pause: float | None = None) -> T:
        """Makes the call and waits until everything it started rests, or for `pause` seconds."""

        async def run() -> T:
            PHASE.set((name, "call"))
            return await call

        result = await asyncio.create_task(run())
        if pause is None:
            await self.rest(name)
        else:
            await asyncio.sleep(pause)
        return result

    async def rest(self, name: str | None = None) -> None:
        """All background work has ended, and the timer has done what has come due by then."""
        while True:
            for parts in (self.parts, self.timer):
                await parts.background.drain(LONG.total_seconds())
            if len(self.parts.background) or len(self.timer.background):
                continue
            due = await self._due(self.timer.clock.now())
            if not due:
                return
            await self._run(due, (name, "after") if name else None)

    async def time_is_up(self, name: str) -> None:
        """Runs what deadlines are left of the job, as the timer does when they come due."""
        due = await self._due(self.timer.clock.now() + LONG)
        await self._run([one for one in due if one.kind != "idle"], (name, "call"))
        await self.rest(name)

    async def _due(self, until: datetime) -> list[Deadline]:
        async def find() -> list[Deadline]:
            return [one for shard in range(SHARDS) for one in await self.timer.deadlines.due(shard, until, 1000)]

        return await asyncio.create_task(find(), context=Context())

    async def _run(self, due: Sequence[Deadline], phase: tuple[str, str] | None) -> None:
        async def run() -> None:
            if phase is not None:
                PHASE.set(phase)
            for deadline in due:
                await deadline_runner.HANDLERS[deadline.kind](self.timer, deadline)
            await self.timer.deadlines.remove(due)

        await asyncio.create_task(run(), context=Context())

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
        for parts in (self.parts, self.timer):
            await parts.resources.cached("Queue", "q")
            await parts.resources.cached("DistributionPolicy", "p")
        if worker:
            await self.worker(worker)
        await asyncio.sleep(FOLLOWED)
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


async def _followed(change: Awaitable[None]) -> None:
    """A change of settings, with what the timer does about it."""
    await change
    await asyncio.sleep(FOLLOWED)


def _always(etag: str | None, modified: datetime | None) -> None:
    pass


async def routed_job(router: Router, job: str, pause: float | None) -> None:
    """One job from its creation to its end, and what the timer finds of it long after."""
    parts, new = router.parts, "UpsertJob, new, for an idle worker"
    await router.count(new, router.job(job), pause)
    _, assignment = await router.count("AcceptJobOffer", offer_usecases.accept(parts, "w", await router.offer()), pause)
    await router.count("CompleteJob", job_usecases.complete(parts, job, assignment, CompleteJobOptions()), pause)
    await router.count("CloseJob", job_usecases.close(parts, job, assignment, CloseJobOptions()))
    await router.time_is_up("deadlines that are left of it")


async def whole_jobs(pause: float | None = None) -> dict[str, tuple[int, int, int]]:
    router = Router()
    await router.set_up()
    await routed_job(router, "first", pause)
    router.tables.counts.clear()
    await routed_job(router, "second", pause)
    costs = router.costs()
    sums = [sum(cost[place] for cost in costs.values()) for place in range(3)]
    return {**costs, "**one whole job**": (sums[0], sums[1], sums[2])}


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
    await asyncio.sleep(3)
    await count("its worker closes another job", job_usecases.close(parts, "first", before, CloseJobOptions()))
    _, assignment = await count("AcceptJobOffer", offer_usecases.accept(parts, "w", await router.offer()))
    await count("CompleteJob", job_usecases.complete(parts, "j", assignment, CompleteJobOptions()))
    await count("CloseJob", job_usecases.close(parts, "j", assignment, CloseJobOptions()))
    await router.time_is_up("deadlines that are left of it")
    return router.costs()


async def other_calls() -> dict[str, tuple[int, int, int]]:
    router = Router()
    await router.set_up(worker=None)
    parts, count = router.parts, router.count
    await count("UpsertQueue, new", _followed(router.resource("Queue", "q2", distributionPolicyId="p")))
    await count("UpsertQueue, nothing changed", router.resource("Queue", "q2", distributionPolicyId="p"))
    await count("GetQueue (and each policy)", setting_usecases.get(parts, "Queue", "q"))
    await count("GetQueues (and each list of policies), a page", setting_usecases.page(parts, "Queue", 100, None))
    await count("DeleteQueue", _followed(setting_usecases.delete(parts, "Queue", "q2")))
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


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    loop = VirtualLoop()  # type: ignore[abstract]
    result: T = loop.run(loop.create_task(work))
    loop.bury()
    return result


def tables() -> str:
    quick, slow = in_virtual_time(whole_jobs(SOON)), in_virtual_time(whole_jobs())
    waiting, calls = in_virtual_time(waiting_job()), in_virtual_time(other_calls())
    return "\n".join(
        [
            *table("a routed job, two seconds between its steps", quick),
            "",
            *table("a routed job, its steps far apart", slow),
            "",
            *table("a job that waits, its steps far apart", waiting),
            "",
            *table("other calls", calls),
        ]
    )


def test_a_routed_job_costs_at_most_32_operations() -> None:
    costs = in_virtual_time(whole_jobs(SOON))
    assert sum(costs["**one whole job**"]) <= 32, costs


def test_the_documented_operations_are_the_counted_ones() -> None:
    counted, found = tables(), PLACE.search(DOC.read_text())
    assert found, "docs/performance.md has no table of operations"
    assert found[1] == counted, f"`python -m tests.integration.test_operation_counts` writes this:\n\n{counted}\n"


def test_counting_again_counts_the_same() -> None:
    assert in_virtual_time(whole_jobs()) == in_virtual_time(whole_jobs())


def test_how_fast_a_line_moves_is_written_at_most_every_ten_seconds() -> None:
    in_virtual_time(_a_line_moves())


async def _a_line_moves() -> None:
    router = Router()
    await router.set_up(worker=None)
    for number in range(5):
        await router.job(f"j{number}")
    await router.rest()
    await asyncio.sleep(60)
    await router.worker("w", capacity=5)
    await router.rest()
    row = await router.parts.workers.store.load("w")
    assert row.record is not None
    for held in row.record.worker.offers:
        await router.count("accept", offer_usecases.accept(router.parts, "w", held.offer_id), pause=0.5)
    assert len(router.tables._rows["throughput"]) == 1
    recent = await router.parts.throughput.recent("q")
    assert (recent.assigned, len(recent.busy)) == (5, 1)


if __name__ == "__main__":
    written = tables()
    DOC.write_text(PLACE.sub(lambda _: written, DOC.read_text()))
