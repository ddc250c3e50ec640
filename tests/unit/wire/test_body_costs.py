"""Bodies of more names and values than any resource has are refused before they are parsed; so are too many at once."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from contextlib import suppress
from typing import Any

import pytest

from router.api.in_flight import InFlight
from router.errors import BadRequest, Busy, TooLarge
from router.models.jobs import RouterJobInput
from router.models.sizes import LARGEST_WRITTEN
from router.wire.bodies import MAX_VALUES, check_values
from router.wire.parse import parse_json
from router.wire.validate import validate
from tests.yardstick import slower


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


@pytest.mark.timed
@pytest.mark.parametrize("unit", ['\\"', '"', "[ ", "{ ", " ", '"\\', 'a\\"'])
def test_a_body_is_walked_through_once(unit: str) -> None:
    """Whatever does not end in it is not looked for again from each place on."""
    text = b"," * (MAX_VALUES // 2 + 1) + b'"' + unit.encode() * (900_000 // len(unit))
    started = time.thread_time()
    with suppress(TooLarge):
        check_values(text)
    assert time.thread_time() - started < 0.1 * slower(time.thread_time)


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


async def test_a_large_body_that_waits_for_too_long_is_told_so() -> None:
    in_flight = InFlight(longest=0.01)
    async with in_flight.hold(400_000):
        with pytest.raises(Busy):
            async with in_flight.hold(400_000):
                pass
    assert in_flight.bytes == 0
    async with in_flight.hold(400_000):  # nobody has kept the turn
        pass


@pytest.mark.timed
@pytest.mark.parametrize("text", ["1" * 1_000_000, "(1+1234)+" * 100_000, "1e1" * 300_000])
def test_digits_cost_no_more_than_letters(text: str) -> None:
    def seconds(body: bytes) -> float:
        started = time.thread_time()
        parse_json(body)
        return time.thread_time() - started

    body = json.dumps({"x": text}).encode()
    assert min(seconds(body) for _ in range(3)) < 0.02 * slower(time.thread_time)


def test_what_is_wrong_with_a_body_goes_with_its_answer() -> None:
    """Held in a circle it would stay until a look at all that is alive, which holds everybody up."""
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(BadRequest):
            validate(RouterJobInput, {"channelId": "v", "queueId": "q", "labels": {f"k{n}": [] for n in range(1_000)}})
        left = sum(isinstance(one, ValueError) for one in gc.get_objects())
    finally:
        gc.enable()
    assert left < 100


def test_what_waits_is_bounded_too() -> None:
    in_flight = InFlight(most_held=1_000_000)
    with in_flight.keep(600_000), in_flight.keep(1_000):
        with pytest.raises(Busy), in_flight.keep(600_000):
            pass
        assert in_flight.held == 600_000
    assert in_flight.held == 0
