"""Who holds a queue: a row that one process at a time can take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.storage.port import RowChanged
from router.storage.rounds import Hold, RoundStore
from tests.sim.memory_tables import MemoryTable, Rows

NOW = datetime(2024, 3, 4, 8, tzinfo=UTC)
UNTIL = NOW + timedelta(seconds=3)


def _store() -> RoundStore:
    return RoundStore(MemoryTable(Rows("rounds")))


async def test_a_queue_that_nobody_has_held() -> None:
    seen = await _store().load("q")
    assert seen == Hold("q")
    assert not seen.is_held(NOW)


async def test_a_hold_is_read_as_it_was_written() -> None:
    store = _store()
    hold = await store.take(await store.load("q"), "me", UNTIL, ["w", "v"], ["j"])
    assert await store.load("q") == hold
    assert (hold.holder, hold.until, hold.workers, hold.jobs) == ("me", UNTIL, ("w", "v"), ("j",))
    assert hold.is_held(NOW)
    assert not hold.is_held(UNTIL)


async def test_only_one_of_two_takes_it() -> None:
    store = _store()
    free = await store.load("q")
    await store.take(free, "one", UNTIL)
    with pytest.raises(RowChanged):
        await store.take(free, "other", UNTIL)
    assert (await store.load("q")).holder == "one"


async def test_a_renewal_says_anew_what_is_begun() -> None:
    store = _store()
    hold = await store.take(await store.load("q"), "me", UNTIL, ["w"], ["j"])
    again = await store.take(hold, "me", UNTIL + timedelta(seconds=1), ["v"])
    assert (again.workers, again.jobs) == (("v",), ())
    with pytest.raises(RowChanged):
        await store.take(hold, "me", UNTIL)


async def test_who_was_taken_over_cannot_give_it_back() -> None:
    store = _store()
    mine = await store.take(await store.load("q"), "me", UNTIL, ["w"])
    theirs = await store.take(await store.load("q"), "they", UNTIL + timedelta(seconds=5))
    with pytest.raises(RowChanged):
        await store.release(mine)
    assert await store.load("q") == theirs


async def test_given_back_it_is_free_and_names_nobody() -> None:
    store = _store()
    free = await store.release(await store.take(await store.load("q"), "me", UNTIL, ["w"], ["j"]))
    assert await store.load("q") == free
    assert not free.is_held(NOW)
    assert (free.workers, free.jobs, free.until) == ((), (), None)


async def test_holds_that_nobody_has_given_back() -> None:
    store = _store()
    for queue_id, seconds in (("gone", -1), ("at work", 1), ("just now", 0)):
        await store.take(await store.load(queue_id), "me", NOW + timedelta(seconds=seconds))
    await store.release(await store.take(await store.load("free"), "me", NOW - timedelta(seconds=9)))
    assert [hold.queue_id for hold in await store.overdue(NOW)] == ["gone"]


async def test_many_holds_are_all_found() -> None:
    store = _store()
    for number in range(1_100):
        await store.take(await store.load(f"q{number}"), "me", NOW - timedelta(seconds=1))
    assert len({hold.queue_id for hold in await store.overdue(NOW)}) == 1_100
