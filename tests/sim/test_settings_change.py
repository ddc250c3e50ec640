"""Settings that change while jobs wait, rules that count who comes, and times that are long."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from router.commit import worker as worker_commits
from router.upkeep import worker as worker_upkeep
from router.usecases import offers as offer_usecases
from router.usecases import settings as setting_usecases
from tests.sim import scene
from tests.sim.process import Process
from tests.sim.world import World

_EXPERT = [{"key": "skill", "labelOperator": "equal", "value": "expert"}]
_CANCEL = [{"kind": "cancel", "dispositionCode": "TooLong"}]


def _offered(world: World, *worker_ids: str) -> list[str]:
    return [offer.job_id for worker_id in worker_ids for offer in scene.offers(world, worker_id)]


def test_a_job_may_take_more_offers_from_now_on() -> None:
    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.worker(process, "ann")
        await scene.worker(process, "bob")
        await scene.job(process, "job")
        await asyncio.sleep(1)
        assert _offered(world, "ann", "bob") == ["job"]
        await scene.distribution(process, "policy", maxConcurrentOffers=3)
        await asyncio.sleep(8)
        assert _offered(world, "ann", "bob") == ["job", "job"]
        await scene.worker(process, "cid")  # who comes later finds it too
        await asyncio.sleep(1)
        assert _offered(world, "cid") == ["job"]

    scene.tell(story)


def test_a_job_that_may_take_more_offers_waits_for_who_comes() -> None:
    """Nobody is free when the policy changes; its row in the backlog must not go on saying that it has enough."""

    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.worker(process, "ann")
        await scene.job(process, "job")
        await asyncio.sleep(1)
        await scene.distribution(process, "policy", maxConcurrentOffers=2)
        await asyncio.sleep(8)
        await scene.worker(process, "bob")
        await asyncio.sleep(1)
        assert _offered(world, "ann", "bob") == ["job", "job"]

    scene.tell(story)


@pytest.mark.parametrize("how", ["the policy bypasses", "another policy"])
def test_selectors_count_no_longer(how: str) -> None:
    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.worker(process, "ann")
        for number in range(3):
            await scene.job(process, f"job{number}", requestedWorkerSelectors=_EXPERT)
        await asyncio.sleep(20)
        assert not _offered(world, "ann")
        if how == "another policy":
            await scene.distribution(process, "other", bypassSelectors=True)
            await scene.setting(process, "Queue", "queue", {"distributionPolicyId": "other"})
        else:
            await scene.distribution(process, "policy", bypassSelectors=True)
        await asyncio.sleep(8)
        assert _offered(world, "ann") == ["job0"], "the first of those who wait"

    scene.tell(story)


def test_a_queue_that_is_there_again_goes_on() -> None:
    """Deleted in a race with the job that named it: storage holds a job without its queue."""

    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.job(process, "job")
        await asyncio.sleep(1)
        await process.parts.resources.delete("Queue", "queue")
        await asyncio.sleep(10)
        await scene.queue(process)
        await scene.worker(process, "ann", queues=["queue"])
        await asyncio.sleep(1)
        assert _offered(world, "ann") == ["job"]

    scene.tell(story)


def test_the_process_that_changes_a_policy_dies() -> None:
    async def story(world: World, process: Process) -> None:
        world.start_process()
        await scene.queue(process)
        await scene.worker(process, "ann")
        await scene.job(process, "job", requestedWorkerSelectors=_EXPERT)
        await asyncio.sleep(20)
        await scene.distribution(process, "policy", bypassSelectors=True)
        process.die()
        await asyncio.sleep(8)
        assert _offered(world, "ann") == ["job"]

    scene.tell(story)


@pytest.mark.parametrize("how", ["a queue gets a policy", "a policy gets stricter"])
def test_who_waits_already_comes_under_a_new_rule(how: str) -> None:
    def rules(seconds: float) -> dict[str, Any]:
        trigger = {"kind": "waitTime", "thresholdSeconds": seconds}
        return {"exceptionRules": [{"id": "late", "trigger": trigger, "actions": _CANCEL}]}

    async def story(world: World, process: Process) -> None:
        if how == "a queue gets a policy":
            await scene.setting(process, "ExceptionPolicy", "rules", rules(30))
            await scene.queue(process)
        else:
            await scene.setting(process, "ExceptionPolicy", "rules", rules(600))
            await scene.queue(process, exceptionPolicyId="rules")
        await scene.job(process, "waits long")
        await asyncio.sleep(40)
        await scene.job(process, "waits")
        if how == "a queue gets a policy":
            await scene.queue(process, exceptionPolicyId="rules")
        else:
            await scene.setting(process, "ExceptionPolicy", "rules", rules(30))
        await asyncio.sleep(8)
        assert world.history.jobs["waits long"].job.disposition_code == "TooLong"
        assert world.history.jobs["waits"].status == "queued"
        await asyncio.sleep(23)
        assert world.history.jobs["waits"].job.disposition_code == "TooLong"

    scene.tell(story)


def test_as_many_are_let_in_as_the_rule_says_however_many_come_at_once() -> None:
    """Threshold 5: the sixth job and every later one is turned away."""

    async def story(world: World, process: Process) -> None:
        trigger = {"kind": "queueLength", "threshold": 5}
        await scene.setting(
            process,
            "ExceptionPolicy",
            "rules",
            {"exceptionRules": [{"id": "long", "trigger": trigger, "actions": _CANCEL}]},
        )
        await scene.queue(process, exceptionPolicyId="rules")
        await asyncio.gather(*(scene.job(process, f"job{number}") for number in range(30)))
        await asyncio.sleep(10)
        queued = [one.id for one in world.history.jobs.values() if one.status == "queued"]
        assert len(queued) == 5

    scene.tell(story)


def test_a_worker_is_deregistered_so_long_after_it_did_something(monkeypatch: pytest.MonkeyPatch) -> None:
    days = 1.1  # seven, for the sake of time
    for module in (worker_commits, worker_upkeep):
        monkeypatch.setattr(module, "IDLE_DAYS", days)

    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await scene.worker(process, "ann")
        await asyncio.sleep(3600)
        await scene.job(process, "job")
        await asyncio.sleep(1)
        (offer,) = scene.offers(world, "ann")
        await process.call(offer_usecases.decline, "ann", offer.offer_id, None)
        active = world.history.workers["ann"].routing.active_at
        due = (active - world.now()).total_seconds() + days * 86400
        await asyncio.sleep(due - 1)
        assert world.history.workers["ann"].worker.available_for_offers
        await asyncio.sleep(3)
        assert not world.history.workers["ann"].worker.available_for_offers

    scene.tell(story)


def test_deadlines_of_a_later_version_are_left_to_it() -> None:
    """While one is being deployed, its instances and the old ones share the table."""

    async def story(world: World, process: Process) -> None:
        from router.storage.deadlines import Deadline

        await process.parts.deadlines.arm(Deadline("not known here", "job", world.now()))
        await asyncio.sleep(10)
        (entity,) = world.rows("deadlines").all()
        assert (entity.columns["Kind"], entity.columns["Attempt"] > 1) == ("not known here", True)

    scene.tell(story)


def test_a_setting_saved_as_it_was_sets_nothing_going() -> None:
    async def story(world: World, process: Process) -> None:
        await scene.queue(process)
        await asyncio.sleep(20)
        await scene.setting(process, "Queue", "queue", {"distributionPolicyId": "policy", "name": "Support"})
        kinds = {entity.columns.get("Kind") for entity in world.rows("deadlines").all()}
        assert kinds <= {None, "change"}  # the history has it, and nothing else is to be done
        await process.call(setting_usecases.get, "Queue", "queue")

    scene.tell(story)


def test_a_time_that_is_over_is_not_armed_again() -> None:
    """What the settle deadline has armed is done or still to come, however often the job changes afterwards."""

    async def story(world: World, process: Process) -> None:
        def retries() -> list[str]:
            return [entity.row for entity in world.rows("deadlines").all() if entity.columns.get("Kind") == "retry"]

        await scene.queue(process)
        await scene.worker(process, "ann")
        await scene.job(process, "job")
        await asyncio.sleep(1)
        (offer,) = scene.offers(world, "ann")
        await process.call(offer_usecases.decline, "ann", offer.offer_id, world.now() + timedelta(seconds=40))
        await asyncio.sleep(30)
        assert len(retries()) == 1
        await asyncio.sleep(30)
        assert _offered(world, "ann") == ["job"]
        assert not retries()
        await scene.job(process, "job", labels={"vip": True})
        assert not retries()

    scene.tell(story)
