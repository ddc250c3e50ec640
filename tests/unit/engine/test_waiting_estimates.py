"""Estimated waits against true ones, in a simulated queue of Poisson arrivals, exponential service and c workers."""

from __future__ import annotations

import heapq
import random
import re
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from router.engine import waiting
from router.storage.throughput import ThroughputStore
from tests.sim.memory_tables import MemoryTable, Rows

WORKERS = 5
SERVICE_MINUTES = 10.0
ACCEPT_SECONDS = 10.0
WARM_UP, JOBS = 300, 4000
SEEDS = (1, 2, 3)
DOC = Path(__file__).parents[3] / "docs" / "waiting.md"


@dataclass
class Clock:
    moment: datetime = datetime(2024, 3, 4, 8, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@dataclass
class Outcome:
    """Of jobs that found all workers busy: what they were told on arrival, and how long they waited (minutes)."""

    told: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    @property
    def mean_wait(self) -> float:
        return sum(self.waited) / len(self.waited)

    @property
    def error(self) -> float:
        """The mean absolute error as a share of the mean wait."""
        wrong = sum(abs(told - waited) for told, waited in zip(self.told, self.waited, strict=True))
        return wrong / sum(self.waited)


class Queue:
    """A queue whose figures are kept by the router's own code, by turns in two processes."""

    def __init__(self, load: float, seed: int, asks: int) -> None:
        self._asks = asks
        self._chance = random.Random(seed)
        self._clock = Clock()
        self._began = self._clock.moment
        rows = MemoryTable(Rows("throughput"))
        self._stores = [ThroughputStore(rows, self._clock, name) for name in ("one", "two")]
        # A worker is taken from the offer on: the time until it accepts is part of its load.
        self._accept = ACCEPT_SECONDS / 60
        self._gap = (SERVICE_MINUTES + self._accept) / (WORKERS * load)

    async def run(self, outcome: Outcome) -> None:
        waiting_jobs: deque[tuple[float, float | None]] = deque()
        ends: list[tuple[float, int, str, Any]] = []
        free, number, arrived = WORKERS, 0, 0

        def plan(at: float, what: str, about: Any = None) -> None:
            nonlocal number
            number += 1
            heapq.heappush(ends, (at, number, what, about))

        plan(0.0, "arrives")
        while ends:
            now, _, what, about = heapq.heappop(ends)
            self._clock.moment = self._began + timedelta(minutes=now)
            if what == "arrives":
                arrived += 1
                if arrived < JOBS:
                    plan(now + self._chance.expovariate(1 / self._gap), "arrives")
                told = None
                if not free and arrived % self._asks == 0:
                    told = await self._ask(len(waiting_jobs) + 1)
                waiting_jobs.append((now, told))
            elif what == "accepts":
                came, offered, told = about
                await self._assigned(came, offered)
                if told is not None and arrived > WARM_UP:
                    outcome.told.append(told)
                    outcome.waited.append(now - came)
                plan(now + self._chance.expovariate(1 / SERVICE_MINUTES), "is free")
            else:
                free += 1
            while free and waiting_jobs:
                free -= 1
                came, told = waiting_jobs.popleft()
                plan(now + self._accept, "accepts", (came, now, told))

    async def _ask(self, position: int) -> float:
        now = self._clock.now()
        recent = await self._chance.choice(self._stores).recent("q")
        return waiting.estimate(position, waiting.rate(recent.assigned, recent.busy, now, now))

    async def _assigned(self, came: float, offered: float) -> None:
        store, now = self._chance.choice(self._stores), self._clock.now()
        if store.assigned("q", self._at(came), self._at(offered), now):
            await store.write()

    def _at(self, minutes: float) -> datetime:
        return self._began + timedelta(minutes=minutes)


async def measured(load: int, asks: int) -> Outcome:
    outcome = Outcome()
    for seed in SEEDS:
        await Queue(load / 100, seed, asks).run(outcome)
    return outcome


def documented() -> dict[int, tuple[int, int]]:
    """Load: mean wait in minutes and error in percent, as docs/waiting.md has them."""
    rows = re.findall(r"^\| (\d+) % \| (\d+) min \| (\d+) % \|$", DOC.read_text(), re.MULTILINE)
    return {int(load): (int(wait), int(error)) for load, wait, error in rows}


@pytest.mark.parametrize(("load", "asks", "most"), [(50, 1, 0.55), (80, 5, 0.35), (95, 15, 0.2)])
async def test_the_error_at_a_load(load: int, asks: int, most: float) -> None:
    """One job in `asks` that come is told how long it will wait."""
    outcome = await measured(load, asks)
    assert len(outcome.waited) > 200
    assert outcome.error < most
    assert sum(outcome.told) == pytest.approx(sum(outcome.waited), rel=0.1), "neither too long nor too short"
    assert documented()[load] == (round(outcome.mean_wait), round(outcome.error * 100))
