"""A change of a worker with what hangs on it: its deadlines before it, its availability rows after it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from router.commit.loop import Committed
from router.commit.parts import Parts
from router.engine import workers
from router.engine.candidates import available
from router.engine.change import WorkerChange
from router.models.event_catalogue import QueueBrief
from router.models.jobs import JobRecord, RouterJobAssignment
from router.models.workers import IDLE_DAYS, WorkerRecord
from router.storage.availability import Move
from router.storage.deadlines import Deadline
from router.storage.truth_rows import Row
from router.storage.turns import Urgency

_DAY: Final = timedelta(days=1)
#: A decision about a worker's row; it may run several times.
Step = Callable[[Row[WorkerRecord]], Awaitable[WorkerChange | None]]


def existing(decide: Callable[[WorkerRecord], WorkerChange | None]) -> Step:
    """The step of a pure decision about a worker that exists; there is nothing to do where it does not."""

    async def step(row: Row[WorkerRecord]) -> WorkerChange | None:
        return decide(row.record) if row.record is not None else None

    return step


async def change(
    parts: Parts,
    worker_id: str,
    step: Step,
    row: Row[WorkerRecord] | None = None,
    *,
    from_memory: bool = False,
    of_job: bool = False,
    until: asyncio.Future[None] | None = None,
) -> Committed[WorkerRecord]:
    """Commits what `step` decides (see Commits.change). `of_job`: it follows a job's commit, whose settle deadline
    stands behind it and who asks for what becomes possible. `until`: the caller does more that hangs on the commit."""

    new: list[WorkerRecord] = []

    async def decide(found: Row[WorkerRecord]) -> WorkerChange | None:
        new.clear()
        decided = await step(found)
        if decided is not None and decided.record is not None:
            if found.record is None:
                new.append(decided.record)
            await _arm_idle(parts, found, decided.record)
            return replace(decided, record=_dated(found.record, decided.record, parts.clock.now()))
        return decided

    async def list_new() -> None:
        for record in new:
            await parts.listing.add("worker", record.id, record.created_at)

    committed = await parts.workers.change(
        worker_id, decide, row, from_memory=from_memory, watched=not of_job, beside=list_new
    )
    if not committed.changed:
        return committed
    work: asyncio.Future[Any] | None = None
    left = parts.outbox.is_left(parts.workers.store, committed.before)
    try:
        await index(parts, committed)
        if left:
            # Whoever made the commit before may have died, and this one takes its events and its promise over.
            reconciled = parts.procedures.reconcile_worker(parts, worker_id, committed.after)
            work = parts.background.begin(reconciled, f"reconcile worker/{worker_id}", Urgency.FOLLOW)
        elif not of_job and parts.drives:
            work = _ask(parts, committed)
        if until is not None and parts.drives:
            work = asyncio.gather(until, work) if work is not None else until
    except Exception as error:
        work = asyncio.get_running_loop().create_future()
        work.set_exception(error)  # the settle deadline does it again
        raise
    finally:
        follow(parts, committed, work)
    return committed


def _dated(before: WorkerRecord | None, after: WorkerRecord, now: datetime) -> WorkerRecord:
    """Since when the worker is in its state."""
    if before is not None and before.worker.state is after.worker.state:
        return after
    return after.model_copy(update={"routing": after.routing.model_copy(update={"state_since": now})})


def follow(parts: Parts, committed: Committed[WorkerRecord], work: asyncio.Future[Any] | None) -> None:
    parts.outbox.follow(parts.workers.store, parts.workers.watch, committed.after, work)


async def index(parts: Parts, committed: Committed[WorkerRecord]) -> None:
    """Moves the worker's availability rows from one version to the next."""
    before = committed.before.record
    if before is not None and committed.after.record is None:
        await parts.listing.remove("worker", before.id, before.created_at)
    move = Move(available(before), available(committed.after.record))
    if move.old != move.new:
        await parts.availability.move([move])


def _ask(parts: Parts, committed: Committed[WorkerRecord]) -> asyncio.Future[Any] | None:
    """Rounds of the queues whose jobs the worker may be able to take now."""
    now = available(committed.after.record)
    if now is None or now == available(committed.before.record):
        return None
    return parts.rounds.ask(now.queues)


