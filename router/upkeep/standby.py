"""Who stands in for the timer: the platform runs it on one instance, and may be slow to give it another one.

Each process looks once in a while whether deadlines are late. If they are it runs what is due, each second for a while,
as the timer would. Several may do so at once, and beside the timer: every handler is idempotent."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final

from router.commit.parts import Parts
from router.outages import is_told, trace
from router.storage.deadlines import SHARDS
from router.upkeep.deadlines import DeadlineRunner

_log = logging.getLogger(__name__)

#: Deadlines that are later than this have no timer. Nothing is undone for longer than this and the next together.
LATE: Final = timedelta(seconds=60)
_LOOKS_SECONDS: Final = (40.0, 55.0)
#: How long it runs what is due, once it has found something late.
_STANDS_IN_SECONDS: Final = 60


class Standby:
    """One process's look at the timer."""

    def __init__(self, parts: Parts, runner: DeadlineRunner) -> None:
        self._parts = parts
        self._runner = runner

    async def run(self) -> None:
        """Looks until it is cancelled."""
        least, most = _LOOKS_SECONDS
        while True:
            await asyncio.sleep(least + (most - least) * self._parts.ids.fraction())
            try:
                if await self._is_late():
                    await self._stand_in()
            except Exception as error:
                if not is_told(error):  # a wrong clock is: those with the right time stand in
                    _log.warning(
                        "Standing in for the timer failed; it is tried again: %r", error, exc_info=trace(error)
                    )

    async def _is_late(self) -> bool:
        until = self._parts.clock.now() - LATE
        found = await asyncio.gather(*(self._parts.deadlines.due(shard, until, 1) for shard in range(SHARDS)))
        # One that is put off is due later, and one that fails for ever is given up: neither stays there.
        return any(found)

    async def _stand_in(self) -> None:
        _log.warning("Deadlines are more than %d s late: this process runs what is due.", LATE.total_seconds())
        loop = asyncio.get_running_loop()
        ends = loop.time() + _STANDS_IN_SECONDS
        while loop.time() < ends:
            next = loop.time() + 1
            await self._runner.tick()
            await asyncio.sleep(max(next - loop.time(), 0))
