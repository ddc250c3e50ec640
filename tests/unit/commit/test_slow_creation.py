"""A job whose creation takes long finds its place in the line, though a round has removed the row that came early."""

from __future__ import annotations

import asyncio

import pytest

from tests.memory_router import Call, Process, Tables, in_virtual_time


@pytest.mark.parametrize("stands_still_before", [("upsert", "members"), ("insert", "jobs")])
@in_virtual_time
async def test_a_job_that_comes_long_after_its_row_is_offered_at_once(stands_still_before: tuple[str, str]) -> None:
    process = Process(Tables())
    await process.queue()
    await process.worker("w")
    await process.job("before")  # from here on the process knows the queue
    await asyncio.sleep(1)
    other = Process(process.tables, process.topic, seed=2)
    early: list[bool] = []
    slow = False

    async def before(call: Call) -> None:
        nonlocal slow
        if (call.kind, call.table) == stands_still_before and call.row == "late" and not slow:
            slow = True
            await asyncio.sleep(1)
            early.append(any("late" in row.row for row in process.tables.of("backlog").all()))
            await asyncio.sleep(11)
            other.parts.rounds.ask(["q"])
            await asyncio.sleep(2)
            early.append(any("late" in row.row for row in process.tables.of("backlog").all()))

    await process.worker("v", capacity=5)
    process.tables.before = before
    await process.job("late")
    process.tables.before = None
    assert early == [True, False], "it stood in the line before it was there, and was taken out"
    await asyncio.sleep(2)
    assert (await process.read_job("late")).status == "queued"
    assert await process.offered_to("late") == ["v"]
