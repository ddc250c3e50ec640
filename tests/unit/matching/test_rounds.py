"""Who matches a queue, and when: asks are combined, one process at a time holds the queue, and what a holder that has
gone left behind is looked after."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from router.commit import worker as worker_commits
from router.engine import workers
from router.engine.candidates import available
from router.engine.service_order import Standing
from router.matching.rounds import HELD_FOR, HoldLost, Rounds, _Keeper, _Queue
from router.models.jobs import JobOffer, JobStatus
from router.models.workers import RouterChannel
from router.storage.availability import Move, row_keys
from router.storage.port import StorageUnavailable
from router.storage.rounds import Hold
from router.upkeep.deadlines import DeadlineRunner
from router.usecases import offers as offer_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time


async def _two() -> tuple[Process, Process]:
    tables = Tables()
    one, other = Process(tables, seed=1), Process(tables, seed=2)
    await one.queue()
    await asyncio.sleep(10)
    return one, other


def _rounds(process: Process) -> Rounds:
    rounds = process.parts.rounds
    assert isinstance(rounds, Rounds)
    return rounds


async def _held_by_another(process: Process, seconds: float, *, workers: tuple[str, ...] = ()) -> Hold:
    store = process.parts.round_store
    until = process.parts.clock.now() + timedelta(seconds=seconds)
    return await store.take(await store.load("q"), "another", until, workers)


@in_virtual_time
async def test_a_job_and_a_worker_find_each_other() -> None:
    one, _ = await _two()
    await one.worker("w")
    await one.job("j")
    await one.parts.rounds.ask(["q"])
    assert await one.offered_to("j") == ["w"]
    assert not (await one.parts.round_store.load("q")).is_held(one.parts.clock.now())


@in_virtual_time
async def test_asks_are_combined() -> None:
    """Whoever asks while a round is under way is served by the next one: one for all of them."""
    one, _ = await _two()
    one.tables.calls.clear()
    first = one.parts.rounds.ask(["q"], sure=True)
    await asyncio.sleep(0)
    later = [one.parts.rounds.ask(["q"], sure=True) for _ in range(50)]
    await asyncio.gather(first, *later)
    assert one.tables.count("query", "backlog") <= 6


@in_virtual_time
async def test_an_ask_is_answered_by_a_look_that_began_after_it() -> None:
    one, _ = await _two()
    reading, go_on = asyncio.Event(), asyncio.Event()
    looks = 0

    async def before(call: Call) -> None:
        nonlocal looks
        if (call.kind, call.table) == ("query", "availability"):
            looks += 1
            if looks == 1:
                reading.set()
                await go_on.wait()

    one.tables.before = before
    first = one.parts.rounds.ask(["q"], sure=True)
    await reading.wait()
    second = one.parts.rounds.ask(["q"], sure=True)
    go_on.set()
    await first
    assert not second.done()
    seen = looks
    await second
    assert looks > seen


@in_virtual_time
async def test_nobody_is_matched_where_nobody_waits() -> None:
    """Most workers that come find an empty line: that costs one look."""
    one, _ = await _two()
    one.tables.calls.clear()
    await one.parts.rounds.ask(["q"])
    assert [(call.kind, call.table) for call in one.tables.calls] == [("query", "backlog")]


@in_virtual_time
async def test_a_queue_that_is_held_is_left_and_looked_at_when_the_hold_ends() -> None:
    one, _ = await _two()
    await _held_by_another(one, 3)
    await one.worker("w")
    await one.job("j")
    await one.parts.rounds.ask(["q"], sure=True)
    assert await one.offered_to("j") == []
    await asyncio.sleep(2)
    assert await one.offered_to("j") == []
    await asyncio.sleep(2)
    assert await one.offered_to("j") == ["w"]


@in_virtual_time
async def test_a_queue_that_was_held_is_not_looked_at_for_each_ask() -> None:
    """One look serves all who have asked meanwhile, and comes soon."""
    one, _ = await _two()
    await one.job("before")
    await asyncio.sleep(2)
    await _held_by_another(one, 3)
    _rounds(one)._queues["q"].is_alone = False
    await one.parts.rounds.ask(["q"], sure=True)
    one.tables.calls.clear()
    began = asyncio.get_running_loop().time()
    asked = []
    for _ in range(10):
        asked.append(one.parts.rounds.ask(["q"], sure=True))
        await asyncio.sleep(0.004)
    await asyncio.gather(*asked)
    assert [(call.kind, call.table) for call in one.tables.calls] == [("get", "rounds")]
    assert asyncio.get_running_loop().time() - began < 0.06


@in_virtual_time
async def test_who_loses_a_queue_that_it_has_just_read_leaves_it_to_who_has_taken_it() -> None:
    """That one looks once more, and sees what made this one look."""
    one, _ = await _two()
    await one.job("before", channel_id="chat")
    await one.worker("w")
    await asyncio.sleep(2)
    queue = _rounds(one)._queues["q"]
    queue.seen, queue.is_alone = None, False

    async def take(call: Call) -> None:
        if call.kind == "replace" and call.table == "rounds":
            one.tables.before = None
            await _held_by_another(one, 0.5)
            one.tables.calls.clear()

    one.tables.before = take
    await one.job("j")
    await asyncio.sleep(0.3)
    assert one.tables.count("get", "rounds") == 0
    assert await one.offered_to("j") == []
    await asyncio.sleep(HELD_FOR.total_seconds())  # it may have died
    assert await one.offered_to("j") == ["w"]


@in_virtual_time
async def test_a_job_that_has_just_come_is_left_to_who_has_made_it() -> None:
    """Both processes would plan the same round, and one of them in vain."""
    one, other = await _two()
    await other.job("before")  # from here on it knows the queue
    await other.worker("w")
    await asyncio.sleep(2)
    written, go_on = asyncio.Event(), asyncio.Event()

    async def before(call: Call) -> None:
        if (call.kind, call.table) == ("insert", "jobs") and not written.is_set():
            written.set()
            await go_on.wait()

    one.tables.before = before
    coming = asyncio.create_task(other.job("j"))
    await written.wait()
    one.tables.calls.clear()
    await one.parts.rounds.ask(["q"])
    assert [(call.kind, call.table) for call in one.tables.calls] == [("query", "backlog")]
    await one.worker("v")
    go_on.set()
    await coming
    await asyncio.sleep(0.1)
    assert await one.offered_to("j") == ["v"]


@in_virtual_time
async def test_a_job_that_has_come_a_while_ago_is_everybodys() -> None:
    one, _ = await _two()
    alone = Process(one.tables, seed=3, drives=False)  # whoever has made the job does not ask
    await alone.job("before")
    await one.worker("w")
    await asyncio.sleep(30)
    await alone.job("j")
    await one.worker("v")
    assert await one.offered_to("j") == []
    await asyncio.sleep(1.5)
    await one.parts.rounds.ask(["q"])
    assert await one.offered_to("j") == ["v"]


@in_virtual_time
async def test_a_job_that_has_just_come_is_looked_at_when_a_hold_ends() -> None:
    """Whoever has made it has found the queue held, and gone."""
    one, _ = await _two()
    await one.worker("w")
    await _held_by_another(one, 3)
    await one.parts.rounds.ask(["q"], sure=True)
    await asyncio.sleep(2.6)
    await one.job("j")
    await asyncio.sleep(0.7)
    assert await one.offered_to("j") == ["w"]


@in_virtual_time
async def test_what_comes_while_the_queue_is_held_is_seen_by_its_holder() -> None:
    """Who finds it held goes: so the holder looks once more after it has given the queue back."""
    one, other = await _two()
    await one.worker("w")
    releasing, go_on = asyncio.Event(), asyncio.Event()

    async def before(call: Call) -> None:
        if (call.kind, call.table) == ("replace", "rounds") and call.row == "q" and not releasing.is_set():
            (row,) = one.tables.of("rounds").all()
            if row.columns["Holder"]:
                releasing.set()
                await go_on.wait()

    await one.job("first")
    one.tables.before = before
    ask = one.parts.rounds.ask(["q"], sure=True)
    await releasing.wait()
    other.tables.before = None
    await other.worker("v")
    await other.job("second")
    await asyncio.sleep(0.5)
    assert await other.offered_to("second") == []
    go_on.set()
    await ask
    assert len(await one.offered_to("first")) == 1
    assert len(await one.offered_to("second")) == 1


@in_virtual_time
async def test_held_excludes() -> None:
    one, other = await _two()
    inside: list[str] = []

    async def hold(process: Process, name: str) -> None:
        async with process.parts.rounds.held("q"):
            assert process.parts.rounds.holds("q")
            assert not process.parts.rounds.holds("r")
            inside.append(name)
            await asyncio.sleep(0.2)
            inside.append(name)
        assert not process.parts.rounds.holds("q")

    await asyncio.gather(*(hold(process, f"{n}") for n, process in enumerate((one, other, one, other))))
    assert len(inside) == 8
    assert all(inside[at] == inside[at + 1] for at in range(0, 8, 2))


@in_virtual_time
async def test_nobody_is_matched_while_somebody_holds_the_queue() -> None:
    one, other = await _two()
    await one.worker("w")
    async with one.parts.rounds.held("q"):
        await other.job("j")
        await asyncio.sleep(1)
        assert await other.offered_to("j") == []
    await asyncio.sleep(4)
    assert await other.offered_to("j") == ["w"]


@in_virtual_time
async def test_a_hold_ends_with_an_error_inside() -> None:
    one, other = await _two()
    with pytest.raises(LookupError):
        async with one.parts.rounds.held("q"):
            raise LookupError
    async with asyncio.timeout(0.5), other.parts.rounds.held("q"):
        pass


@in_virtual_time
async def test_what_is_begun_in_a_hold_does_not_outlive_it() -> None:
    """A task that goes on after the hold no longer has it."""
    one, _ = await _two()
    async with one.parts.rounds.held("q"):
        outlives = asyncio.create_task(_holds_later(one))
    assert not await outlives


async def _holds_later(process: Process) -> bool:
    await asyncio.sleep(1)
    return process.parts.rounds.holds("q")


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
    one, other = await _two()
    await one.worker("w")
    await asyncio.sleep(1)
    await _held_by_another(one, 3, workers=("w",))
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
    one, _ = await _two()
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
    one, other = await _two()
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
    one, _ = await _two()
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
async def test_a_holder_that_lost_its_hold_does_nothing() -> None:
    """It stood still until somebody else had taken the queue over."""
    one, _ = await _two()
    rounds, queue = _rounds(one), _Queue("q")
    keeper = _Keeper(rounds, queue)
    queue.seen = await one.parts.round_store.load("q")
    await keeper.announce(["w"], [])
    assert keeper.token.lasts
    assert keeper.hold is not None
    assert keeper.hold.workers == ("w",)
    await asyncio.sleep(HELD_FOR.total_seconds() - 0.2)
    assert not keeper.is_good()
    with pytest.raises(HoldLost):
        await keeper.announce(["v"], [])
    await asyncio.sleep(1)
    theirs = await _held_by_another(one, 3)
    with pytest.raises(HoldLost):
        await keeper.announce(["v"], [])
    await rounds._release(queue, keeper.hold)
    assert await one.parts.round_store.load("q") == theirs


@in_virtual_time
async def test_a_queue_that_has_changed_since_it_was_seen_is_not_taken() -> None:
    one, _ = await _two()
    rounds, queue = _rounds(one), _Queue("q")
    queue.seen = await one.parts.round_store.load("q")
    await _held_by_another(one, 3)
    keeper = _Keeper(rounds, queue)
    with pytest.raises(HoldLost):
        await keeper.announce(["w"], [])
    assert keeper.hold is None
    assert not keeper.token.lasts
    assert not queue.is_alone


@in_virtual_time
async def test_a_round_that_storage_cuts_off_is_tried_again() -> None:
    one, _ = await _two()
    await one.worker("w")
    await one.job("j")
    failures = 0

    async def before(call: Call) -> None:
        nonlocal failures
        if (call.kind, call.table) == ("query", "availability") and failures < 3:
            failures += 1
            raise StorageUnavailable("silent")

    one.tables.before = before
    await one.parts.rounds.ask(["q"], sure=True)
    assert failures == 3
    assert await one.offered_to("j") == ["w"]


@in_virtual_time
async def test_a_round_that_always_fails_is_given_up_and_told() -> None:
    one, _ = await _two()
    await one.worker("w")

    async def before(call: Call) -> None:
        if (call.kind, call.table) == ("query", "backlog"):
            raise LookupError("broken")

    one.tables.before = before
    with pytest.raises(LookupError):
        await one.parts.rounds.ask(["q"], sure=True)
    one.tables.before = None
    await one.job("j")
    await one.parts.rounds.ask(["q"], sure=True)
    assert await one.offered_to("j") == ["w"]


@in_virtual_time
async def test_two_processes_that_are_asked_at_once_offer_each_job_once() -> None:
    one, other = await _two()
    for number in range(6):
        await one.worker(f"w{number}")
    await asyncio.gather(*((one, other)[number % 2].job(f"j{number}") for number in range(6)))
    await asyncio.gather(one.parts.rounds.ask(["q"], sure=True), other.parts.rounds.ask(["q"], sure=True))
    await asyncio.sleep(4)
    holders = [await one.offered_to(f"j{number}") for number in range(6)]
    assert sorted(id for some in holders for id in some) == [f"w{number}" for number in range(6)]
    for number in range(6):
        assert len((await one.read_worker(f"w{number}")).worker.offers) == 1


@in_virtual_time
async def test_several_queues_are_asked_together() -> None:
    one, _ = await _two()
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
    one, _ = await _two()
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
async def test_a_worker_is_left_to_a_job_that_comes_first_in_another_queue() -> None:
    one, _ = await _two()
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
