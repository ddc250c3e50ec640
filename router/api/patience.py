"""How long a request waits for storage that does not answer: a client shall have its 503 before it gives up.

Storage's own limit is one of each call of it (storage/azure.py). A request makes several, and may wait for its turn at
a row behind others that wait as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from router.errors import Busy
from router.outages import Outage
from router.storage.turns import CAME

LONGEST_SECONDS: Final = 9.0
#: Between two looks whether storage is silent, once a request has taken that long.
_LOOKS_SECONDS: Final = 0.5


@asynccontextmanager
async def patience(storage: Outage, longest: float = LONGEST_SECONDS) -> AsyncIterator[None]:
    """What takes longer while storage does not answer is given up: as if the process had ended there, which settle
    deadlines make good. What takes longer for another reason goes on, but a new job is not begun after some seconds
    (storage/turns.py). Raises Busy (503)."""
    loop = asyncio.get_running_loop()
    before = CAME.get()
    CAME.set(loop.time())
    limit = asyncio.timeout(None)
    looks = _Looks(loop, storage, limit, longest)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise Busy("Storage did not answer. Try again.") from None
    finally:
        CAME.set(before)
        looks.end()


class _Looks:
    """Looks whether storage is silent, once a request has taken long, and ends it then. It holds nobody who holds it
    when it has ended: each request would leave some garbage that only a look for circles finds."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, storage: Outage, limit: asyncio.Timeout, longest: float
    ) -> None:
        self._loop = loop
        self._storage = storage
        self._limit = limit
        self._timer: asyncio.TimerHandle | None = loop.call_later(longest, self._look)

    def _look(self) -> None:
        if self._storage.seconds is not None:
            self._limit.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_later(_LOOKS_SECONDS, self._look)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
