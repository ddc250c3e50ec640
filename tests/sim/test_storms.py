"""Many offers that expire in the same second: dealt with quickly, and nothing lost if the process dies in the middle."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from datetime import datetime

import pytest

from router.commit.parts import Parts
from router.commit.watch import SETTLE_AFTER
from router.storage.deadlines import MOST_TARGETS, Deadline
from router.storage.port import StorageUnavailable
from router.upkeep import settle
from router.upkeep.deadlines import HANDLERS
from tests.sim import scene
from tests.sim.process import Process
from tests.sim.rest import check_rest
from tests.sim.world import World

OFFERS = 120
#: Longer than rows are watched after the commit that made the offer.
EXPIRE_AFTER = 40.0


def test_a_storm_shares_its_settle_deadlines() -> None:
    """One row for many jobs, and one for many workers, instead of one each."""
    shared: list[int] = []

    async def story(world: World, process: Process) -> None:
        await _offers(process)
        await asyncio.sleep(EXPIRE_AFTER + 1)
        assert _expired(world) == OFFERS
        settling = [
            one for one in world.rows("deadlines").all() if str(one.columns.get("Kind", "")).startswith("settle-")
        ]
        assert {str(one.columns["Kind"]) for one in settling} == {"settle-jobs", "settle-workers"}
        shared.extend(1 + len(json.loads(one.columns["Others"])) for one in settling)
        await asyncio.sleep(60)
        assert _kinds(world) == {"idle", "life"}

    scene.tell(story)
    assert sum(shared) == 2 * OFFERS
    assert max(shared) == MOST_TARGETS


def test_what_is_done_is_not_done_again_while_its_row_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as done rows cannot be removed, each tick finds them, and leaves them alone."""
    done: Counter[str] = Counter()
    expire = HANDLERS["offer"]

    async def counted(parts: Parts, deadline: Deadline) -> None:
        done[deadline.target] += 1
        await expire(parts, deadline)

    async def story(world: World, process: Process) -> None:
        await _offers(process)
        await asyncio.sleep(EXPIRE_AFTER - 2)
        with monkeypatch.context() as patch:
            patch.setitem(HANDLERS, "offer", counted)
            patch.setattr(process.parts.deadlines, "remove", _fail)
            await asyncio.sleep(6)
        assert set(done.values()) == {1}
        assert len(done) == _expired(world) == OFFERS
        assert _kinds(world) >= {"offer"}
        await asyncio.sleep(3)
        assert not _kinds(world) & {"offer"}

    scene.tell(story)


def test_a_tick_ends_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever takes longer goes on: a timer that still runs when it is due again skips that second."""

    async def slow(parts: Parts, deadline: Deadline) -> None:
        await asyncio.sleep(30)

    async def story(world: World, process: Process) -> None:
        await _offers(process)
        await asyncio.sleep(EXPIRE_AFTER - 2)
        with monkeypatch.context() as patch:
            patch.setitem(HANDLERS, "offer", slow)
            await asyncio.sleep(1.5)
            began = world.loop.time()
            await process.runner.tick()
            assert len(process.runner._running) == OFFERS
            assert world.loop.time() - began < 0.95

    scene.tell(story)


def test_one_that_cannot_be_settled_does_not_stop_those_that_share_its_row(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All are settled but that one; it is tried again, and settled when it can be."""
    settle_job = settle.settle_job
    settled: Counter[str] = Counter()

    async def but_one(parts: Parts, job_id: str, due: datetime, looks: int = 0) -> None:
        if job_id == "job7":
            raise StorageUnavailable("not now")
        await settle_job(parts, job_id, due)
        settled[job_id] += 1

    async def story(world: World, process: Process) -> None:
        await _offers(process)
        await asyncio.sleep(EXPIRE_AFTER)
        with monkeypatch.context() as patch:
            patch.setattr(settle, "settle_job", but_one)
            await asyncio.sleep(SETTLE_AFTER.total_seconds() + 5)
        assert len(settled) == OFFERS - 1
        assert "settle-jobs" in _kinds(world)
        await asyncio.sleep(60)
        assert _kinds(world) == {"idle", "life"}

    with caplog.at_level(logging.CRITICAL, "router"):
        scene.tell(story)


async def _fail(_: object) -> None:
    raise StorageUnavailable("not now")


def _kinds(world: World) -> set[str]:
    return {str(one.columns["Kind"]) for one in world.rows("deadlines").all() if "Kind" in one.columns}


@pytest.mark.parametrize("seed", range(4))
def test_a_process_that_dies_in_a_storm_leaves_nothing_undone(seed: int) -> None:
    """Events that it had not sent and workers that it had not freed are settled by the shared deadlines."""
    died_after: list[int] = []

    async def story(world: World, process: Process) -> None:
        await _offers(process)
        for _ in range(60_000):
            if _expired(world):
                break
            await asyncio.sleep(0.001)
        died_after.append(_expired(world))
        world.always_calm = False
        process.die()
        world.start_process()
        await asyncio.sleep(75)
        assert _expired(world) == OFFERS
        check_rest(world, [])

    scene.tell(story, seed)
    assert 0 < died_after[0] < OFFERS


async def _offers(process: Process) -> None:
    """A worker for each job; in several queues, so that all is done within a second."""
    policy = {"offerExpiresAfterSeconds": EXPIRE_AFTER, "mode": {"kind": "longestIdle"}}
    await scene.setting(process, "DistributionPolicy", "policy", policy)
    queues = [f"queue{number}" for number in range(OFFERS // 20)]
    for queue in queues:
        await scene.setting(process, "Queue", queue, {"distributionPolicyId": "policy"})
    places = [(number, queues[number % len(queues)]) for number in range(OFFERS)]
    await asyncio.gather(*(scene.worker(process, f"worker{number}", queues=[queue]) for number, queue in places))
    await asyncio.gather(*(scene.job(process, f"job{number}", queue) for number, queue in places))


def _expired(world: World) -> int:
    return sum(1 for job in world.history.jobs.values() if not job.routing.offers and job.routing.ended_offers)
