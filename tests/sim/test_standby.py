"""A timer that is gone, or away for a while: what is due is done all the same, by whoever serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from router.models.workers import WorkerState
from tests.sim import scene
from tests.sim.process import Process
from tests.sim.topology import SERVING, TIMER
from tests.sim.world import World

#: Nothing stays undone for longer, with any number of processes that serve.
MOST_SECONDS = 120.0


def _told(story: Callable[[World, Process], Awaitable[None]], serving: int) -> None:
    async def begun(world: World, process: Process) -> None:
        process.die()
        world.always_calm = False  # nobody is there who could be in time
        processes = [world.start_process(SERVING) for _ in range(serving)]
        await story(world, processes[0])

    scene.tell(begun)


async def _offered(process: Process, world: World, job: str, worker: str) -> None:
    """An offer that expires five seconds later."""
    await scene.queue(process)
    policy = {"offerExpiresAfterSeconds": 5.0, "mode": {"kind": "longestIdle"}}
    await scene.setting(process, "DistributionPolicy", "policy", policy)
    await scene.worker(process, worker)
    await scene.job(process, job)
    await _seconds_until(lambda: bool(scene.offers(world, worker)))


async def _seconds_until(reached: Callable[[], bool]) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not reached():
        await asyncio.sleep(0.5)
        assert loop.time() - began < 600
    return loop.time() - began


def _expired(world: World, worker: str) -> bool:
    return world.history.workers[worker].worker.state is WorkerState.INACTIVE


def test_without_any_timer_nothing_stays_undone_for_two_minutes() -> None:
    for serving in (1, 3):

        async def story(world: World, process: Process) -> None:
            await _offered(process, world, "one", "ann")
            first = await _seconds_until(lambda: _expired(world, "ann")) - 5
            assert 30 < first < MOST_SECONDS
            await asyncio.sleep(300)  # nothing is late meanwhile, and it looks again
            await _offered(process, world, "two", "bea")
            second = await _seconds_until(lambda: _expired(world, "bea")) - 5
            assert second < MOST_SECONDS
            print(f"without timer: {first:.1f} s and {second:.1f} s late")

        _told(story, serving)


def test_who_stands_in_is_in_time_for_what_comes_next() -> None:
    async def story(world: World, process: Process) -> None:
        await _offered(process, world, "one", "ann")
        await _seconds_until(lambda: _expired(world, "ann"))
        await _offered(process, world, "two", "bea")
        late = await _seconds_until(lambda: _expired(world, "bea")) - 5
        assert late < 2

    _told(story, 2)


def test_a_timer_that_is_away_for_thirty_seconds_is_waited_for() -> None:
    """Another instance takes it over within half a minute: nobody stands in, and all is at most that late."""

    async def story(world: World, process: Process) -> None:
        timer = world.start_process(TIMER)
        await _offered(process, world, "one", "ann")
        timer.die()
        await asyncio.sleep(30)
        assert not _expired(world, "ann")
        world.start_process(TIMER)
        late = 30 + await _seconds_until(lambda: _expired(world, "ann")) - 5
        assert late < 30
        print(f"timer away for 30 s: {late:.1f} s late")

    _told(story, 2)
