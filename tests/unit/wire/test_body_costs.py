"""Bodies of more names and values than any resource has are refused before they are parsed; so are too many at once."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from router.api.in_flight import InFlight
from router.errors import BadRequest, Busy, TooLarge
from router.models.sizes import LARGEST_WRITTEN
from router.wire.bodies import MAX_VALUES, check_values
from router.wire.parse import parse_json


@pytest.mark.parametrize(
    "body",
    [
        {"labels": {f"k{n}": None for n in range(40_000)}},
        {"x": list(range(60_000))},
        [[]] * 40_000,
        {"labels": {f"k{n}": {} for n in range(30_000)}},
        {"notes": [{"message": "a"}] * 20_000},
    ],
)
def test_too_many_values(body: Any) -> None:
    text = json.dumps(body).encode()
    started = time.thread_time()
    with pytest.raises(TooLarge):
        check_values(text)
    assert time.thread_time() - started < 0.05


def test_deep_nesting_is_left_to_the_parser() -> None:
    check_values(b"[" * 500_000)
    with pytest.raises(BadRequest):
        parse_json(b"[" * 500_000)


@pytest.mark.parametrize(
    "body",
    [
        {"labels": {f"k{n}": ",:[{" * 4_000 for n in range(60)}},
        {"labels": {f"k{n}": '",\\' * 4_000 for n in range(40)}},
        {"queueSelectors": [{"key": "a", "labelOperator": "equal", "value": 1}] * (LARGEST_WRITTEN // 48)},
        {"notes": [{"message": "x" * 100}] * 1_000},
        {},
    ],
)
def test_what_a_resource_may_have(body: Any) -> None:
    check_values(json.dumps(body).encode())
    check_values(b"")


def test_a_text_of_many_commas_is_one_value() -> None:
    check_values(b'"' + b"," * (2 * MAX_VALUES) + b'"')


async def test_large_bodies_in_flight_are_bounded_and_take_turns_and_small_ones_do_not_wait() -> None:
    in_flight = InFlight(1_000_000)
    begun: list[str] = []
    ends = asyncio.Event()

    async def serve(name: str, size: int) -> None:
        async with in_flight.hold(size):
            begun.append(name)
            await ends.wait()

    tasks = [asyncio.create_task(serve(name, 400_000)) for name in ("first", "second")]
    await asyncio.sleep(0.01)
    assert begun == ["first"]
    with pytest.raises(Busy):
        await serve("third", 400_000)
    tasks.append(asyncio.create_task(serve("small", 1_000)))
    await asyncio.sleep(0.01)
    assert (begun, in_flight.bytes) == (["first", "small"], 800_000)
    ends.set()
    await asyncio.gather(*tasks)
    assert (begun, in_flight.bytes) == (["first", "small", "second"], 0)
    await serve("alone", 5_000_000)  # whatever its size
