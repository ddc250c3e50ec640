"""The listening server of the authentication tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.auth.signed_wire import Wire, listening


@pytest.fixture
def wire() -> Iterator[Wire]:
    with listening() as wire:
        yield wire
