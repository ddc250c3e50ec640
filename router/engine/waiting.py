"""Estimated waits from a queue's recent rate of assignments (contract section 5, "Waiting figures")."""

from __future__ import annotations

import math
from typing import Final

#: Without any assignment to go by: one a minute.
_UNKNOWN_RATE: Final = 1 / 60


def rate(assigned: int, busy_seconds: float) -> float:
    """Assignments a second while jobs wait."""
    if assigned <= 0:
        return _UNKNOWN_RATE
    return assigned / max(busy_seconds, 1.0)


def estimate(position: int, rate_per_second: float) -> int:
    """Whole minutes, rounded up, that the job at this position (from 1) is likely to wait: each job ahead, and it
    itself, takes one assignment. 0 for position 0."""
    return math.ceil(position / rate_per_second / 60) if position > 0 else 0
