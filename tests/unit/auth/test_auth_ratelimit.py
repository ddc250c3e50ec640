"""The limit per caller: a window that slides, counted by a clock moved by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.api.auth.ratelimit import RateLimiter
from router.api.auth.refusal import RateLimited

START = datetime(2026, 1, 1, tzinfo=UTC)  # the start of a window of ten seconds


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_zero_is_off() -> None:
    limiter = RateLimiter(0)
    for _ in range(1000):
        limiter.check("key:0", START)


def test_one_request_too_many_is_429_with_a_time_to_wait() -> None:
    limiter = RateLimiter(3)
    for _ in range(3):
        limiter.check("key:0", START)
    with pytest.raises(RateLimited) as refused:
        limiter.check("key:0", at(4))
    assert refused.value.status == 429
    assert refused.value.code == "TooManyRequests"
    wait = int(refused.value.headers["Retry-After"])
    limiter.check("key:0", at(4 + wait))
    with pytest.raises(RateLimited):
        limiter.check("key:0", at(4 + wait))


@pytest.mark.parametrize(
    ("limit", "burst_at", "asked_at"), [(1, 0, 9.9), (5, 9.9, 9.95), (5, 9.9, 10.0), (100, 3, 9), (2, 0, 10.1)]
)
def test_waiting_as_told_is_enough(limit: int, burst_at: float, asked_at: float) -> None:
    limiter = RateLimiter(limit)
    for _ in range(limit):
        limiter.check("key:0", at(burst_at))
    with pytest.raises(RateLimited) as refused:
        limiter.check("key:0", at(asked_at))
    limiter.check("key:0", at(asked_at + int(refused.value.headers["Retry-After"])))


def test_the_window_slides_over_its_edge() -> None:
    """Fixed windows alone would let twice the limit through around an edge."""
    limiter = RateLimiter(10)
    for _ in range(10):
        limiter.check("key:0", at(9.9))
    with pytest.raises(RateLimited):
        limiter.check("key:0", at(10.1))
    accepted = 0
    for tenth in range(100, 200):
        try:
            limiter.check("key:0", at(tenth / 10))
            accepted += 1
        except RateLimited:
            pass
    assert accepted == 10 - 1  # by the end of the window, when one of the ten before still weighs a tenth


def test_a_long_pause_forgets_everything() -> None:
    limiter = RateLimiter(2)
    for _ in range(2):
        limiter.check("key:0", at(5))
    for _ in range(2):
        limiter.check("key:0", at(25))


def test_callers_do_not_share_a_limit() -> None:
    limiter = RateLimiter(1)
    limiter.check("key:0", START)
    limiter.check("key:1", START)
    with pytest.raises(RateLimited):
        limiter.check("key:0", START)


def test_many_callers_do_not_grow_it_without_end() -> None:
    limiter = RateLimiter(1)
    for number in range(5000):
        limiter.check(f"entra:{number}", at(number / 10))
    assert len(limiter._counts) <= 1024
