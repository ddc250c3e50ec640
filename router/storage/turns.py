"""Who goes first at storage: the calls of a process take turns, the most urgent first.

A process that has more to do than its processor can do must not do all of it at once: each call would wait for all
others, and what has a time to keep (a round, a promise) would be too late, and done again. So few calls are under way
at a time, and who waits is served by what it waits for. New jobs come last: what has been accepted is finished first,
and who brings more than can be carried waits, not those whose work is here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Final, TypeVar

from router.errors import Busy
from router.storage.port import Condition, Entity, Page, Scan, Table, Tables, Write

T = TypeVar("T")


class Urgency(IntEnum):
    """What a call is for, the most urgent first."""

    #: Jobs and workers are matched, and one thing is read for a client.
    ROUND = 0
    #: Somebody waits for the answer, or for a lock.
    ANSWER = 1
    #: What hangs on a commit, or what events and deadlines ask for.
    FOLLOW = 2


#: Of the task that calls, and of those that it starts.
URGENCY: Final[ContextVar[Urgency]] = ContextVar("urgency", default=Urgency.ANSWER)


@contextmanager
def at_least(urgency: Urgency) -> Iterator[None]:
    """Calls that are made meanwhile are as urgent as that, or more."""
    before = URGENCY.get()
    URGENCY.set(min(before, urgency))
    try:
        yield
    finally:
        URGENCY.set(before)


#: Calls of one process that are under way when one of this urgency begins, at most: eight keep its processor busy, and
#: what is begun has no turn to wait for any more.
AT_ONCE: Final = {Urgency.ROUND: 32, Urgency.ANSWER: 32, Urgency.FOLLOW: 16}
#: A job comes in while so few calls are under way, and so few jobs.
ENTER_AT_ONCE: Final = 8
#: How long a job that comes waits for that, all that it has waited for since its request came. Then its client is told
#: so, and nothing of it is left.
PATIENCE_SECONDS: Final = 6.0
#: For so long after something has waited for its turn the process is taken to be behind with its work.
_LATELY_SECONDS: Final = 15.0
#: When the request came, by the loop's clock.
CAME: Final[ContextVar[float | None]] = ContextVar("came", default=None)


class Turns:
    """The tables, of which few calls are under way at a time."""

    def __init__(
        self, tables: Tables, at_once: Mapping[Urgency, int] = AT_ONCE, enter_at_once: int = ENTER_AT_ONCE
    ) -> None:
        self._tables = tables
        self._at_once = at_once
        self._enter_at_once = enter_at_once
        self._under_way = 0
        self._entering = 0
        self._waiting: dict[Urgency, deque[asyncio.Future[None]]] = {urgency: deque() for urgency in Urgency}
        self._at_the_door: deque[asyncio.Future[None]] = deque()
        #: When something waited last, by the loop's clock.
        self._waited = float("-inf")

    @property
    def is_behind(self) -> bool:
        """Whether calls wait for their turn, or have done so lately."""
        now = asyncio.get_running_loop().time()
        waits = any(not turn.done() for line in self._waiting.values() for turn in line)
        return waits or now - self._waited < _LATELY_SECONDS

    def table(self, name: str) -> Table:
        return _InTurn(self._tables.table(name), self)

    async def ready(self) -> None:
        await self._tables.ready()

    async def close(self) -> None:
        await self._tables.close()

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """While a job that comes is written. One that has begun goes on without waiting here again: others may wait for
        its row. Raises Busy where it has waited too long."""
        if self._at_the_door or not self._may_enter():
            loop = asyncio.get_running_loop()
            coming: asyncio.Future[None] = loop.create_future()
            self._at_the_door.append(coming)
            came = CAME.get()
            try:
                async with asyncio.timeout_at(PATIENCE_SECONDS + (loop.time() if came is None else came)):
                    await coming
            except BaseException as error:
                if coming.done() and not coming.cancelled():
                    self._entering -= 1  # it had just been let in
                    self._open()
                if isinstance(error, TimeoutError):
                    raise Busy("More comes than this router can carry. Try again.") from error
                raise
        else:
            self._entering += 1
        try:
            yield
        finally:
            self._entering -= 1
            self._open()

    def _may_enter(self) -> bool:
        return self._entering < self._enter_at_once and self._under_way < self._enter_at_once

    def _open(self) -> None:
        while self._at_the_door and self._may_enter():
            coming = self._at_the_door.popleft()
            if not coming.done():
                self._entering += 1
                coming.set_result(None)

    async def take(self, call: Callable[[], Awaitable[T]]) -> T:
        """Makes the call when it is its turn."""
        urgency = URGENCY.get()
        if self._under_way < self._at_once[urgency]:
            self._under_way += 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[urgency].append(turn)
            try:
                await turn
            except BaseException:
                if turn.done() and not turn.cancelled():
                    self._ended()  # its turn had just come
                raise
            self._waited = asyncio.get_running_loop().time()
        try:
            return await call()
        finally:
            self._ended()

    def _ended(self) -> None:
        self._under_way -= 1
        for urgency, line in self._waiting.items():
            while line and self._under_way < self._at_once[urgency]:
                turn = line.popleft()
                if not turn.done():
                    self._under_way += 1
                    turn.set_result(None)
                    return
        self._open()


class _InTurn:
    """One table."""

    def __init__(self, table: Table, turns: Turns) -> None:
        self._table = table
        self._turns = turns

    async def get(self, partition: str, row: str) -> Entity | None:
        return await self._turns.take(lambda: self._table.get(partition, row))

    async def insert(self, entity: Entity) -> str:
        return await self._turns.take(lambda: self._table.insert(entity))

    async def replace(self, entity: Entity) -> str:
        return await self._turns.take(lambda: self._table.replace(entity))

    async def upsert(self, entity: Entity) -> str:
        return await self._turns.take(lambda: self._table.upsert(entity))

    async def delete(self, partition: str, row: str, version: str | None = None) -> None:
        await self._turns.take(lambda: self._table.delete(partition, row, version))

    async def transact(self, writes: Sequence[Write]) -> None:
        await self._turns.take(lambda: self._table.transact(writes))

    async def query(
        self,
        where: Sequence[Condition],
        *,
        limit: int = 1000,
        after: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Page:
        return await self._turns.take(lambda: self._table.query(where, limit=limit, after=after, columns=columns))

    async def scan(
        self,
        where: Sequence[Condition],
        *,
        after: tuple[str, str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Scan:
        return await self._turns.take(lambda: self._table.scan(where, after=after, columns=columns))
