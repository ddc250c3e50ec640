"""What the kinds of attacks share: a router, a signed client, a seed, a time by which to end, and another client."""

from __future__ import annotations

import asyncio
import multiprocessing as mp
import random
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType

from tests.raw_wire import RawWire

#: What another client's GET may take beyond its worst in calm, in ms.
MOST_LATE_MS = 100.0


@dataclass
class Tally:
    """What one kind of attack has done."""

    attempts: int = 0
    broke: list[str] = field(default_factory=list)

    def tried(self, held: bool, what: str) -> None:
        self.attempts += 1
        if not held:
            self.broke.append(what)


@dataclass
class Ground:
    wire: RawWire
    chance: random.Random
    ends: float

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends


class Bystander:
    """Another client in a process of its own, who reads one worker again and again. `async with` it."""

    def __init__(self, port: int, key: str, path: str) -> None:
        self._ours, theirs = mp.Pipe()
        self._process = mp.get_context("spawn").Process(target=_read_on, args=(port, key, path, theirs), daemon=True)

    async def __aenter__(self) -> Bystander:
        self._process.start()
        await self.worst_ms()  # it has begun
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ours.send("end")
        await asyncio.to_thread(self._process.join, 10)

    async def worst_ms(self) -> tuple[float, int]:
        """The longest GET since it was asked last, in ms, and how many were not answered as they should be."""
        self._ours.send("worst")
        worst, failed = await asyncio.to_thread(self._ours.recv)
        return float(worst), int(failed)


def _read_on(port: int, key: str, path: str, asked: Connection) -> None:
    async def read() -> None:
        worst, failed = 0.0, 0
        async with RawWire(port, key) as wire:
            while True:
                started = time.perf_counter()
                status = (await wire.get(path)).status
                worst = max(worst, (time.perf_counter() - started) * 1000)
                failed += status != 200
                if asked.poll():
                    if asked.recv() == "end":
                        return
                    asked.send((worst, failed))
                    worst, failed = 0.0, 0
                await asyncio.sleep(0.005)

    asyncio.run(read())
