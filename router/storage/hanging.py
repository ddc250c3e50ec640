"""Calls of storage that hang while others are answered again.

What was sent into an outage may never be answered, though storage is back: whoever has sent it, a round for one, would
wait for it as long as a call may take, and everybody behind it too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from router.outages import Outage

#: So long after the end of an outage what hung in it is given up: most is answered by then.
_ANSWERED_BY_SECONDS: Final = 1.0
#: What has hung for less at its end is not of it.
_HUNG_SECONDS: Final = 1.0


class Hanging:
    """The calls that are under way, and since when."""

    def __init__(self, storage: Outage, longest: float | None) -> None:
        """`longest`: seconds that a call takes at most."""
        self._storage = storage
        self._longest = longest
        self._under_way: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """One call. Raises TimeoutError."""
        async with asyncio.timeout(self._longest) as limit:
            self._under_way[limit] = asyncio.get_running_loop().time()
            try:
                yield
            finally:
                del self._under_way[limit]

    def answered(self) -> None:
        """Storage has answered a call."""
        if self._storage.seconds is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(_ANSWERED_BY_SECONDS, self._give_up, loop.time() - _HUNG_SECONDS)
        self._storage.answered()

    def _give_up(self, since: float) -> None:
        now = asyncio.get_running_loop().time()
        for limit, began in self._under_way.items():
            if began < since and not limit.expired():
                limit.reschedule(now)
