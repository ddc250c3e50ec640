"""Late deadlines go first, but nobody waits for ever."""

from __future__ import annotations

import asyncio

from router.commit.overdue import Overdue
from tests.eventually import turns

_STORM = 50


async def test_a_few_late_ones_hold_nobody_back() -> None:
    overdue = Overdue()
    for _ in range(_STORM - 1):
        overdue.came()
    assert not overdue.is_storm
    await asyncio.wait_for(overdue.calm(60), 5)


async def test_a_storm_holds_back_until_few_are_left() -> None:
    overdue = Overdue()
    for _ in range(_STORM):
        overdue.came()
    waiting = asyncio.create_task(overdue.calm(60))
    await turns()
    assert not waiting.done()
    overdue.begun()
    await asyncio.wait_for(waiting, 5)


async def test_a_storm_that_does_not_end_holds_back_for_a_while_only() -> None:
    overdue = Overdue()
    for _ in range(_STORM):
        overdue.came()
    await asyncio.wait_for(overdue.calm(0.01), 5)
    assert overdue.is_storm
