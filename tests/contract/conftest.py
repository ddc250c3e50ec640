"""The tables that the storage contract is held against: the simulation's double, and Azurite behind the SDK."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from local.commands import azurite_command
from local.options import LocalError
from local.parts import Parts
from router.storage.azure import AzureTables
from router.storage.port import Table
from tests.sim.memory_tables import MemoryTable, Rows


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of an Azurite of our own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    parts = Parts(0, 0, port, 0, 0, "", "", "")
    folder = tmp_path_factory.mktemp("azurite")
    try:
        command = azurite_command(parts, folder)
    except LocalError as error:
        pytest.skip(str(error))
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
                break
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, "Azurite does not answer."
                time.sleep(0.1)
        yield parts.tables_connection_string
    finally:
        process.terminate()
        process.wait(10)
        log.close()


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
