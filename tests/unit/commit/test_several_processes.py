"""Steps of one job that come to different processes: each knows what the rows tell, and does no more than is left."""

from __future__ import annotations

import asyncio

import pytest

from router.errors import BadRequest, Conflict
from router.matching import abandoned
from router.models.jobs import CancelJobOptions, CloseJobOptions, CompleteJobOptions
from router.storage.port import Entity, RowChanged, StorageUnavailable
from router.storage.rounds import Hold
from router.upkeep.deadlines import DeadlineRunner
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from router.usecases import workers as worker_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time
from tests.sim.memory_tables import Rows


async def _offered(process: Process, job: str = "j", **worker: object) -> str:
    """The offer of a new job to the worker `w`."""
    await process.queue()
    await process.worker("w", **worker)
    await asyncio.sleep(1)
    await process.job(job)
    await asyncio.sleep(0.05)
    [offer] = (await process.read_worker("w")).worker.offers
    return offer.offer_id


@in_virtual_time
async def test_who_has_offered_a_job_accepts_for_it_without_reading_it() -> None:
    process = Process(Tables())
    offer = await _offered(process)
    process.tables.calls.clear()
    await offer_usecases.accept(process.parts, "w", offer)
    assert process.tables.count("get", "jobs") == 0
    assert (await process.read_job("j")).status == "assigned"


@in_virtual_time
async def test_an_accept_is_refused_by_the_row_as_it_is() -> None:
    process = Process(Tables())
    other = Process(process.tables, process.topic, seed=2)
    offer = await _offered(process)
    await job_usecases.cancel(other.parts, "j", CancelJobOptions())
    with pytest.raises(Conflict, match="was revoked"):
        await offer_usecases.accept(process.parts, "w", offer)


@in_virtual_time
async def test_a_new_job_is_not_read_before_it_is_written() -> None:
    process = Process(Tables())
    await process.queue()
    await process.job("before")  # from here on the process knows the queue
    process.tables.calls.clear()
    await process.job("j")
    assert process.tables.count("get", "jobs") == 0
    assert process.tables.count("insert", "jobs") == 1


@in_virtual_time
async def test_a_queue_that_was_there_long_ago_is_asked_for_while_the_job_is_prepared() -> None:
    process = Process(Tables())
    await process.queue()
    await process.job("before")
    await asyncio.sleep(60)
    process.tables.calls.clear()
    await process.job("j")
    assert process.tables.count("get", "jobs") == 0
    assert process.tables.count("get", "queues") == 1


@in_virtual_time
async def test_a_job_for_a_queue_that_has_gone_is_refused_and_leaves_no_place_in_the_line() -> None:
    process = Process(Tables())
    other = Process(process.tables, process.topic, seed=2)
    await process.queue()
    await setting_usecases.upsert(
        process.parts, "Queue", "gone", lambda _: {"distributionPolicyId": "q"}, lambda etag, modified: None
    )
    assert await other.parts.resources.cached("Queue", "gone")
    await setting_usecases.delete(process.parts, "Queue", "gone")
    await asyncio.sleep(4)
    for prepared in (1, 0):  # it has learnt that there is none
        other.tables.calls.clear()
        with pytest.raises(BadRequest, match="gone"):
            await other.job("j", queue_id="gone")
        await asyncio.sleep(1)
        assert other.tables.count("upsert", "backlog") == prepared
        assert not process.tables.of("backlog").all()
        assert not process.tables.of("jobs").all()


@in_virtual_time
async def test_a_job_that_was_taken_for_a_new_one_is_changed_and_listed_once() -> None:
    process = Process(Tables())
    other = Process(process.tables, process.topic, seed=2)
    await process.queue()
    await process.job("j")
    await other.job("knows the queue")
    await asyncio.sleep(2)
    other.tables.calls.clear()
    await other.job("j", priority=7)
    assert other.tables.count("get", "jobs") == 1, "it is read once: the write that failed has done that"
    await asyncio.sleep(1)
    record = await process.read_job("j")
    assert record.job.priority == 7
    listed = [row for row in process.tables.of("listing").all() if row.columns["Id"] == "j"]
    assert len(listed) == 1
    in_line = [row for row in process.tables.of("backlog").all() if row.row.endswith("~j")]
    assert len(in_line) == 1


@in_virtual_time
async def test_a_refused_change_of_a_job_that_was_taken_for_a_new_one_leaves_no_place_in_the_line() -> None:
    process = Process(Tables())
    other = Process(process.tables, process.topic, seed=2)
    await process.queue()
    await process.job("j")
    await other.job("knows the queue")
    await job_usecases.cancel(process.parts, "j", CancelJobOptions())
    with pytest.raises(Conflict):
        await other.job("j", priority=7)
    await asyncio.sleep(1)
    assert not [row for row in process.tables.of("backlog").all() if row.row.endswith("~j")]


