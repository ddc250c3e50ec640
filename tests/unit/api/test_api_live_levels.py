"""Service levels in the picture (docs/behaviour.md, "Live")."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from router.upkeep.facts import FactCounter
from router.usecases.live import Live
from tests.memory_router import in_virtual_time
from tests.unit.api.api_caller import Caller


async def served(call: Caller, *queues: str) -> None:
    """In each of the queues one was served, in time unless its label says otherwise, and one has given up."""
    for queue in queues:
        await call.job(f"gives-up-{queue}", queueId=queue)
        await asyncio.sleep(1)
        await call("CancelJob", f"gives-up-{queue}")
        await call.worker(f"w-{queue}", queues=[queue])
        await call.job(f"served-{queue}", queueId=queue)
        await asyncio.sleep(0.5)
        (offer,) = (await call("GetWorker", f"w-{queue}")).body["offers"]
        await call("AcceptJobOffer", f"w-{queue}", offer["offerId"])
    await asyncio.sleep(17)
    await FactCounter(call.parts).count(call.parts.clock.now())


@in_virtual_time
async def test_service_levels_cost_one_read_in_a_quarter_of_a_minute_however_many_queues() -> None:
    call = Caller()
    await call.settings()
    queues = [f"q{number}" for number in range(12)]
    for queue in queues:
        await call("UpsertQueue", queue, body={"distributionPolicyId": "q"})
    await call("UpsertQueue", "q0", body={"labels": {"serviceLevelSeconds": 0}})
    await served(call, *queues)
    live = Live(call.parts)
    before = call.process.tables.count("query", "facts"), call.process.tables.count("get", "facts")
    for _ in range(40):
        await live.picture()
        await asyncio.sleep(1)
    after = call.process.tables.count("query", "facts"), call.process.tables.count("get", "facts")
    assert (after[0] - before[0], after[1] - before[1]) == (3, 0)
    levels = {one["id"]: one.get("serviceLevel") for one in (await live.picture()).queues}
    assert levels.pop("q") is None  # nobody was served, nobody gave up
    assert levels.pop("q0") == {"percent": 0.0, "thresholdSeconds": 0.0, "windowMinutes": 15}
    assert sorted(levels) == sorted(queues[1:])
    for level in levels.values():
        assert level == {"percent": 50.0, "thresholdSeconds": 20.0, "windowMinutes": 15}
    # It is of the last minutes alone.
    await asyncio.sleep(17 * 60)
    assert not any("serviceLevel" in one for one in (await live.picture()).queues)


@in_virtual_time
async def test_without_a_history_there_are_no_service_levels_and_nothing_is_read_for_them() -> None:
    call = Caller()
    await call.settings()
    await served(call, "q")
    call.parts.chronicle._days = 0
    before = call.process.tables.count("query", "facts")
    (queue,) = (await Live(call.parts).picture()).queues
    assert "serviceLevel" not in queue
    assert call.process.tables.count("query", "facts") == before


@in_virtual_time
async def test_service_levels_at_midnight_are_of_both_days() -> None:
    call = Caller()
    await call.settings()
    now = call.parts.clock.now()
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    await asyncio.sleep((midnight - now).total_seconds() - 10)
    await served(call, "q")
    await asyncio.sleep(5 * 60)
    (queue,) = (await Live(call.parts).picture()).queues
    assert queue["serviceLevel"]["percent"] == 50.0
