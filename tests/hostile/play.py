"""All kinds of attacks on one router, one after the other, and the table of what came of them."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import psutil

from tests.hostile import lives, requests, rules
from tests.hostile.ground import MOST_LATE_MS, Bystander, Ground, Tally
from tests.local_router import LocalRouter
from tests.raw_wire import RawWire

Attack = Callable[[Ground, Tally], Awaitable[None]]
#: Name, attack, and its share of the time.
KINDS: Final[tuple[tuple[str, Attack, float], ...]] = (
    ("sizes", lives.attack, 3.0),
    ("expressions", rules.attack, 3.0),
    ("compiling", rules.compiling, 2.0),
    ("bodies", rules.bodies, 2.0),
    ("requests", requests.attack, 4.0),
    ("identities", requests.identities, 1.0),
    ("local pages", requests.pages, 1.0),
)
_CALM_SECONDS: Final = 2.0
#: Of one process of the app, after all of it.
MOST_MEGABYTES: Final = 400


@dataclass(frozen=True)
class Line:
    """A line of the table: what broke, and the longest GET of another client meanwhile, in ms."""

    kind: str
    attempts: int
    broke: tuple[str, ...]
    worst_ms: float


async def play(router: LocalRouter, seed: int, seconds: float, *, timed: bool) -> list[Line]:
    """Attacks for about so many seconds. `timed`: it counts as broken if another client's GET waits for longer than it
    may."""
    lines: list[Line] = []
    async with RawWire(router.port, router.key) as wire:
        path = await wire.worker(await wire.queue())
        async with Bystander(router.port, router.key, path) as bystander:
            calm, _ = await _calm(bystander)
            lines.append(Line("calm", 1, (), calm))
            whole = sum(share for _, _, share in KINDS)
            for name, attack, share in KINDS:
                ends = time.monotonic() + seconds * share / whole
                tally = Tally()
                await attack(Ground(wire, random.Random(f"{seed} {name}"), ends), tally)
                worst, failed = await bystander.worst_ms()
                broke = list(tally.broke)
                if failed:
                    broke.append(f"{failed} GETs of another client were not answered with 200")
                if timed and worst > calm + MOST_LATE_MS:
                    broke.append(f"a GET of another client took {worst:.0f} ms, in calm {calm:.0f}")
                lines.append(Line(name, tally.attempts, tuple(broke), worst))
    megabytes = max(psutil.Process(pid).memory_info().rss for pid in router.app_pids()) / 1e6
    too_large = (f"{megabytes:.0f} MB",) if megabytes > MOST_MEGABYTES else ()
    lines.append(Line(f"memory ({megabytes:.0f} MB)", 1, too_large, 0.0))
    return lines


async def _calm(bystander: Bystander) -> tuple[float, int]:
    import asyncio

    await asyncio.sleep(_CALM_SECONDS)
    return await bystander.worst_ms()


def table(lines: list[Line]) -> str:
    rows = [("kind", "attempts", "broke", "worst_ms")]
    rows += [(one.kind, str(one.attempts), str(len(one.broke)), f"{one.worst_ms:.0f}") for one in lines]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    details = [f"  {one.kind}: {what}" for one in lines for what in one.broke[:5]]
    return "\n".join([*texts, *details])
