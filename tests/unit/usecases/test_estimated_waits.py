"""A wait as a range in a job's position and a queue's statistics, and whether it held."""

from __future__ import annotations

import asyncio
import math

import pytest

from router.models.jobs import CloseJobOptions, CompleteJobOptions
from router.models.selectors import RouterWorkerSelector
from router.usecases import figures
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from tests.memory_router import Process, Tables, in_virtual_time

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
    assert wait.range.mean_seconds == pytest.approx(121 * found.position, rel=0.2)
    assert wait.range.p50_seconds < wait.range.mean_seconds < wait.range.p80_seconds
    assert wait.minutes == math.ceil(wait.range.p50_seconds / 60)
    assert wait.range.sentence == f"less than {math.ceil(wait.range.p80_seconds / 60)} minutes"
    assert wait.range.basis.competing == found.position - 1
    assert wait.range.basis.assignments == 6, "the first had not waited"
    skilled = (await figures.position(process.parts, "oui")).wait
    assert skilled.range is None, "nobody has taken such a job"
    statistics = await figures.statistics(process.parts, "q")
    assert statistics.waits[1] == skilled, "of the last of its priority"


@in_virtual_time
async def test_how_often_it_held_is_said() -> None:
    process = Process(Tables())
    await process.queue()
    await process.worker("w")
    for number in range(60):
        await process.job(f"j{number}")
    await asyncio.sleep(2)
    for _ in range(10):
        await serve(process, "w", 30)
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
