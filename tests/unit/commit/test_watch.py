"""Settle deadlines: there before a row is written, shared by the commits of some seconds, taken back by who wrote last."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from router.commit import job as job_commits
from router.commit.watch import SETTLE_AFTER, SETTLE_MARGIN, watched_until
from router.engine import offers
from router.models.jobs import CancelJobOptions, CloseJobOptions, CompleteJobOptions, JobRecord
from router.storage.deadlines import kind_of
from router.storage.port import RowChanged
from router.storage.truth_rows import Row
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from tests.memory_router import START, Process, Tables, in_virtual_time


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("settle_at", "until", "new"),
    [
        (None, START + SETTLE_AFTER, True),
        (_at(12), _at(12), False),
        (START + SETTLE_MARGIN, START + SETTLE_AFTER, True),
        (_at(-1), START + SETTLE_AFTER, True),
    ],
)
def test_what_a_commit_relies_on(settle_at: datetime | None, until: datetime, new: bool) -> None:
    assert watched_until(settle_at, START) == (until, new)


async def _process(jobs: int = 1) -> Process:
    process = Process(Tables())
    await process.queue()
    for number in range(jobs):
        await process.job(f"j{number}")
    return process


@in_virtual_time
async def test_the_deadline_stands_before_the_row() -> None:
    process = await _process()
    calls = [(call.kind, call.table) for call in process.tables.calls]
    assert calls.index(("upsert", "deadlines")) < calls.index(("insert", "jobs"))
    row = await process.parts.jobs.store.load("j0")
    assert [one.due for one in await process.deadlines("settle-job")] == [row.settle_at]


@in_virtual_time
async def test_one_serves_the_commits_of_the_next_seconds() -> None:
    process = await _process()
    for number in range(4):
        await asyncio.sleep(2)
        await process.job("j0", tags={"n": str(number)})
    assert len(await process.deadlines("settle-job")) == 1
    await asyncio.sleep(2.5)
    await process.job("j0", tags={"n": "late"})
    assert len(await process.deadlines("settle-job")) == 2
    await asyncio.sleep(1.5)  # nobody can rely on the first any more
    row = await process.parts.jobs.store.load("j0")
    assert [one.due for one in await process.deadlines("settle-job")] == [row.settle_at]


@in_virtual_time
async def test_early_is_used_by_the_write_that_follows() -> None:
    process = await _process()
    watch = process.parts.jobs.watch
    row = Row[JobRecord]("new")
    await watch.early(row)
    process.tables.calls.clear()
    assert await watch.watched(row) == START + SETTLE_AFTER
    assert process.tables.calls == []
    await watch.watched(row)  # used up
    assert process.tables.count("upsert", "deadlines") == 1


@in_virtual_time
async def test_early_of_another_version_or_too_long_ago_is_not_relied_on() -> None:
    process = await _process()
    watch, store = process.parts.jobs.watch, process.parts.jobs.store
    await asyncio.sleep(20)
    row = await store.load("j0")
    await watch.early(row)
    await process.job("j0", tags={"a": "b"})
    process.tables.calls.clear()
    now = await store.load("j0")
    assert now.version != row.version
    await watch.early(row)
    process.tables.calls.clear()
    await watch.watched(Row("j0", version="another"))
    assert process.tables.count("upsert", "deadlines") == 1
    await watch.early(Row("k"))
    await asyncio.sleep((SETTLE_AFTER - SETTLE_MARGIN).total_seconds())
    process.tables.calls.clear()
    await watch.watched(Row("k"))
    assert process.tables.count("upsert", "deadlines") == 1


@in_virtual_time
async def test_many_rows_share_deadlines() -> None:
    process = await _process()
    watch = process.parts.jobs.watch
    await watch.early_all([Row(f"k{number}") for number in range(120)])
    shared = await process.deadlines("settle-jobs")
    assert sorted(len(one.others) + 1 for one in shared) == [20, 50, 50]
    assert {id for one in shared for id in (one.target, *one.others)} == {f"k{number}" for number in range(120)}
    process.tables.calls.clear()
    assert await watch.watched(Row("k77")) == START + SETTLE_AFTER
    assert process.tables.calls == []


@in_virtual_time
async def test_rows_that_are_watched_already_share_none() -> None:
    process = await _process()
    row = await process.parts.jobs.store.load("j0")
    await process.parts.jobs.watch.early_all([row])
    assert await process.deadlines("settle-jobs") == []


@in_virtual_time
async def test_who_wrote_last_takes_it_back() -> None:
    process = await _process()
    await asyncio.sleep(10)
    assert len(await process.deadlines("settle-job")) == 1
    await asyncio.sleep(3)
    assert await process.deadlines("settle-job") == []
    row = await process.parts.jobs.store.load("j0")
    assert (row.settle_at, row.is_followed) == (None, True)
    assert [one.target for one in await process.deadlines("life")] == ["j0"]  # it rests, and is to end some day


@in_virtual_time
async def test_what_another_process_wrote_since_is_its_to_take_back() -> None:
    process = await _process()
    await asyncio.sleep(1)
    other = Process(process.tables, seed=2, drives=False)
    await other.job("j0", tags={"a": "b"})
    written = (await other.parts.jobs.store.load("j0")).settle_at
    other.parts.jobs.watch._resting.clear()  # it dies
    await process.parts.background.drain(30)
    row = await process.parts.jobs.store.load("j0")
    assert written is not None
    assert row.settle_at == written


@in_virtual_time
async def test_taking_it_back_is_a_conditional_write() -> None:
    process = await _process()
    row = await process.parts.jobs.store.load("j0")
    await process.job("j0", tags={"a": "b"})
    with pytest.raises(RowChanged):
        await process.parts.jobs.watch.taken_back(row)
    with pytest.raises(RowChanged):
        await process.parts.jobs.watch.extended(row, SETTLE_AFTER)


@in_virtual_time
async def test_a_longer_watch_takes_the_place_of_the_old_one() -> None:
    process = await _process()
    await asyncio.sleep(1)
    row = await process.parts.jobs.store.load("j0")
    extended = await process.parts.jobs.watch.extended(row, timedelta(seconds=60))
    assert extended.settle_at == _at(61)
    await asyncio.sleep(2)
    assert [one.due for one in await process.deadlines("settle-job")] == [_at(61)]


async def _rested(process: Process, worker_id: str = "w") -> JobRecord:
    """A job that has been offered for so long that its deadlines stand in storage."""
    await process.worker(worker_id)
    await process.job("j")
    await asyncio.sleep(13)
    assert await process.offered_to("j") == [worker_id]
    assert len(await process.deadlines("offer")) == 1
    return await process.read_job("j")


def _removals(process: Process) -> list[str]:
    """Calls that took rows of deadlines away."""
    return [one.row for one in process.tables.calls if one.table == "deadlines" and one.kind in ("delete", "transact")]


@in_virtual_time
async def test_the_expiry_of_an_offer_that_ended_goes_with_the_settle_deadline() -> None:
    process = Process(Tables())
    await process.queue()
    (offer_id,) = (await _rested(process)).routing.offers
    process.tables.calls.clear()
    await job_commits.change(process.parts, "j", job_commits.existing(lambda record: offers.revoke(record, [offer_id])))
    await process.worker("w", available_for_offers=False)
    await asyncio.sleep(13)
    assert await process.deadlines("offer") == await process.deadlines("settle-job") == []
    assert len(await process.deadlines("life")) == 1
    assert [row.count("~settle-job~j~") for row in _removals(process) if "~offer~j~" in row] == [1]
    record = await process.read_job("j")
    assert [kind_of(row) for row in record.routing.armed] == ["life"]


@in_virtual_time
async def test_a_job_that_has_ended_leaves_no_deadline_behind() -> None:
    process = Process(Tables())
    await process.queue()
    (offer_id,) = (await _rested(process)).routing.offers
    assert len(await process.deadlines("life")) == 1
    _, assignment_id = await offer_usecases.accept(process.parts, "w", offer_id)
    await job_usecases.complete(process.parts, "j", assignment_id, CompleteJobOptions())
    process.tables.calls.clear()
    await job_usecases.close(process.parts, "j", assignment_id, CloseJobOptions())
    await asyncio.sleep(3)
    for kind in ("offer", "life", "settle-job"):
        assert await process.deadlines(kind) == [], kind
    assert len([row for row in _removals(process) if "~j~" in row]) == 1


@in_virtual_time
async def test_a_job_that_is_deleted_leaves_no_deadline_behind() -> None:
    process = Process(Tables())
    await process.queue()
    await _rested(process)
    await job_usecases.cancel(process.parts, "j", CancelJobOptions())
    await job_usecases.delete(process.parts, "j")
    await asyncio.sleep(3)
    assert await process.deadlines("life") == await process.deadlines("offer") == []


@in_virtual_time
async def test_an_expiry_that_is_near_is_left_to_the_timer() -> None:
    process = Process(Tables())
    await process.queue()
    (offer_id,) = (await _rested(process)).routing.offers
    await asyncio.sleep(60 - 13 - 13)
    await job_commits.change(process.parts, "j", job_commits.existing(lambda record: offers.revoke(record, [offer_id])))
    await process.worker("w", available_for_offers=False)
    await asyncio.sleep(12.8)
    assert len(await process.deadlines("offer")) == 1
    assert [kind_of(row) for row in (await process.read_job("j")).routing.armed] == ["life"]
