"""What is heavy is done in a thread; what is not, at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from router.offload import LARGE, Weight, by_size, by_weight, by_weight_of, off_loop, request


def here() -> str:
    return threading.current_thread().name


async def test_a_heavy_request_is_read_in_a_thread_of_its_own() -> None:
    loop = here()
    assert await by_weight(here) == loop
    with request(Weight.HEAVY):
        theirs = await by_weight(here)
    with request(Weight.LIGHT):
        assert await by_weight(here) == loop
    assert await by_weight(here) == loop
    assert len({loop, theirs, await off_loop(here)}) == 3  # it does not wait for what policies ask for


async def _turns(asked: int, work: Callable[[], object], weight: Weight) -> list[int]:
    """In which of the loop's turns each of so many that come at once is done."""
    loop, turn, done = asyncio.get_running_loop(), 0, []

    def count() -> None:
        nonlocal turn
        turn += 1
        ticking.append(loop.call_soon(count))

    async def one() -> None:
        with request(weight):
            await by_weight(work)
        done.append(turn)

    ticking = [loop.call_soon(count)]
    await asyncio.gather(*(one() for _ in range(asked)))
    ticking[-1].cancel()
    return done


async def test_what_takes_some_milliseconds_is_done_one_in_a_turn_of_the_loop() -> None:
    assert len(set(await _turns(10, here, Weight.LIGHT))) == 1
    turns = await _turns(10, here, Weight.MEDIUM)
    assert turns == sorted(set(turns)), "each in a turn of its own, in the order in which they came"
    assert (await _turns(1, here, Weight.MEDIUM)) == (await _turns(1, here, Weight.LIGHT)), "one alone waits for nobody"


async def test_who_gives_up_waiting_for_its_turn_leaves_it_to_the_next() -> None:
    async def one() -> str:
        with request(Weight.MEDIUM):
            return await by_weight(here)

    tasks = [asyncio.create_task(one()) for _ in range(9)]
    await tasks[0]
    for number in (1, 2, 5, 8):
        tasks[number].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [found[number] for number in (0, 3, 4, 6, 7)] == [here()] * 5
    assert await one() == here()


async def test_what_is_large_is_made_in_a_thread_whoever_asks() -> None:
    assert await by_size(LARGE, here) == here() != await by_size(LARGE + 1, here)
    assert await by_weight_of(LARGE, here) == here() != await by_weight_of(LARGE + 1, here)
    with request(Weight.HEAVY):
        assert await by_size(LARGE, here) == here() != await by_weight_of(LARGE, here)


async def test_the_context_is_the_callers() -> None:
    name: ContextVar[str] = ContextVar("name")
    name.set("mine")
    assert await by_size(LARGE + 1, name.get) == await off_loop(name.get) == "mine"


async def test_what_is_raised_there_is_raised_here() -> None:
    def fails() -> None:
        raise LookupError("there")

    with request(Weight.HEAVY), pytest.raises(LookupError, match="there"):
        await by_weight(fails)