async def queue_briefs(parts: Parts, queue_ids: list[str]) -> dict[str, QueueBrief]:
    """What events tell of a worker's queues."""
    briefs: dict[str, QueueBrief] = {}
    for queue_id in queue_ids:
        queue = await parts.resources.cached("Queue", queue_id)
        if queue is not None:
            briefs[queue_id] = QueueBrief(queue_id, queue.model.name, queue.model.labels)
    return briefs


async def hold(
    parts: Parts, job: JobRecord, assignment: RouterJobAssignment, row: Row[WorkerRecord] | None = None
) -> None:
    """The worker's row turns the accepted offer into the assignment. `row`: as it was read; without it nobody knows
    how far whoever accepted has come: a row that is written already may be all that there is of it."""
    offer_id = job.routing.accepted_offers.get(assignment.assignment_id, "")
    now = parts.clock.now()

    def decide(record: WorkerRecord) -> WorkerChange | None:
        if _assigned(record, assignment.assignment_id) or not any(
            held.offer_id == offer_id for held in record.worker.offers
        ):
            return None
        return workers.assign(record, offer_id, job.id, job.job.channel_id, assignment, now)

    if row is None:
        known = parts.workers.store.as_written(assignment.worker_id)
        remembered = known.record if known is not None else None
        if (
            remembered is not None
            and _assigned(remembered, assignment.assignment_id)
            and remembered.worker.max_concurrent_offers is None  # else its index rows may not have followed
        ):
            return
    committed = await change(parts, assignment.worker_id, existing(decide), row, of_job=True)
    record = committed.after.record
    if record is None or record.worker.max_concurrent_offers is None or not (committed.changed or row is None):
        return
    # An offer less: there may be room for another.
    if not committed.changed and (now_available := available(record)) is not None:
        await parts.availability.move([Move(None, now_available)])
    parts.rounds.ask(record.worker.queues)


def _assigned(record: WorkerRecord, assignment_id: str) -> bool:
    return any(held.assignment_id == assignment_id for held in record.worker.assigned_jobs)


async def drop_offers(parts: Parts, worker_id: str, offer_ids: frozenset[str], *, expired: bool) -> set[str]:
    """Frees what ended offers reserved; the queues whose jobs the worker can take now. One that expired deregisters its
    worker, whose other offers are revoked."""

    def decide(record: WorkerRecord) -> WorkerChange | None:
        if not any(offer.offer_id in offer_ids for offer in record.worker.offers):
            return None
        return workers.drop_offers(record, offer_ids, deregister=expired)

    committed = await change(parts, worker_id, existing(decide), from_memory=True, of_job=True)
    if expired and committed.after.record is not None and committed.after.record.worker.offers:
        await parts.procedures.revoke_unqualified(parts, committed.after.record)
    return _queues(committed)


async def release(parts: Parts, worker_id: str, assignment_id: str, offer_id: str = "") -> set[str]:
    """Frees what an ended assignment used, or still reserved as the offer `offer_id`; the queues whose jobs the worker
    can take now. A worker that was deleted has nothing."""
    now = parts.clock.now()

    def decide(record: WorkerRecord) -> WorkerChange | None:
        return workers.release(record, assignment_id, now, offer_id)

    # Where only the offer is remembered, another process has written the assignment since.
    known = parts.workers.store.as_written(worker_id)
    from_memory = known is not None and known.record is not None and _assigned(known.record, assignment_id)
    return _queues(await change(parts, worker_id, existing(decide), from_memory=from_memory, of_job=True))


def _queues(committed: Committed[WorkerRecord]) -> set[str]:
    now = available(committed.after.record) if committed.changed else None
    return set(now.queues) if now is not None else set()


async def _arm_idle(parts: Parts, row: Row[WorkerRecord], after: WorkerRecord) -> None:
    before, registered = row.record, after.routing.registered_at
    if registered is not None and (before is None or before.routing.registered_at != registered):
        idle = Deadline("idle", after.id, _look_at(after.id, registered + timedelta(days=IDLE_DAYS)))
        await asyncio.gather(parts.workers.watch.early(row), parts.deadlines.arm(idle))


def _look_at(worker_id: str, at: datetime) -> datetime:
    """A time in the day before, the same for all of a day, so that a worker that registers again and again owns a row a
    day. Who looks then looks again at the time itself (upkeep/worker.py). Each worker has a time of day of its own."""
    own = timedelta(seconds=zlib.crc32(worker_id.encode()) % _DAY.total_seconds())
    return at - (at - datetime.min.replace(tzinfo=at.tzinfo) - own) % _DAY
