"""What a settle deadline does where the row that it watches over has not come."""

from __future__ import annotations

import asyncio

import pytest

from router.models.jobs import JobStatus
from router.upkeep.deadlines import DeadlineRunner
from tests.memory_router import Call, Process, Tables, in_virtual_time


@pytest.mark.parametrize("seconds", [20, 50, 115])
def test_a_job_that_is_written_late_by_a_process_that_dies_then_is_seen_to(seconds: float) -> None:
    @in_virtual_time
    async def story() -> None:
        dying, tables = Process(Tables()), Tables()
        tables.rows = dying.tables.rows
        other = Process(tables, seed=2)
        await dying.queue()
        written = False

        async def stands_still(call: Call) -> None:
            nonlocal written
            if written:
                await asyncio.Event().wait()
            if (call.kind, call.table) == ("insert", "jobs"):
                await asyncio.sleep(seconds)
                written = True

        dying.tables.before = stands_still
        answer = asyncio.create_task(dying.job("j"))
        runner = DeadlineRunner(other.parts)
        for _ in range(150):
            await runner.tick()
            await asyncio.sleep(1)
        assert not answer.done()
        assert (await other.read_job("j")).status is JobStatus.QUEUED
        assert other.topic.names == ["RouterJobReceived", "RouterJobQueued"]

    story()


@in_virtual_time
async def test_a_row_that_never_comes_is_looked_for_twice_more() -> None:
    process = Process(Tables())
    await process.queue()

    async def refuses(call: Call) -> None:
        if (call.kind, call.table) == ("insert", "jobs"):
            raise ConnectionError("It is not written.")

    process.tables.before = refuses
    with pytest.raises(ConnectionError):
        await process.job("j")
    process.tables.before = None
    runner = DeadlineRunner(process.parts)
    process.tables.calls.clear()
    for _ in range(300):
        await runner.tick()
        await asyncio.sleep(1)
    assert process.tables.count("get", "jobs") <= 4
    assert await process.deadlines("settle-job") == []
