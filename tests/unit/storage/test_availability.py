"""The index of workers: rows of one version each, moved together, and read in both orders."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import Any

import pytest

from router.engine.candidates import Candidate, candidate
from router.storage.availability import AvailabilityStore, Move, Turn, behind, row_keys
from router.storage.port import Entity
from tests.memory_router import Call, Tables
from tests.unit.engine.engine_records import channel, later, selector, worker


def _worker(id: str, version: int = 1, **fields: Any) -> Candidate:
    return candidate(worker(id=id, routing={"version": version, **fields.pop("routing", {})}, **fields))


async def _index(*workers: Candidate) -> tuple[AvailabilityStore, Tables]:
    tables = Tables()
    store = AvailabilityStore(tables.table("availability"))
    await store.move([Move(None, one) for one in workers])
    return store, tables


async def _ids(store: AvailabilityStore, order: Any = "i", limit: int = 100, **where: Any) -> list[str]:
    found, _ = await store.available("q", order, limit, **where)
    return [one.worker_id for one in found]


async def test_idle_order_and_id_order() -> None:
    store, _ = await _index(
        _worker("a", assigned={"x": 1}, routing={"available_since": later(-99)}),
        _worker("b", routing={"available_since": later(-1)}),
        _worker("c", routing={"available_since": later(-2)}),
    )
    assert await _ids(store) == ["c", "b", "a"]
    assert await _ids(store, "n") == ["a", "b", "c"]


async def test_the_index_tells_the_candidate() -> None:
    told = _worker("w", 7, labels={"a": 1, "b": True, "c": "x", "d": 1.5}, max_concurrent_offers=2, assigned={"x": 1})
    store, _ = await _index(told)
    for order in ("i", "n"):
        ((found,), _) = await store.available("q", order, 9)
        assert found.version == 7
        assert found.candidate is not None
        assert {**_fields(told), "jobs": frozenset()} == _fields(found.candidate)
        assert [type(value) for value in found.candidate.labels.values()] == [int, bool, str, float, str]


def _fields(one: Candidate) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Candidate.__dataclass_fields__}


async def test_a_change_is_one_transaction() -> None:
    """Nobody finds a worker twice, or not at all, while it moves."""
    old, new = _worker("w", 1), _worker("w", 2, assigned={"x": 1})
    store, tables = await _index(old, _worker("v"))
    tables.calls.clear()
    await store.move([Move(old, new), Move(_worker("v"), None)])
    assert [call.kind for call in tables.calls] == ["transact"]
    assert [row.row for row in tables.of("availability").all()] == sorted(row_keys(new))


async def test_one_queue_more_and_one_less() -> None:
    old, new = _worker("w", 1, queues=["q", "r"]), _worker("w", 2, queues=["r", "s"])
    store, tables = await _index(old)
    await store.move([Move(old, new)])
    assert {row.partition for row in tables.of("availability").all()} == {"r", "s"}
    assert len(tables.of("availability")) == 4


async def test_a_row_that_has_gone_already_is_fine() -> None:
    old, new = _worker("w", 1), _worker("w", 2)
    store, tables = await _index(old)
    await store.remove("q", [row_keys(old)[0]])
    await store.move([Move(old, new)])
    assert [row.row for row in tables.of("availability").all()] == sorted(row_keys(new))


async def test_a_late_write_does_not_undo_a_newer_one() -> None:
    first, second, third = (_worker("w", version) for version in (1, 2, 3))
    store, _ = await _index(first)
    await store.move([Move(second, third)])
    await store.move([Move(first, second)])
    found, _ = await store.available("q", "n", 9)
    assert max(one.version for one in found) == 3


async def test_many_workers_are_few_transactions() -> None:
    store, tables = await _index(*(_worker(f"w{n:03}") for n in range(120)))
    assert tables.count("transact", "availability") == 3
    assert len(await _ids(store, limit=1000)) == 120


async def test_nothing_to_move_is_not_written() -> None:
    store, tables = await _index()
    await store.move([Move(None, None)])
    assert tables.calls == []


async def test_storage_leaves_out_who_does_not_fit() -> None:
    store, _ = await _index(
        _worker("a", labels={"skill": 3, "site": "north", "senior": True}),
        _worker("b", labels={"skill": 9, "site": "south", "senior": False}),
        _worker("c", channels=[channel("chat")]),
        _worker("full", channels=[channel(most=1), channel("chat")], assigned={"x": 1}),
    )
    assert await _ids(store, "n", channel_id="voice") == ["a", "b"]

    async def fitting(*selectors: Any) -> list[str]:
        return await _ids(store, "n", channel_id="voice", selectors=selectors)

    assert await fitting(selector("skill", "greaterThan", 3)) == ["a", "b"]  # never fewer than fit
    assert await fitting(selector("skill", "greaterThanOrEqual", 4)) == ["b"]
    assert await fitting(selector("skill", "lessThan", 5)) == ["a"]
    assert await fitting(selector("skill", "equal", 9.0)) == ["b"]
    assert await fitting(selector("site", "equal", "north")) == ["a"]
    assert await fitting(selector("senior", "equal", True)) == ["a"]
    assert await fitting(selector("site", "notEqual", "north")) == ["a", "b"]
    assert await fitting(selector("site", "greaterThan", "north")) == ["a", "b"]
    assert await fitting(selector("site", "equal", "x" * 501)) == ["a", "b"]
    assert await fitting(selector("site", "equal", None)) == ["a", "b"]


async def test_pages_and_bounds() -> None:
    store, _ = await _index(*(_worker(id) for id in "abcde"))
    found, token = await store.available("q", "n", 2)
    assert token is not None
    rest, end = await store.available("q", "n", 9, token=token)
    assert [one.worker_id for one in (*found, *rest)] == list("abcde")
    assert end is None
    assert await _ids(store, "n", after=behind("b")) == ["c", "d", "e"]
    assert await _ids(store, "n", until=behind("b")) == ["a", "b"]


async def test_what_is_too_much_for_a_row_is_left_to_the_workers_row() -> None:
    store, _ = await _index(_worker("w", labels={f"label{n}": "x" * 400 for n in range(60)}))
    ((found,), _) = await store.available("q", "n", 9)
    assert (found.worker_id, found.candidate, found.version) == ("w", None, 1)


async def test_a_long_label_is_not_filtered_by() -> None:
    store, _ = await _index(_worker("w", labels={"long": "x" * 501}))
    ((found,), _) = await store.available("q", "n", 9)
    assert found.candidate is not None
    assert found.candidate.labels["long"] == "x" * 501


async def test_whose_turn_it_is() -> None:
    store, tables = await _index(_worker("a"), _worker("b"))
    assert await store.turn("q") is None
    await store.save_turn("q", "a")
    turn = await store.turn("q")
    assert turn == Turn("a", behind("a"))
    assert await _ids(store, "n", after=behind("a")) == ["b"]
    assert await _ids(store) == ["a", "b"]  # it is no worker
    tables.of("availability").upsert(Entity("q", "cursor", {"Last": "n~a~~"}))
    assert await store.turn("q") == Turn("", "n~a~~")


@pytest.mark.parametrize("id", ["a~b", "ä", "a b", "x" * 256])
async def test_any_id_has_its_version(id: str) -> None:
    store, _ = await _index(_worker(id, 12))
    ((found,), _) = await store.available("q", "n", 9)
    assert (found.worker_id, found.version) == (id, 12)


async def test_rows_that_are_moved_at_once_do_not_stay_behind_their_worker() -> None:
    """Each move takes its own time in each queue, as storage does."""
    store, tables = await _index()
    chance = random.Random(1)

    async def slow(_: Call) -> None:
        await asyncio.sleep(chance.random() / 500)

    tables.before = slow
    queues = [f"q{number}" for number in range(5)]
    told = [None, *(_worker("w", version, queues=queues) for version in range(1, 10))]
    moves = [Move(old, new) for old, new in pairwise(told)]
    await asyncio.gather(*(store.move([move]) for move in moves))
    assert len(tables.of("availability").all()) == 2 * len(queues)
    await store.move([Move(told[-1], None)])
    assert tables.of("availability").all() == []
