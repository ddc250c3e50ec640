"""Functions that fail: with its traceback the first time, and counted while the same goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from local.host.worker import FunctionFailed

log = logging.getLogger("local.host")

_AGAIN_SECONDS: Final = 60.0


class Failures:
    """Of one kind of trigger."""

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._elapsed = elapsed
        #: Per function and name of exception: when it was told, and how often it has come since.
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def tell(self, function: str, error: FunctionFailed, what: str = "") -> None:
        kind, now = (function, str(error).partition(":")[0]), self._elapsed()
        since, more = self._told.get(kind, (None, 0))
        if since is not None and now - since < _AGAIN_SECONDS:
            self._told[kind] = (since, more + 1)
            return
        self._told[kind] = (now, 0)
        again = f" (and {more} times since it was told)" if more else ""
        if error.passes:  # how it came about would tell nobody anything
            log.warning("function %s failed %s%s: %s", function, what, again, error)
        else:
            log.error("function %s failed %s%s: %s\n%s", function, what, again, error, error.trace)
