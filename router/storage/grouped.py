"""Upserts that come together go together: one transaction for all that arrived while the last one was under way.

Nobody waits for others to come: a row that finds no write under way is written at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from router.storage.port import Entity, StorageUnavailable, Table, Write
from router.storage.transactions import MOST_WRITES, split
from router.storage.turns import Urgency, at_least


@dataclass
class _Batch:
    """Rows of one partition that wait for the write before them."""

    done: asyncio.Future[None]
    rows: dict[str, Entity] = field(default_factory=dict)


class GroupedUpserts:
    """For tables with few partitions, whose rows are written whatever stood there."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._turns: dict[str, asyncio.Lock] = {}
        self._open: dict[str, _Batch] = {}

    async def put(self, entity: Entity) -> None:
        """Returns when the row is in storage. Raises StorageUnavailable."""
        batch = self._open.get(entity.partition)
        if batch is not None and len(batch.rows) < MOST_WRITES:
            batch.rows[entity.row] = entity
            await asyncio.shield(batch.done)
            return
        batch = _Batch(asyncio.get_running_loop().create_future(), {entity.row: entity})
        self._open[entity.partition] = batch
        try:
            async with self._turns.setdefault(entity.partition, asyncio.Lock()):
                self._close(entity.partition, batch)
                await self._write(list(batch.rows.values()))
        except BaseException as error:
            self._close(entity.partition, batch)
            failure = error if isinstance(error, Exception) else StorageUnavailable("Whoever wrote this was stopped.")
            batch.done.set_exception(failure)
            batch.done.exception()  # nobody may be waiting for it
            raise
        batch.done.set_result(None)

    def _close(self, partition: str, batch: _Batch) -> None:
        """From now on another one collects."""
        if self._open.get(partition) is batch:
            del self._open[partition]

    async def _write(self, rows: list[Entity]) -> None:
        with at_least(Urgency.ROUND):  # the most urgent of all that wait for it
            if len(rows) == 1:
                await self._table.upsert(rows[0])
            else:
                for writes in split([Write("upsert", row)] for row in rows):
                    await self._table.transact(writes)
