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
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        if storage.seconds is not None:
            limit.reschedule(loop.time())
        else:
            timer = loop.call_later(_LOOKS_SECONDS, look)

    timer = loop.call_later(longest, look)
    try:
        async with asyncio.timeout(None) as limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise Busy("Storage did not answer. Try again.") from None
    finally:
        CAME.set(before)
        timer.cancel()
