"""The clock that a local run may put forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.clock import MovableClock, SystemClock


def test_it_is_the_machines_until_it_is_put_forward() -> None:
    clock, machine = MovableClock(), SystemClock()
    assert abs(clock.now() - machine.now()) < timedelta(seconds=5)
    clock.advance(timedelta(hours=1))
    clock.advance(timedelta(0))
    ahead = clock.now() - machine.now()
    assert timedelta(minutes=59, seconds=55) < ahead <= timedelta(hours=1, seconds=5)
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize("by", [timedelta(microseconds=-1), timedelta(days=365 * 200)])
def test_it_goes_neither_back_nor_out_of_the_calendar(by: timedelta) -> None:
    clock = MovableClock()
    with pytest.raises(ValueError, match="a clock"):
        clock.advance(by)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
