"""What has happened: the timelines of a job and of a worker, and the changes of settings (docs/history.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from router.commit.parts import Parts
from router.engine import history, then
from router.errors import NotFound
from router.models.history import Entry, entry_key
from router.models.sizes import LARGEST_PAGE
from router.models.types import format_time, parse_time
from router.models.workers import WorkerRecord
from router.storage.deadlines import SHARDS
from router.storage.history import CHANGES, of_job, of_worker
from router.storage.truth_rows import Row

_EXPLAINED_AT_ONCE = 200
#: Pages of storage that one page of filtered changes looks at.
_MOST_PAGES = 20


@dataclass(frozen=True)
class Span:
    """From a time on (None: the first) and before another (None: now)."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def start(self) -> str:
        return entry_key(self.since, "") if self.since is not None else ""

    @property
    def end(self) -> str:
        return entry_key(self.until, "") if self.until is not None else ""

    def has(self, entry: Entry) -> bool:
        return entry.key >= self.start and (not self.end or entry.key < self.end)


async def of_a_job(parts: Parts, job_id: str, size: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """One page of what was committed of the job, in its order, and behind which key the next one begins. Raises
    NotFound if nothing is known of such a job."""
    (stored, more), row = await asyncio.gather(
        parts.history.page(of_job(job_id), after or "", "", size + 1), parts.jobs.store.load(job_id)
    )
    if row.record is None and not row.history and not stored and after is None:
        raise NotFound("Job", job_id)
    shown, following = _merged(stored, row.history, Span(), after, size, more)
    return [_of_row(entry) for entry in shown], following


async def of_a_worker(
    parts: Parts, worker_id: str, span: Span, size: int, after: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """One page of what was committed of the worker, and of jobs as far as it concerned the worker. Raises NotFound if
    nothing is known of such a worker."""
    behind = max(after or "", span.start)
    (stored, more), row = await asyncio.gather(
        parts.history.page(of_worker(worker_id), behind, span.end, size + 1), parts.workers.store.load(worker_id)
    )
    if row.record is None and not row.history and not stored and after is None:
        raise NotFound("Worker", worker_id)
    fresh = [*row.history, *await _in_hand(parts, row, worker_id)]
    shown, following = _merged(stored, fresh, span, after, size, more)
    return [_of_row(entry) for entry in shown], following


async def _in_hand(parts: Parts, row: Row[WorkerRecord], worker_id: str) -> list[Entry]:
    """What the jobs tell that the worker has at the moment: it is with the worker when that is over."""
    if row.record is None:
        return []
    worker = row.record.worker
    ids = dict.fromkeys([*(one.job_id for one in worker.offers), *(one.job_id for one in worker.assigned_jobs)])
    rows = await asyncio.gather(*(parts.jobs.store.load(job_id) for job_id in ids))
    found: list[Entry] = []
    for job in rows:
        for entry in job.history[job.copied :]:
            told = from_json(entry.text)
            if worker_id in history.concerned(told):
                found.append(Entry(entry.key, history.dumped(history.of_worker(told, worker_id))))
    return found


async def explain_at(parts: Parts, job_id: str, at: datetime) -> dict[str, Any]:
    """Why the job was where it was at a time, by what its timeline tells until then. Raises NotFound."""
    told, after = then.Told(), None
    while True:
        found, after = await of_a_job(parts, job_id, _EXPLAINED_AT_ONCE, after)
        for one in found:
            if parse_time(one["at"]) <= at:
                told.add(one)
        if after is None or parse_time(found[-1]["at"]) > at:
            break
    if told.last is None:
        raise NotFound("Job", job_id)
    return {"jobId": job_id, "at": format_time(at), **told.explained()}


async def of_settings(
    parts: Parts, span: Span, kind: str | None, id: str | None, size: int, after: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """One page of changes of policies and queues, oldest first."""
    found: list[dict[str, Any]] = []
    behind, characters = max(after or "", span.start), 0
    for _ in range(_MOST_PAGES):
        some, more = await parts.history.page(CHANGES, behind, span.end, size + 1 - len(found))
        for entry in some:
            told = from_json(entry.text)
            if kind in (None, told["kind"]) and id in (None, told["id"]):
                characters += len(entry.text)
                if len(found) == size or (found and characters > LARGEST_PAGE):
                    return found, behind
                found.append({"at": format_time(entry.at), "eventId": entry.id, **told})
            behind = entry.key
        if not more:
            return found, None
    return found, behind


async def of_all(parts: Parts, span: Span, size: int, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """One page of the entries of all jobs and workers, in the order of time: what the export reads."""
    behind = max(after or "", span.start)
    until = span.end or entry_key(parts.clock.now(), "~")
    shards = await asyncio.gather(
        *(parts.deadlines.log_rows(shard, behind, until, most=size + 1) for shard in range(SHARDS))
    )
    rows = sorted((row for shard in shards for row in shard), key=lambda row: row[1].key)
    shown = rows[:size]
    items = [{"owner": owner, **_of_row(entry)} for owner, entry in shown]
    return items, shown[-1][1].key if len(rows) > size else None


def _merged(
    stored: Sequence[Entry], fresh: Iterable[Entry], span: Span, after: str | None, size: int, more: bool
) -> tuple[list[Entry], str | None]:
    """A page of what is stored and of what still stands in rows, each entry once."""
    end = stored[-1].key if more and stored else None
    found = {entry.key: entry for entry in stored}
    for entry in fresh:
        if span.has(entry) and entry.key > (after or "") and (end is None or entry.key <= end):
            found.setdefault(entry.key, entry)
    ordered = [found[key] for key in sorted(found)]
    shown = ordered[:size]
    return shown, shown[-1].key if len(ordered) > size or (more and shown) else None


def _of_row(entry: Entry) -> dict[str, Any]:
    return history.shown(entry, from_json(entry.text))
