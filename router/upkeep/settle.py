"""What a due settle deadline does. Most often whoever committed has taken it back before; what the timer finds is what
somebody has left undone: then the aggregate is reconciled and its events are sent.

It is what makes a crash cost time and nothing else (docs/architecture.md, "What must never break", 3 and 8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final

from router.commit.loop import Commits
from router.commit.parts import Parts
from router.commit.watch import SETTLE_AFTER
from router.storage.deadlines import Deadline
from router.storage.port import RowChanged
from router.storage.truth_rows import Row
from router.upkeep.job import reconcile_job
from router.upkeep.worker import reconcile_worker

Reconcile = Callable[[Parts, str], Awaitable[None]]

#: When a row that is not there is looked for again, after each time. Whoever was about to write it may stand still, for
#: as long as a function may run at most: two minutes.
_LOOKED_FOR: Final = (timedelta(seconds=45), timedelta(seconds=75))


async def settle_job(parts: Parts, job_id: str, due: datetime, looks: int = 0) -> None:
    """`looks`: how often the row has been looked for in vain."""
    await _settle(parts, parts.jobs, job_id, due, reconcile_job, looks)


async def settle_worker(parts: Parts, worker_id: str, due: datetime, looks: int = 0) -> None:
    """As `settle_job`."""
    await _settle(parts, parts.workers, worker_id, due, reconcile_worker, looks)


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


async def _settle(
    parts: Parts, commits: Commits[Any], id: str, due: datetime, reconcile: Reconcile, looks: int
) -> None:
    store = commits.store
    for _ in range(10):
        row: Row[Any] = await store.load(id)
        if not row.version:
            if looks < len(_LOOKED_FOR):
                later = Deadline(f"settle-{store.kind}", id, due + _LOOKED_FOR[looks], attempt=looks + 1)
                await parts.deadlines.arm(later)
            return
        if row.settle_at is not None and row.settle_at > due:
            # A later one watches over it. What it tells need not wait as long.
            await parts.chronicle.log(parts.chronicle.pending(store.kind, row))
            return
        try:
            if row.is_followed and row.record is not None:
                told = await parts.chronicle.settled(store.kind, row)
                if row.settle_at is not None or told.copied != row.copied:
                    await commits.watch.taken_back(told)
                return
            if row.promised_until is not None and row.promised_until > parts.clock.now():
                await commits.watch.extended(row, SETTLE_AFTER)  # somebody is at it
                return
            if row.record is not None:
                await reconcile(parts, id)
                now = await store.load(id)
                if now.version != row.version:
                    continue
            # Last, and after all else: the topic may not answer.
            name = f"{store.kind}/{id}"
            async for events, rows in store.overflow.parts(row):
                await parts.outbox.send_soon(name, events)
                await store.overflow.drop_part(row, rows)
            await parts.outbox.send_soon(name, row.outbox)
            if row.record is None:
                await parts.chronicle.bury(store.kind, row)
                await store.overflow.drop(row)
                await store.drop(row)
                return
            row = await parts.chronicle.settled(store.kind, row)
            await commits.watch.taken_back(row.followed())
            await store.overflow.drop(row)
            return
        except RowChanged:
            continue
