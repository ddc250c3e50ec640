"""What processes tell each other of rows that have gone."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

from router.storage.departures import LINES, TOLD_FOR, WORKERS, DepartureStore
from router.storage.port import StorageUnavailable
from tests.memory_router import Call, Process, Tables, in_virtual_time


def store(process: Process, instance: str) -> DepartureStore:
    return DepartureStore(process.parts.tables.table("throughput"), process.parts.clock, instance)


@in_virtual_time
async def test_all_processes_are_heard_for_a_while() -> None:
    process = Process(Tables())
    first, second = store(process, "first"), store(process, "second")
    began = process.parts.clock.now()
    await first.tell(LINES, [("q", "1~a"), ("q", "1~b")])
    await asyncio.sleep(1)
    await second.tell(WORKERS, [("w", "w")])
    found = await store(process, "third").since(began)
    assert sorted(one[:3] for one in found) == [("backlog", "q", "1~a"), ("backlog", "q", "1~b"), ("workers", "w", "w")]
    assert await first.since(process.parts.clock.now() + timedelta(seconds=1)) == []
    await asyncio.sleep(TOLD_FOR.total_seconds())
    await first.tell(LINES, [("q", "1~c")])
    assert [one.row for one in await first.since(process.parts.clock.now())] == ["1~c"]


@in_virtual_time
async def test_many_are_told_at_once_and_no_more_than_fit() -> None:
    process = Process(Tables())
    told = store(process, "first")

    async def slow(_: Call) -> None:
        await asyncio.sleep(0.05)

    process.tables.before = slow
    await asyncio.gather(*(told.tell(LINES, [("q", f"1~{number:0100}")]) for number in range(2000)))
    assert process.tables.count("upsert", "throughput") <= 3
    (row,) = process.tables.of("throughput").all()
    found = json.loads("".join(str(row.columns[f"Left{number}"]) for number in range(len(row.columns) - 1)))
    assert 300 < len(found) < 500
    assert found[-1][2] == f"1~{1999:0100}"
    # However many processes there have been.
    for number in range(400):
        await store(process, f"process {number}").tell(WORKERS, [("w", "w")])
    assert len(process.tables.of("throughput")) <= 256


@in_virtual_time
async def test_nothing_hangs_on_it() -> None:
    process = Process(Tables())

    async def silent(_: Call) -> None:
        raise StorageUnavailable("silent")

    process.tables.before = silent
    told = store(process, "first")
    await told.tell(LINES, [("q", "1~a")])
    process.tables.before = None
    await told.tell(LINES, [("q", "1~b")])
    assert len(await told.since(process.parts.clock.now())) == 2
