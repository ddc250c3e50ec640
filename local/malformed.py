"""Requests that are no HTTP, in the log: a line, not a traceback, and few lines however many come."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError

_AGAIN_SECONDS: Final = 10.0


class _Briefly(logging.Filter):
    def __init__(self, elapsed: Callable[[], float]) -> None:
        super().__init__()
        self._elapsed = elapsed
        self._told: float | None = None
        self._more = 0

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError):
            return True
        now = self._elapsed()
        if self._told is not None and now - self._told < _AGAIN_SECONDS:
            self._more += 1
            return False
        why = " ".join(str(error.message).split("\n", 1)[0].split()).rstrip(".:")
        more = f" {self._more} others like it came since the last one was told." if self._more else ""
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = f"A request that is no HTTP was refused: {why}.{more}", ()
        record.exc_info = record.exc_text = None
        self._told, self._more = now, 0
        return True


def tell_briefly(elapsed: Callable[[], float] = time.monotonic) -> None:
    """To be called once, by each process that serves HTTP locally."""
    logging.getLogger("aiohttp.server").addFilter(_Briefly(elapsed))
