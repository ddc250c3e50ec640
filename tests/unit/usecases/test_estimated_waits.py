"""A wait as a range in a job's position and a queue's statistics, and whether it held."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, timedelta
from typing import Any

import pytest

from router.models.jobs import CloseJobOptions, CompleteJobOptions
from router.models.selectors import RouterWorkerSelector
from router.storage.job_classes import job_class
from router.storage.throughput import Taken
from router.upkeep.facts import FactCounter
from router.usecases import figures, timelines
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases.live import Live
from router.usecases.reports import Asked, documents, of_queues
from tests.memory_router import START, Process, Tables, in_virtual_time

FRENCH = RouterWorkerSelector.model_validate({"key": "french", "labelOperator": "equal", "value": True})


async def serve(process: Process, worker_id: str, seconds: float) -> None:
    """The worker takes what it is offered, and closes it after a while."""
    worker = await process.read_worker(worker_id)
    (offer,) = worker.worker.offers
    job_id, assignment_id = await offer_usecases.accept(process.parts, worker_id, offer.offer_id)
    await asyncio.sleep(seconds)
    await job_usecases.complete(process.parts, job_id, assignment_id, CompleteJobOptions())
    await job_usecases.close(process.parts, job_id, assignment_id, CloseJobOptions())
    await asyncio.sleep(1)


async def waiting_jobs(count: int, seconds: float) -> Process:
    """So many jobs `j0`, ... of which the worker `w` has taken ten, for so long each."""
    process = Process(Tables())
    await process.queue()
    await process.worker("w")
    for number in range(count):
        await process.job(f"j{number}")
    await asyncio.sleep(2)
    for _ in range(10):
        await serve(process, "w", seconds)
    return process


@in_virtual_time
async def test_a_range_has_a_basis_or_a_reason() -> None:
    process = Process(Tables())
    await process.queue()
    await process.worker("w", labels={"german": True})
    for number in range(12):
        await process.job(f"j{number}")
        await asyncio.sleep(0.1)
    await process.job("oui", requested_worker_selectors=[FRENCH])
    await asyncio.sleep(2)
    first = (await figures.position(process.parts, "j11")).wait
    assert first.range is None
    assert first.unknown is not None
    assert "no jobs" in first.unknown
    assert first.minutes in (12, 13), "as for one line: one a minute is assumed"
    for _ in range(7):
        await serve(process, "w", 120)
    found = await figures.position(process.parts, "j11")
    wait = found.wait
    assert wait.range is not None
    assert wait.unknown is None
    # The first of the line has its offer: it waits for an answer, and for no worker.
    assert wait.range.mean_seconds == pytest.approx(121 * (found.position - 1), rel=0.1)
    assert wait.range.p50_seconds < wait.range.mean_seconds < wait.range.p80_seconds
    assert wait.minutes == math.ceil(wait.range.p50_seconds / 60)
    assert wait.range.sentence == f"less than {math.ceil(wait.range.p80_seconds / 60)} minutes"
    assert wait.range.basis.competing == found.position - 2
    assert wait.range.basis.assignments == 6, "the first had not waited"
    skilled = (await figures.position(process.parts, "oui")).wait
    assert skilled.range is None, "nobody has taken such a job"
    statistics = await figures.statistics(process.parts, "q")
    assert statistics.waits[1] == skilled, "of the last of its priority"


@in_virtual_time
async def test_the_live_picture_tells_queues_what_statistics_tell() -> None:
    """Of the last job of each priority, a range or why there is none, and anew when the line has moved."""
    process = await waiting_jobs(20, 60)
    await process.job("urgent", priority=7)
    await process.job("oui", priority=3, requested_worker_selectors=[FRENCH])
    await asyncio.sleep(2)
    live = Live(process.parts)

    async def told() -> Any:
        (queue,) = (await live.picture()).queues
        return queue

    for _ in range(2):
        statistics = await figures.statistics(process.parts, "q")
        ranges = {
            str(priority): wait.range.model_dump(mode="json", by_alias=True, exclude_none=True)
            for priority, wait in statistics.waits.items()
            if wait.range is not None
        }
        unknown = {str(priority): wait.unknown for priority, wait in statistics.waits.items() if wait.unknown}
        assert {*ranges} == {"1", "7"}
        assert {*unknown} == {"3"}, "nobody has taken such a job"
        shown = await told()
        assert shown["estimatedWaitUnknown"] == unknown
        assert {priority: one["sentence"] for priority, one in shown["estimatedWait"].items()} == {
            priority: one["sentence"] for priority, one in ranges.items()
        }
        for priority, one in shown["estimatedWait"].items():
            assert one["p80Seconds"] == pytest.approx(ranges[priority]["p80Seconds"], rel=0.02)
            assert one["basis"] == ranges[priority]["basis"] | {"minutes": one["basis"]["minutes"]}
        await serve(process, "w", 60)
        await asyncio.sleep(31)  # the rates of a queue are read each half a minute
    assert "estimatedWait" not in await _of_an_empty_queue()


@in_virtual_time
async def test_the_same_assignments_tell_the_range_whoever_asks() -> None:
    """Statistics and the live picture look equally far back: work was slower until 60 assignments ago, and of the rare
    class all assignments lie before that."""
    process = Process(Tables())
    await process.queue()
    began = process.parts.clock.now()
    await asyncio.sleep(6 * 3600)
    asked = [job_class("voice", []), job_class("voice", [FRENCH])]
    moment = began
    for number in range(400):
        moment += timedelta(seconds=60 if number < 340 else 10)
        own = asked[1] if number < 300 and number % 3 == 0 else asked[0]
        labels = {"french": True} if own is asked[1] else {}
        taken = Taken(own, (1, -1), frozenset({"voice"}), labels)
        process.parts.throughput.assigned("q", moment - timedelta(seconds=50), moment, moment, taken)
    for number in range(3):
        await process.job(f"j{number}")
    await process.job("oui", priority=3, requested_worker_selectors=[FRENCH])
    await asyncio.sleep(2)
    (shown,) = (await Live(process.parts).picture()).queues
    statistics = await figures.statistics(process.parts, "q")
    ranges = {
        str(priority): wait.range.model_dump(mode="json", by_alias=True, exclude_none=True)
        for priority, wait in statistics.waits.items()
        if wait.range is not None
    }
    assert shown["estimatedWait"] == ranges
    assert 240 <= ranges["1"]["basis"]["assignments"] < 250
    assert ranges["3"]["basis"]["assignments"] == 100, "all that there are"


async def _of_an_empty_queue() -> Any:
    process = Process(Tables())
    await process.queue()
    (queue,) = (await Live(process.parts).picture()).queues
    return queue


@in_virtual_time
async def test_how_often_it_held_is_said() -> None:
    process = await waiting_jobs(60, 30)
    for number in range(60):
        record = await process.read_job(f"j{number}")
        if record.status == "queued":
            await figures.position(process.parts, f"j{number}")
    for _ in range(40):
        await serve(process, "w", 300)  # ten times as long as before
    wait = (await figures.position(process.parts, "j59")).wait
    assert wait.range is not None
    basis = wait.range.basis
    assert basis.told is not None
    assert basis.told >= 38
    assert basis.held_percent is not None
    assert basis.held_percent < 20
    assert wait.range.caution is not None
    assert "held for only" in wait.range.caution
    await _all_counted(process)
    row = await _reported(process)
    assert (row["waitsTold"], row["waitsHeldPercent"]) == (basis.told, basis.held_percent)
    assert row["waitsHeld"] == round(basis.told * basis.held_percent / 100)
    assert row["waitsCaution"] is True


@in_virtual_time
async def test_reports_count_what_was_told_and_what_held_and_no_job_that_was_told_nothing() -> None:
    process = await waiting_jobs(20, 60)
    jobs = [await process.read_job(f"j{number}") for number in range(20)]
    told = [one.id for one in jobs if one.status == "queued" and not one.routing.offers][:2]
    for job_id in told:
        assert (await figures.position(process.parts, job_id)).wait.range is not None
    for _ in range(10):
        await serve(process, "w", 60)
    await _all_counted(process)
    row = await _reported(process)
    assert (row["assigned"], row["waitsTold"], row["waitsHeld"], row["waitsHeldPercent"]) == (20, 2, 2, 100)
    assert row["waitsCaution"] is False, "two jobs say little"
    entries, _ = await timelines.of_a_job(process.parts, told[0], 100, None)
    accepted = [event for one in entries for event in one["events"] if event["eventType"].endswith("OfferAccepted")]
    assert [one.get("toldWaitHeld") for one in accepted] == [True]


@in_virtual_time
async def test_what_a_job_was_told_costs_no_operation_of_storage() -> None:
    costs = []
    for told in (False, True):
        process = Process(Tables())
        await process.queue()
        await process.worker("w")
        await process.job("j")
        await asyncio.sleep(30)
        if told:
            process.parts.told.tell("j", "q", process.parts.clock.now() + timedelta(hours=1))
        (offer,) = (await process.read_worker("w")).worker.offers
        process.tables.calls.clear()
        await offer_usecases.accept(process.parts, "w", offer.offer_id)
        costs.append(len(process.tables.calls))
    assert costs[0] == costs[1]


async def _all_counted(process: Process) -> None:
    """Every minute, as a timer would have."""
    await asyncio.sleep(60)
    minutes = {row.row[2:17] for row in process.tables.of("deadlines").all() if row.row.startswith("h~")}
    counter = FactCounter(process.parts)
    for minute in sorted(minutes):
        assert await counter.count_minute(minute)


async def _reported(process: Process) -> dict[str, Any]:
    asked = Asked(START, process.parts.clock.now() + timedelta(days=1), "1d", UTC)
    (row,) = documents(await of_queues(process.parts, asked, None), asked)
    return row
