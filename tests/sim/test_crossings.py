"""Calls that cross each other, or follow one that has failed half-way: nothing may be forgotten for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.errors import Conflict
from router.models.jobs import CancelJobOptions, RouterJobInput, UnassignJobOptions
from router.storage.port import StorageUnavailable
from router.storage.rounds import Hold
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from tests.sim import scene
from tests.sim.process import Process
from tests.sim.workload import anything
from tests.sim.world import World


@pytest.mark.parametrize("seed", range(5))
def test_a_job_deleted_as_soon_as_it_is_cancelled_leaves_its_worker_to_the_next(seed: int) -> None:
    """The event that would wake the search for the worker's next job finds no job any more."""

    async def story(world: World, process: Process) -> None:
        await _one_assigned_one_waiting(world, process)
        await process.call(job_usecases.cancel, "first", CancelJobOptions())
        await process.call(job_usecases.delete, "first")
        await asyncio.sleep(1)
        assert [offer.job_id for offer in scene.offers(world, "worker")] == ["second"]

    scene.tell(story, seed)


def test_a_deleted_job_leaves_nothing_with_its_worker() -> None:
    """The worker could not be freed when the job ended; whoever deletes the job would take away what tells of it."""

    async def story(world: World, process: Process) -> None:
        await _one_assigned_one_waiting(world, process)
        save = process.parts.workers.store.save

        async def fails(*_: object) -> None:
            raise StorageUnavailable("Not now.")

        process.parts.workers.store.save = fails  # type: ignore[assignment,method-assign]
        with pytest.raises(StorageUnavailable):
            await process.call(job_usecases.cancel, "first", CancelJobOptions())
        with pytest.raises(StorageUnavailable):
            await process.call(job_usecases.delete, "first")
        process.parts.workers.store.save = save  # type: ignore[method-assign]
        await process.call(job_usecases.delete, "first")
        assert not world.history.workers["worker"].worker.assigned_jobs
        await asyncio.sleep(60)
        assert [offer.job_id for offer in scene.offers(world, "worker")] == ["second"]

    scene.tell(story)


def test_an_offer_that_the_row_shows_is_not_on_its_way() -> None:
    """The answer to the write that attached it comes late; a worker that looks for a job meanwhile counts it once."""

    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.distribution(process, "policy", maxConcurrentOffers=2)
        await scene.job(process, "urgent", priority=9)
        await scene.job(process, "other")
        await asyncio.sleep(1)
        save = process.parts.jobs.store.save

        async def answers_late(*arguments: Any) -> Any:
            saved = await save(*arguments)
            await asyncio.sleep(1)
            return saved

        process.parts.jobs.store.save = answers_late  # type: ignore[assignment,method-assign]
        await scene.worker(process, "ann")
        await asyncio.sleep(0.5)
        assert list(world.history.jobs["urgent"].routing.offers)
        await scene.worker(process, "bob")
        await asyncio.sleep(2.5)
        assert [offer.job_id for offer in scene.offers(world, "bob")] == ["urgent"]

    scene.tell(story)


def test_a_queue_that_a_job_has_come_back_to_is_in_use() -> None:
    """However late the writes of its first leaving arrive."""

    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.queue(process, "other")
        await scene.job(process, "job")
        await asyncio.sleep(1)
        remove, late = process.parts.members.remove, asyncio.Event()

        async def removes_late(*args: object) -> None:
            await late.wait()
            await remove(*args)  # type: ignore[arg-type]

        process.parts.members.remove = removes_late  # type: ignore[assignment, method-assign]
        leaving = asyncio.ensure_future(_move(process, "other"))
        await asyncio.sleep(1)
        coming_back = asyncio.ensure_future(_move(process, "queue"))
        await asyncio.sleep(1)
        late.set()
        await asyncio.gather(leaving, coming_back)
        await asyncio.sleep(20)
        with pytest.raises(Conflict):
            await process.call(setting_usecases.delete, "Queue", "queue")
        await process.call(setting_usecases.delete, "Queue", "other")
        await process.call(job_usecases.cancel, "job", CancelJobOptions())
        await asyncio.sleep(20)
        assert not list(world.rows("members").all())

    scene.tell(story)


async def _one_assigned_one_waiting(world: World, process: Process) -> None:
    await scene.queue(process)
    await scene.worker(process, "worker")
    await scene.job(process, "first")
    await asyncio.sleep(1)
    (offer,) = scene.offers(world, "worker")
    await process.call(offer_usecases.accept, "worker", offer.offer_id)
    await scene.job(process, "second")
    await asyncio.sleep(1)
    assert not scene.offers(world, "worker")


async def _move(process: Process, queue_id: str) -> None:
    def wanted(current: object) -> RouterJobInput:
        return RouterJobInput.model_validate({"channelId": "chat", "queueId": queue_id})

    await process.call(job_usecases.upsert, "job", wanted, anything)


