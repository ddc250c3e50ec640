"""Of much that comes at once a few begin in each turn of the event loop."""

from __future__ import annotations

import asyncio

import pytest

from local.host.pace import LONGEST_OF_NEW_SECONDS, LONGEST_SECONDS, Pace, Patience
from router.api import admission, in_flight
from router.storage.turns import PATIENCE_SECONDS
from tests.memory_router import in_virtual_time


class Turns:
    """Counts the turns of the loop, and what began in which."""

    def __init__(self) -> None:
        self.now = 0
        self.began: list[tuple[str, int]] = []
        self._running = True
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self.now += 1
        if self._running:
            asyncio.get_running_loop().call_soon(self._next)

    async def begin(self, name: str, pace: Pace, place: float = 0.0) -> None:
        await pace.turn(place)
        self.began.append((name, self.now))

    def end(self) -> None:
        self._running = False

    def most_in_one(self, name: str) -> int:
        turns = [turn for began, turn in self.began if began == name]
        return max(turns.count(turn) for turn in turns)


async def test_so_many_begin_in_a_turn_and_all_at_last() -> None:
    turns = Turns()
    pace = Pace(4)
    await asyncio.gather(*(turns.begin("one", pace) for _ in range(50)))
    turns.end()
    assert len(turns.began) == 50
    assert turns.most_in_one("one") == 4
    assert turns.began[-1][1] - turns.began[0][1] >= 12


async def test_the_lowest_place_is_next_and_of_equal_ones_the_first() -> None:
    turns = Turns()
    pace = Pace(1)
    places = [("first", 0.0), ("c", 2.0), ("a", 1.0), ("b", 1.0)]
    await asyncio.gather(*(turns.begin(name, pace, place) for name, place in places))
    turns.end()
    assert [name for name, _ in turns.began] == ["first", "a", "b", "c"]


async def test_who_is_ahead_has_more_of_each_turn_and_the_others_go_on() -> None:
    turns = Turns()
    ahead = Pace(4)
    behind = Pace(4, ahead)
    waiting = [asyncio.create_task(turns.begin("behind", behind)) for _ in range(60)]
    waiting += [asyncio.create_task(turns.begin("ahead", ahead)) for _ in range(60)]
    await asyncio.gather(*waiting)
    turns.end()
    last_ahead = max(turn for name, turn in turns.began if name == "ahead")
    meanwhile = [turn for name, turn in turns.began if name == "behind" and turn < last_ahead]
    assert 10 <= len(meanwhile) <= 25
    assert len(turns.began) == 120


async def test_who_leaves_takes_nobodys_turn() -> None:
    turns = Turns()
    pace = Pace(1)
    await pace.turn()
    leaving = asyncio.create_task(pace.turn())
    staying = asyncio.create_task(turns.begin("stays", pace))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    turns.end()
    assert turns.began


class Slow(Pace):
    """A turn lasts as long as the test says."""

    def __init__(self, seconds: float) -> None:
        super().__init__(1)
        self.seconds = seconds

    async def turn(self, place: float = 0.0) -> None:
        await asyncio.sleep(self.seconds)


@in_virtual_time
async def test_a_request_waits_for_its_turns_so_long_all_together() -> None:
    patience = Patience(0.3)
    await patience.turn(Slow(0.2))
    with pytest.raises(TimeoutError):
        await patience.turn(Slow(0.2))
    await Patience(None).turn(Slow(0.35))


async def test_who_has_waited_too_long_takes_nobodys_turn() -> None:
    pace = Pace(1)
    await pace.turn()
    with pytest.raises(TimeoutError):
        await Patience(0).turn(pace)
    await asyncio.wait_for(Patience(60).turn(pace), 60)


def test_an_answer_comes_within_ten_seconds_wherever_its_request_waits() -> None:
    """The host and the app refuse early enough, together: what is then done has some time left."""
    assert LONGEST_SECONDS + admission.LONGEST_SECONDS <= 9
    assert LONGEST_OF_NEW_SECONDS + PATIENCE_SECONDS <= 9
    assert LONGEST_OF_NEW_SECONDS + admission.LONGEST_SECONDS + in_flight.LONGEST_SECONDS <= 9.5
