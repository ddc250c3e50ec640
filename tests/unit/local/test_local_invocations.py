"""Calls of functions: whoever waits for one is told of its outcome, and who leaves ends nothing."""

from __future__ import annotations

import asyncio
import logging

import pytest

from local.host.worker import Invocations


async def test_who_waits_gets_what_the_call_returns_or_raises() -> None:
    async def works() -> int:
        return 1

    async def fails() -> int:
        raise ValueError("why")

    calls = Invocations()
    assert await calls.run(works()) == 1
    with pytest.raises(ValueError, match="why"):
        await calls.run(fails())
    await calls.finish(1)


@pytest.mark.parametrize("fails", [False, True])
async def test_who_leaves_does_not_end_the_call(fails: bool, caplog: pytest.LogCaptureFixture) -> None:
    goes_on, ended = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        await goes_on.wait()
        ended.set()
        if fails:
            raise ValueError("nobody hears this")

    calls = Invocations()
    waiting = asyncio.create_task(calls.run(call()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    goes_on.set()
    with caplog.at_level(logging.ERROR):
        await calls.finish(1)
    assert waiting.cancelled()
    assert ended.is_set()
    assert [record.message for record in caplog.records] == ["A call failed that nobody waits for any more"] * fails


async def test_what_does_not_end_in_time_is_cancelled_and_who_waits_is_told() -> None:
    calls = Invocations()
    waiting = asyncio.create_task(calls.run(asyncio.sleep(60)))
    await asyncio.sleep(0)
    await calls.finish(0.01)
    with pytest.raises(asyncio.CancelledError):
        await waiting
