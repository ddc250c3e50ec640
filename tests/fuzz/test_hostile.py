"""A short run of `make hostile`. How long others wait is measured there: here the machine is shared with other tests."""

from __future__ import annotations

import os

import pytest

from tests.hostile.play import KINDS, play, table
from tests.local_router import LocalRouter

SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_short_attack_of_each_kind_breaks_nothing(local_router: LocalRouter) -> None:
    lines = await play(local_router, SEED, 12.0, late_ms=None)
    print("\n" + table(lines))
    assert not [line for line in lines if line.broke], table(lines)
    assert {line.kind for line in lines} >= {name for name, _, _ in KINDS}
    assert all(line.attempts for line in lines)
