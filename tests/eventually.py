"""Waiting for a condition, with a deadline; a slow machine has more time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.yardstick import Deadline

T = TypeVar("T")


def eventually(condition: Callable[[], T | None], what: str = "", seconds: float = 15.0, pause: float = 0.05) -> T:
    """The first true value of the condition. An AssertionError of the condition counts as not yet."""
    deadline = Deadline(seconds)
    while True:
        seen: object
        try:
            if value := condition():
                return value
            seen = value
        except AssertionError as error:
            seen = error
        if deadline.is_over():
            raise AssertionError(
                f"Not within {seconds:g} s: {what or inspect.getsource(condition).strip()}; last: {seen}"
            )
        time.sleep(pause)


async def eventually_async(
    condition: Callable[[], Awaitable[T | None]], what: str = "", seconds: float = 15.0, pause: float = 0.05
) -> T:
    """As `eventually`, for a condition that is awaited."""
    deadline = Deadline(seconds)
    while True:
        seen: object
        try:
            if value := await condition():
                return value
            seen = value
        except AssertionError as error:
            seen = error
        if deadline.is_over():
            raise AssertionError(
                f"Not within {seconds:g} s: {what or inspect.getsource(condition).strip()}; last: {seen}"
            )
        await asyncio.sleep(pause)


async def turns() -> None:
    """Lets every task that can go on do so: for showing that one cannot."""
    for _ in range(20):
        await asyncio.sleep(0)
