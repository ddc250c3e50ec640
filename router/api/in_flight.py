"""Large bodies of requests: bounded together, those that wait and those that are under way, and worked on one after the
other.

Each takes the interpreter while it is parsed and checked (router/offload.py). One after the other, others have their
turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from router.errors import Busy

#: What a body becomes while it is read, merged and written is some times its size.
MAX_IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024
#: Of all that are in this process, most of which wait to be served.
MAX_HELD_BYTES: Final = 48 * 1024 * 1024
#: A smaller one is not counted and does not wait: what is small must not wait for what is large.
SMALL_BYTES: Final = 16 * 1024
#: How long one of them waits for its turn at most: with what it may have waited before (admission.py), less than any
#: client's patience.
LONGEST_SECONDS: Final = 3.0
#: Between two of them: so long others are not held up.
_PAUSE_SECONDS: Final = 0.05


class InFlight:
    """The large bodies of this process."""

    def __init__(
        self, most: int = MAX_IN_FLIGHT_BYTES, most_held: int = MAX_HELD_BYTES, longest: float = LONGEST_SECONDS
    ) -> None:
        self._most = most
        self._most_held = most_held
        self._longest = longest
        self._turn = asyncio.Lock()
        self.bytes = 0
        #: With those that wait.
        self.held = 0

    @contextmanager
    def keep(self, size: int) -> Iterator[None]:
        """While a request with a body of this size waits and is served. Raises Busy (503)."""
        if size <= SMALL_BYTES:
            yield
            return
        if self.held + size > self._most_held:
            raise Busy("Too many large bodies wait. Try again.")
        self.held += size
        try:
            yield
        finally:
            self.held -= size

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """While a request with a body of this size is served. Raises Busy (503)."""
        if size <= SMALL_BYTES:
            yield
            return
        if self.bytes + size > self._most and self.bytes:
            raise Busy("Too many large bodies are being read. Try again.")
        self.bytes += size
        try:
            await self._wait()
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self.bytes -= size

    async def _wait(self) -> None:
        waits = self._turn.locked()
        try:
            async with asyncio.timeout(self._longest):
                await self._turn.acquire()
        except TimeoutError:
            raise Busy("Too many large bodies are being read. Try again.") from None
        if waits:
            try:
                await asyncio.sleep(_PAUSE_SECONDS)
            except BaseException:
                self._turn.release()
                raise
