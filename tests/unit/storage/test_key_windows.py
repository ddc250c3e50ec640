"""Windows over long key ranges: whatever has been read before, a reading yields what is there, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.storage.port import Condition, Entity, Page
from router.storage.windows import KeyWindows
from tests.sim.memory_tables import MemoryTable, Rows

_KEYS = [f"k{number:03}" for number in range(60)]
_OPEN: list[Condition] = [("PartitionKey", "eq", "p"), ("Open", "eq", True)]
_BOUNDS = [f"k{number:03}" for number in range(0, 61, 3)]


class _Counting(MemoryTable):
    """Remembers the bounds of its queries."""

    def __init__(self) -> None:
        super().__init__(Rows("backlog"))
        self.queries: list[Sequence[Condition]] = []

    async def query(self, where: Sequence[Condition], **rest: Any) -> Page:
        self.queries.append(where)
        return await super().query(where, **rest)


async def _read(windows: KeyWindows, start: str, end: str, most: int | None = None) -> list[str]:
    found: list[str] = []
    async for page in windows.read(_OPEN, ("ge", start), ("lt", end), page=4):
        found.extend(entity.row for entity in page)
        if most is not None and len(found) >= most:
            break
    return found


async def _put(table: MemoryTable, row: str, is_open: bool = True) -> None:
    await table.upsert(Entity("p", row, {"Open": is_open}))


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(_KEYS), st.booleans()),
        st.tuples(st.just("delete"), st.sampled_from(_KEYS), st.none()),
        st.tuples(st.just("read"), st.tuples(st.sampled_from(_BOUNDS), st.sampled_from(_BOUNDS)), st.integers(1, 30)),
    ),
    max_size=40,
)


@given(st.sets(st.sampled_from(_KEYS)), _STEPS)
def test_earlier_readings_change_nothing_of_what_is_read(there: set[str], steps: list[Any]) -> None:
    async def run() -> None:
        table = _Counting()
        windows = KeyWindows(table)
        rows = dict.fromkeys(there, True)
        for row in there:
            await _put(table, row)
        for kind, what, how in steps:
            if kind == "put":
                rows[what] = how
                await _put(table, what, how)
            elif kind == "delete":
                rows.pop(what, None)
                await table.delete("p", what)
            else:
                expected = [row for row in sorted(rows) if rows[row] and what[0] <= row < what[1]]
                assert (await _read(windows, what[0], what[1], most=how))[:how] == expected[:how]
        assert await _read(windows, "a", "z") == [row for row in sorted(rows) if rows[row]]

    asyncio.run(run())


async def test_the_first_rows_of_many_are_looked_for_in_a_short_range() -> None:
    table = _Counting()
    windows = KeyWindows(table)
    for row in _KEYS:
        await _put(table, row)
    await _read(windows, "a", "z", most=1)
    table.queries.clear()

    assert await _read(windows, "a", "z", most=1) == _KEYS[:4][:3]
    (only,) = table.queries
    assert ("RowKey", "lt", "k003") in only


async def test_a_window_that_has_been_used_up_moves_on() -> None:
    table = _Counting()
    windows = KeyWindows(table)
    for row in _KEYS:
        await _put(table, row)
    bounded = 0
    for row in _KEYS[:40]:
        table.queries.clear()
        assert (await _read(windows, "a", "z", most=1))[0] == row
        bounded += len(table.queries) == 1 and ("RowKey", "lt", "z") not in table.queries[0]
        await table.delete("p", row)
    assert bounded >= 25