@in_virtual_time
async def test_steps_in_other_processes_look_only_at_who_has_the_job() -> None:
    first = Process(Tables())
    second = Process(first.tables, first.topic, seed=2)
    third = Process(first.tables, first.topic, seed=3)
    offer = await _offered(first)
    _, assignment = await offer_usecases.accept(first.parts, "w", offer)
    first.tables.calls.clear()
    await job_usecases.complete(second.parts, "j", assignment, CompleteJobOptions())
    await asyncio.sleep(0.01)
    assert (first.tables.count("get", "workers"), first.tables.count("get", "jobs")) == (0, 1)
    first.tables.calls.clear()
    await job_usecases.close(third.parts, "j", assignment, CloseJobOptions())
    await asyncio.sleep(0.01)
    assert (first.tables.count("get", "workers"), first.tables.count("get", "jobs")) == (1, 1)
    await asyncio.sleep(30)
    assert (await first.read_job("j")).status == "closed"
    assert not (await first.read_worker("w")).worker.assigned_jobs


@in_virtual_time
async def test_a_worker_of_which_only_the_offer_is_remembered_is_read_before_it_is_released() -> None:
    first = Process(Tables())
    second = Process(first.tables, first.topic, seed=2)
    offer = await _offered(first)
    _, assignment = await offer_usecases.accept(second.parts, "w", offer)
    first.tables.calls.clear()
    await job_usecases.complete(second.parts, "j", assignment, CompleteJobOptions())
    await job_usecases.close(first.parts, "j", assignment, CloseJobOptions())
    assert (first.tables.count("get", "workers"), first.tables.count("replace", "workers")) == (1, 1)


@in_virtual_time
async def test_who_completes_and_closes_at_once_does_not_look_who_has_the_job() -> None:
    first = Process(Tables())
    second = Process(first.tables, first.topic, seed=2)
    offer = await _offered(first)
    _, assignment = await offer_usecases.accept(first.parts, "w", offer)
    first.tables.calls.clear()
    await job_usecases.complete(second.parts, "j", assignment, CompleteJobOptions())
    await asyncio.sleep(0.1)
    await job_usecases.close(second.parts, "j", assignment, CloseJobOptions())
    await asyncio.sleep(10)
    assert first.tables.count("get", "workers") == 1  # to release it
    assert not (await first.read_worker("w")).worker.assigned_jobs


@in_virtual_time
async def test_rows_that_have_been_taken_over_are_not_cleared_in_vain() -> None:
    """Where that happens often, it is asked of many together whether what watches over them stands still."""
    first = Process(Tables())
    second = Process(first.tables, first.topic, seed=2)
    await first.queue()
    await first.worker("w", capacity=1_000)
    await asyncio.sleep(1)
    in_vain: list[int] = []
    asked: list[int] = []
    for some in range(4):
        conflicts = _conflicts(first.tables.of("jobs"))
        first.tables.calls.clear()
        for number in range(30):
            await first.job(f"j{some}-{number}")
            await asyncio.sleep(0.05)
            [offer] = (await first.read_worker("w")).worker.offers
            job, assignment = await offer_usecases.accept(second.parts, "w", offer.offer_id)
            await job_usecases.complete(second.parts, job, assignment, CompleteJobOptions())
            await job_usecases.close(second.parts, job, assignment, CloseJobOptions())
        await asyncio.sleep(10)
        in_vain.append(len(conflicts))
        asked.append(first.tables.count("query", "deadlines"))
    assert in_vain[0] > 0
    assert in_vain[3] < 10
    assert 0 < asked[3] < 10
    assert all(row.columns.get("SettleAt") is None for row in first.tables.of("jobs").all())


@in_virtual_time
async def test_a_row_whose_deadline_stands_is_cleared_as_ever() -> None:
    process = Process(Tables())
    await process.queue()
    process.parts.outbox._in_vain = 1.0
    for number in range(40):
        await process.job(f"j{number}")
    await asyncio.sleep(3.5)
    assert process.tables.count("query", "deadlines") > 0
    rows = [await process.parts.jobs.store.load(f"j{number}") for number in range(40)]
    assert all(row.is_followed for row in rows)
    assert process.parts.outbox._in_vain < 0.5


def _conflicts(rows: Rows) -> list[str]:
    """The rows of which a write was refused, from here on."""
    found: list[str] = []
    replace = rows.replace

    def noted(entity: Entity) -> str:
        try:
            return replace(entity)
        except RowChanged:
            found.append(entity.row)
            raise

    rows.replace = noted  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize("is_another", [True, False])
