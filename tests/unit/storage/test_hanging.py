"""What was sent into an outage of storage is given up soon after its end, not when its whole time is over."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from router.outages import Outage, Surroundings
from router.storage.azure import AzureTables
from router.storage.batches import Request
from router.storage.pipeline import Answer
from router.storage.port import StorageUnavailable
from tests.memory_router import in_virtual_time


class _Way:
    """Answers that there is no such row, after so many seconds as the row's name says."""

    async def ask(self, client: Any, request: Request, most_bytes: int | None = None) -> Answer:
        await asyncio.sleep(float(request.url.split("RowKey='")[1].split("'")[0]))
        return Answer(request, 404, "", {}, b'{"odata.error":{"code":"ResourceNotFound"}}')


def _router() -> tuple[Any, Outage]:
    outage = Outage("Storage", "", asyncio.get_running_loop().time)
    connection = "AccountName=a;AccountKey=YQ==;TableEndpoint=http://a/"
    tables = AzureTables.from_connection_string(connection, around=Surroundings(storage=outage))
    tables._way = _Way()  # type: ignore[assignment]
    return tables.table("jobs"), outage


async def _given_up_after(table: Any, seconds: float) -> float | None:
    """When a call that takes so long is given up, by the loop's clock; None if it is answered."""
    try:
        await table.get("p", str(seconds))
    except StorageUnavailable:
        return asyncio.get_running_loop().time()
    return None


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@in_virtual_time
async def test_who_hangs_is_given_up_a_second_after_others_are_answered_again() -> None:
    table, outage = _router()
    outage.failed("silence")
    hanging = asyncio.ensure_future(_given_up_after(table, 60))
    slow = asyncio.ensure_future(_given_up_after(table, 3.5))
    await asyncio.sleep(3)
    late = asyncio.ensure_future(_given_up_after(table, 5))
    assert await _given_up_after(table, 0) is None
    assert await hanging == pytest.approx(4)
    assert await slow is None, "what is answered meanwhile is not given up"
    assert await late is None, "nor is what was asked for as storage was about to answer"


@in_virtual_time
async def test_who_hangs_while_others_are_answered_has_its_whole_time() -> None:
    table, _ = _router()
    hanging = asyncio.ensure_future(_given_up_after(table, 60))
    await asyncio.sleep(3)
    assert await _given_up_after(table, 0) is None
    assert await hanging == pytest.approx(7)


@in_virtual_time
async def test_nobody_is_given_up_before_storage_answers() -> None:
    table, outage = _router()
    outage.failed("silence")
    found = await asyncio.gather(*(_given_up_after(table, 60) for _ in range(3)))
    assert found == [pytest.approx(7)] * 3
