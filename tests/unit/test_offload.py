"""What is heavy is done in a thread; what is not, at once."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from router.offload import LARGE, by_size, by_weight, by_weight_of, off_loop, request


def here() -> str:
    return threading.current_thread().name


async def test_a_heavy_request_is_read_in_a_thread_of_its_own() -> None:
    loop = here()
    assert await by_weight(here) == loop
    with request(heavy=True):
        theirs = await by_weight(here)
    with request(heavy=False):
        assert await by_weight(here) == loop
    assert await by_weight(here) == loop
    assert len({loop, theirs, await off_loop(here)}) == 3  # it does not wait for what policies ask for


async def test_what_is_large_is_made_in_a_thread_whoever_asks() -> None:
    assert await by_size(LARGE, here) == here() != await by_size(LARGE + 1, here)
    assert await by_weight_of(LARGE, here) == here() != await by_weight_of(LARGE + 1, here)
    with request(heavy=True):
        assert await by_size(LARGE, here) == here() != await by_weight_of(LARGE, here)


async def test_the_context_is_the_callers() -> None:
    name: ContextVar[str] = ContextVar("name")
    name.set("mine")
    assert await by_size(LARGE + 1, name.get) == await off_loop(name.get) == "mine"


async def test_what_is_raised_there_is_raised_here() -> None:
    def fails() -> None:
        raise LookupError("there")

    with request(heavy=True), pytest.raises(LookupError, match="there"):
        await by_weight(fails)