@pytest.mark.parametrize(("most", "silent"), [(None, "workers"), (1, "workers"), (1, "availability")])
@in_virtual_time
async def test_who_completes_looks_after_a_worker_whose_accept_was_cut_off(
    most: int | None, silent: str, is_another: bool
) -> None:
    """Also in the process that accepted: it remembers the worker's row as that is, and not what hangs on it."""
    first = Process(Tables())
    second = Process(first.tables, first.topic, seed=2) if is_another else first
    offer = await _offered(first, capacity=2, max_concurrent_offers=most)

    async def cut_off(call: Call) -> None:
        if call.table in {silent, "deadlines"}:
            raise StorageUnavailable("It is not asked any more.")

    first.tables.before = cut_off
    with pytest.raises(StorageUnavailable):
        await offer_usecases.accept(first.parts, "w", offer)
    first.tables.before = None
    await asyncio.sleep(0.1)  # what failed is left to the settle deadline by now
    [assignment] = (await second.read_job("j")).job.assignments
    await job_usecases.complete(second.parts, "j", assignment, CompleteJobOptions())
    await asyncio.sleep(0.5)
    worker = (await second.read_worker("w")).worker
    assert (len(worker.offers), [held.job_id for held in worker.assigned_jobs]) == (0, ["j"])
    await second.job("next")
    await asyncio.sleep(0.1)
    assert await second.offered_to("next") == ["w"]


@in_virtual_time
async def test_what_a_commit_has_told_but_not_done_is_known_to_who_takes_its_row_over() -> None:
    first = Process(Tables())
    second = Process(first.tables, first.topic, seed=2)
    declined = await _offered(first)

    async def cut_off(call: Call) -> None:
        if call.table == "workers" and call.kind == "replace":
            raise StorageUnavailable("It is not written any more.")

    first.tables.before = cut_off
    with pytest.raises(StorageUnavailable):
        await offer_usecases.decline(first.parts, "w", declined, None)
    await asyncio.sleep(0.1)
    await first.job("j", tags={"told": "1"})  # the row is written without what has been told
    await asyncio.sleep(0.1)
    first.tables.before = None
    await second.job("j", tags={"taken": "over"})
    await asyncio.sleep(0.5)
    assert not (await second.read_worker("w")).worker.offers


@in_virtual_time
async def test_a_change_of_place_that_was_cut_off_is_found_by_the_settle_deadline() -> None:
    """It publishes nothing, so that the row alone can tell that something is left to do."""
    process = Process(Tables())
    await process.queue()
    await process.job("j")
    await asyncio.sleep(1)

    async def cut_off(call: Call) -> None:
        if call.table == "backlog" and call.kind != "query":
            raise StorageUnavailable("It is not written any more.")

    process.tables.before = cut_off
    with pytest.raises(StorageUnavailable):
        await process.job("j", priority=7)
    process.tables.before = None
    await asyncio.sleep(20)
    runner = DeadlineRunner(process.parts)
    await runner.tick()
    await runner.drain()
    found = [row for row in process.tables.of("backlog").all() if row.row.endswith("~j")]
    assert 7 in [row.columns["Priority"] for row in found], "a round removes the other one when it looks at it"


@in_virtual_time
async def test_a_worker_that_is_deleted_while_it_is_looked_after_leaves_no_row() -> None:
    first = Process(Tables())
    second = Process(first.tables, first.topic, seed=2)
    await _offered(first)
    looks = 0

    async def deleted_meanwhile(call: Call) -> None:
        nonlocal looks
        if (call.kind, call.table) == ("get", "workers"):
            looks += 1
            if looks == 2:
                first.tables.before = None
                await worker_usecases.delete(first.parts, "w")
                await asyncio.sleep(2)

    first.tables.before = deleted_meanwhile
    await abandoned.drop(second.parts, Hold("q", workers=("w",)), is_own=False)
    assert not first.tables.of("workers").all()


@pytest.mark.parametrize("lives", [False, True])
def test_offers_of_a_holder_that_is_gone_are_told_by_who_takes_over(lives: bool) -> None:
    @in_virtual_time
    async def story() -> None:
        first = Process(Tables())
        second = Process(first.tables, seed=2)
        await first.queue()
        await first.worker("w")
        await asyncio.sleep(1)
        first.topic.answers = False
        await first.job("j")
        await asyncio.sleep(0.05)
        left = Hold("q", "first", second.parts.clock.now(), (), ("j",))
        await abandoned.drop(second.parts, left, is_own=False)
        await asyncio.sleep(0.5)
        assert not second.topic.events
        if lives:
            first.topic.answers = True
            await job_usecases.cancel(first.parts, "j", CancelJobOptions())
        await asyncio.sleep(1)
        told = "RouterWorkerOfferIssued" in second.topic.names
        assert told is not lives
        if told:
            row = await second.parts.jobs.store.load("j")
            assert not row.outbox
            assert not row.is_followed, "what else hangs on it is left to its settle deadline"
            assert set(row.owed) == {"RouterJobReceived", "RouterJobQueued", "RouterWorkerOfferIssued"}

    story()
