"""Rows of the line and of the index that tell what is no longer true."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from router.engine.evolve import evolve
from router.engine.service_order import Standing, standing
from router.matching import rows
from router.matching.notes import Notes
from router.matching.rivals import rivals
from router.matching.rows import LEFT_BEHIND
from router.storage.availability import Move
from router.storage.port import RowChanged
from tests.memory_router import Process, in_virtual_time
from tests.unit.engine.engine_records import selector
from tests.unit.matching.scenes import claimed, fill, line, look, one_process, unclaimed


@in_virtual_time
async def test_a_row_that_its_job_does_not_know_is_removed_when_it_is_old() -> None:
    process = await one_process()
    await process.worker("w")
    await process.job("j")
    record = await process.read_job("j")
    where = standing(record)
    assert where is not None
    gone = record.model_copy(update={"job": record.job.model_copy(update={"id": "gone"})})
    place = type(where.place)(1, -1, where.place.enqueued_at, "gone")
    await process.parts.backlog.put(gone, type(where)("q", place), process.parts.clock.now())
    assert list((await rows.jobs(process.parts, await look(process), 99, unclaimed)).found) == ["j"]
    assert line(await look(process)) == ["j", "gone"]  # it may have come before its job
    await asyncio.sleep(LEFT_BEHIND.total_seconds() + 1)
    seen = await look(process)
    await process.parts.backlog.put(gone, type(where)("q", place), process.parts.clock.now())
    await rows.jobs(process.parts, seen, 99, unclaimed)
    assert line(await look(process)) == ["j", "gone"]  # its job is about to come, after a long pause of its process
    await asyncio.sleep(LEFT_BEHIND.total_seconds() + 1)
    await rows.jobs(process.parts, await look(process), 99, unclaimed)
    assert line(await look(process)) == ["j"]


@in_virtual_time
async def test_old_rows_of_a_job_that_were_looked_at_in_vain_do_not_hide_the_one_that_counts() -> None:
    process = await one_process()
    await process.job("j")
    await process.parts.rounds.ask(["q"], sure=True)
    await process.worker("w")
    where = standing(record := await process.read_job("j"))
    assert where is not None
    for minutes in range(1, 9):
        earlier = replace(where.place, enqueued_at=where.place.enqueued_at - timedelta(minutes=minutes))
        await process.parts.backlog.put(record, Standing("q", earlier), process.parts.clock.now())
    scene = await look(process)
    taken = await rows.jobs(process.parts, scene, 99, claimed)
    assert (taken.found, taken.hardly_room) == ({}, True)
    taken = await rows.jobs(process.parts, scene, 99, claimed, taken.looked_at)
    assert list(taken.found) == ["j"]


@in_virtual_time
async def test_what_was_remembered_and_is_old_is_read_again() -> None:
    process = await one_process()
    other = Process(process.tables, seed=2, drives=False)
    await fill(process, 2)
    await process.worker("w", capacity=9)
    scene = await look(process)
    taken = await rows.jobs(process.parts, scene, 99, unclaimed)
    assert not await rows.again(process.parts, scene, taken, list(taken.found))
    taken = await rows.jobs(process.parts, scene, 99, unclaimed)
    found = taken.found
    await other.job("j000", priority=7)
    await other.job("j001", tags={"a": "b"})
    with pytest.raises(RowChanged):  # what it remembered is old, and it does not remember it any more
        await process.parts.jobs.store.clear(found["j001"][1])
    assert await rows.again(process.parts, scene, taken, list(found))
    assert list(found) == ["j001"]  # the other one stands elsewhere now
    assert (row := found["j001"][1]).record is not None
    assert row.record.job.tags == {"a": "b"}


@in_virtual_time
async def test_a_job_that_was_remembered_where_it_no_longer_stands_is_taken_where_it_does() -> None:
    process = await one_process()
    other = Process(process.tables, seed=2, drives=False)
    await fill(process, 1)
    await process.worker("w", capacity=9)
    before = await process.read_job("j000")
    where = standing(before)
    assert where is not None
    await other.job("j000", priority=7)
    await process.parts.backlog.put(before, where, process.parts.clock.now())  # that row is to be removed yet
    scene = await look(process)
    assert line(scene) == ["j000", "j000"]
    taken = await rows.jobs(process.parts, scene, 99, unclaimed)
    assert await rows.again(process.parts, scene, taken, list(taken.found))
    assert taken.found["j000"][0].priority == 7


@in_virtual_time
async def test_an_index_row_of_an_old_version_is_put_right_when_nobody_does() -> None:
    process = await one_process()
    await process.worker("w", labels={"a": 1})
    before = (await look(process)).candidates[0]
    await process.worker("w", labels={"a": 2})
    now = (await look(process)).candidates[0]
    await process.parts.availability.move([Move(now, before)])
    scene = await look(process)
    assert scene.candidates[0].labels["a"] == 1
    notes = Notes()
    assert (await rows.without_outdated(process.parts, notes, scene, ["w"])).candidates == []
    assert (await look(process, notes)).candidates == []
    assert (await look(process)).candidates[0].labels["a"] == 1  # somebody is about to
    await asyncio.sleep(3)
    assert [one.labels["a"] for one in (await look(process)).candidates] == [2]
    assert not notes.outdated


@in_virtual_time
async def test_the_index_row_of_a_worker_that_is_gone_is_taken_away() -> None:
    process = await one_process()
    await process.worker("w")
    scene = await look(process)
    gone = scene.candidates[0]
    await process.worker("w", available_for_offers=False)
    await process.parts.availability.move([Move(None, gone)])
    rows.distrust(process.parts, scene, Notes(), "w")
    await asyncio.sleep(3)
    assert (await look(process)).candidates == []


@in_virtual_time
async def test_a_worker_that_the_index_tells_untruly_of_holds_up_nobody_else() -> None:
    """The index goes on saying that a worker is free who is not, and who would come first."""
    process = await one_process()
    await process.worker("busy")
    await process.worker("free")
    free = next(one for one in (await look(process)).candidates if one.worker_id == "busy")
    await process.worker("busy", available_for_offers=False)
    await process.parts.availability.move([Move(None, free)])
    await process.job("j")
    await asyncio.wait_for(process.parts.rounds.ask(["q"], sure=True), 0.2)
    assert await process.offered_to("j") == ["free"]


@in_virtual_time
async def test_of_two_rows_of_a_worker_the_newer_one_counts() -> None:
    process = await one_process()
    await process.worker("w", labels={"a": 1})
    late = (await look(process)).candidates[0]
    await process.worker("w", labels={"a": 2})
    await process.parts.availability.move([Move(None, late)])
    assert [one.labels["a"] for one in (await look(process)).candidates] == [2]
    assert len((await process.parts.availability.available("q", "i", 9))[0]) == 1


@in_virtual_time
async def test_labels_too_large_for_the_index_are_read_from_the_workers_row() -> None:
    process = await one_process()
    labels = {f"label{number}": "x" * 400 for number in range(60)}
    await process.worker("w", labels=labels)
    scene = await look(process)
    assert scene.candidates[0].labels["label7"] == "x" * 400
    await process.job("j", requested_worker_selectors=[selector("label7", "equal", "x" * 400)])
    await process.parts.rounds.ask(["q"], sure=True)
    assert await process.offered_to("j") == ["w"]


@in_virtual_time
async def test_the_row_of_a_job_that_did_not_come_keeps_no_worker() -> None:
    """A change that was to move the job to another queue has been refused: the row that it wrote first is still there."""
    process = await one_process()
    await process.queue("r")
    await process.job("j")
    await asyncio.sleep(1)
    record = await process.read_job("j")
    where = standing(record)
    assert where is not None
    moved = evolve(record, job={"queue_id": "r", "priority": 9})
    await process.parts.backlog.put(
        moved, Standing("r", replace(where.place, below=-9), entering=True), process.parts.clock.now()
    )
    await process.worker("w", queues=["q", "r"])
    scene = await look(process)
    assert await rivals(process.parts, "q", scene.candidates, where.place) == []
    await process.parts.rounds.ask(["q"], sure=True)
    assert await process.offered_to("j") == ["w"]
