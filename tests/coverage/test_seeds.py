"""Fifty seeds of the simulation in this process, where `make coverage` measures them: what commits, rounds and
timers do together, under failures and without."""

from __future__ import annotations

import pytest

from tests.sim.run import describe, run_many

_TOGETHER = 5


@pytest.mark.parametrize("first", range(0, 50, _TOGETHER))
def test_seeds(first: int) -> None:
    failed = [one for one in run_many(list(range(first, first + _TOGETHER))) if one.faults]
    assert not failed, "\n".join(describe(one) for one in failed)
