"""The tables that the storage contract is held against: the simulation's double, and Azurite behind the SDK."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from router.storage.azure import AzureTables
from router.storage.port import Table
from tests.azurite import running_azurite
from tests.sim.memory_tables import MemoryTable, Rows


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of an Azurite of our own."""
    with running_azurite(tmp_path_factory.mktemp("azurite")) as connection_string:
        yield connection_string


@pytest.fixture(params=["memory", "azurite"])
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    """An empty table."""
    if request.param == "memory":
        yield MemoryTable(Rows("jobs"))
        return
    tables = AzureTables.from_connection_string(request.getfixturevalue("azurite"), f"t{uuid.uuid4().hex[:12]}")
    await asyncio.wait_for(tables.ready(), 30)
    try:
        yield tables.table("jobs")
    finally:
        await tables.close()
