"""A process, its queue and what a round of it sees."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from router.matching.notes import Notes
from router.matching.rounds import Rounds
from router.matching.scene import Scene
from router.matching.scene import scene as scene_of
from router.storage.rounds import Hold
from tests.memory_router import Process, Tables
from tests.unit.engine.engine_records import selector

SKILLED: dict[str, Any] = {"requested_worker_selectors": [selector("skill", "greaterThan", 5)]}


async def one_process(kind: str = "longestIdle", **mode: Any) -> Process:
    """One whose commits ask for no rounds: the test looks by itself."""
    process = Process(Tables(), drives=False)
    await process.queue("q", kind, **mode)
    return process


async def unclaimed() -> None:
    raise AssertionError("little is read, and the queue is not asked for")


async def claimed() -> None:
    """The queue is this process's."""


async def look(process: Process, notes: Notes | None = None) -> Scene:
    return await scene_of(process.parts, "q", notes if notes is not None else Notes())


def line(scene: Scene) -> list[str]:
    return [one.job_id for one in scene.line]


async def fill(process: Process, jobs: int, **fields: Any) -> None:
    """Jobs that wait: queued, as a round leaves them."""
    for number in range(jobs):
        await process.job(f"j{number:03}", **fields)
    await process.parts.rounds.ask(["q"], sure=True)


async def two_processes() -> tuple[Process, Process]:
    tables = Tables()
    one, other = Process(tables, seed=1), Process(tables, seed=2)
    await one.queue()
    await asyncio.sleep(10)
    return one, other


def rounds_of(process: Process) -> Rounds:
    rounds = process.parts.rounds
    assert isinstance(rounds, Rounds)
    return rounds


async def held_by_another(process: Process, seconds: float, *, workers: tuple[str, ...] = ()) -> Hold:
    store = process.parts.round_store
    until = process.parts.clock.now() + timedelta(seconds=seconds)
    return await store.take(await store.load("q"), "another", until, workers)
