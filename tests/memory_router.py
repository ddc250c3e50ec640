"""Router processes over tables in memory, in virtual time: for tests of what commits, rounds and timers do together.

Nobody waits here: when all tasks wait, time jumps to whatever comes next."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec

from router.commit.parts import Parts
from router.ids import Ids
from router.models.events import PendingEvent
from router.models.jobs import JobRecord, RouterJobInput
from router.models.workers import RouterChannel, RouterWorkerInput, WorkerRecord
from router.rules.failure import RuleFailure
from router.storage.deadlines import SHARDS, Deadline
from router.storage.port import Entity, Page
from router.upkeep.procedures import PROCEDURES
from router.usecases import jobs as job_usecases
from router.usecases import settings as setting_usecases
from router.usecases import workers as worker_usecases
from tests.sim.memory_tables import MemoryTable, Rows
from tests.sim.virtual_loop import VirtualLoop

P = ParamSpec("P")
START = datetime(2024, 3, 4, 8, tzinfo=UTC)


def in_virtual_time(story: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine, run on a loop of its own whose time jumps."""

    @functools.wraps(story)
    def run(*args: P.args, **options: P.kwargs) -> None:
        loop = VirtualLoop()  # type: ignore[abstract]
        try:
            loop.run(loop.create_task(story(*args, **options)))
        finally:
            loop.bury()

    return run


class Clock:
    """The time of the loop that runs."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())


@dataclass(frozen=True)
class Call:
    """A call of the port."""

    kind: str
    table: str
    row: str


class Tables:
    """Shared by processes. Remembers the calls; `before` sees each one first, and may wait or raise."""

    def __init__(self) -> None:
        self.rows: dict[str, Rows] = {}
        self.calls: list[Call] = []
        self.before: Callable[[Call], Coroutine[Any, Any, None]] | None = None

    def table(self, name: str) -> _Table:
        return _Table(self, self.of(name))

    def of(self, name: str) -> Rows:
        return self.rows.setdefault(name, Rows(name))

    def count(self, kind: str, table: str) -> int:
        return sum(call.kind == kind and call.table == table for call in self.calls)

    async def ready(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _Table(MemoryTable):
    def __init__(self, tables: Tables, rows: Rows) -> None:
        super().__init__(rows)
        self._tables = tables

    async def _called(self, kind: str, row: str) -> None:
        call = Call(kind, self._rows.name, row)
        self._tables.calls.append(call)
        if self._tables.before is not None:
            # Somebody else's doing, who holds none of the locks of who calls.
            await asyncio.get_running_loop().create_task(self._tables.before(call), context=Context())

    async def get(self, partition: str, row: str) -> Entity | None:
        await self._called("get", row)
        return await super().get(partition, row)

    async def insert(self, entity: Entity) -> str:
        await self._called("insert", entity.row)
        return await super().insert(entity)

    async def replace(self, entity: Entity) -> str:
        await self._called("replace", entity.row)
        return await super().replace(entity)

    async def upsert(self, entity: Entity) -> str:
        await self._called("upsert", entity.row)
        return await super().upsert(entity)

    async def delete(self, partition: str, row: str, version: str | None = None) -> None:
        await self._called("delete", row)
        await super().delete(partition, row, version)

    async def transact(self, writes: Sequence[Any]) -> None:
        await self._called("transact", " ".join(write.entity.row for write in writes))
        await super().transact(writes)

    async def query(self, *args: Any, **options: Any) -> Page:
        await self._called("query", "")
        return await super().query(*args, **options)


class Topic:
    """Takes events and remembers them, unless it does not answer."""

    def __init__(self) -> None:
        self.events: list[PendingEvent] = []
        self.answers = True

    async def publish(self, events: Sequence[PendingEvent], *, key: str) -> None:
        if not self.answers:
            raise ConnectionError("The topic does not answer.")
        self.events += events

    @property
    def names(self) -> list[str]:
        return [event.type for event in self.events]


class Rules:
    """Scores are the workers' label `score`; a rule whose value is "fails" fails."""

    async def scores(
        self, rule: Any, job_labels: Any, selectors: Any, workers: list[Mapping[str, Any]], options: Any, context: str
    ) -> list[float]:
        if job_labels.get("scoring") == "fails":
            raise RuleFailure("RuleFailed", "The rule fails.")
        return [float(worker["score"]) for worker in workers]

    async def value(self, rule: Any, labels: Mapping[str, Any], context: str) -> Any:
        return rule.value


class Process:
    """A router process with one queue, `q`, whose policy is `q` too."""

    def __init__(self, tables: Tables, topic: Topic | None = None, *, seed: int = 1, drives: bool = True) -> None:
        self.tables = tables
        self.topic = topic or Topic()
        self.parts = Parts(tables, Clock(), Ids(random.Random(seed)), self.topic, Rules(), PROCEDURES, drives=drives)

    async def queue(self, id: str = "q", kind: str = "longestIdle", **mode: Any) -> None:
        policy = {"offerExpiresAfterSeconds": 60, "mode": {"kind": kind, **mode}}
        await setting_usecases.upsert(self.parts, "DistributionPolicy", id, lambda _: policy, _always)
        await setting_usecases.upsert(self.parts, "Queue", id, lambda _: {"distributionPolicyId": id}, _always)

    async def job(self, id: str, **changes: Any) -> None:
        wanted = RouterJobInput(**{"channel_id": "voice", "queue_id": "q", **changes})
        await job_usecases.upsert(self.parts, id, lambda _: wanted, _always)

    async def worker(self, id: str, **changes: Any) -> None:
        wanted = RouterWorkerInput(
            **{
                "queues": ["q"],
                "capacity": 1,
                "channels": [RouterChannel(channel_id="voice", capacity_cost_per_job=1)],
                "available_for_offers": True,
                **changes,
            }
        )
        await worker_usecases.upsert(self.parts, id, lambda _: wanted, _always)

    async def read_job(self, id: str) -> JobRecord:
        record = (await self.parts.jobs.store.load(id)).record
        assert record is not None
        return record

    async def read_worker(self, id: str) -> WorkerRecord:
        record = (await self.parts.workers.store.load(id)).record
        assert record is not None
        return record

    async def offered_to(self, job_id: str) -> list[str]:
        return sorted(one.worker_id for one in (await self.read_job(job_id)).routing.offers.values())

    async def deadlines(self, kind: str) -> list[Deadline]:
        """Those that stand in storage, whenever they are due."""
        until = START + timedelta(days=1000)
        found = [one for shard in range(SHARDS) for one in await self.parts.deadlines.due(shard, until, 1000)]
        return [one for one in found if one.kind == kind]


def _always(etag: str | None, modified: datetime | None) -> None:
    pass
