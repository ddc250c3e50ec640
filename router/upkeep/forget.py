"""A worker is deleted with all of its traces: so is what histories tell of it (docs/security.md).

A minute after the deletion, when nothing of it is under way any more, its own entries and what was counted of it go;
what jobs tell stays, and calls it `deleted`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json

from router.commit.parts import Parts
from router.engine import history
from router.errors import Busy
from router.models.history import Entry, entry_key
from router.storage.deadlines import Deadline, LogRow
from router.storage.history import of_job, of_worker
from router.storage.port import RowChanged

#: Until then what has been under way is told.
_AFTER: Final = timedelta(seconds=60)
_AT_ONCE: Final = 500
_TRIES: Final = 8


async def arm(parts: Parts, worker_id: str) -> None:
    """To be called before the worker's row goes."""
    if parts.chronicle.keeps:
        await parts.deadlines.arm(Deadline("forget-worker", worker_id, parts.clock.now() + _AFTER))


async def forget(parts: Parts, worker_id: str, due: datetime) -> None:
    """What a deadline of kind `forget-worker` does. It may run again. Raises Busy when a job does not hold still."""
    deleted_at = due - _AFTER
    row = await parts.workers.store.load(worker_id)
    if row.record is not None and row.record.created_at < deleted_at:
        return  # it was not deleted after all
    until = entry_key(due, "")
    days: set[datetime] = set()
    while True:
        entries, more = await parts.history.page(of_worker(worker_id), "", until, _AT_ONCE)
        for entry in entries:
            days |= {entry.at.replace(hour=0, minute=0, second=0, microsecond=0)}
            told = from_json(entry.text)
            if "jobId" in told:
                await _of_job(parts, worker_id, str(told["jobId"]), entry.key)
            else:
                await parts.deadlines.drop_log(worker_id, entry.key)
        await parts.history.remove(of_worker(worker_id), [entry.key for entry in entries])
        if not more:
            break
    if days:
        first, last = min(days) - timedelta(days=1), parts.clock.now().astimezone(UTC)
        span = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        await parts.facts.forget_worker(worker_id, span)


async def _of_job(parts: Parts, worker_id: str, job_id: str, key: str) -> None:
    logged, apart = await asyncio.gather(parts.deadlines.read_log(job_id, key), parts.history.get(of_job(job_id), key))
    if logged is not None:
        await parts.deadlines.rewrite_log(LogRow("job", job_id, _without(logged, worker_id)))
    if apart is not None:
        await parts.history.put({of_job(job_id): [_without(apart, worker_id)]})
    for _ in range(_TRIES):
        row = await parts.jobs.store.load(job_id)
        entries = tuple(_without(entry, worker_id) if entry.key == key else entry for entry in row.history)
        if entries == row.history:
            return
        with suppress(RowChanged):
            await parts.jobs.store.save(replace(row, history=entries), parts.ids.guid())
            return
    raise Busy


def _without(entry: Entry, worker_id: str) -> Entry:
    return Entry(entry.key, history.dumped(_anonymous(from_json(entry.text), worker_id)))


def _anonymous(value: Any, worker_id: str) -> Any:
    """The entry without the worker's name, wherever it is named: as a worker, and as who did it, since agents sign in
    as the worker that they are."""
    if isinstance(value, dict):
        if value.get("kind") == "entra" and value.get("name") == worker_id:
            return {**value, "name": history.DELETED}
        return {
            name: history.DELETED if name == "workerId" and item == worker_id else _anonymous(item, worker_id)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_anonymous(item, worker_id) for item in value]
    return value
