"""What a due settle deadline does: sends what still stands in a row's outbox, then reconciles the aggregate.

It is what makes a crash cost time and nothing else (docs/architecture.md, "What must never break", 3 and 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from router.commit import job as job_commits
from router.commit.loop import SETTLE_AFTER, Commits
from router.commit.parts import Parts
from router.engine.evolve import evolve
from router.models.jobs import SETTLED, JobRecord
from router.models.workers import WorkerRecord, WorkerState
from router.storage.aggregates import Row
from router.storage.deadlines import Deadline
from router.storage.port import RowChanged
from router.upkeep import reconcile

#: How many far deadlines of a job are remembered as armed.
_MOST_ARMED: Final = 60
#: Younger events may be on their way from another process: looked at again later.
_IN_FLIGHT: Final = timedelta(seconds=4)


async def settle_job(parts: Parts, job_id: str, due: datetime) -> None:
    commit = await _settle(parts, parts.jobs, job_id, due)
    if commit is not None:
        await reconcile.reconcile_job(parts, job_id)
        parts.followed.settled(commit)


async def settle_worker(parts: Parts, worker_id: str, due: datetime) -> None:
    commit = await _settle(parts, parts.workers, worker_id, due)
    if commit is not None:
        await reconcile.reconcile_worker(parts, worker_id)
        parts.followed.settled(commit)


async def settle_jobs(parts: Parts, deadline: Deadline) -> None:
    """The jobs whose settle deadlines share a row."""
    await _each(deadline, lambda job_id: settle_job(parts, job_id, deadline.due))


async def settle_workers(parts: Parts, deadline: Deadline) -> None:
    """The workers whose settle deadlines share a row."""
    await _each(deadline, lambda worker_id: settle_worker(parts, worker_id, deadline.due))


async def _each(deadline: Deadline, settle: Callable[[str], Awaitable[None]]) -> None:
    """Settles all that it can, one after the other. Raises the first failure: then all are looked at again, and those
    that were settled need nothing more."""
    failure: Exception | None = None
    for target in (deadline.target, *deadline.others):
        try:
            await settle(target)
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure


async def _settle(parts: Parts, commits: Commits[Any], id: str, due: datetime) -> str | None:
    """The commit of the row that is to be reconciled; None if there is no need, or a later deadline watches over it."""
    store = commits.store
    for _ in range(10):
        row: Row[Any] = await store.load(id)
        if not row.version:
            return None
        if row.settle_at is None or row.settle_at > due:
            # Used up by another instance, or never relied on: a later one watches, if there is something to watch.
            if row.settle_at is not None:
                return None
            if not row.outbox and not row.overflow:
                return row.commit
        unsent = parts.outbox.unsent(row.outbox)
        now = parts.clock.now()
        if unsent and not row.overflow and now - unsent[-1].time < _IN_FLIGHT:
            later = now + SETTLE_AFTER
            await parts.deadlines.arm(Deadline(f"settle-{store.kind}", id, later))
            record = await _with_deadlines(parts, row.record)
            if await _saved(parts, commits, replace(row, record=record, settle_at=later)):
                return None
            continue
        if row.overflow:
            await parts.outbox.send(f"{store.kind}/{id}", await store.overflow(row))
        if unsent:
            await parts.outbox.send(f"{store.kind}/{id}", unsent)
        if row.record is None:
            try:
                await store.drop_overflow(row)
                await store.drop(row)
            except RowChanged:
                continue
            return None
        record = await _with_deadlines(parts, row.record)
        commit = await _saved(parts, commits, replace(row, record=record, outbox=(), overflow=(), settle_at=None))
        if commit:
            await store.drop_overflow(row)
            return None if commit in parts.followed and not _unfinished(row.record) else commit
    return row.commit


def _unfinished(record: JobRecord | WorkerRecord) -> bool:
    """Whether there may be more to do than what hung on the last commit."""
    if isinstance(record, JobRecord):
        return record.status not in SETTLED
    return bool(record.worker.offers) or record.routing.deleting or record.worker.state is WorkerState.DRAINING


async def _with_deadlines(parts: Parts, record: Any) -> Any:
    """A job that is still there after its first seconds gets the rest of its deadlines; most have moved on before."""
    if not isinstance(record, JobRecord):
        return record
    later = await job_commits.later_deadlines(parts, record)
    if not later:
        return record
    await asyncio.gather(*(parts.deadlines.arm(deadline) for deadline in later))
    return evolve(record, routing={"armed": [*record.routing.armed, *(one.row for one in later)][-_MOST_ARMED:]})


async def _saved(parts: Parts, commits: Commits[Any], row: Row[Any]) -> str | None:
    """The commit with which the row was written; None if somebody has written it meanwhile."""
    try:
        saved = await commits.store.save(row, parts.ids.guid())
    except RowChanged:
        return None
    parts.followed.done(row.commit, saved.commit)
    return saved.commit
