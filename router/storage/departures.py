"""What processes have taken out of lines and of the workers' table, told to each other: who follows a table by what is
written to it (usecases/live_rows.py) sees what comes and what changes, and not what goes.

Layout: in the table of throughput, PartitionKey = `~left`, which is no queue's, RowKey = one of a few numbers, by the
process; Written, and `Left0..n` the last of what has gone, as JSON. Two processes may have the same row, and one may
die before it tells: then it is not told. A hint."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from router.clock import Clock
from router.models.types import format_time
from router.storage.documents import read_document, write_document
from router.storage.keys import SEPARATOR
from router.storage.port import Condition, Entity, StorageUnavailable, Table

#: For so long it is told what has gone.
TOLD_FOR: Final = timedelta(seconds=60)
LINES: Final = "backlog"
WORKERS: Final = "workers"
_PARTITION: Final = f"{SEPARATOR}left"
#: So many rows there are at most, whatever number of processes there has been.
_ROWS: Final = 256
_MOST_CHARACTERS: Final = 60_000


class Departure(NamedTuple):
    """A row that is no more: its table, its keys, and when it went."""

    table: str
    partition: str
    row: str
    at: str


class DepartureStore:
    def __init__(self, table: Table, clock: Clock, instance: str) -> None:
        self._table = table
        self._clock = clock
        self._row = str(int.from_bytes(hashlib.sha256(instance.encode()).digest()[:4]) % _ROWS)
        #: The oldest first.
        self._left: deque[Departure] = deque()
        self._characters = 0
        self._turn = asyncio.Lock()
        self._wanted = self._written = 0

    async def tell(self, table: str, keys: Iterable[tuple[str, str]]) -> None:
        """That these rows of a table have gone, or go now. Many at a time are told at once."""
        now = self._clock.now()
        for partition, row in keys:
            self._left.append(Departure(table, partition, row, format_time(now)))
            self._characters += _size(self._left[-1])
        self._wanted += 1
        mine = self._wanted
        async with self._turn:
            if self._written >= mine:
                return
            written = self._wanted
            self._forget(format_time(self._clock.now() - TOLD_FOR))
            columns = write_document("Left", json.dumps(list(self._left), separators=(",", ":")))
            with suppress(StorageUnavailable):
                await self._table.upsert(
                    Entity(_PARTITION, self._row, {**columns, "Written": format_time(self._clock.now())})
                )
            self._written = written

    def _forget(self, before: str) -> None:
        while self._left and (self._left[0].at < before or self._characters > _MOST_CHARACTERS):
            self._characters -= _size(self._left.popleft())

    async def since(self, moment: datetime) -> list[Departure]:
        """What all processes tell that have told something since."""
        where: list[Condition] = [("PartitionKey", "eq", _PARTITION), ("Written", "ge", format_time(moment))]
        found = await self._table.scan(where)
        return [Departure(*one) for row in found.rows for one in json.loads(read_document("Left", row))]


def _size(one: Departure) -> int:
    """As JSON."""
    return sum(map(len, one)) + 16