def test_a_worker_that_may_take_more_offers_gets_them_at_once() -> None:
    """RouterWorkerUpdated does not name that property: no event wakes the search."""

    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.worker(process, "worker", capacity=3, maxConcurrentOffers=1)
        for number in range(3):
            await scene.job(process, f"job{number}")
        await asyncio.sleep(1)
        assert [offer.job_id for offer in scene.offers(world, "worker")] == ["job0"]
        await scene.worker(process, "worker", capacity=3, maxConcurrentOffers=2)
        await asyncio.sleep(1)
        assert [offer.job_id for offer in scene.offers(world, "worker")] == ["job0", "job1"]

    scene.tell(story)


def test_what_a_change_has_left_undone_is_found_though_another_one_followed() -> None:
    """The index rows of the worker could not be moved; the next change, in which nothing had to be moved, is no proof
    that they stand where they belong."""

    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.worker(process, "worker")
        move = process.parts.availability.move

        async def fails(*_: object) -> None:
            raise StorageUnavailable("Not now.")

        process.parts.availability.move = fails  # type: ignore[assignment, method-assign]
        with pytest.raises(StorageUnavailable):
            await scene.worker(process, "worker", labels={"skill": 1})
        process.parts.availability.move = move  # type: ignore[method-assign]
        await scene.worker(process, "worker", labels={"skill": 1}, tags={"seen": True})
        await asyncio.sleep(40)
        record = world.history.workers["worker"]
        assert any(one.row.endswith(f"~{record.routing.version}") for one in world.rows("availability").all())

    scene.tell(story)


@pytest.mark.parametrize("then", ["it waits", "it is deleted"])
def test_a_job_that_was_unassigned_is_taken_from_its_worker(then: str) -> None:
    """The worker could not be freed at once, and the job does not show that assignment any more."""

    async def story(world: World, process: Process) -> None:
        await _one_assigned_one_waiting(world, process)
        (assignment,) = world.history.jobs["first"].job.assignments
        save = process.parts.workers.store.save

        async def fails(*_: object) -> None:
            raise StorageUnavailable("Not now.")

        await asyncio.sleep(40)  # the worker's settle deadline is used up
        process.parts.workers.store.save = fails  # type: ignore[assignment,method-assign]
        with pytest.raises(StorageUnavailable):
            await process.call(job_usecases.unassign, "first", assignment, UnassignJobOptions(suspend_matching=True))
        process.parts.workers.store.save = save  # type: ignore[method-assign]
        if then == "it is deleted":
            await process.call(job_usecases.cancel, "first", CancelJobOptions())
            await process.call(job_usecases.delete, "first")
        await asyncio.sleep(60)
        assert not world.history.workers["worker"].worker.assigned_jobs
        assert [offer.job_id for offer in scene.offers(world, "worker")] == ["second"]

    scene.tell(story)


def test_an_offer_that_its_worker_no_longer_qualifies_for_is_revoked_though_that_failed_at_first() -> None:
    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.worker(process, "worker", labels={"skill": 5})
        skilled = {"key": "skill", "labelOperator": "equal", "value": 5}
        await scene.job(process, "job", requestedWorkerSelectors=[skilled])
        await asyncio.sleep(1)
        assert scene.offers(world, "worker")
        save = process.parts.jobs.store.save

        async def fails(*_: object) -> None:
            raise StorageUnavailable("Not now.")

        process.parts.jobs.store.save = fails  # type: ignore[assignment,method-assign]
        with pytest.raises(StorageUnavailable):
            await scene.worker(process, "worker", labels={"skill": 1})
        process.parts.jobs.store.save = save  # type: ignore[method-assign]
        await asyncio.sleep(40)
        assert not scene.offers(world, "worker")
        assert not world.history.jobs["job"].routing.offers

    scene.tell(story)


def test_a_search_that_no_event_asked_for_is_tried_again() -> None:
    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.worker(process, "worker", capacity=3, maxConcurrentOffers=1)
        for number in range(2):
            await scene.job(process, f"job{number}")
        await asyncio.sleep(20)
        load, failures = process.parts.round_store.load, 3

        async def fails(id: str) -> Hold:
            nonlocal failures
            if failures:
                failures -= 1
                raise StorageUnavailable("Not now.")
            return await load(id)

        process.parts.round_store.load = fails  # type: ignore[assignment,method-assign]
        process.parts.rounds._queues.clear()  # type: ignore[attr-defined]  # it knows nothing of the queue's row
        await scene.worker(process, "worker", capacity=3, maxConcurrentOffers=2)
        await asyncio.sleep(10)
        assert not failures
        assert [offer.job_id for offer in scene.offers(world, "worker")] == ["job0", "job1"]

    scene.tell(story)
