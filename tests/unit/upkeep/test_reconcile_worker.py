"""What reconciliation makes of a worker's row: what its jobs say is so (docs/architecture.md, "Settle deadlines")."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from router.commit import worker as worker_commits
from router.engine import workers as worker_engine
from router.errors import Busy
from router.models.jobs import CancelJobOptions
from router.storage.port import RowChanged, StorageUnavailable
from router.upkeep import worker as worker_upkeep
from router.upkeep.deadlines import DeadlineRunner
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import workers as worker_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time


async def offered() -> Process:
    """A worker `w` with an offer of the job `j`; all that follows is done."""
    process = Process(Tables())
    await process.queue()
    await process.worker("w")
    await process.job("j")
    await asyncio.sleep(20)
    return process


async def offer_of(process: Process) -> str:
    (offer,) = (await process.read_worker("w")).worker.offers
    return offer.offer_id


def forget(process: Process, table: str, id: str) -> None:
    """The row is gone, as if it had never been written."""
    rows = process.tables.of(table)
    for entity in rows.all():
        if entity.partition == id:
            rows.delete(entity.partition, entity.row)


@in_virtual_time
async def test_a_reservation_that_no_job_knows_is_given_back() -> None:
    process = await offered()
    forget(process, "jobs", "j")
    again = Process(process.tables, seed=2)
    await worker_upkeep.reconcile_worker(again.parts, "w")
    assert (await again.read_worker("w")).worker.offers == []


@in_virtual_time
async def test_a_young_reservation_may_yet_be_attached_and_is_looked_at_later() -> None:
    process = Process(Tables())
    await process.queue()
    await process.job("j")
    await asyncio.sleep(20)
    rows = process.tables.of("jobs")
    (unoffered,) = [one for one in rows.all() if one.row == "j"]
    await process.worker("w")
    await asyncio.sleep(0.1)
    rows.upsert(unoffered)
    again = Process(process.tables, seed=2)
    await worker_upkeep.reconcile_worker(again.parts, "w")
    (offer,) = (await again.read_worker("w")).worker.offers
    assert any(one.target == "w" and one.due > offer.offered_at for one in await again.deadlines("settle-worker"))
    await asyncio.sleep(11)
    await worker_upkeep.reconcile_worker(again.parts, "w")
    assert offer not in (await again.read_worker("w")).worker.offers


@in_virtual_time
async def test_an_offer_whose_time_is_over_expires_and_its_worker_is_deregistered() -> None:
    process = await offered()
    await asyncio.sleep(60)
    await worker_upkeep.reconcile_worker(process.parts, "w")
    await asyncio.sleep(1)
    worker = (await process.read_worker("w")).worker
    assert (worker.offers, worker.available_for_offers) == ([], False)
    assert "RouterWorkerOfferExpired" in process.topic.names


@in_virtual_time
async def test_an_accepted_offer_becomes_the_assignment_that_the_job_has() -> None:
    """The process has died between the job's commit and the worker's."""
    process = await offered()
    died = False

    async def before(call: Call) -> None:
        if call.kind in ("replace", "transact") and call.table == "workers" and died:
            raise ConnectionError("the process is gone")

    process.tables.before, died = before, True
    with pytest.raises(ConnectionError):
        await offer_usecases.accept(process.parts, "w", await offer_of(process))
    died = False
    assert (await process.read_worker("w")).worker.assigned_jobs == []
    again = Process(process.tables, seed=2)
    await worker_upkeep.reconcile_worker(again.parts, "w")
    worker = (await again.read_worker("w")).worker
    (assignment,) = (await again.read_job("j")).job.assignments
    assert (worker.offers, [one.assignment_id for one in worker.assigned_jobs]) == ([], [assignment])


@in_virtual_time
async def test_an_assignment_that_its_job_has_no_more_is_released() -> None:
    process = await offered()
    await offer_usecases.accept(process.parts, "w", await offer_of(process))
    await asyncio.sleep(20)
    forget(process, "jobs", "j")
    again = Process(process.tables, seed=2)
    await worker_upkeep.reconcile_worker(again.parts, "w")
    worker = (await again.read_worker("w")).worker
    assert (worker.assigned_jobs, worker.load_ratio) == ([], 0)


@in_virtual_time
async def test_what_is_right_stays_as_it_is() -> None:
    process = await offered()
    before = (await process.parts.workers.store.load("w")).version
    await worker_upkeep.reconcile_worker(process.parts, "w")
    await worker_upkeep.reconcile_worker(process.parts, "nobody")
    assert (await process.parts.workers.store.load("w")).version == before


@in_virtual_time
async def test_a_lost_index_row_is_written_and_work_found() -> None:
    process = Process(Tables())
    await process.queue()
    await process.worker("w")
    await asyncio.sleep(20)
    rows = process.tables.of("availability")
    for entity in rows.all():
        rows.delete(entity.partition, entity.row)
    await process.job("j")
    await asyncio.sleep(1)
    assert await process.offered_to("j") == []
    await worker_upkeep.reconcile_worker(process.parts, "w")
    await asyncio.sleep(1)
    assert await process.offered_to("j") == ["w"]


@in_virtual_time
async def test_a_deletion_that_was_begun_is_finished() -> None:
    process = await offered()
    offer = await offer_of(process)
    await worker_commits.change(process.parts, "w", worker_commits.existing(worker_engine.start_deletion))
    with pytest.raises(Busy):
        await process.worker("w", capacity=2)
    await worker_upkeep.reconcile_worker(process.parts, "w")
    assert (await process.parts.workers.store.load("w")).record is None
    assert offer not in (await process.read_job("j")).routing.offers
    await asyncio.sleep(1)
    assert "RouterWorkerDeleted" in process.topic.names


@in_virtual_time
async def test_a_deletion_that_breaks_off_is_finished_by_its_settle_deadline() -> None:
    """The worker is offered a job while it is being deleted, and then storage fails."""
    process = Process(Tables())
    await process.queue()
    await process.worker("w")
    await asyncio.sleep(20)
    came = fails = False

    async def before(call: Call) -> None:
        nonlocal came, fails
        if "forget-worker" in call.row and not came:
            came = True
            other = Process(process.tables, seed=2)
            await other.job("j")
            await asyncio.sleep(5)
            assert await other.offered_to("j") == ["w"]
            fails = True
        elif fails and call.kind == "get" and call.table == "jobs":
            raise StorageUnavailable("silent")

    process.tables.before = before
    with pytest.raises(StorageUnavailable):
        await worker_usecases.delete(process.parts, "w")
    assert (await process.read_worker("w")).routing.deleting
    fails = False
    await asyncio.sleep(20)
    again = Process(process.tables, seed=3)
    runner = DeadlineRunner(again.parts)
    await runner.tick()
    await runner.drain()
    await asyncio.sleep(5)
    assert (await again.parts.workers.store.load("w")).record is None
    assert (await again.read_job("j")).routing.offers == {}


@in_virtual_time
async def test_a_deletion_ends_where_the_row_is_gone_already() -> None:
    process = await offered()
    await worker_usecases.delete(process.parts, "w")
    await worker_upkeep.finish_deletion(process.parts, "w")
    await worker_usecases.delete(process.parts, "w")
    assert process.topic.names.count("RouterWorkerDeleted") <= 1
    await asyncio.sleep(1)
    assert process.topic.names.count("RouterWorkerDeleted") == 1


@in_virtual_time
async def test_a_worker_who_has_done_nothing_for_seven_days_is_deregistered() -> None:
    process = Process(Tables())
    await process.queue()
    await process.worker("w")
    runner = DeadlineRunner(process.parts)
    for days, available in ((6.9, True), (7.1, False)):
        wait = days * 86_400 - asyncio.get_running_loop().time()
        await asyncio.sleep(wait)
        await runner.tick()
        await runner.drain()
        assert (await process.read_worker("w")).worker.available_for_offers is available
    await asyncio.sleep(1)
    assert process.topic.names.count("RouterWorkerDeregistered") == 1
    await worker_upkeep.deregister_idle(process.parts, "w")
    await worker_upkeep.deregister_idle(process.parts, "nobody")


@in_virtual_time
async def test_who_still_holds_something_or_has_changed_begins_anew() -> None:
    process = await offered()
    await offer_usecases.accept(process.parts, "w", await offer_of(process))
    await asyncio.sleep(8 * 86_400)
    await worker_upkeep.deregister_idle(process.parts, "w")
    assert (await process.read_worker("w")).worker.available_for_offers
    (due,) = {one.due for one in await process.deadlines("idle") if one.due > process.parts.clock.now()}
    assert due - process.parts.clock.now() == timedelta(days=1)
    await job_usecases.cancel(process.parts, "j", CancelJobOptions())
    await asyncio.sleep(86_400)
    await worker_upkeep.deregister_idle(process.parts, "w")
    assert (await process.read_worker("w")).worker.available_for_offers, "freed a day ago"
    await asyncio.sleep(6.5 * 86_400)
    await worker_upkeep.deregister_idle(process.parts, "w")
    assert not (await process.read_worker("w")).worker.available_for_offers


@in_virtual_time
async def test_who_changes_at_that_moment_stays() -> None:
    process = Process(Tables())
    await process.queue()
    await process.worker("w")
    await asyncio.sleep(8 * 86_400)
    met = False

    async def before(call: Call) -> None:
        nonlocal met
        if call.kind == "replace" and call.table == "workers" and not met:
            met = True
            await Process(process.tables, seed=2).worker("w", capacity=2)
            raise RowChanged

    process.tables.before = before
    await worker_upkeep.deregister_idle(process.parts, "w")
    assert met
    assert (await process.read_worker("w")).worker.available_for_offers
