"""A limit on requests per caller, counted in this instance alone."""

from __future__ import annotations

from datetime import datetime
from math import ceil

from router.api.auth.refusal import RateLimited

_KEEP_AT_MOST = 1024
_ROUNDING = 1e-6


class RateLimiter:
    """At most `limit` requests in any `window_seconds`; 0 is off.

    The window slides: the count of the last fixed window is weighed by how much of it still overlaps. Refused
    requests do not count.
    """

    def __init__(self, limit: int, window_seconds: float = 10.0) -> None:
        self._limit = limit
        self._window = window_seconds
        # Per caller: the window's number, the count in it, the count in the one before.
        self._counts: dict[str, tuple[int, int, int]] = {}

    def check(self, caller_id: str, now: datetime) -> None:
        """Count one request of this caller; RateLimited (429, with Retry-After) when it is one too many."""
        if self._limit <= 0:
            return
        at = now.timestamp() / self._window
        number = int(at)
        elapsed = at - number
        window, count, before = self._counts.get(caller_id, (number, 0, 0))
        if window != number:
            before, count = (count if window == number - 1 else 0), 0
        if count + before * (1 - elapsed) + 1 > self._limit + _ROUNDING:
            raise RateLimited(self._limit, self._window, self._seconds_to_wait(count, before, elapsed))
        if len(self._counts) >= _KEEP_AT_MOST and caller_id not in self._counts:
            self._counts = {key: entry for key, entry in self._counts.items() if entry[0] >= number - 1}
        self._counts[caller_id] = (number, count + 1, before)

    def _seconds_to_wait(self, count: int, before: int, elapsed: float) -> int:
        room = self._limit - 1 - count
        if room >= 0 and before > 0:  # this window has room as soon as enough of the last one has slid out
            wait = 1 - room / before - elapsed
        else:  # only in the next window, when enough of this one has slid out
            wait = 1 - elapsed + max(0.0, 1 - (self._limit - 1) / count)
        return max(1, ceil(wait * self._window))
