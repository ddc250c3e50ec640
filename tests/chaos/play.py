"""All faults in turn, under a steady load, each with a recount."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.parts import load_parts
from router.storage.port import StorageUnavailable
from scripts.event_run import Subscriber
from tests.chaos.faults import FAULTS, Scene
from tests.chaos.recount import Count, expired_offers, recount
from tests.chaos.shift import LONGEST_SECONDS, Shift
from tests.local_router import LocalRouter
from tests.raw_wire import RawWire

_CALM_SECONDS = 3.0
_PATIENCE_SECONDS = 90.0
#: Lines on the console that one fault may bring.
_MOST_LINES = 40


@dataclass
class Line:
    """What came of one fault."""

    fault: str
    jobs: int
    count: Count
    recovered: float | None
    slowest: float
    lines: int
    problems: list[str]

    @property
    def broke(self) -> list[str]:
        found = [*self.count.lost, *self.count.twice, *self.count.stuck, *self.problems]
        return found if self.recovered is not None else ["it did not recover", *found]

    def __str__(self) -> str:
        recovered = "never" if self.recovered is None else f"{self.recovered:.1f}"
        return (
            f"fault={self.fault} jobs={self.jobs} lost={len(self.count.lost)} twice={len(self.count.twice)} "
            f"stuck={len(self.count.stuck)} recovered_s={recovered} slowest_s={self.slowest:.1f} lines={self.lines} "
            f"problems={len(self.problems)}"
        )


async def play(
    folder: Path,
    seed: int,
    faults: Sequence[str],
    *,
    seconds: float,
    rate: float,
    calm: float = _CALM_SECONDS,
    tell: Callable[[str], None] = print,
) -> list[Line]:
    """Each of the faults for about so many seconds, in an order that the seed decides. `calm`: seconds before each."""
    chance = random.Random(seed)
    order = list(faults)
    chance.shuffle(order)
    subscriber = Subscriber()
    router = await asyncio.to_thread(
        LocalRouter, folder, workers=2, environment={"ROUTER_EVENT_SUBSCRIBERS": subscriber.url}
    )
    lines: list[Line] = []
    try:
        async with RawWire(router.port, router.key, connections=200) as wire, Shift(wire, rate) as shift:
            for fault in order:
                scene = Scene(router, chance, seconds * (0.8 + 0.4 * chance.random()))
                line = await _one(scene, fault, shift, subscriber, calm)
                lines.append(line)
                tell(str(line))
    finally:
        await asyncio.to_thread(router.end)
        subscriber.close()
    return lines


async def _one(scene: Scene, fault: str, shift: Shift, subscriber: Subscriber, calm: float) -> Line:
    round = shift.begin_round()
    await asyncio.sleep(calm)
    said = scene.router.output().count("\n")
    async with FAULTS[fault](scene):
        pass
    over = time.monotonic()
    recovered = await _recovered(shift, over, 0.75 if fault.endswith("-dies") else 0.9)
    shift.submits = False
    events: list[dict[str, Any]] = subscriber.events
    parts = load_parts(scene.router.data_dir)
    assert parts is not None
    patience = time.monotonic() + _PATIENCE_SECONDS
    while True:
        # A close whose answer was lost is a close: the tables decide.
        try:
            count = await recount(parts, round, shift.workers, list(events))
        except StorageUnavailable:
            if time.monotonic() > patience + _PATIENCE_SECONDS:
                raise
            continue
        if not (count.stuck or count.lost) or time.monotonic() > patience:
            break
        await asyncio.sleep(1)
    problems = scene.problems + round.failures
    if round.slowest > LONGEST_SECONDS and fault.startswith("storage"):
        problems.append(f"an answer took {round.slowest:.1f} s")
    if early := expired_offers(list(events)):
        problems.append(f"{early} offers expired before their time")
    lines = scene.router.output().count("\n") - said
    if lines > _MOST_LINES:
        problems.append(f"{lines} lines on the console")
    return Line(fault, len(round.jobs), count, recovered, round.slowest, lines, problems)


async def _recovered(shift: Shift, over: float, share: float) -> float | None:
    """Seconds from the end of the fault until a job that was submitted after it was closed, and that share of
    those before: the answers of some closes die with their process."""
    round = shift.round
    while time.monotonic() - over < _PATIENCE_SECONDS:
        fresh = [job for job, at in round.jobs.items() if at > over and job in round.closed]
        before = [job for job, at in round.jobs.items() if at <= over]
        closed = sum(job in round.closed for job in before)
        if fresh and closed >= share * len(before):
            return time.monotonic() - over
        await asyncio.sleep(0.1)
    return None


def table(lines: list[Line]) -> str:
    head = ("fault", "jobs", "lost", "twice", "stuck", "recovered_s", "slowest_s", "lines", "broke")
    rows = [head]
    for one in lines:
        recovered = "never" if one.recovered is None else f"{one.recovered:.1f}"
        numbers = (one.jobs, len(one.count.lost), len(one.count.twice), len(one.count.stuck))
        rows.append(
            (one.fault, *map(str, numbers), recovered, f"{one.slowest:.1f}", str(one.lines), str(len(one.broke)))  # type: ignore[arg-type]
        )
    widths = [max(len(row[place]) for row in rows) for place in range(len(head))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    details = [f"  {one.fault}: {what}" for one in lines for what in one.broke[:8]]
    return "\n".join([*texts, *details])
