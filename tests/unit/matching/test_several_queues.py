"""Rounds of queues that share workers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from router.engine.candidates import available
from router.engine.service_order import standing
from router.models.workers import RouterChannel
from router.storage.availability import Move, row_keys
from router.usecases import offers as offer_usecases
from tests.memory_router import Process, Tables, in_virtual_time
from tests.unit.matching.scenes import two_processes


@in_virtual_time
async def test_several_queues_are_asked_together() -> None:
    one, _ = await two_processes()
    await one.queue("r")
    await one.worker("w", queues=["q", "r"], capacity=2)
    await one.job("j")
    await one.job("k", queue_id="r")
    await one.parts.rounds.ask(["q", "r"], sure=True)
    assert await one.offered_to("j") == ["w"]
    assert await one.offered_to("k") == ["w"]


@in_virtual_time
async def test_a_worker_who_is_gone_is_not_left_to_another_queue_for_long() -> None:
    """A late write has left his rows in the index of one of his queues: the other queue's round cannot find him."""
    one, _ = await two_processes()
    await one.queue("r")
    await one.worker("w", queues=["q", "r"])
    before = available(await one.read_worker("w"))
    assert before is not None
    await one.worker("w", queues=["q", "r"], available_for_offers=False)
    await one.job("first", queue_id="r")
    await one.job("second")
    await asyncio.sleep(3)
    await one.parts.availability.move([Move(None, before)])
    await one.parts.availability.remove("r", row_keys(before))
    one.tables.calls.clear()
    began = one.parts.clock.now()
    await one.parts.rounds.ask(["q"], sure=True)
    assert one.parts.clock.now() - began < timedelta(seconds=1)
    assert len(one.tables.calls) < 60
    await asyncio.sleep(3)
    assert await one.parts.availability.available("q", "i", 9) == ([], None)


@in_virtual_time
async def test_a_worker_is_not_left_for_long_to_a_job_that_wants_nobody_any_more() -> None:
    """A late write says of the job that it is open, though it has all its offers."""
    one, _ = await two_processes()
    await one.queue("r")
    await one.worker("w", queues=["q", "r"], capacity=2)
    await one.job("first", queue_id="r")
    await asyncio.sleep(1)
    assert await one.offered_to("first") == ["w"]
    record = await one.read_job("first")
    where = standing(record)
    assert where is not None
    began = one.parts.clock.now()
    await one.parts.backlog.put(record, where, began)
    await one.job("second")
    await one.parts.rounds.ask(["q"], sure=True)
    assert await one.offered_to("second") == ["w"]
    assert one.parts.clock.now() - began < timedelta(seconds=0.5)


@in_virtual_time
async def test_a_worker_is_left_to_a_job_that_comes_first_in_another_queue() -> None:
    one, _ = await two_processes()
    await one.queue("r")
    await one.job("first", queue_id="r")
    await asyncio.sleep(1)
    await one.job("second")
    await asyncio.sleep(1)
    await one.worker("w", queues=["q", "r"])
    await one.parts.rounds.ask(["q"], sure=True)
    assert await one.offered_to("first") == ["w"]
    assert await one.offered_to("second") == []


@in_virtual_time
async def test_who_is_small_is_not_left_waiting_for_those_who_are_too_large_for_what_is_left() -> None:
    """There is hardly room for those who come first: what the first of them leaves is too little for the others."""
    process = Process(Tables())
    await process.queue()
    await process.job("first", priority=9, channel_id="chat")
    for number in range(20):
        await process.job(f"large{number}", priority=5)
    await process.job("small", channel_id="chat")
    await asyncio.sleep(10)
    channels = [RouterChannel(channel_id="chat", capacity_cost_per_job=1)]
    channels.append(RouterChannel(channel_id="voice", capacity_cost_per_job=2))
    await process.worker("w", capacity=2, channels=channels)
    await asyncio.sleep(1)
    assert await process.offered_to("first") == ["w"]
    assert await process.offered_to("small") == ["w"]


@in_virtual_time
async def test_who_can_have_no_more_of_a_worker_is_passed_over() -> None:
    """Each of those who come first would take another worker's offer too, and there is none but this one."""
    process = Process(Tables())
    await process.queue(max_concurrent_offers=2)
    for number in range(42):
        await process.job(f"j{number:02}")
    await process.worker("w", capacity=41)
    await asyncio.sleep(10)
    assert await process.offered_to("j40") == ["w"]
    assert await process.offered_to("j41") == []
    (offer,) = (await process.read_job("j00")).routing.offers.values()
    await offer_usecases.decline(process.parts, "w", offer.offer_id, None)
    await asyncio.sleep(1)
    assert await process.offered_to("j41") == ["w"]
