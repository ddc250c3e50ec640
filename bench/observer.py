"""A process that makes live pictures of a router's storage for viewers, and does nothing else: all its processor's time
is what pictures cost.

`observed` runs one beside whatever goes on; `python -m bench.observer` is that process."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any, Final, cast

from bench.audience import EVERY_SECONDS
from router.clock import SystemClock
from router.collector import collect_seldom
from router.commit.parts import Parts
from router.ids import Ids
from router.models.types import parse_time
from router.storage.azure import AzureTables
from router.upkeep.procedures import PROCEDURES
from router.usecases.live import Live

#: Before that much has passed, answers leave nothing out.
SETTLING_SECONDS: Final = 8.0
_AT: Final = len(b'{"at":"')


@dataclass(frozen=True)
class Observed:
    """Of each picture, on average: milliseconds of the processor with all that its viewers are answered, and reads."""

    pictures: int
    milliseconds: float
    reads: float
    reads_a_second: float


async def observed(connection_string: str, viewers: int, seconds: float) -> Observed:
    # Not as an argument: it has a key in it.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.observer", str(viewers), str(seconds),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await process.communicate(connection_string.encode())
    assert process.returncode == 0, process.returncode
    return Observed(**json.loads(told))


async def _observe(connection_string: str, viewers: int, seconds: float) -> Observed:
    collect_seldom()  # as the app does
    tables = AzureTables.from_connection_string(connection_string)
    nobody = cast(Any, None)  # no event is sent here, and no rule asked
    live = Live(Parts(tables, SystemClock(), Ids(), nobody, nobody, PROCEDURES))
    looking = [asyncio.create_task(_look(live, number * EVERY_SECONDS / viewers)) for number in range(viewers)]
    try:
        await asyncio.sleep(SETTLING_SECONDS)
        made, reads, spent, began = live.made, live.reads, time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        spent, taken = time.process_time() - spent, time.perf_counter() - began
        made, reads = live.made - made, live.reads - reads
        for one in looking:
            assert not one.done(), one.exception()
    finally:
        for one in looking:
            one.cancel()
        await tables.close()
    return Observed(made, spent * 1000 / made, reads / made, reads / taken)


async def _look(live: Live, offset: float) -> None:
    """As the console asks, without the request."""
    loop = asyncio.get_running_loop()
    due = loop.time() + offset
    since = None
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        due += EVERY_SECONDS
        answer = await live.answer(queue_id=None, own=None, since=since, after=None)
        await live.content(answer, None, zipped=True)
        content = answer.view.content
        since = parse_time(content[_AT : content.index(b'"', _AT)].decode())


if __name__ == "__main__":
    given = sys.stdin.read()
    made = asyncio.run(_observe(given, int(sys.argv[1]), float(sys.argv[2])))
    print(json.dumps(vars(made)))
