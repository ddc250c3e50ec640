"""A worker as matching sees it, and what of it the index tells."""

from __future__ import annotations

from typing import Any

import pytest

from router.engine.candidates import ChannelRoom, available, candidate, index_state
from router.engine.workers import reserve
from router.models.workers import WorkerState
from tests.unit.engine.engine_records import after, channel, later, offer, worker


def test_what_matching_sees() -> None:
    record = worker(
        capacity=10,
        held={"a": 2},
        assigned={"b": 3},
        channels=[channel("voice", 2, 4), channel("chat", 5)],
        max_concurrent_offers=3,
        labels={"skill": 7},
        routing={"version": 9, "registered_at": later(-5)},
    )
    seen = candidate(record)
    assert (seen.worker_id, seen.version, seen.capacity, seen.used, seen.load_ratio) == ("w1", 9, 10, 5, 0.5)
    assert seen.channels == {"voice": ChannelRoom(2, 4, 2), "chat": ChannelRoom(5, None, 0)}
    assert (seen.offers, seen.most_offers) == (1, 3)
    assert seen.labels == {"skill": 7, "Id": "w1"}
    assert seen.jobs == {"a", "b"}
    assert seen.registered_at == later(-5)


def test_more_in_use_than_there_is_is_full() -> None:
    assert candidate(worker(capacity=2, assigned={"a": 4})).load_ratio == 1.0


@pytest.mark.parametrize("most_offers", [None, 3])
@pytest.mark.parametrize("cost", [1, 2])
def test_with_an_offer_it_is_as_its_row_will_be(most_offers: int | None, cost: int) -> None:
    """The plan counts down what the reservation will take."""
    record = worker(
        capacity=8, assigned={"x": 1}, channels=[channel(cost=cost, most=5)], max_concurrent_offers=most_offers
    )
    reserved = after(reserve(record, offer(cost=cost), "j", "voice", "q"))
    planned, real = candidate(record).with_offer("j", "voice"), candidate(reserved)
    assert (planned.used, planned.channels, planned.jobs) == (real.used, real.channels, real.jobs)
    assert planned.load_ratio == real.load_ratio
    if most_offers is not None:
        assert planned.offers == real.offers == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"available_for_offers": False},
        {"state": WorkerState.DRAINING},
        {"routing": {"deleting": True}},
        {"capacity": 1, "assigned": {"x": 1}},
        {"held": {"x": 1}, "max_concurrent_offers": 1},
        {"channels": [channel(most=1)], "held": {"x": 1}},
        {"channels": []},
    ],
)
def test_who_can_take_nothing_is_not_in_the_index(fields: dict[str, Any]) -> None:
    assert available(worker(**fields)) is None
    assert index_state(worker(**fields)) == ()


def test_nobody_is_not_available() -> None:
    assert available(None) is None
    assert available(worker()) == candidate(worker())


@pytest.mark.parametrize(
    "fields",
    [
        {"capacity": 9},
        {"assigned": {"x": 1}},
        {"held": {"x": 1}},
        {"channels": [channel(cost=2)]},
        {"channels": [channel(most=2)]},
        {"channels": [channel(), channel("chat")]},
        {"max_concurrent_offers": 2},
        {"labels": {"skill": 1}},
        {"queues": ["q", "r"]},
        {"routing": {"available_since": later(1)}},
        {"routing": {"registered_at": later(1)}},
    ],
)
def test_whatever_the_index_tells_has_a_version(fields: dict[str, Any]) -> None:
    assert index_state(worker(**fields)) != index_state(worker())


def test_labels_of_another_type_are_others() -> None:
    """Python holds True == 1 == 1.0, and selectors do not."""
    states = [index_state(worker(labels={"a": value})) for value in (True, 1, 1.0, "1")]
    assert len(set(map(repr, states))) == 4
    assert all(one != other for n, one in enumerate(states) for other in states[n + 1 :])


def test_what_the_index_does_not_tell_has_none() -> None:
    assert index_state(worker(tags={"a": "b"})) == index_state(worker())
    assert index_state(worker(routing={"version": 7, "active_at": later(9)})) == index_state(worker())
    # Offers are counted where there is a limit; without one they are capacity in use alone.
    assert index_state(worker(held={"x": 1})) == index_state(worker(assigned={"x": 1}))
