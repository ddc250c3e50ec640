"""What a worker has in use and can still take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.engine import capacity
from router.engine.workers import reserve
from router.models.workers import WorkerState
from tests.unit.engine.engine_records import channel, offer, worker


def test_offers_and_assignments_are_in_use() -> None:
    record = worker(capacity=10, held={"a": 2, "b": 1}, assigned={"c": 4})
    assert capacity.in_use(record.worker) == 7
    assert capacity.load_ratio(record.worker) == 0.7
    assert capacity.jobs_on(record, "voice") == 3
    assert capacity.jobs_on(record, "chat") == 0


def test_a_lowered_capacity_is_full_not_more() -> None:
    assert capacity.load_ratio(worker(capacity=2, assigned={"a": 4}).worker) == 1


@pytest.mark.parametrize(
    ("cost", "most", "fits"), [(3, None, True), (4, None, False), (1, 3, True), (1, 2, False), (3, 3, True)]
)
def test_one_more_job(cost: int, most: int | None, fits: bool) -> None:
    record = worker(capacity=10, held={"a": 3}, assigned={"b": 4})
    assert capacity.can_take(record, channel(cost=cost, most=most)) is fits


def test_the_channel_limit_counts_its_own_channel() -> None:
    record = worker(held={"a": 1}, channels=[channel(most=1), channel("chat", most=1)])
    assert capacity.open_channels(record) == ["chat"]


@pytest.mark.parametrize(
    "fields",
    [
        {"available_for_offers": False},
        {"state": WorkerState.DRAINING},
        {"state": WorkerState.INACTIVE},
        {"routing": {"deleting": True}},
        {"max_concurrent_offers": 1, "held": {"a": 1}},
    ],
)
def test_who_takes_no_offers_has_no_open_channel(fields: dict[str, Any]) -> None:
    assert capacity.open_channels(worker()) == ["voice"]
    assert capacity.open_channels(worker(**fields)) == []


def test_whom_a_job_knows() -> None:
    record = worker(held={"a": 1}, assigned={"b": 1})
    assert [capacity.holds(record.worker, name) for name in "abc"] == [True, True, False]


@given(
    st.integers(1, 12),
    st.integers(1, 4) | st.none(),
    st.lists(st.tuples(st.sampled_from(["voice", "chat"]), st.integers(0, 8)), max_size=15),
    st.integers(1, 5),
    st.integers(1, 5) | st.none(),
)
def test_no_limit_is_ever_exceeded(
    total: int, most_offers: int | None, wishes: list[tuple[str, int]], cost: int, most: int | None
) -> None:
    """However many reservations are tried, and for whichever jobs."""
    record = worker(
        capacity=total,
        max_concurrent_offers=most_offers,
        channels=[channel(cost=cost, most=most), channel("chat", cost=2)],
    )
    for number, (name, job_number) in enumerate(wishes):
        open_before = capacity.open_channels(record)
        price = cost if name == "voice" else 2
        change = reserve(record, offer(f"o{number}", cost=price), f"j{job_number}", name, "q")
        taken = change is not None
        assert taken == (name in open_before and not capacity.holds(record.worker, f"j{job_number}"))
        if change is not None and change.record is not None:
            record = change.record
    assert capacity.in_use(record.worker) <= total
    assert most is None or capacity.jobs_on(record, "voice") <= most
    assert most_offers is None or len(record.worker.offers) <= most_offers
    assert record.worker.load_ratio == capacity.in_use(record.worker) / total
