"""What becomes of the entries of a row (docs/history.md).

They stand in the row, written with the change that they tell of. The settle deadline that stands behind that change is
removed in one transaction that puts them into the log: so while the one is not there the other one is. With the
workers whom they concern they are put before the row is cleared for good."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar

from pydantic_core import from_json

from router.clock import Clock
from router.engine import history
from router.models.history import LARGEST_HISTORY, Entry
from router.models.jobs import ENDED, JobRecord
from router.models.workers import WorkerRecord
from router.recent import RecentIds
from router.storage import history as histories
from router.storage.deadlines import DeadlineStore, LogRow
from router.storage.history import HistoryStore
from router.storage.truth_rows import Row, history_units

R = TypeVar("R", JobRecord, WorkerRecord)
#: Entries that a worker's row keeps: there they are many, and it is written often.
_MOST_OF_WORKER: Final = 20


class Chronicle:
    """Keeps the entries of jobs and workers, as one process sees them."""

    def __init__(self, store: HistoryStore, deadlines: DeadlineStore, clock: Clock, days: int) -> None:
        """`days` for which entries are kept; 0: there are none."""
        self._store = store
        self._deadlines = deadlines
        self._clock = clock
        self._days = days
        #: Entries that this process knows to be in the log.
        self._known = RecentIds(20_000)

    @property
    def keeps(self) -> bool:
        return self._days > 0

    async def with_entry(self, kind: str, row: Row[R], entry: Entry) -> Row[R]:
        """The row with one entry more, as it is to be written. What it has no room for is put elsewhere first."""
        row = self._with_logged(row)
        size = history_units((*row.history, entry))
        many = kind == "worker" and len(row.history) >= _MOST_OF_WORKER
        if row.history and (size > LARGEST_HISTORY or many):
            await self._move(kind, row)
            row = replace(row, history=(), logged=0, copied=0)
        return replace(row, history=(*row.history, entry))

    def pending(self, kind: str, row: Row[Any]) -> list[LogRow]:
        """What the log may not have yet. Entries that are about to be forgotten are left out."""
        oldest = self._clock.now() - timedelta(days=max(self._days - 1, 0))
        return [
            LogRow(kind, row.id, entry)
            for entry in row.history[row.logged :]
            if entry.id not in self._known and entry.at > oldest
        ]

    def logged(self, rows: Iterable[LogRow]) -> None:
        """The log has these."""
        self._known.add(one.entry.id for one in rows)

    async def log(self, rows: Sequence[LogRow]) -> None:
        """Puts them into the log now. Raises StorageUnavailable."""
        if rows:
            await self._deadlines.log(rows, self._clock.now())
            self.logged(rows)

    async def copied(self, row: Row[R]) -> Row[R]:
        """The row, whose entries are with the workers whom they concern: of a job that has ended, or if somebody is
        concerned who has nothing more to do with it."""
        record = row.record
        if not isinstance(record, JobRecord) or row.copied >= len(row.history):
            return row
        by_worker = self._by_worker(row)
        if not by_worker or not (record.status in ENDED or set(by_worker) - history.holders(record)):
            return row
        await self._store.put({histories.of_worker(id): some for id, some in by_worker.items()})
        return replace(row, copied=len(row.history))

    async def settled(self, kind: str, row: Row[R]) -> Row[R]:
        """All that is to be done for the entries of a row that rests. Raises StorageUnavailable."""
        await self.log(self.pending(kind, row))
        return await self.copied(row)

    async def bury(self, kind: str, row: Row[Any]) -> None:
        """The row is about to be removed: its entries stay. Raises StorageUnavailable."""
        if row.history:
            await self._move(kind, row)

    def _with_logged(self, row: Row[R]) -> Row[R]:
        number = row.logged
        while number < len(row.history) and row.history[number].id in self._known:
            number += 1
        return replace(row, logged=number) if number != row.logged else row

    async def _move(self, kind: str, row: Row[Any]) -> None:
        await self.log(self.pending(kind, row))
        own = histories.of_job(row.id) if kind == "job" else histories.of_worker(row.id)
        parts: dict[str, Sequence[Entry]] = {own: row.history}
        if kind == "job":
            parts |= {histories.of_worker(id): some for id, some in self._by_worker(row).items()}
        await self._store.put(parts)

    @staticmethod
    def _by_worker(row: Row[Any]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        if isinstance(row.record, WorkerRecord):
            return found
        for entry in row.history[row.copied :]:
            told = from_json(entry.text)
            for worker_id in history.concerned(told):
                one = Entry(entry.key, history.dumped(history.of_worker(told, worker_id)))
                found.setdefault(worker_id, []).append(one)
        return found
