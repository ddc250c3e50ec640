"""The rate of a queue, and what it means for a position."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine.waiting import estimate, rate

NOW = datetime(2024, 3, 4, 8, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def test_an_unknown_queue_is_taken_to_assign_one_a_minute() -> None:
    assert rate(0, [], None, NOW) * 60 == pytest.approx(1)
    assert [estimate(position, 1 / 60) for position in (0, 1, 2, 10)] == [0, 1, 2, 10]


def test_assignments_over_the_time_in_which_jobs_waited() -> None:
    busy = [(ago(60), ago(40)), (ago(30), ago(1))]
    assert rate(99, busy, None, NOW) * 60 == pytest.approx(100 / 50)


def test_waiting_now_counts_from_the_last_assignment() -> None:
    busy = [(ago(60), ago(40))]
    assert rate(20, busy, ago(50), NOW) * 60 == pytest.approx(21 / 61)
    assert rate(20, busy, ago(10), NOW) * 60 == pytest.approx(21 / 31)
    assert estimate(1, rate(0, [], ago(60), NOW)) == 41, "nobody in an hour: it may take long"


def test_whole_minutes_rounded_up() -> None:
    assert [estimate(position, 1.0) for position in (1, 60, 61, 121)] == [1, 1, 2, 3]


@given(
    st.integers(1, 10_000),
    st.integers(0, 1000),
    st.floats(0, 40_000),
    st.floats(0, 40_000),
    st.none() | st.floats(0, 800),
)
def test_who_stands_later_waits_longer(
    position: int, assigned: int, start: float, length: float, since: float | None
) -> None:
    busy = [(ago(900) + timedelta(seconds=start), ago(900) + timedelta(seconds=start + length))]
    pace = rate(assigned, busy, None if since is None else ago(since), NOW)
    assert 1 <= estimate(position, pace) <= estimate(position + 1, pace)
    assert estimate(position, rate(assigned + 1, busy, None, NOW)) <= estimate(
        position, rate(assigned, busy, None, NOW)
    )
