"""The router of the session, spoken to byte by byte."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.local_router import LocalRouter
from tests.raw_wire import RawWire


@pytest.fixture
async def wire(local_router: LocalRouter) -> AsyncIterator[RawWire]:
    async with RawWire(local_router.port, local_router.key) as wire:
        yield wire
