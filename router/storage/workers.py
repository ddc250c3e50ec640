"""The truth rows of workers, the columns that lists of workers filter by, and what is asked of all of them."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from router.clock import Clock
from router.models.types import format_time
from router.models.workers import WorkerRecord
from router.storage import departures
from router.storage.aggregates import AggregateStore
from router.storage.departures import DepartureStore
from router.storage.documents import read_document
from router.storage.gone import Gone
from router.storage.keys import key
from router.storage.port import Condition, Table
from router.storage.record_pages import Position
from router.storage.truth_rows import Row


class WorkerStore(AggregateStore[WorkerRecord]):
    """The truth rows of workers."""

    def __init__(self, table: Table, clock: Clock | None = None, departures: DepartureStore | None = None) -> None:
        """`departures`: where it is told which are dropped."""
        super().__init__(table, "worker", WorkerRecord, _worker_columns, clock)
        self.gone: Gone[str] = Gone()
        self._departures = departures

    async def drop(self, row: Row[WorkerRecord]) -> None:
        await super().drop(row)
        self.gone.add([key(row.id)])
        if self._departures is not None:
            await self._departures.tell(departures.WORKERS, [(key(row.id), key(row.id))])

    async def everyone(
        self, after: Position | None, *, since: datetime | None = None
    ) -> tuple[list[tuple[str, str, str]], Position | None]:
        """A page of all workers, in no order: the keys of their ids, their records as the JSON that they are stored as,
        and when their rows were written. `since`: those alone that were written since, and without JSON those that are
        deleted."""
        where: Condition = ("Kind", "eq", self.kind) if since is None else ("Written", "ge", format_time(since))
        found = await self._table.scan([where], after=after)
        rows = [(row["PartitionKey"], read_document("Doc", row), row.get("Written") or "") for row in found.rows]
        return rows, found.next

    async def when_written(self, after: Position | None) -> tuple[list[tuple[str, str]], Position | None]:
        """A page of all workers, in no order: the keys of their ids, and when their rows were written."""
        found = await self._table.scan([("Kind", "eq", self.kind)], after=after, columns=["Written"])
        return [(row["PartitionKey"], row.get("Written") or "") for row in found.rows], found.next

    async def naming_queue(self, queue_id: str) -> str | None:
        """The id of a worker that has the queue among its queues, if there is one. Of all workers one column is read,
        a thousand in an operation: queues are deleted seldom."""
        after: Position | None = None
        where: list[Condition] = [("Kind", "eq", self.kind)]
        while True:
            page = await self._table.query(where, after=after, columns=["Id", "Queues"])
            for entity in page.entities:
                # A row that was written before there was such a column is read.
                if queue_mark(queue_id) in str(entity.columns.get("Queues", queue_mark(queue_id))):
                    record = (await self.load(str(entity.columns["Id"]))).record
                    if record is not None and queue_id in record.worker.queues:
                        return record.id
            after = page.next
            if after is None:
                return None


def _worker_columns(record: WorkerRecord) -> dict[str, Any]:
    return {"State": str(record.worker.state), "Queues": "".join(map(queue_mark, record.worker.queues))}


def queue_mark(queue_id: str) -> str:
    """A queue among those of a worker's row: short, so that all fit into one column; others may have the same."""
    return f"{hashlib.sha256(queue_id.encode()).hexdigest()[:12]} "
