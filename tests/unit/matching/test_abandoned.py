"""What a holder that has gone left behind is looked after by who takes over its queue."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from router.commit import worker as worker_commits
from router.engine import workers
from router.engine.service_order import Standing
from router.matching.rounds import HELD_FOR, HoldLost, _Keeper, _Queue
from router.models.jobs import CancelJobOptions, JobOffer, JobStatus
from router.storage.port import StorageUnavailable
from router.upkeep.deadlines import DeadlineRunner
from router.usecases import jobs as job_usecases
from tests.memory_router import Call, Process, in_virtual_time
from tests.unit.matching.scenes import held_by_another, rounds_of, two_processes


async def _reserved(process: Process, worker_id: str, job_id: str) -> JobOffer:
    """A reservation of a holder that came no further."""
    now = process.parts.clock.now()
    offer = JobOffer(
        offer_id=process.parts.ids.offer_id(worker_id),
        worker_id=worker_id,
        capacity_cost=1,
        offered_at=now,
        expires_at=now + timedelta(seconds=60),
    )
    await worker_commits.change(
        process.parts,
        worker_id,
        worker_commits.existing(lambda found: workers.reserve(found, offer, job_id, "voice", "q")),
        of_job=True,
    )
    return offer


@in_virtual_time
async def test_what_a_holder_that_died_left_is_looked_after_when_it_is_taken_over() -> None:
    """Capacity that it had reserved for a job which does not know of it is free again at once."""
    one, other = await two_processes()
    await one.worker("w")
    await asyncio.sleep(1)
    await held_by_another(one, 3, workers=("w",))
    await one.job("j")
    await _reserved(one, "w", "j")
    await asyncio.sleep(2)
    assert [held.job_id for held in (await other.read_worker("w")).worker.offers] == ["j"]
    await asyncio.sleep(2)
    assert await other.offered_to("j") == ["w"]
    (held,) = (await other.read_worker("w")).worker.offers
    assert held.offer_id in (await other.read_job("j")).routing.offers


@in_virtual_time
async def test_a_job_that_a_dead_holder_was_about_to_queue_has_its_place() -> None:
    one, _ = await two_processes()
    store = one.parts.round_store
    until = one.parts.clock.now() + timedelta(seconds=3)
    await store.take(await store.load("q"), "another", until, (), ("j",))
    await one.job("j")
    [row] = (await one.parts.backlog.line("q", 9)).jobs
    await one.parts.backlog.remove_as_seen(row)
    await asyncio.sleep(5)
    await one.parts.rounds.ask(["q"], sure=True)  # as the timer does for holds that are over
    assert (await one.read_job("j")).status is JobStatus.QUEUED
    assert [waiting.job_id for waiting in (await one.parts.backlog.line("q", 9)).jobs] == ["j"]


@in_virtual_time
async def test_a_job_whose_row_a_dead_holder_has_closed_is_offered() -> None:
    """Its offer was to follow."""
    one, other = await two_processes()
    await one.job("j")
    await asyncio.sleep(1)
    (waiting,) = (await one.parts.backlog.line("q", 9)).jobs
    record = await one.read_job("j")
    store = one.parts.round_store
    until = one.parts.clock.now() + timedelta(seconds=3)
    await store.take(await store.load("q"), "another", until, (), ("j",))
    await one.parts.backlog.update([(waiting, record, Standing("q", waiting.place), False)], one.parts.clock.now())
    await other.worker("w")
    await asyncio.sleep(4)
    assert await one.offered_to("j") == []
    await DeadlineRunner(one.parts).tick()  # what `one` remembers of the queue's row is older than that hold
    assert await one.offered_to("j") == ["w"]


@in_virtual_time
async def test_a_queue_that_is_looked_at_may_be_taken_over_at_any_moment(caplog: pytest.LogCaptureFixture) -> None:
    one, _ = await two_processes()
    await one.worker("v", capacity=9)
    for number in range(4):  # until what it remembers of the queue's row need not be read any more
        await one.job(f"{number}")
        await asyncio.sleep(1)
    times = 3

    async def meanwhile(call: Call) -> None:
        nonlocal times
        if (call.kind, call.table) == ("query", "availability") and times:
            times -= 1
            one.parts.rounds.take_over(["q"])

    one.tables.before = meanwhile
    for number in range(4, 8):
        await one.job(f"{number}")
        await asyncio.sleep(1)
        assert await one.offered_to(f"{number}") == ["v"]
    assert times == 0
    assert "A round failed" not in caplog.text


@in_virtual_time
async def test_a_holder_that_gets_a_workers_row_after_its_hold_is_over_does_not_reserve_on_it() -> None:
    """Who has taken over has looked after that worker before: nobody would look again."""
    one, other = await two_processes()
    await other.worker("w")
    await asyncio.sleep(1)
    is_slow = True

    async def before(call: Call) -> None:
        nonlocal is_slow
        if (call.kind, call.table) == ("get", "workers") and is_slow:
            is_slow = False
            await asyncio.sleep(4)
            one.tables.before = silent

    async def silent(call: Call) -> None:
        if (call.kind, call.table) == ("transact", "backlog"):
            raise StorageUnavailable("silent")

    one.tables.before = before
    await one.job("j")
    await asyncio.sleep(1)
    assert (await one.parts.round_store.load("q")).workers == ("w",)
    await job_usecases.cancel(other.parts, "j", CancelJobOptions())
    await asyncio.sleep(2.5)
    await DeadlineRunner(other.parts).tick()
    assert not (await one.parts.round_store.load("q")).workers
    await asyncio.sleep(5)
    assert one.tables.before is silent
    assert (await one.read_worker("w")).worker.offers == []


@in_virtual_time
async def test_a_holder_that_lost_its_hold_does_nothing() -> None:
    """It stood still until somebody else had taken the queue over."""
    one, _ = await two_processes()
    rounds, queue = rounds_of(one), _Queue("q")
    keeper = _Keeper(rounds, queue)
    queue.seen = await one.parts.round_store.load("q")
    await keeper.announce(["w"], [])
    assert keeper.token.lasts
    assert keeper.hold is not None
    assert keeper.hold.workers == ("w",)
    await asyncio.sleep(HELD_FOR.total_seconds() - 0.2)
    assert not keeper.is_good()
    with pytest.raises(HoldLost):
        await keeper.claim()
    with pytest.raises(HoldLost):
        await keeper.announce(["v"], [])
    await asyncio.sleep(1)
    theirs = await held_by_another(one, 3)
    with pytest.raises(HoldLost):
        await keeper.announce(["v"], [])
    await rounds._release(queue, keeper.hold)
    assert await one.parts.round_store.load("q") == theirs
