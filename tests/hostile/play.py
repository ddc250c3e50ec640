"""All kinds of attacks on one router, one after the other, and the table of what came of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Final

import psutil

from local.parts import load_parts
from tests.hostile import endpoints, floods, lives, requests, rules
from tests.hostile.bystander import Bystander, Waits
from tests.hostile.ground import Ground, Tally
from tests.local_router import LocalRouter
from tests.raw_wire import PatientWire

Attack = Callable[[Ground, Tally], Awaitable[None]]
#: Name, attack, and its share of the time.
KINDS: Final[tuple[tuple[str, Attack, float], ...]] = (
    ("sizes", lives.attack, 3.0),
    ("expressions", rules.attack, 3.0),
    ("compiling", rules.compiling, 2.0),
    ("rule answers", endpoints.attack, 2.0),
    ("bodies", rules.bodies, 2.0),
    ("requests", requests.attack, 4.0),
    ("identities", requests.identities, 1.0),
    ("local pages", requests.pages, 1.0),
    ("floods", floods.attack, 1.0),
)
#: What another client may wait for the router beyond its worst in calm, in ms.
MOST_LATE_MS: Final = 100.0
#: So many times that where a thousand connections open and ask at the same moment: there is no telling callers apart
#: before each has been read.
_TIMES: Final = {"floods": 5.0}
_CALM_SECONDS: Final = 2.0
#: Of one process of the app, at its most: an instance of 512 MB lives.
MOST_MEGABYTES: Final = 400


@dataclass(frozen=True)
class Line:
    """A line of the table: what broke, and how long another client waited meanwhile."""

    kind: str
    attempts: int
    broke: tuple[str, ...]
    waits: Waits = field(default_factory=Waits)


async def play(
    router: LocalRouter,
    seed: int,
    seconds: float,
    *,
    late_ms: float | None,
    memory_mb: float = MOST_MEGABYTES,
    only: Collection[str] | None = None,
) -> list[Line]:
    """Attacks for about so many seconds, of these kinds or of all. It counts as broken if another client waits for the
    router for longer than `late_ms` beyond calm, or if a process of the app has more memory than `memory_mb`."""
    parts = load_parts(router.data_dir)
    assert parts is not None
    lines: list[Line] = []
    async with _Memory(router) as memory, PatientWire(router.port, router.key) as wire:
        path = await wire.worker(await wire.queue())
        seen = Bystander(router.port, router.other_key, path, parts.tables_connection_string, router.app_pids())
        async with seen as bystander:
            await asyncio.sleep(_CALM_SECONDS)
            calm = await bystander.waits()
            lines.append(Line("calm", 1, (), calm))
            kinds = [kind for kind in KINDS if not only or kind[0] in only]
            whole = sum(share for _, _, share in kinds)
            for name, attack, share in kinds:
                ends = time.monotonic() + seconds * share / whole
                tally = Tally()
                await attack(Ground(wire, random.Random(f"{seed} {name}"), ends), tally)
                waits = await bystander.waits()
                most_late = None if late_ms is None else late_ms * _TIMES.get(name, 1.0)
                broke = [*tally.broke, *_broken(calm, waits, most_late)]
                lines.append(Line(name, tally.attempts, tuple(broke), waits))
    too_large = (f"{memory.most:.0f} MB",) if memory.most > memory_mb else ()
    lines.append(Line(f"memory ({memory.most:.0f} MB)", 1, too_large))
    return lines


def _broken(calm: Waits, waits: Waits, late_ms: float | None) -> list[str]:
    found = []
    if waits.failed:
        found.append(f"{waits.failed} requests of another client were not answered as they should be")
    if late_ms is None:
        return found
    if waits.router > calm.router + late_ms:
        found.append(f"a GET of another client waited {waits.router:.0f} ms for the router, in calm {calm.router:.0f}")
    if waits.loop > calm.loop + late_ms:
        found.append(f"what needs no storage took {waits.loop:.0f} ms, in calm {calm.loop:.0f}")
    return found


class _Memory:
    """The most that a process of the app has had, looked at again and again. `async with` it."""

    def __init__(self, router: LocalRouter) -> None:
        self._router = router
        self.most = 0.0

    async def __aenter__(self) -> _Memory:
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            for pid in self._router.app_pids():
                self.most = max(self.most, psutil.Process(pid).memory_info().rss / 1e6)
            await asyncio.sleep(0.2)


#: `worst_ms` is a GET as the client saw it; `router_ms` the same without the time in which storage was as slow, or the
#: client or the app was not let run; `loop_ms` what needs no storage; `kept_off_ms` how long the app was not let run;
#: `storage_ms` a read without the router; `own_ms` how late the client was woken.
_HEAD: Final = ("kind", "attempts", "broke", "worst_ms", "router_ms", "loop_ms", "kept_off_ms", "storage_ms", "own_ms")


def table(lines: list[Line]) -> str:
    rows = [_HEAD]
    for one in lines:
        told = one.waits
        waits = (told.get, told.router, told.loop, told.kept_off, told.storage, told.own)
        rows.append((one.kind, str(one.attempts), str(len(one.broke)), *(f"{wait:.0f}" for wait in waits)))  # type: ignore[arg-type]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEAD))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    details = [f"  {one.kind}: {what}" for one in lines for what in one.broke[:5]]
    return "\n".join([*texts, *details])
