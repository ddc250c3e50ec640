"""Jobs of other queues that come first for a worker of several."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from router.commit import job as job_commits
from router.engine import jobs
from router.engine.change import JobChange
from router.engine.service_order import Standing, standing
from router.matching.rivals import rivals
from router.models.jobs import JobRecord
from tests.memory_router import Process, in_virtual_time
from tests.unit.matching.scenes import SKILLED, look, one_process


@in_virtual_time
async def test_rivals_are_who_comes_first_elsewhere_and_fits() -> None:
    process = await one_process()
    await process.queue("r")
    await process.job("early", queue_id="r")
    await process.job("unfit", queue_id="r", **SKILLED)
    await process.parts.rounds.ask(["r"], sure=True)
    await asyncio.sleep(1)
    await process.job("j")
    await asyncio.sleep(1)
    await process.job("late", queue_id="r")
    await process.worker("w", queues=["q", "r"])
    scene = await look(process)
    where = standing(await process.read_job("j"))
    assert where is not None
    found = await rivals(process.parts, "q", scene.candidates, where.place)
    assert [one.job.id for one in found] == ["early"]


@in_virtual_time
async def test_rivals_know_whose_turn_it_is_in_their_queue() -> None:
    process = await one_process()
    await process.queue("r", kind="roundRobin")
    await process.job("early", queue_id="r")
    await asyncio.sleep(1)
    await process.job("j")
    await process.parts.availability.save_turn("r", "w")
    await process.worker("w", queues=["q", "r"])
    scene = await look(process)
    where = standing(await process.read_job("j"))
    assert where is not None
    found = await rivals(process.parts, "q", scene.candidates, where.place)
    assert [(one.job.id, one.turn) for one in found] == [("early", "w")]


async def _j_behind(process: Process, **worker: Any) -> list[str]:
    """The rivals of a job that comes last, for a worker of its queue and of `r`."""
    await asyncio.sleep(1)
    await process.job("j")
    await process.worker("w", queues=["q", "r"], **worker)
    scene = await look(process)
    where = standing(await process.read_job("j"))
    assert where is not None
    return [one.job.id for one in await rivals(process.parts, "q", scene.candidates, where.place)]


@in_virtual_time
async def test_rows_that_no_job_stands_in_do_not_hide_rivals() -> None:
    """A page of them may be all that is read at first."""
    process = await one_process()
    await process.queue("r")
    await process.job("early", queue_id="r")
    await process.parts.rounds.ask(["r"], sure=True)
    record = await process.read_job("early")
    where = standing(record)
    assert where is not None
    for milliseconds in range(1, 26):
        earlier = replace(where.place, enqueued_at=where.place.enqueued_at - timedelta(milliseconds=milliseconds))
        old = Standing("r", earlier, entering=True)
        await process.parts.backlog.put(record, old, process.parts.clock.now())
    assert await _j_behind(process) == ["early"]


@in_virtual_time
async def test_as_many_rivals_are_found_as_the_workers_can_take() -> None:
    process = await one_process()
    await process.queue("r")
    for number in range(23):
        await process.job(f"r{number:02}", queue_id="r")
    assert len(await _j_behind(process, capacity=22)) >= 22


@in_virtual_time
async def test_a_job_that_has_just_been_queued_is_a_rival_before_its_row_is_moved() -> None:
    process = await one_process()
    await process.queue("r")
    await process.job("early", queue_id="r")
    round: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    round.set_result(None)

    def queued(record: JobRecord) -> JobChange:
        return jobs.enqueue(record, process.parts.clock.now(), since=record.routing.created_at)

    await job_commits.change(process.parts, "early", job_commits.existing(queued), round=round)
    assert await _j_behind(process) == ["early"]
