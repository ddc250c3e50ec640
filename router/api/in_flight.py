"""Bodies of requests that are under way, bounded together: however many come at once, their memory is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from router.errors import Busy

#: What a body becomes while it is read, merged and written is some times its size.
MAX_IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024
#: A smaller one is not counted: answers to what is small must not wait for what is large.
_SMALL: Final = 16 * 1024


class InFlight:
    """The large bodies of this process."""

    def __init__(self, most: int = MAX_IN_FLIGHT_BYTES) -> None:
        self._most = most
        self.bytes = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """While a request with a body of this size is served. Raises Busy (503)."""
        if size <= _SMALL:
            yield
            return
        if self.bytes + size > self._most and self.bytes:
            raise Busy("Too many large bodies are being read. Try again.")
        self.bytes += size
        try:
            yield
        finally:
            self.bytes -= size
