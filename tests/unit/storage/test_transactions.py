"""How many bytes of JSON an entity travels as, at most; and what is done where a transaction fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from router.storage.port import Entity, RowChanged, RowExists, Write
from router.storage.requests import body_of
from router.storage.transactions import wire_bytes, write_groups
from tests.memory_router import Call, Tables, in_virtual_time


@pytest.mark.parametrize(
    "text", ["", "a" * 1_000, "é" * 1_000, "中文" * 1_000, "😀" * 1_000, "a😀" * 1_000, '"\\' * 1_000]
)
def test_no_more_travels_than_is_counted(text: str) -> None:
    entity = Entity("partition", "row", {"Doc0": text, "Number": 2**40, "Flag": True})
    counted, travels = wire_bytes(entity), len(body_of(entity).encode())
    assert travels <= counted
    assert counted <= 2 * travels + 2_000


async def _slow(_: Call) -> None:
    await asyncio.sleep(0.01)


def _moved(number: int) -> list[Write]:
    """A row that goes from one place to another."""
    return [Write("delete", Entity("p", f"from {number:02d}")), Write("insert", Entity("p", f"to {number:02d}"))]


async def _write(tables: Tables, groups: Sequence[Sequence[Write]]) -> tuple[float, list[str]]:
    """Seconds that it took, and the calls."""
    table, loop = tables.table("t"), asyncio.get_running_loop()

    async def one(write: Write) -> None:
        if write.kind == "delete":
            await table.delete("p", write.entity.row)
            return
        with suppress(RowExists):
            await table.insert(write.entity)

    tables.calls.clear()
    tables.before, began = _slow, loop.time()
    await write_groups(groups, table.transact, one)
    tables.before = None
    return loop.time() - began, [f"{call.kind} {call.row}" for call in tables.calls]


async def _tables(rows: int) -> Tables:
    tables = Tables()
    for number in range(rows):
        await tables.table("t").insert(Entity("p", f"from {number:02d}"))
    return tables


@in_virtual_time
async def test_what_goes_in_one_transaction_is_written_by_one_call() -> None:
    tables = await _tables(40)
    seconds, calls = await _write(tables, [_moved(number) for number in range(40)])
    assert (round(seconds, 3), len(calls)) == (0.01, 1)
    assert {one.row[:2] for one in tables.of("t").all()} == {"to"}


@in_virtual_time
async def test_where_a_transaction_fails_its_groups_are_written_side_by_side() -> None:
    """A round waits for it: one after the other, fifty of them took half a second."""
    tables = await _tables(40)
    await tables.table("t").delete("p", "from 07")
    await tables.table("t").insert(Entity("p", "to 09"))
    seconds, calls = await _write(tables, [_moved(number) for number in range(40)])
    assert round(seconds, 3) == 0.04  # all, each group, and of two of them each write
    assert len(calls) == 1 + 40 + 2 * 2
    for number in ("07", "09"):  # it stands where it comes to before it goes
        assert calls.index(f"insert to {number}") < calls.index(f"delete from {number}")
    assert sorted(one.row for one in tables.of("t").all()) == [f"to {number:02d}" for number in range(40)]


@in_virtual_time
async def test_a_group_that_fails_alone_is_not_tried_as_a_whole_again() -> None:
    tables = await _tables(0)
    _, calls = await _write(tables, [_moved(1)])
    assert calls == ["transact from 01 to 01", "insert to 01", "delete from 01"]
    with pytest.raises(RowChanged):
        await tables.table("t").transact(_moved(2))
