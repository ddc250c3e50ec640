"""One simulated router process: the real services over shared storage, whose every call may fail or be its last."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from router.commit.parts import Parts
from router.events.envelope import EventSchema
from router.events.publisher import EventPublisher
from router.events.receive import Wake
from router.events.topic import TopicBusy
from router.ids import Ids
from router.outages import Outage, Surroundings
from router.rules.failure import RuleFailure
from router.storage.deadlines import Deadline
from router.storage.hanging import Hanging
from router.storage.port import Condition, Entity, Page, RowChanged, RowExists, Scan, StorageUnavailable, Write
from router.upkeep.deadlines import DeadlineRunner
from router.upkeep.procedures import PROCEDURES
from router.upkeep.standby import Standby
from tests.sim.memory_tables import Key, Rows, scanned
from tests.sim.observer import Operation
from tests.sim.topology import Roles
from tests.sim.virtual_loop import PROCESS

if TYPE_CHECKING:
    from tests.sim.world import World

T = TypeVar("T")
#: The kind of the deadline that a task acts on; none where a call or an event has begun it.
DEADLINE: contextvars.ContextVar[str | None] = contextvars.ContextVar("deadline", default=None)


class Gone(Exception):
    """The process died before it answered; what it did may stand."""


class Process:
    """Its own parts, locks and caches. After `die` none of its code runs any more; while it is frozen none does."""

    def __init__(self, world: World, number: int, roles: Roles) -> None:
        self.world = world
        self.name = f"p{number}"
        self.roles = roles
        self.alive = True
        self.held: list[asyncio.Handle] | None = None
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        #: Until when its processor is at work.
        self._busy_until = 0.0
        self._context = contextvars.copy_context()
        self._context.run(PROCESS.set, self)
        self.parts = Parts(
            tables=_Tables(self),
            clock=world,
            ids=Ids(world.chance),
            publisher=EventPublisher(_Topic(self), jitter=world.chance.random),
            rules=_Rules(),
            procedures=PROCEDURES,
            drives=world.drives,
            around=Surroundings(storage=Outage("Storage", "", world.loop.time)),
        )
        self._hanging = Hanging(self.parts.around.storage, None)
        for store in (self.parts.jobs.store, self.parts.workers.store):
            store.outbox_limit = world.outbox_limit
            store.most_named = 16 if world.outbox_limit > 10_000 else 2
        self.runner = _Runner(self.parts, many=world.storm)
        if roles.timer:
            self.start(self._tick())
        else:
            self.start(Standby(self.parts, self.runner).run())

    @property
    def is_frozen(self) -> bool:
        return self.held is not None

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.world.loop.create_task(work, context=self._context.copy())

    async def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Calls a service of this process from outside. Raises Gone when the process dies meanwhile."""
        if not self.alive:
            raise Gone
        self._number += 1
        number = self._number
        answer: asyncio.Future[T] = self.world.loop.create_future()
        self._calls[number] = answer

        def answered(task: asyncio.Task[T]) -> None:
            self._calls.pop(number, None)
            if answer.done():
                return
            error = task.exception()
            if error is None:
                answer.set_result(task.result())
            else:
                answer.set_exception(error)

        task = self.start(function(self.parts, *args))
        task.add_done_callback(answered, context=contextvars.Context())
        return await answer

    def die(self) -> None:
        self.world.note(self, "dies")
        self.alive, self.held = False, None
        calls, self._calls = self._calls, {}
        for answer in calls.values():
            if not answer.done():
                answer.set_exception(Gone())

    def freeze(self) -> None:
        """The process stands still: what it has asked of storage is done when it wakes up, and so is all else."""
        if self.alive and self.held is None:
            self.world.note(self, "freezes")
            self.held = []

    def wake(self) -> None:
        """It goes on where it stood, and does not know how late it is."""
        if self.held is not None:
            self.world.note(self, "wakes up")
            held, self.held = self.held, None
            self.world.loop.go_on(held)

    async def compute(self) -> None:
        """What a call takes of the processor, after those that came before."""
        if self.world.weather.processor:
            now = self.world.loop.time()
            self._busy_until = max(now, self._busy_until) + self.world.weather.processor
            await asyncio.sleep(self._busy_until - now)

    async def step(self, operation: Operation, act: Callable[[], T]) -> T:
        """One call of storage: takes its time, and may fail in every way that the weather knows."""
        if not self.alive:
            raise GeneratorExit  # only what closes a dead coroutine comes here
        await self.compute()
        world, weather, chance, name = self.world, self.world.weather, self.world.chance, str(operation)
        if weather.storage_silent:
            await self._until_storage_answers(name)
        self._hanging.answered()
        await asyncio.sleep(world.latency())
        if weather.crash and chance.random() < weather.crash:
            await self._last_breath(name)
        if world.down or (weather.unavailable and chance.random() < weather.unavailable):
            world.note(self, f"{name}: unavailable")
            raise StorageUnavailable("The simulation's storage did not answer.")
        try:
            result = act()
        except (RowChanged, RowExists) as error:
            world.note(self, f"{name}: {type(error).__name__}")
            world.observer.operated(self, operation, conflict=True)
            raise
        world.note(self, name)
        world.observer.operated(self, operation, rows=len(result.entities) if isinstance(result, Page) else 0)
        if not operation.writes:
            return result
        if weather.sent_twice and chance.random() < weather.sent_twice:
            await asyncio.sleep(world.latency())
            world.note(self, f"{name}: sent twice")
            result = act()
        if weather.crash and chance.random() < weather.crash:
            await self._last_breath(name)
        if weather.lost_answer and chance.random() < weather.lost_answer:
            world.note(self, f"{name}: answer lost")
            raise StorageUnavailable("The simulation's storage answered, and the answer was lost.")
        return result

    async def _until_storage_answers(self, name: str) -> None:
        """Attempt after attempt, as the client makes them. Raises StorageUnavailable after the last one."""
        with suppress(TimeoutError):
            async with self._hanging.limited():
                for _ in range(self.world.weather.storage_attempts):
                    if not self.world.weather.storage_silent:
                        return
                    await asyncio.sleep(self.world.weather.storage_silent)
        self.world.note(self, f"{name}: silence")
        self.parts.around.storage.failed("silence")
        raise StorageUnavailable("The simulation's storage is silent.")

    async def _last_breath(self, name: str) -> None:
        self.world.note(self, f"crash at {name}")
        self.world.crashed(self)
        await self.world.loop.create_future()

    async def _tick(self) -> None:
        """The timer function: each second, never twice at a time."""
        loop = self.world.loop
        while True:
            now = loop.time()
            await asyncio.sleep(int(now) + 1 - now)
            if not (self.runner._running or self.runner._done or self.world.something_due(1.0)):
                continue  # it would find nothing: left out, to save time
            try:
                await self.runner.tick()
            except Exception as error:
                self.world.judge_failure("the timer", error)


