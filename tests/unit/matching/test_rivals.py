"""Jobs of other queues that come first for a worker of several."""

from __future__ import annotations

import asyncio

from router.engine.service_order import standing
from router.matching.rivals import rivals
from tests.memory_router import in_virtual_time
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
