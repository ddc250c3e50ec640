"""Workers as clients use them: upsert, get, list, delete (docs/behaviour.md, "Workers" and "Offers")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from router.commit import worker as worker_commits
from router.commit.background import follows
from router.commit.parts import Parts
from router.engine import capacity, workers
from router.engine.change import WorkerChange
from router.engine.ownership import Own
from router.errors import Busy, Conflict, ErrorDetail, NotFound
from router.matching import revoke
from router.matching.reserve import ABANDONED_AFTER
from router.models.filters import WorkerFilter
from router.models.sizes import LARGEST_WRITTEN, check_size, written_units
from router.models.workers import MAX_QUEUES, RouterJobOffer, RouterWorkerInput, WorkerRecord
from router.offload import by_weight_of
from router.storage.port import Condition
from router.storage.record_pages import Position
from router.storage.truth_rows import Row
from router.upkeep import worker as worker_upkeep
from router.usecases.lists import Lister
from router.usecases.settings import Check, checked, missing_reference

#: What the client wants of the worker, given what is there. Raises BadRequest; see wire/invalid.py.
Wanted = Callable[[WorkerRecord | None], RouterWorkerInput]
#: How long an accept waits for an offer that is still being attached to its job.
_ATTACH_WAIT_SECONDS: Final = 2.0


async def upsert(
    parts: Parts, worker_id: str, wanted: Wanted, check: Check, own: Own | None = None
) -> tuple[WorkerRecord, bool]:
    """The worker afterwards, and whether it is new. Offers that it no longer qualifies for are revoked first. `own`:
    who asks comes to its own worker alone, and changes nothing of it but whether it takes offers."""

    async def step(row: Row[WorkerRecord]) -> WorkerChange | None:
        record, now = row.record, parts.clock.now()
        if own is not None:
            own.check_worker(record)
        if record is not None and record.routing.deleting:
            raise Busy(f"Worker '{worker_id}' is being deleted. Try again.")
        check(record.etag if record else None, record.modified if record else None)
        want = await checked(
            partial(by_weight_of, record.weight if record is not None else 0, wanted, record),
            lambda wanted: {"queues": wanted.queues},
            partial(_missing_queues, parts, record),
        )
        if own is not None and record is not None:
            own.check_change(record, want)
        _check_size(want, record)
        queues = await worker_commits.queue_briefs(parts, want.queues)
        return (
            workers.create(worker_id, want, now, queues)
            if record is None
            else workers.update(record, want, now, queues)
        )

    with follows() as revoked:
        committed = await worker_commits.change(parts, worker_id, step, until=revoked)
        record = committed.after.record
        assert record is not None
        if record.worker.offers and committed.changed:
            await revoke.revoke_unqualified(parts, record)
            current = await parts.workers.store.load(worker_id)
            record = current.record or record
    return await _issued(parts, record), committed.before.record is None


async def get(parts: Parts, worker_id: str, own: Own | None = None) -> WorkerRecord:
    row = await parts.workers.store.load(worker_id)
    if row.record is None or row.record.routing.deleting:
        raise NotFound("Worker", worker_id)
    if own is not None:
        own.check_worker(row.record)
    return await _issued(parts, row.record)


async def page(
    parts: Parts, wanted: WorkerFilter, size: int, after: Position | None
) -> tuple[list[WorkerRecord], Position | None]:
    """Newest first."""
    where: list[Condition] = [] if wanted.state is None else [("State", "eq", str(wanted.state))]
    filtered, exact = wanted != WorkerFilter(), wanted == WorkerFilter(state=wanted.state)
    lister = Lister(parts, parts.workers.store, where, partial(_fits, wanted), wanted, filtered=filtered, exact=exact)
    found, following = await lister.page(size, after)
    return [await _issued(parts, record) for record in found], following


async def _issued(parts: Parts, record: WorkerRecord) -> WorkerRecord:
    """The worker with the offers that are offers: one that has only been reserved may yet be given back, and a client
    must not see it. Old ones are known to be issued; a young one is looked up on its job."""
    young = parts.clock.now() - ABANDONED_AFTER
    hidden = {
        offer.offer_id
        for offer in record.worker.offers
        if offer.offered_at > young and offer.offer_id not in parts.attached and not await _is_attached(parts, offer)
    }
    if not hidden:
        return record
    shown = [offer for offer in record.worker.offers if offer.offer_id not in hidden]
    worker = record.worker.model_copy(update={"offers": shown})
    worker = worker.model_copy(update={"load_ratio": capacity.load_ratio(worker)})
    return record.model_copy(update={"worker": worker})


async def _is_attached(parts: Parts, offer: RouterJobOffer) -> bool:
    row = await parts.jobs.store.load(offer.job_id)
    if row.record is None or offer.offer_id not in row.record.routing.offers:
        return False
    parts.attached.add([offer.offer_id])
    return True


async def delete(parts: Parts, worker_id: str) -> None:
    """Offers are revoked. Conflict while it has jobs assigned; fine when it is not there."""

    def decide(record: WorkerRecord) -> WorkerChange | None:
        if record.worker.assigned_jobs and not record.routing.deleting:
            held = record.worker.assigned_jobs[0].job_id
            message = f"job '{held}' is assigned to it"
            raise Conflict(
                f"Worker '{worker_id}' cannot be deleted: {message}.",
                details=[ErrorDetail("AssignedJobExist", message, "Worker")],
            )
        return workers.start_deletion(record) if record.worker.offers else None

    with follows() as deleted:
        committed = await worker_commits.change(parts, worker_id, worker_commits.existing(decide), until=deleted)
        if committed.after.record is not None:
            await worker_upkeep.finish_deletion(parts, worker_id)


def _check_size(wanted: RouterWorkerInput, current: WorkerRecord | None) -> None:
    """What a client writes leaves room for the jobs that the worker holds. Raises TooLarge (413)."""
    size = written_units(wanted, RouterWorkerInput.model_fields)
    if size > LARGEST_WRITTEN:
        before = written_units(current.worker, RouterWorkerInput.model_fields) if current is not None else 0
        check_size(size, max(LARGEST_WRITTEN, before))


async def _missing_queues(parts: Parts, current: WorkerRecord | None, named: Mapping[str, Any]) -> list[ErrorDetail]:
    """A queue that is named anew must exist. A list that is too long is not looked through: it is refused anyway."""
    queues, known = named.get("queues"), current.worker.queues if current else []
    if not isinstance(queues, list) or len(queues) > MAX_QUEUES:
        return []
    found = [
        await missing_reference(parts, "Queue", queue_id, f"queues[{number}]")
        for number, queue_id in enumerate(queues)
        if queue_id not in known
    ]
    return [detail for detail in found if detail is not None]


def _fits(wanted: WorkerFilter, record: WorkerRecord) -> bool:
    worker = record.worker
    if record.routing.deleting or wanted.state not in (None, worker.state):
        return False
    if wanted.queue_id is not None and wanted.queue_id not in worker.queues:
        return False
    channels = [
        channel for channel in worker.channels if wanted.channel_id is None or channel.channel_id == wanted.channel_id
    ]
    if wanted.channel_id is not None and not channels:
        return False
    return not wanted.has_capacity or any(capacity.can_take(record, channel) for channel in channels)
