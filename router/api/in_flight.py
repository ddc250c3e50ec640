"""Large bodies of requests that are under way: bounded together, and worked on one after the other.

Each holds the event loop while it is parsed and checked. One after the other, others have their turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from router.errors import Busy

#: What a body becomes while it is read, merged and written is some times its size.
MAX_IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024
#: A smaller one is not counted and does not wait: what is small must not wait for what is large.
_SMALL: Final = 16 * 1024
#: Between two of them: so long others are not held up.
_PAUSE_SECONDS: Final = 0.05


class InFlight:
    """The large bodies of this process."""

    def __init__(self, most: int = MAX_IN_FLIGHT_BYTES) -> None:
        self._most = most
        self._turn = asyncio.Lock()
        self.bytes = 0

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """While a request with a body of this size is served. Raises Busy (503)."""
        if size <= _SMALL:
            yield
            return
        if self.bytes + size > self._most and self.bytes:
            raise Busy("Too many large bodies are being read. Try again.")
        self.bytes += size
        try:
            waits = self._turn.locked()
            async with self._turn:
                await asyncio.sleep(_PAUSE_SECONDS if waits else 0)
                yield
        finally:
            self.bytes -= size
