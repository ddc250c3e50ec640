"""One reading of the queues serves all who ask for a queue before it begins."""

from __future__ import annotations

import asyncio

import pytest

from router.models.selectors import LabelOperator, RouterQueueSelector
from router.storage.port import StorageUnavailable
from router.usecases import settings as setting_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time


def of(region: str) -> list[RouterQueueSelector]:
    return [RouterQueueSelector(key="Region", label_operator=LabelOperator.EQUAL, value=region)]


async def queue(process: Process, id: str, region: str) -> None:
    wanted = {"distributionPolicyId": "q", "labels": {"Region": region}}
    await setting_usecases.upsert(process.parts, "Queue", id, lambda _: wanted, lambda etag, modified: None)


async def router(tables: Tables) -> Process:
    """Queues q00 to q19, of ten regions."""
    process = Process(tables)
    await process.queue()
    for number in range(20):
        await queue(process, f"q{number:02}", f"r{number % 10}")
    return process


@in_virtual_time
async def test_a_hundred_who_ask_at_once_read_the_queues_twice() -> None:
    tables = Tables()
    process = await router(tables)
    before = tables.count("query", "queues")
    found = await asyncio.gather(*(process.parts.queue_search.find(of(f"r{one % 11}")) for one in range(100)))
    assert found == [f"q{one % 11:02}" if one % 11 < 10 else None for one in range(100)]  # the lowest id of two
    # One for the first, and one for all who came after it had begun: what it sees may be old for them.
    assert tables.count("query", "queues") - before == 2


@in_virtual_time
async def test_a_reading_that_fails_fails_for_all_whom_it_serves_and_for_nobody_later() -> None:
    tables = Tables()
    process = await router(tables)

    async def silent(call: Call) -> None:
        raise StorageUnavailable("silent")

    tables.before = silent
    found = await asyncio.gather(*(process.parts.queue_search.find(of("r1")) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(one, StorageUnavailable) for one in found)
    tables.before = None
    assert await process.parts.queue_search.find(of("r1")) == "q01"


@in_virtual_time
async def test_who_waits_for_a_reader_that_is_stopped_is_told_so() -> None:
    tables = Tables()
    process = await router(tables)

    async def slow(call: Call) -> None:
        await asyncio.sleep(1)

    tables.before = slow
    first, second, third = (asyncio.ensure_future(process.parts.queue_search.find(of("r1"))) for _ in range(3))
    await asyncio.sleep(0.5)
    second.cancel()  # who was to read for the third
    with pytest.raises(StorageUnavailable):
        await third
    assert await first == "q01"
    assert await process.parts.queue_search.find(of("r1")) == "q01"