class _Runner(DeadlineRunner):
    """Tells whoever looks on what a deadline has set going."""

    async def _handle(self, deadline: Deadline) -> None:
        DEADLINE.set(deadline.kind)
        await super()._handle(deadline)


class _Tables:
    def __init__(self, process: Process) -> None:
        self._process = process

    def table(self, name: str) -> _Table:
        return _Table(self._process, self._process.world.rows(name))

    async def ready(self) -> None:
        pass

    async def close(self) -> None:
        pass


class _Table:
    """The port, as one process sees it."""

    def __init__(self, process: Process, rows: Rows) -> None:
        self._process = process
        self._rows = rows

    async def get(self, partition: str, row: str) -> Entity | None:
        operation = Operation("get", self._rows.name, partition, row)
        return await self._process.step(operation, lambda: self._rows.get(partition, row))

    async def insert(self, entity: Entity) -> str:
        return await self._write("insert", entity, lambda: self._rows.insert(entity))

    async def replace(self, entity: Entity) -> str:
        return await self._write("replace", entity, lambda: self._rows.replace(entity))

    async def upsert(self, entity: Entity) -> str:
        return await self._write("upsert", entity, lambda: self._rows.upsert(entity))

    async def delete(self, partition: str, row: str, version: str | None = None) -> None:
        await self._write("delete", Entity(partition, row), lambda: self._rows.delete(partition, row, version))

    async def transact(self, writes: Sequence[Write]) -> None:
        rows = str([(write.kind, write.entity.row) for write in writes])
        partition = writes[0].entity.partition if writes else ""
        operation = Operation("transact", self._rows.name, partition, rows, len(writes))
        await self._process.step(operation, lambda: self._rows.transact(writes))

    async def query(
        self,
        where: Sequence[Condition],
        *,
        limit: int = 1000,
        after: Key | None = None,
        columns: Sequence[str] | None = None,
    ) -> Page:
        world = self._process.world
        if world.weather.short_page and world.chance.random() < world.weather.short_page:
            limit = world.chance.randint(1, 2)
        partition = next((str(value) for name, how, value in where if (name, how) == ("PartitionKey", "eq")), "")
        return await self._process.step(
            Operation("query", self._rows.name, partition),
            lambda: self._rows.query(where, limit=limit, after=after, columns=columns),
        )

    async def scan(
        self, where: Sequence[Condition], *, after: Key | None = None, columns: Sequence[str] | None = None
    ) -> Scan:
        return scanned(await self.query(where, after=after, columns=columns))

    async def _write(self, kind: str, entity: Entity, act: Callable[[], T]) -> T:
        operation = Operation(kind, self._rows.name, entity.partition, entity.row, writes=1)
        return await self._process.step(operation, act)


class _Topic:
    """The topic, as one process's publisher sees it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def send(self, events: Sequence[str], schema: EventSchema) -> None:
        process = self._process
        if not process.alive:
            raise GeneratorExit
        await process.compute()
        world, weather, chance = process.world, process.world.weather, process.world.chance
        if weather.topic_silent:
            await asyncio.sleep(weather.topic_silent)
            raise TopicBusy("The simulation's topic is silent.")
        await asyncio.sleep(world.latency())
        if weather.crash and chance.random() < weather.crash:
            await process._last_breath("publish")
        if weather.topic_busy and chance.random() < weather.topic_busy:
            world.note(process, "publish: busy")
            raise TopicBusy("The simulation's topic is busy.")
        world.event_grid.accept(events)
        world.note(process, f"publish {len(events)}")
        if weather.crash and chance.random() < weather.crash:
            await process._last_breath("published")
        if weather.topic_lost_answer and chance.random() < weather.topic_lost_answer:
            raise TopicBusy("The simulation's topic took them, and its answer was lost.")

    async def close(self) -> None:
        pass


class _Rules:
    """Rules that answer at once: a static value, or a failure where it says so."""

    async def value(self, rule: Any, labels: Mapping[str, Any], context: str) -> Any:
        await asyncio.sleep(0.01)
        if rule.value == "fails":
            raise RuleFailure("RuleFailed", "The rule fails.")
        return rule.value

    async def scores(
        self, rule: Any, job_labels: Any, selectors: Any, workers: list[Mapping[str, Any]], options: Any, context: str
    ) -> list[float]:
        await asyncio.sleep(0.01)
        return [float(worker.get("skill", 0)) for worker in workers]


Handler = Callable[[Parts, Wake], Coroutine[Any, Any, None]]
