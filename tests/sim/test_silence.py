"""Storage and a topic that answer nothing at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from router.storage.port import StorageUnavailable
from router.usecases import jobs as job_usecases
from tests.sim import scene
from tests.sim.process import Process
from tests.sim.weather import CALM
from tests.sim.world import World


def test_calls_of_silent_storage_are_given_up_after_some_attempts() -> None:
    async def story(world: World, process: Process) -> None:
        world.weather = replace(CALM, storage_silent=10.0, storage_attempts=3)
        with pytest.raises(StorageUnavailable):
            await process.call(job_usecases.get, "job")
        assert world.loop.time() == 30.0

    scene.tell(story)


def test_an_attempt_after_its_return_succeeds() -> None:
    async def story(world: World, process: Process) -> None:
        world.weather = replace(CALM, storage_silent=10.0)
        coming = asyncio.ensure_future(scene.queue(process))
        await asyncio.sleep(15)
        world.weather = CALM
        await coming
        assert 20.0 < world.loop.time() < 20.5

    scene.tell(story)


def test_events_wait_for_a_silent_topic() -> None:
    async def story(world: World, process: Process) -> None:
        world.weather, world.always_calm = replace(CALM, topic_silent=10.0), False
        await scene.queue(process)
        await scene.worker(process, "ann")
        await asyncio.sleep(25)
        assert not world.event_grid.accepted
        world.weather = CALM
        await asyncio.sleep(25)
        assert len(world.event_grid.accepted) == 1

    scene.tell(story)
