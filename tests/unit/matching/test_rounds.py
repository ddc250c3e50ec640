"""Who matches a queue, and when: asks are combined, and one process at a time holds the queue."""

from __future__ import annotations

import asyncio

import pytest

from router.matching.rounds import HELD_FOR, HoldLost, _Keeper, _Queue
from router.storage.port import StorageUnavailable
from tests.memory_router import Call, Process, in_virtual_time
from tests.unit.matching.scenes import held_by_another, rounds_of, two_processes


@in_virtual_time
async def test_a_job_and_a_worker_find_each_other() -> None:
    one, _ = await two_processes()
    await one.worker("w")
    await one.job("j")
    await one.parts.rounds.ask(["q"])
    assert await one.offered_to("j") == ["w"]
    assert not (await one.parts.round_store.load("q")).is_held(one.parts.clock.now())


@in_virtual_time
async def test_asks_are_combined() -> None:
    """Whoever asks while a round is under way is served by the next one: one for all of them."""
    one, _ = await two_processes()
    one.tables.calls.clear()
    first = one.parts.rounds.ask(["q"], sure=True)
    await asyncio.sleep(0)
    later = [one.parts.rounds.ask(["q"], sure=True) for _ in range(50)]
    await asyncio.gather(first, *later)
    assert one.tables.count("query", "backlog") <= 6


@in_virtual_time
async def test_an_ask_is_answered_by_a_look_that_began_after_it() -> None:
    one, _ = await two_processes()
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
    one, _ = await two_processes()
    one.tables.calls.clear()
    await one.parts.rounds.ask(["q"])
    assert [(call.kind, call.table) for call in one.tables.calls] == [("query", "backlog")]


@in_virtual_time
async def test_a_queue_that_is_held_is_left_and_looked_at_when_the_hold_ends() -> None:
    one, _ = await two_processes()
    await held_by_another(one, 3)
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
    one, _ = await two_processes()
    await one.job("before")
    await asyncio.sleep(2)
    await held_by_another(one, 3)
    rounds_of(one)._queues["q"].is_alone = False
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
    one, _ = await two_processes()
    await one.job("before", channel_id="chat")
    await one.worker("w")
    await asyncio.sleep(2)
    queue = rounds_of(one)._queues["q"]
    queue.seen, queue.is_alone = None, False

    async def take(call: Call) -> None:
        if call.kind == "replace" and call.table == "rounds":
            one.tables.before = None
            await held_by_another(one, 0.5)
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
    one, other = await two_processes()
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
    one, _ = await two_processes()
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
    one, _ = await two_processes()
    await one.worker("w")
    await held_by_another(one, 3)
    await one.parts.rounds.ask(["q"], sure=True)
    await asyncio.sleep(2.6)
    await one.job("j")
    await asyncio.sleep(0.7)
    assert await one.offered_to("j") == ["w"]


@in_virtual_time
async def test_what_comes_while_the_queue_is_held_is_seen_by_its_holder() -> None:
    """Who finds it held goes: so the holder looks once more after it has given the queue back."""
    one, other = await two_processes()
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
    one, other = await two_processes()
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
    one, other = await two_processes()
    await one.worker("w")
    async with one.parts.rounds.held("q"):
        await other.job("j")
        await asyncio.sleep(1)
        assert await other.offered_to("j") == []
    await asyncio.sleep(4)
    assert await other.offered_to("j") == ["w"]


@in_virtual_time
async def test_a_hold_ends_with_an_error_inside() -> None:
    one, other = await two_processes()
    with pytest.raises(LookupError):
        async with one.parts.rounds.held("q"):
            raise LookupError
    async with asyncio.timeout(0.5), other.parts.rounds.held("q"):
        pass


@in_virtual_time
async def test_what_is_begun_in_a_hold_does_not_outlive_it() -> None:
    """A task that goes on after the hold no longer has it."""
    one, _ = await two_processes()
    async with one.parts.rounds.held("q"):
        outlives = asyncio.create_task(_holds_later(one))
    assert not await outlives


async def _holds_later(process: Process) -> bool:
    await asyncio.sleep(1)
    return process.parts.rounds.holds("q")


@in_virtual_time
async def test_a_queue_that_has_changed_since_it_was_seen_is_not_taken() -> None:
    one, _ = await two_processes()
    rounds, queue = rounds_of(one), _Queue("q")
    queue.seen = await one.parts.round_store.load("q")
    await held_by_another(one, 3)
    keeper = _Keeper(rounds, queue)
    with pytest.raises(HoldLost):
        await keeper.announce(["w"], [])
    assert keeper.hold is None
    assert not keeper.token.lasts
    assert not queue.is_alone


@in_virtual_time
async def test_a_round_that_storage_cuts_off_is_tried_again() -> None:
    one, _ = await two_processes()
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
    one, _ = await two_processes()
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
    one, other = await two_processes()
    for number in range(6):
        await one.worker(f"w{number}")
    await asyncio.gather(*((one, other)[number % 2].job(f"j{number}") for number in range(6)))
    await asyncio.gather(one.parts.rounds.ask(["q"], sure=True), other.parts.rounds.ask(["q"], sure=True))
    await asyncio.sleep(4)
    holders = [await one.offered_to(f"j{number}") for number in range(6)]
    assert sorted(id for some in holders for id in some) == [f"w{number}" for number in range(6)]
    for number in range(6):
        assert len((await one.read_worker(f"w{number}")).worker.offers) == 1
