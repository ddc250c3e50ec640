"""The rows that live pictures are made of, as a process knows them: read whole once, and then no more than what was
written since.

What this process takes away it knows. A job that another one has taken out of its line is told by the worker who holds
it, or by the row that it has elsewhere; of other jobs and workers that are gone the process tells that has taken them
away (storage/departures.py). What nobody has told, since that process was killed, say, is seen when the keys of all
rows have been looked over, some pages with each picture."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Final, TypeVar

from router.commit.parts import Parts
from router.engine.live_lines import InLine
from router.models.types import format_time
from router.storage import departures
from router.storage.departures import TOLD_FOR, Departure
from router.usecases.live_look import Look

T = TypeVar("T")
#: Behind every time.
_NEVER: Final = "~"
Key = tuple[str, str]
_Page = Callable[[Key | None], Awaitable[tuple[list[T], Key | None]]]
#: How often all keys are looked over: a storage takes its time for many rows, and who routes waits for it.
_LOOK_SECONDS: Final = 2.0
_LONGEST_LOOK_SECONDS: Final = 10.0
_ROWS_A_SECOND: Final = 250
#: With a picture at most so many pages of that: then it takes longer.
_MOST_PAGES: Final = 4
#: How late a row may be there after the time that it has: clocks differ, and a write takes its time.
_LATE: Final = timedelta(seconds=3)
#: After a longer pause all is read again: what has gone meanwhile may not be told any more.
_LONGEST_PAUSE: Final = TOLD_FOR - 2 * _LATE


class LiveRows:
    """`workers` (stored JSON) by the keys of their ids, and the lines."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.workers: dict[str, str] = {}
        #: Counts what has changed.
        self.revision = 0
        #: By queue and row.
        self._lines: dict[str, dict[str, InLine]] = {}
        #: The lines in order, of the queues whose line has not changed.
        self._in_order: dict[str, Sequence[InLine]] = {}
        #: Where each job stands.
        self._places: dict[str, Key] = {}
        #: Rows of jobs that somebody has taken since they were written, and when that was: they go late.
        self._taken: dict[Key, str] = {}
        #: When rows were written.
        self._lines_written: dict[Key, str] = {}
        self._workers_written: dict[str, str] = {}
        self._read_at: datetime | None = None
        self._whole = True
        self._looks: list[Look[Key] | Look[str]] = []
        self._next_look = 0.0
        self._look_seconds = _LOOK_SECONDS
        self._pages = 1

    def lines(self) -> Mapping[str, Sequence[InLine]]:
        """Each queue's in the order of service, by the queue's key. One that has not changed is the same object."""
        for queue, rows in self._lines.items():
            if queue not in self._in_order:
                self._in_order[queue] = tuple(sorted(rows.values()))
        return dict(self._in_order)

    async def refresh(self) -> int:
        """Takes in what was written since the last time. Returns the reads that it took. Raises StorageUnavailable."""
        self._drop_gone()
        at = self._parts.clock.now()
        # One after the other: who routes asks the same storage.
        if self._read_at is None or self._whole or at - self._read_at > _LONGEST_PAUSE:
            reads = await self._read_all()
        else:
            since = self._read_at - _LATE
            reads = await self._read_since(since)
            reads += await self._look_over(since)
        self._read_at = at
        # These may have been read just before they were taken away.
        self._drop_gone()
        return reads

    async def _read_all(self) -> int:
        self._taken.clear()
        lines, first = await all_pages(self._parts.backlog.everyone)
        workers, second = await all_pages(self._parts.worker_rows.everyone)
        for place in self._lines_written.keys() - {(line.queue_key, line.row) for line, _ in lines}:
            self._drop_line(place)
        for worker in self._workers_written.keys() - {key for key, _, _ in workers}:
            self._drop_worker(worker)
        self._put_lines(lines)
        self._put_workers(workers)
        self._whole = False
        self._looks = []
        self._expect(first + second)
        self._next_look = asyncio.get_running_loop().time() + self._look_seconds
        return first + second

    async def _read_since(self, since: datetime) -> int:
        backlog, workers = self._parts.backlog, self._parts.worker_rows
        lines, first = await all_pages(partial(backlog.everyone, since=since))
        self._put_lines(lines)
        found, second = await all_pages(partial(workers.everyone, since=since))
        self._put_workers(found)
        self._drop_told(await self._parts.departures.since(since))
        return first + second + 1

    async def _look_over(self, since: datetime) -> int:
        """Some pages of the look over all keys that goes on, or of the next one if it is time for that."""
        if not self._looks:
            now = asyncio.get_running_loop().time()
            if now < self._next_look:
                return 0
            self._next_look = now + self._look_seconds
            backlog, workers = self._parts.backlog, self._parts.worker_rows
            self._looks = [
                Look(backlog.when_written, self._lines_written, self._drop_line),
                Look(workers.when_written, self._workers_written, self._drop_worker),
            ]
        reads = 0
        for look in self._looks:
            while not look.done and reads < self._pages:
                reads += 1
                await look.turn(format_time(since))
        if all(look.done for look in self._looks):
            self._whole = any(look.missed for look in self._looks)
            self._expect(sum(look.pages for look in self._looks))
            self._looks = []
        return reads

    def _expect(self, pages: int) -> None:
        """So many the next look over all keys will have."""
        rows = len(self._places) + len(self.workers)
        self._look_seconds = max(_LOOK_SECONDS, min(rows / _ROWS_A_SECOND, _LONGEST_LOOK_SECONDS))
        self._pages = min(_MOST_PAGES, math.ceil(pages / self._look_seconds))

    def _put_lines(self, rows: Iterable[tuple[InLine, str]]) -> None:
        """A job that is moved has two rows for a moment: the later one counts."""
        for line, written in sorted(rows, key=itemgetter(1)):
            place = (line.queue_key, line.row)
            if self._taken.get(place) == written:
                continue
            before = self._places.get(line.job_id)
            if before is not None and before != place:
                self._drop_line(before)
            known = self._lines.setdefault(line.queue_key, {})
            if known.get(line.row) != line:
                known[line.row] = line
                self._in_order.pop(line.queue_key, None)
                self.revision += 1
            self._places[line.job_id] = place
            self._lines_written[place] = written
            self._taken.pop(place, None)

    def _put_workers(self, rows: Iterable[tuple[str, str, str]]) -> None:
        for key, text, written in rows:
            if not text:
                self._drop_worker(key)
                continue
            if text != self.workers.get(key):
                self.workers[key] = text
                self.revision += 1
            self._workers_written[key] = written

    def took(self, jobs: Mapping[str, str]) -> None:
        """Workers hold these jobs, since when: they are out of their lines, though their rows may be there still, which
        a look over the keys finds if it lasts. One that comes back has a row that was written later."""
        for job in jobs.keys() & self._places.keys():
            place = self._places[job]
            written = self._lines_written[place]
            if written < jobs[job]:
                self._drop_line(place)
                self._taken[place] = written

    def _drop_told(self, told: Iterable[Departure]) -> None:
        for one in told:
            if one.table == departures.LINES:
                place = (one.partition, one.row)
                if self._lines_written.get(place, _NEVER) <= one.at:
                    self._drop_line(place)
            elif self._workers_written.get(one.partition, _NEVER) <= one.at:
                self._drop_worker(one.partition)

    def _drop_line(self, place: Key) -> None:
        queue, row = place
        self._taken.pop(place, None)
        line = self._lines.get(queue, {}).pop(row, None)
        if line is None:
            return
        del self._places[line.job_id], self._lines_written[place]
        self._in_order.pop(queue, None)
        if not self._lines[queue]:
            del self._lines[queue]
        self.revision += 1

    def _drop_worker(self, key: str) -> None:
        if self.workers.pop(key, None) is not None:
            del self._workers_written[key]
            self.revision += 1

    def _drop_gone(self) -> None:
        """What this process has taken away."""
        for place in self._parts.backlog.gone.take():
            self._drop_line(place)
        for worker in self._parts.worker_rows.gone.take():
            self._drop_worker(worker)


async def all_pages(page: _Page[T]) -> tuple[list[T], int]:
    """All pages, and how many they were."""
    found: list[T] = []
    after: Key | None = None
    number = 0
    while True:
        rows, after = await page(after)
        found += rows
        number += 1
        if after is None:
            return found, number
