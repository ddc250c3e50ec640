"""The order of locks: who holds a row's waits for no other, so that nobody waits for somebody who waits for him."""

from __future__ import annotations

import asyncio

import pytest

from router.commit.acting import own_context
from router.commit.locks import KeyedLocks


async def test_a_row_comes_after_its_queue() -> None:
    locks = KeyedLocks()
    async with locks.hold("round/q"), locks.hold("job/j") as others_came_first:
        assert not others_came_first
    async with locks.hold("job/j"):
        pass
    async with locks.hold("round/q"):
        pass


@pytest.mark.parametrize(
    ("first", "then"),
    [("job/j", "worker/w"), ("worker/w", "job/j"), ("job/j", "job/j"), ("job/j", "round/q"), ("round/q", "round/p")],
)
async def test_no_other_order_is_waited_for(first: str, then: str) -> None:
    """Neither by who holds the first nor by what it waits for."""
    locks = KeyedLocks()

    async def take() -> None:
        async with locks.hold(then):
            pass

    async with locks.hold(first):
        with pytest.raises(RuntimeError, match=f"^{then} must not be waited for while {first} is held.$"):
            await take()
        with pytest.raises(RuntimeError):
            await asyncio.gather(take())
    await take()
    async with locks.hold(first):
        pass


async def test_what_goes_on_in_the_background_holds_nothing() -> None:
    locks = KeyedLocks()
    taken: list[str] = []

    async def take() -> None:
        async with locks.hold("worker/w"):
            taken.append("worker/w")

    async with locks.hold("job/j"):
        task = asyncio.create_task(take(), context=own_context())
    await task
    assert taken == ["worker/w"]
