"""A request gives up on storage that is silent, and on nothing else."""

from __future__ import annotations

import asyncio

import pytest

from router.api.patience import patience
from router.errors import Busy
from router.outages import Outage


async def test_a_silent_storage_is_given_up() -> None:
    storage = Outage("Storage", "")
    storage.failed("")
    with pytest.raises(Busy) as refused:
        async with patience(storage, 0.01):
            await asyncio.Event().wait()
    assert refused.value.headers["Retry-After"]


async def test_what_takes_long_for_another_reason_goes_on() -> None:
    async with patience(Outage("Storage", ""), 0.01):
        await asyncio.sleep(0.1)


async def test_an_outage_that_begins_later_is_seen() -> None:
    storage = Outage("Storage", "")
    asyncio.get_running_loop().call_later(0.1, storage.failed, "")
    with pytest.raises(Busy):
        async with patience(storage, 0.01):
            await asyncio.Event().wait()


async def test_a_time_out_of_its_own_is_none_of_storage() -> None:
    with pytest.raises(TimeoutError):
        async with patience(Outage("Storage", ""), 5):
            raise TimeoutError
