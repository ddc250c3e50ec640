"""Calls of storage take turns: the most urgent first, and few at a time."""

from __future__ import annotations

import asyncio

import pytest

from router.api.patience import patience
from router.errors import Busy
from router.outages import Outage
from router.storage.port import Entity
from router.storage.turns import AT_ONCE, CAME, ENTER_AT_ONCE, PATIENCE_SECONDS, URGENCY, Turns, Urgency
from tests.memory_router import in_virtual_time
from tests.sim.memory_tables import MemoryTable, Rows

_ONE = dict.fromkeys(Urgency, 1)


class _Tables:
    def __init__(self) -> None:
        self.rows = Rows("jobs")
        self.closed = False

    def table(self, name: str) -> MemoryTable:
        return MemoryTable(self.rows)

    async def ready(self) -> None:
        pass

    async def close(self) -> None:
        self.closed = True


class _Calls:
    """Calls that take until they are let go, and the order in which they began."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}

    async def begin(self, name: str, urgency: Urgency) -> asyncio.Task[str]:
        async def call() -> str:
            self.begun.append(name)
            await self._ends[name].wait()
            return name

        async def calls() -> str:
            URGENCY.set(urgency)
            return await self.turns.take(call)

        self._ends[name] = asyncio.Event()
        task = asyncio.create_task(calls())
        await asyncio.sleep(0.001)
        return task

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await asyncio.sleep(0.001)


@in_virtual_time
async def test_who_waits_is_served_by_urgency_and_then_in_turn() -> None:
    calls = _Calls(Turns(_Tables(), _ONE))
    await calls.begin("first", Urgency.FOLLOW)
    for name, urgency in (
        ("follow", Urgency.FOLLOW),
        ("answer", Urgency.ANSWER),
        ("answer 2", Urgency.ANSWER),
        ("round", Urgency.ROUND),
    ):
        await calls.begin(name, urgency)
    assert calls.begun == ["first"]
    for name in ("first", "round", "answer", "answer 2", "follow"):
        await calls.end(name)
    assert calls.begun == ["first", "round", "answer", "answer 2", "follow"]


@in_virtual_time
async def test_what_is_less_urgent_leaves_room_for_what_is_more() -> None:
    calls = _Calls(Turns(_Tables()))
    for number in range(AT_ONCE[Urgency.FOLLOW] + 1):
        await calls.begin(f"follow {number}", Urgency.FOLLOW)
    assert len(calls.begun) == AT_ONCE[Urgency.FOLLOW]
    await calls.begin("round", Urgency.ROUND)
    assert calls.begun[-1] == "round"
    await calls.end("follow 0")
    assert len(calls.begun) == AT_ONCE[Urgency.FOLLOW] + 1  # the round still takes its place
    await calls.end("round")
    assert len(calls.begun) == AT_ONCE[Urgency.FOLLOW] + 2


async def _enters(turns: Turns, leaves: asyncio.Event, entered: list[int], number: int) -> None:
    async with turns.enter():
        entered.append(number)
        await leaves.wait()


@in_virtual_time
async def test_few_jobs_come_in_at_a_time_and_the_others_in_turn() -> None:
    turns, entered, leaves = Turns(_Tables()), list[int](), asyncio.Event()
    some = [asyncio.create_task(_enters(turns, leaves, entered, number)) for number in range(2 * ENTER_AT_ONCE)]
    await asyncio.sleep(1)
    assert entered == list(range(ENTER_AT_ONCE))
    leaves.set()
    await asyncio.gather(*some)
    assert entered == list(range(2 * ENTER_AT_ONCE))


@in_virtual_time
async def test_a_job_comes_in_when_there_is_room_beside_what_is_under_way() -> None:
    turns, entered, leaves = Turns(_Tables()), list[int](), asyncio.Event()
    calls = _Calls(turns)
    for number in range(ENTER_AT_ONCE):
        await calls.begin(f"{number}", Urgency.ANSWER)
    coming = asyncio.create_task(_enters(turns, leaves, entered, 1))
    await asyncio.sleep(1)
    assert not entered
    await calls.end("0")
    assert entered == [1]
    leaves.set()
    await coming


@in_virtual_time
async def test_a_job_that_comes_is_told_when_it_has_waited_too_long() -> None:
    turns, entered, leaves = Turns(_Tables(), enter_at_once=1), list[int](), asyncio.Event()
    some = [asyncio.create_task(_enters(turns, leaves, entered, number)) for number in range(3)]
    await asyncio.sleep(PATIENCE_SECONDS - 1)
    some[1].cancel()
    await asyncio.sleep(2)
    with pytest.raises(Busy):
        await some[2]
    last = asyncio.create_task(_enters(turns, leaves, entered, 3))
    leaves.set()
    await asyncio.gather(some[0], last)
    assert entered == [0, 3]


@in_virtual_time
async def test_what_a_request_has_waited_for_before_counts() -> None:
    """So its answer is there in time, wherever it waited."""
    turns, entered, leaves = Turns(_Tables(), enter_at_once=1), list[int](), asyncio.Event()
    first = asyncio.create_task(_enters(turns, leaves, entered, 0))
    loop = asyncio.get_running_loop()
    async with patience(Outage("Storage", "")):
        began = loop.time()
        await asyncio.sleep(5)
        with pytest.raises(Busy):
            await _enters(turns, leaves, entered, 1)
        assert loop.time() - began == pytest.approx(PATIENCE_SECONDS, abs=0.01)
        with pytest.raises(Busy):
            await _enters(turns, leaves, entered, 2)
        assert loop.time() - began == pytest.approx(PATIENCE_SECONDS, abs=0.01)
    assert CAME.get() is None
    leaves.set()
    await first
    assert entered == [0]


@in_virtual_time
async def test_who_goes_away_keeps_no_turn() -> None:
    calls = _Calls(Turns(_Tables(), _ONE))
    await calls.begin("first", Urgency.ANSWER)
    gone = await calls.begin("gone", Urgency.ANSWER)
    await calls.begin("next", Urgency.ANSWER)
    gone.cancel()
    await calls.end("first")
    assert calls.begun == ["first", "next"]
    # One that goes just as its turn has come hands it on.
    late = await calls.begin("late", Urgency.ANSWER)
    await calls.begin("last", Urgency.ANSWER)
    calls._ends["next"].set()
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.sleep(0.001)
    await calls.end("late")
    assert calls.begun[-1] == "last"


@in_virtual_time
async def test_the_tables_are_those_behind() -> None:
    tables = _Tables()
    turns = Turns(tables)
    table = turns.table("jobs")
    await table.insert(Entity("p", "r", {"a": 1}))
    version = await table.upsert(Entity("p", "r", {"a": 2}))
    await table.replace(Entity("p", "r", {"a": 3}, version))
    found = await table.get("p", "r")
    assert found is not None
    assert found.columns == {"a": 3}
    assert [one.row for one in (await table.query((("PartitionKey", "eq", "p"),))).entities] == ["r"]
    await table.delete("p", "r")
    assert await table.get("p", "r") is None
    await turns.ready()
    await turns.close()
    assert tables.closed
