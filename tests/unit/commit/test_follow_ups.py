"""What commits of jobs and workers leave to do, and do: the line, the index, hints, and rounds of whom it concerns."""

from __future__ import annotations

import asyncio

import pytest

from router.models.jobs import CancelJobOptions, CloseJobOptions, CompleteJobOptions, JobStatus
from router.storage.port import StorageUnavailable
from router.upkeep.deadlines import DeadlineRunner
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time


async def _process() -> Process:
    process = Process(Tables())
    await process.queue()
    return process


async def _offer(process: Process, worker_id: str = "w") -> str:
    (offer,) = (await process.read_worker(worker_id)).worker.offers
    return offer.offer_id


@in_virtual_time
async def test_a_new_job_gets_a_worker_and_a_new_worker_a_job() -> None:
    process = await _process()
    await process.worker("w")
    await process.job("j")
    await asyncio.sleep(0.1)
    assert await process.offered_to("j") == ["w"]
    await process.job("k")
    await asyncio.sleep(0.1)
    assert (await process.read_job("k")).status is JobStatus.QUEUED
    await process.worker("v")
    await asyncio.sleep(0.1)
    assert await process.offered_to("k") == ["v"]


@in_virtual_time
async def test_a_whole_life_leaves_nothing_behind() -> None:
    process = await _process()
    await process.worker("w")
    await process.job("j")
    await asyncio.sleep(0.1)
    parts = process.parts
    _, assignment = await offer_usecases.accept(parts, "w", await _offer(process))
    assert (await process.read_worker("w")).worker.assigned_jobs
    assert await parts.backlog.count("q") == 0
    await job_usecases.complete(parts, "j", assignment, CompleteJobOptions())
    await job_usecases.close(parts, "j", assignment, CloseJobOptions())
    await asyncio.sleep(20)
    assert (await process.read_job("j")).status is JobStatus.CLOSED
    worker = (await process.read_worker("w")).worker
    assert (worker.offers, worker.assigned_jobs) == ([], [])
    assert len(process.tables.of("members")) == 0
    assert len(process.tables.of("backlog")) == 0
    assert await process.deadlines("settle-job") == []
    names = [name.removeprefix("Router") for name in process.topic.names if "Job" in name or "Offer" in name]
    assert names == [
        "JobReceived", "JobQueued", "WorkerOfferIssued", "WorkerOfferAccepted", "JobCompleted", "JobClosed",
    ]  # fmt: skip


@in_virtual_time
async def test_a_cancelled_job_frees_its_worker_for_the_next_one() -> None:
    process = await _process()
    await process.worker("w")
    await process.job("j")
    await asyncio.sleep(0.1)
    await process.job("k")
    await asyncio.sleep(0.1)
    await job_usecases.cancel(process.parts, "j", CancelJobOptions())
    await asyncio.sleep(0.1)
    assert await process.offered_to("k") == ["w"]


@in_virtual_time
async def test_a_job_that_changes_stands_where_it_belongs() -> None:
    process = await _process()
    for id in ("j", "k"):
        await process.job(id)
        await asyncio.sleep(0.1)
    await process.job("k", priority=9)
    await asyncio.sleep(0.1)
    assert [one.job_id async for one in process.parts.backlog.all("q")] == ["k", "j"]


@in_virtual_time
async def test_an_offer_that_expires_deregisters_its_worker_and_the_job_goes_to_another_one() -> None:
    process = await _process()
    await process.worker("w")
    await process.job("j")
    await asyncio.sleep(20)
    await process.worker("v")
    await asyncio.sleep(41)
    runner = DeadlineRunner(process.parts)
    await runner.tick()
    await runner.drain()
    await asyncio.sleep(1)
    assert await process.offered_to("j") == ["v"]
    assert not (await process.read_worker("w")).worker.available_for_offers


@in_virtual_time
async def test_what_a_dead_process_left_is_done_by_the_timer() -> None:
    """The job is written, and nobody has asked for a round."""
    process = await _process()
    await process.worker("w")
    await asyncio.sleep(20)
    dead = Process(process.tables, seed=2, drives=False)
    dead.topic.answers = False
    await dead.job("j")
    await asyncio.sleep(0.1)
    for task in dead.parts.background._tasks:
        task.cancel()
    await asyncio.sleep(16)
    runner = DeadlineRunner(process.parts)
    await runner.tick()
    await runner.drain()
    await asyncio.sleep(1)
    assert await process.offered_to("j") == ["w"]
    assert "RouterJobReceived" in process.topic.names


@in_virtual_time
async def test_an_index_that_could_not_be_written_is_put_right_by_the_timer() -> None:
    process = await _process()
    runner, failed = DeadlineRunner(process.parts), False

    async def before(call: Call) -> None:
        nonlocal failed
        if (call.kind, call.table) == ("transact", "availability") and not failed:
            failed = True
            raise StorageUnavailable("no answer")

    process.tables.before = before
    with pytest.raises(StorageUnavailable):
        await process.worker("w")
    await process.job("j")
    await asyncio.sleep(16)
    await runner.tick()
    await runner.drain()
    await asyncio.sleep(1)
    assert await process.offered_to("j") == ["w"]
