"""Another client, in a process of its own: how long it waits while others attack, and for whom it waits.

On one machine a GET can be late because the router was busy, because the storage emulator was, or because the client
or the router was not given a processor, which the attacker and the emulator want too. So beside each GET this measures
a request that needs no storage, a read of the same row without the router, how late the client is woken, and how long
the app's event loop could have run meanwhile and was not let (Linux tells it)."""

from __future__ import annotations

import asyncio
import multiprocessing as mp
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Final

from router.storage.azure import AzureTables
from router.storage.keys import key
from router.storage.port import Table
from tests.raw_wire import PatientWire

#: Between two requests of one kind: a client that asks without a pause would itself be what others wait for.
_PAUSE_SECONDS: Final = 0.02
#: What takes longer may be why something else does.
_SLOW_SECONDS: Final = 0.01
_REMEMBERED: Final = 4_000

Span = tuple[float, float]


@dataclass(frozen=True)
class Asked:
    """One request: when, and the seconds within in which the app was not let run."""

    span: Span
    kept_off: float


@dataclass(frozen=True)
class Waits:
    """The longest of each since it was asked last, in ms."""

    #: A GET of one worker.
    get: float = 0.0
    #: The same without the time in which storage itself was as slow, or this client or the app was not let run.
    router: float = 0.0
    #: A request that needs no storage, without the time in which this client or the app was not let run.
    loop: float = 0.0
    #: The longest that the app was not let run within one of these requests.
    kept_off: float = 0.0
    #: A read of the worker's row, without the router.
    storage: float = 0.0
    #: How late this client was woken.
    own: float = 0.0
    gets: int = 0
    #: GETs that were not answered as they should be.
    failed: int = 0


class Bystander:
    """`async with` it."""

    def __init__(self, port: int, access_key: str, path: str, tables: str, app: Sequence[int]) -> None:
        """`path` of a worker; `tables` is the connection string of its router's storage; `app` are its processes."""
        self._ours, theirs = mp.Pipe()
        given = (port, access_key, path, tables, app, theirs)
        self._process = mp.get_context("spawn").Process(target=_run, args=given, daemon=True)

    async def __aenter__(self) -> Bystander:
        self._process.start()
        await self.waits()  # it has begun
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.send("end")
        await asyncio.to_thread(self._process.join, 10)

    async def waits(self) -> Waits:
        self._ours.send("waits")
        found = await asyncio.to_thread(self._ours.recv)
        assert isinstance(found, Waits)
        return found


@dataclass
class _Seen:
    """What has been measured since it was asked last."""

    gets: list[Asked] = field(default_factory=list)
    loops: list[Asked] = field(default_factory=list)
    #: These stay: what is slow may last from before the question.
    storage: deque[Span] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    own: deque[Span] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    count: int = 0
    failed: int = 0
    since: float = 0.0

    def take(self) -> Waits:
        own = _joined(self.own)
        excused = _joined([*self.storage, *own])
        found = Waits(
            get=_longest(asked.span for asked in self.gets),
            router=_worst(self.gets, excused),
            loop=_worst(self.loops, own),
            kept_off=max((1000 * asked.kept_off for asked in (*self.gets, *self.loops)), default=0.0),
            storage=_longest(span for span in self.storage if span[1] > self.since),
            own=_longest(span for span in self.own if span[1] > self.since),
            gets=self.count,
            failed=self.failed,
        )
        self.gets.clear()
        self.loops.clear()
        self.count = self.failed = 0
        self.since = time.perf_counter()
        return found


def _longest(spans: Iterable[Span]) -> float:
    return max((1000 * (end - begin) for begin, end in spans), default=0.0)


def _worst(requests: Iterable[Asked], excused: list[Span]) -> float:
    """The longest, in ms, without what is excused. What the app was kept off may lie within that, and counts once."""
    found = 0.0
    for asked in requests:
        begin, end = asked.span
        beyond = _beyond(asked.span, excused)
        found = max(found, min(beyond, end - begin - asked.kept_off))
    return 1000 * found


def _joined(spans: list[Span] | deque[Span]) -> list[Span]:
    """The same times, in order and apart."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _beyond(span: Span, excused: list[Span]) -> float:
    """The seconds of a span that none of the others covers."""
    begin, end = span
    covered = 0.0
    for at, to in excused[max(0, bisect_left(excused, (begin,)) - 1) :]:
        if at >= end:
            break
        covered += max(0.0, min(end, to) - max(begin, at))
    return end - begin - covered


def _run(port: int, access_key: str, path: str, tables: str, app: Sequence[int], asked: Connection) -> None:
    asyncio.run(_measure(port, access_key, path, tables, app, asked))


async def _measure(port: int, access_key: str, path: str, tables: str, app: Sequence[int], asked: Connection) -> None:
    seen = _Seen()
    storage = AzureTables.from_connection_string(tables)
    rows = storage.table("workers")
    # Asked to come again it does so, and has waited for all of that.
    async with PatientWire(port, access_key) as wire:

        async def get() -> None:
            seen.failed += (await wire.get(path)).status != 200
            seen.count += 1

        async def refused() -> None:
            """Signed, and of a version that there is not: told before storage is asked."""
            seen.failed += (await wire.get(path, version="2000-01-01")).status != 400

        await get()  # what a first request does besides is not measured
        await refused()
        await _read(rows, path)
        loops = [
            asyncio.create_task(_ask(get, seen.gets, app)),
            asyncio.create_task(_ask(refused, seen.loops, app)),
            asyncio.create_task(_again(lambda: _read(rows, path), seen.storage)),
            asyncio.create_task(_woken(seen.own)),
        ]
        try:
            while True:
                if asked.poll():
                    if asked.recv() == "end":
                        return
                    asked.send(seen.take())
                for loop in loops:
                    if loop.done():
                        loop.result()
                await asyncio.sleep(0.02)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await storage.close()


async def _ask(request: Callable[[], Awaitable[None]], asked: list[Asked], app: Sequence[int]) -> None:
    """Again and again."""
    while True:
        before = _kept_off(app)
        began = time.perf_counter()
        await request()
        ended = time.perf_counter()
        asked.append(Asked((began, ended), _kept_off(app) - before))
        await asyncio.sleep(_PAUSE_SECONDS)


def _kept_off(app: Sequence[int]) -> float:
    """The seconds that the event loops of these processes have waited for a processor so far; 0 where the system does
    not tell."""
    found = 0
    for pid in app:
        try:
            found += int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1])
        except OSError:
            continue
    return found / 1e9


async def _again(request: Callable[[], Awaitable[None]], spans: deque[Span]) -> None:
    """Again and again; what was fast is not kept."""
    while True:
        began = time.perf_counter()
        await request()
        ended = time.perf_counter()
        if ended - began > _SLOW_SECONDS:
            spans.append((began, ended))
        await asyncio.sleep(_PAUSE_SECONDS)


async def _read(rows: Table, path: str) -> None:
    row = key(path.rpartition("/")[2])
    await rows.get(row, row)


async def _woken(spans: deque[Span]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(_PAUSE_SECONDS)
        ended = time.perf_counter()
        if ended - began > _PAUSE_SECONDS + _SLOW_SECONDS:
            spans.append((began + _PAUSE_SECONDS, ended))
