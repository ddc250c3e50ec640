"""Upserts that come together: each is in storage when its call returns, in as few writes as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from router.storage.grouped import GroupedUpserts
from router.storage.port import Entity, StorageUnavailable, Write
from tests.eventually import turns
from tests.sim.memory_tables import MemoryTable, Rows


class _Slow(MemoryTable):
    """Writes take until they are let go."""

    def __init__(self) -> None:
        super().__init__(Rows("deadlines"))
        self.sizes: list[int] = []
        self.gate = asyncio.Event()
        self.fails = False
        self._begun = asyncio.Condition()

    async def begun(self, writes: int) -> None:
        """Returns when so many writes are under way."""
        async with asyncio.timeout(5), self._begun:
            await self._begun.wait_for(lambda: len(self.sizes) >= writes)

    async def upsert(self, entity: Entity) -> str:
        await self._wait(1)
        return await super().upsert(entity)

    async def transact(self, writes: Sequence[Write]) -> None:
        await self._wait(len(writes))
        await super().transact(writes)

    async def _wait(self, size: int) -> None:
        self.sizes.append(size)
        async with self._begun:
            self._begun.notify_all()
        await self.gate.wait()
        if self.fails:
            raise StorageUnavailable


def _row(number: int, partition: str = "00") -> Entity:
    return Entity(partition, f"r{number:03}", {"Number": number})


async def test_a_row_alone_is_written_at_once() -> None:
    table = _Slow()
    table.gate.set()
    await GroupedUpserts(table).put(_row(1))
    assert table.sizes == [1]
    assert await table.get("00", "r001") is not None


async def test_what_comes_during_a_write_goes_together_with_the_next() -> None:
    table = _Slow()
    group = GroupedUpserts(table)
    puts = [asyncio.create_task(group.put(_row(number))) for number in range(250)]
    await turns()
    table.gate.set()
    await asyncio.gather(*puts)
    assert table.sizes == [1, 100, 100, 49]
    for number in range(250):
        assert await table.get("00", f"r{number:03}") is not None


async def test_a_call_returns_only_when_its_row_is_written() -> None:
    table = _Slow()
    group = GroupedUpserts(table)
    puts = [asyncio.create_task(group.put(_row(number))) for number in range(3)]
    await table.begun(1)
    await turns()
    assert not any(put.done() for put in puts)
    table.gate.set()
    await asyncio.gather(*puts)


async def test_partitions_do_not_wait_for_each_other() -> None:
    table = _Slow()
    group = GroupedUpserts(table)
    puts = [asyncio.create_task(group.put(_row(1, partition))) for partition in ("00", "01", "02")]
    await table.begun(3)
    assert table.sizes == [1, 1, 1]
    table.gate.set()
    await asyncio.gather(*puts)


async def test_a_failed_write_fails_for_all_of_it_and_for_nobody_later() -> None:
    table = _Slow()
    table.fails = True
    group = GroupedUpserts(table)
    puts = [asyncio.create_task(group.put(_row(number))) for number in range(5)]
    await turns()
    table.gate.set()
    assert all(isinstance(one, StorageUnavailable) for one in await asyncio.gather(*puts, return_exceptions=True))
    table.fails = False
    await group.put(_row(9))
    assert await table.get("00", "r009") is not None


async def test_a_stopped_writer_does_not_leave_the_others_waiting() -> None:
    table = _Slow()
    group = GroupedUpserts(table)
    first = asyncio.create_task(group.put(_row(1)))
    await table.begun(1)
    leader = asyncio.create_task(group.put(_row(2)))
    follower = asyncio.create_task(group.put(_row(3)))
    await turns()
    leader.cancel()
    with pytest.raises(StorageUnavailable):
        await asyncio.wait_for(follower, 5)
    table.gate.set()
    await first
    await group.put(_row(3))
    assert await table.get("00", "r003") is not None
