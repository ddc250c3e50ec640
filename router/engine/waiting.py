"""Estimated waits from a queue's recent rate of assignments
(docs/behaviour.md, "Waiting figures"; the formula is in docs/waiting.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

#: What is assumed before anything is known, and weighs as much as one assignment: one a minute.
_ASSUMED_SECONDS: Final = 60.0
#: The median of a sum of n exponential times is close to n - 1/3 of their mean.
_TO_MEDIAN: Final = 1 / 3


def rate(
    assigned: int, busy: Sequence[tuple[datetime, datetime]], waiting_since: datetime | None, now: datetime
) -> float:
    """Assignments a second while jobs wait. `busy` are the times, in order and apart, in which jobs waited that were
    assigned since; a job that waits now, `waiting_since`, adds the time since the last assignment."""
    seconds = sum((end - start).total_seconds() for start, end in busy)
    if waiting_since is not None:
        since = max(waiting_since, busy[-1][1]) if busy else waiting_since
        seconds += max((now - since).total_seconds(), 0.0)
    return (assigned + 1) / (seconds + _ASSUMED_SECONDS)


def estimate(position: int, rate_per_second: float) -> int:
    """Whole minutes, rounded up, within which half of the jobs at this position (from 1) are assigned: each job
    ahead, and the job itself, takes one assignment. 0 for position 0."""
    if position <= 0:
        return 0
    return math.ceil((position - _TO_MEDIAN) / rate_per_second / 60)
