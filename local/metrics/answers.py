"""What an operator asks first: who waits, how long, how soon is a job offered, what failed."""

from __future__ import annotations

from typing import Any, Final

from local.metrics.history import History, Tally
from router.telemetry import names

_FAILED: Final = frozenset({"5xx"})
_REFUSED: Final = frozenset({"4xx"})


def answers(history: History, window: int) -> dict[str, Any]:
    """Waiting jobs and the longest wait are of now, null where no queue was measured; the rest of `window` seconds."""
    lengths = history.latest(names.QUEUE_LENGTH)
    waits = history.latest(names.QUEUE_LONGEST_WAIT)
    longest = max(waits, key=lambda wait: wait[1], default=None)
    offers = history.recent(names.TIME_TO_OFFER, window)
    return {
        "waiting": {
            "jobs": round(sum(length for _, length in lengths)) if lengths else None,
            "queues": sum(1 for _, length in lengths if length > 0),
        },
        "longestWait": {
            "seconds": longest[1] if longest else None,
            "queue": longest[0].get(names.DIMENSION_QUEUE) if longest and longest[1] > 0 else None,
        },
        "timeToOffer": {"average": offers.value("avg"), "longest": offers.value("max"), "offers": offers.count},
        "requests": {
            "all": history.recent(names.API_REQUESTS, window).count,
            "failed": _requests(history, window, _FAILED).count,
            "refused": _requests(history, window, _REFUSED).count,
        },
    }


def _requests(history: History, window: int, classes: frozenset[str]) -> Tally:
    return history.recent(names.API_REQUESTS, window, {names.DIMENSION_STATUS_SUB_CLASS: classes})
