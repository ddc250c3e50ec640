"""Processes with roles, and processes that stand still."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from router.models.jobs import CancelJobOptions
from router.models.policies import DistributionPolicy
from router.storage.port import Entity
from router.usecases import jobs as job_usecases
from tests.sim import scene, topology
from tests.sim.memory_tables import Rows
from tests.sim.process import Process
from tests.sim.rest import check_unmatched
from tests.sim.topology import SERVING, TIMER, TOPOLOGIES, Topology
from tests.sim.weather import CALM
from tests.sim.world import World


def test_calls_and_events_go_to_processes_that_serve() -> None:
    async def story(world: World, process: Process) -> None:
        process.die()
        world.start_process(TIMER)
        assert world.some_process() is None
        serving = [world.start_process(SERVING) for _ in range(3)]
        assert {world.some_process() for _ in range(100)} == set(serving)

    scene.tell(story)


def test_only_a_process_with_the_timer_acts_on_deadlines() -> None:
    async def story(world: World, process: Process) -> None:
        process.die()
        world.always_calm = False  # nobody is there who could be in time
        serving = world.start_process(SERVING)
        await scene.queue(serving)
        policy = {"offerExpiresAfterSeconds": 5.0, "mode": {"kind": "longestIdle"}}
        await scene.setting(serving, "DistributionPolicy", "policy", policy)
        await scene.worker(serving, "ann")
        await scene.job(serving, "job")
        await asyncio.sleep(30)
        assert scene.offers(world, "ann")
        world.start_process(TIMER)
        await asyncio.sleep(3)
        assert not scene.offers(world, "ann")

    scene.tell(story)


@pytest.mark.parametrize("processes", TOPOLOGIES, ids=len)
def test_who_comes_after_a_crash_takes_the_roles_of_the_dead(processes: Topology) -> None:
    world = World(1, CALM, topology=processes)

    def roles() -> Counter[topology.Roles]:
        return Counter(process.roles for process in world.alive())

    async def story() -> None:
        world.start_missing()
        assert roles() == Counter(processes)
        for process in world.alive():
            world.crashed(process)
        assert not world.alive()
        await asyncio.sleep(20.1)
        assert roles() == Counter(processes)
        await asyncio.sleep(60)
        assert roles() == Counter(processes)

    try:
        world.loop.run(world.outside.run(world.loop.create_task, story()))
    finally:
        world.end()


def test_every_topology_is_drawn() -> None:
    assert {topology.draw(random.Random(seed)) for seed in range(50)} == set(TOPOLOGIES)


def test_a_frozen_process_does_nothing_until_it_wakes_up() -> None:
    async def story(world: World, process: Process) -> None:
        other = world.start_process()
        await scene.queue(process)
        await scene.job(process, "job")
        await asyncio.sleep(1)
        cancelling = asyncio.ensure_future(process.call(job_usecases.cancel, "job", CancelJobOptions()))
        await asyncio.sleep(0.001)
        process.freeze()
        assert {world.some_process() for _ in range(20)} == {other}
        at_rest = world.calls
        await asyncio.sleep(0.5)
        assert world.calls == at_rest
        assert not cancelling.done()
        assert world.history.jobs["job"].status == "queued"
        await scene.job(other, "second")
        await asyncio.sleep(20)
        assert world.history.jobs["job"].status == "queued"
        process.wake()
        await cancelling
        assert world.history.jobs["job"].status == "cancelled"

    scene.tell(story)


def test_a_process_that_wakes_up_goes_on_in_order() -> None:
    done: list[str] = []

    async def note(_: object, name: str, after: float) -> None:
        await asyncio.sleep(after)
        done.append(name)

    async def story(world: World, process: Process) -> None:
        calls = [asyncio.ensure_future(process.call(note, f"after {after}", after)) for after in (3.0, 1.0, 2.0, 9.0)]
        await asyncio.sleep(0.5)
        process.freeze()
        process.freeze()
        await asyncio.sleep(5)
        assert not done
        process.wake()
        await asyncio.gather(*calls)
        assert world.loop.time() == 9.0

    scene.tell(story)
    assert done == ["after 1.0", "after 2.0", "after 3.0", "after 9.0"]


def test_a_frozen_process_may_die() -> None:
    async def story(world: World, process: Process) -> None:
        process.freeze()
        process.die()
        process.wake()
        assert world.some_process() is None
        assert not process.is_frozen

    scene.tell(story)


def test_where_all_stand_still_calls_wait() -> None:
    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        process.freeze()
        assert world.some_process() is process
        coming = asyncio.ensure_future(scene.job(process, "job"))
        await asyncio.sleep(5)
        assert not coming.done()
        process.wake()
        await coming

    scene.tell(story)


def test_whether_a_row_comes_before_is_asked_of_each_partition() -> None:
    rows = Rows("deadlines")
    assert not rows.any_before("z")
    for partition, row in (("00", "m"), ("01", "c"), ("02", "x")):
        rows.insert(Entity(partition, row))
    assert [rows.any_before(row) for row in ("b", "c", "d")] == [False, False, True]
    rows.delete("01", "c")
    assert [rows.any_before(row) for row in ("d", "m", "n", "y")] == [False, False, True, True]


def _events_alone(then: Callable[[World, Process], Awaitable[None]]) -> list[str]:
    """The faults that a world finds in which events alone drive: a worker who talks, and a job for a chat that waits."""

    async def told(world: World) -> None:
        process = world.start_process()
        await scene.queue(process)
        await scene.worker(process, "ann", channels=[{"channelId": "voice", "capacityCostPerJob": 1}])
        await scene.job(process, "job")
        await asyncio.sleep(20)
        await then(world, process)

    world = World(1, replace(CALM, drives=False))
    world.policies["queue"] = DistributionPolicy.model_validate({"id": "policy", "mode": {"kind": "longestIdle"}})
    try:
        world.loop.run(world.outside.run(world.loop.create_task, told(world)))
    finally:
        world.end()
    return world.history.faults


def test_where_events_alone_drive_a_change_that_wakes_nobody_is_left_to_the_settle_deadline() -> None:
    async def story(world: World, process: Process) -> None:
        await scene.job(process, "job", channelId="voice")
        changed = world.loop.time()
        while not scene.offers(world, "ann"):
            check_unmatched(world, still_for=2.0)
            await asyncio.sleep(0.5)
        assert 10.0 < world.loop.time() - changed < 17.0

    assert _events_alone(story) == []


def test_where_events_alone_drive_a_worker_that_comes_is_offered_what_waits_at_once() -> None:
    async def story(world: World, process: Process) -> None:
        await scene.worker(process, "ann")
        await asyncio.sleep(2)
        assert scene.offers(world, "ann")

    assert _events_alone(story) == []


def test_where_events_alone_drive_what_no_settle_deadline_ends_is_a_fault() -> None:
    async def story(world: World, process: Process) -> None:
        await scene.job(process, "job", channelId="voice")
        process.freeze()  # so its timer does nothing
        await asyncio.sleep(16.5)
        check_unmatched(world, still_for=2.0)
        assert world.history.faults == []
        await asyncio.sleep(1)
        check_unmatched(world, still_for=2.0)

    [fault] = _events_alone(story)
    assert fault.endswith("job job waits and worker ann qualifies")
