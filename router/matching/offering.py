"""One offer: reserve on the worker, look whether somebody comes first, attach to the job, or give it back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from router.commit import job as job_commits
from router.commit import worker as worker_commits
from router.commit.parts import Parts
from router.engine import jobs, matching, offers, workers
from router.engine.change import JobChange, WorkerChange
from router.errors import RouterError
from router.matching import waiting_line
from router.models.jobs import JobOffer, JobRecord, JobStatus
from router.models.policies import DistributionPolicy, RoundRobinMode
from router.models.workers import WorkerRecord
from router.storage.aggregates import Row
from router.telemetry import routing as metrics

_log = logging.getLogger(__name__)

#: An offer that is not attached this long after it was made is given back.
ATTACH_WITHIN = timedelta(seconds=3)
#: A reservation that its job does not know after this long was left by a process that died. So much longer that no
#: offer is attached after its reservation is gone.
ABANDONED_AFTER = timedelta(seconds=10)


#: How often a reservation is passed on to a job that comes first, before it is given back instead.
_MOST_PASSES = 20


@dataclass(frozen=True)
class Attempt:
    """A job that is to be offered to a worker if that one qualifies. `view` is the job as it is looked at: as its row
    says, or, not queued yet, as it will be; then the commit that attaches the offer queues it too. `worker` is its row
    if the caller has read it. `seen_version` is the worker's version in the index: what this process knows of a later
    one needs no reading. `unmoved`: only if that is the worker's version still."""

    job: Row[JobRecord]
    view: JobRecord
    policy: DistributionPolicy
    worker_id: str
    worker: Row[WorkerRecord] | None = None
    seen_version: int | None = None
    unmoved: bool = False


@dataclass(frozen=True)
class Offered:
    """A job that was to get an offer, as it stands now: not always the one that was asked for."""

    job_id: str
    row: Row[JobRecord]


@dataclass(frozen=True)
class Moved:
    """The worker is not where it was seen any more: it has changed since."""

    worker: WorkerRecord


@dataclass(frozen=True)
class Reserved:
    """A worker's capacity reserved for a job: the offer, and the worker without and with it. `moves` are the changes
    of its availability rows that are still to be made. `frees`: it takes less of the worker than it did for the job
    that it was made for; who found the worker full meanwhile does not come again."""

    job: Row[JobRecord]
    view: JobRecord
    policy: DistributionPolicy
    offer: JobOffer
    before: WorkerRecord
    holder: WorkerRecord
    moves: tuple[tuple[Row[WorkerRecord] | None, Row[WorkerRecord] | None], ...]
    frees: bool = False


async def make_offer(parts: Parts, attempt: Attempt) -> Offered | Moved | None:
    """Offers the job to the worker if it qualifies; None if it does not. When an earlier, more urgent job waits that
    the worker qualifies for, that one gets the offer."""
    if _known_not_to_fit(parts, attempt):
        return None  # not worth a turn
    async with turn(parts, [attempt.view.job.queue_id]):
        reserved = await reserve(parts, attempt)
    return await issue(parts, reserved) if isinstance(reserved, Reserved) else reserved


@asynccontextmanager
async def turn(parts: Parts, queue_ids: Iterable[str | None]) -> AsyncIterator[None]:
    """One reservation at a time in a queue: jobs and workers that come together do not get in each other's way.
    Between processes, the look at who comes first keeps the order."""
    async with AsyncExitStack() as stack:
        for queue_id in sorted({str(queue_id) for queue_id in queue_ids}):
            await stack.enter_async_context(parts.locks.hold(f"match/{queue_id}"))
        yield


async def reserve(parts: Parts, attempt: Attempt) -> Reserved | Offered | Moved | None:
    """The first half of `make_offer`, in the queue's turn. What it reserves must be issued."""
    job, view, policy, worker_id = attempt.job, attempt.view, attempt.policy, attempt.worker_id
    if parts.recent_jobs.get(job.id) not in (None, job.commit):
        # While we waited for our turn the job has changed: often it has got what it wanted.
        job = await parts.jobs.store.load(job.id)
        now_view = as_queued(parts, job.record)
        moved = now_view is not None and now_view.job.queue_id != view.job.queue_id  # to another policy
        if now_view is None or moved or not matching.wants_offers(now_view, policy.mode):
            return Offered(job.id, job)
        attempt, view = replace(attempt, job=job, view=now_view), now_view
    now = parts.clock.now()
    in_turn = isinstance(policy.mode, RoundRobinMode) and view.job.queue_id is not None
    # Told before it is certain: whoever looks where round robin stands meanwhile does not begin with this worker too.
    not_taken = parts.availability.take_turn(str(view.job.queue_id), worker_id, now) if in_turn else None
    reserved: Reserved | Moved | None = None
    try:
        reserved = await _reserve(parts, attempt, now)
        if isinstance(reserved, Reserved):
            reserved = await _for_the_first(parts, reserved)
    finally:
        if not_taken and not (isinstance(reserved, Reserved) and reserved.view.job.queue_id == view.job.queue_id):
            not_taken()
    if isinstance(reserved, Reserved):
        parts.pending_offers.take(reserved.job.id, reserved.offer.offer_id)
        queue_id = reserved.view.job.queue_id
        if queue_id and queue_id != view.job.queue_id and isinstance(reserved.policy.mode, RoundRobinMode):
            parts.availability.take_turn(queue_id, worker_id, now)
    return reserved


async def issue(parts: Parts, reserved: Reserved) -> Offered:
    """The second half: the job takes the offer, or the worker gets its capacity back."""
    wants_more = True
    try:
        row = await _issue(parts, reserved)
        wants_more = row.record is not None and bool(matching.wants_offers(row.record, reserved.policy.mode))
    finally:
        if parts.pending_offers.was_passed_over(reserved.job.id) and wants_more:
            _look_again(parts, reserved.job.id)
        if reserved.frees:
            worker_id = reserved.offer.worker_id
            _find_other_work(parts, worker_id)
    return Offered(reserved.job.id, row)


def as_queued(parts: Parts, record: JobRecord | None) -> JobRecord | None:
    """The job as it waits, or as it will when it is queued now; None if it does neither."""
    if record is None or record.status is JobStatus.QUEUED:
        return record
    if record.status is not JobStatus.CREATED:
        return None
    queued = jobs.enqueue(record, parts.clock.now()).record
    assert queued is not None
    return job_commits.placed(queued)


async def _for_the_first(parts: Parts, reserved: Reserved) -> Reserved | None:
    """The reservation, passed on to the job that stands first of those that the worker qualifies for. None: it was
    given back, for the worker has changed meanwhile."""
    try:
        for _ in range(_MOST_PASSES):
            place = reserved.view.routing.backlog_key
            if place is None:
                return reserved
            first = await waiting_line.first_job(parts, reserved.before, without=[reserved.job.id], before=place)
            if first is None:
                return reserved
            passed = await _pass_on(parts, reserved, first.job, first.policy)
            if passed is None:
                break
            reserved = passed
    except BaseException:
        await _undo(parts, reserved)
        raise
    await _undo(parts, reserved)
    return None


async def _pass_on(
    parts: Parts, reserved: Reserved, job: Row[JobRecord], policy: DistributionPolicy
) -> Reserved | None:
    """One commit takes the reservation from one job and gives it to another."""
    record, old = job.record, reserved.offer
    assert record is not None
    now = parts.clock.now()
    offer_id = parts.ids.offer_id(old.worker_id)
    made: list[tuple[JobOffer, WorkerRecord]] = []

    def step(found: WorkerRecord) -> WorkerChange | None:
        made.clear()
        without = workers.drop_offers(found, frozenset({old.offer_id}), deregister=False).record
        assert without is not None
        if matching.disqualified(record, without, policy.mode, now) is not None:
            return None
        offer = _new_offer(record, without, policy, offer_id, now)
        made.append((offer, without))
        return _reserving(record, without, offer)

    before, after = await worker_commits.change(parts, old.worker_id, step, index_later=True)
    if after.version == before.version or not made or before.record is None or after.record is None:
        return None
    last, holder = reserved.moves[-1], reserved.holder
    if before.record.routing.version == holder.routing.version:
        moves = (*reserved.moves[:-1], (last[0], after))
    else:  # somebody else has changed the worker meanwhile and put its own rows
        moves = (*reserved.moves[:-1], (last[0], None), (before, after))
    offer, without = made[0]
    frees = offer.capacity_cost < old.capacity_cost or record.job.channel_id != reserved.view.job.channel_id
    return Reserved(job, record, policy, offer, without, after.record, moves, reserved.frees or frees)


async def _issue(parts: Parts, reserved: Reserved) -> Row[JobRecord]:
    """Attaches the offer to its job, or gives the reservation back. The job's row as it stands then."""
    offer, policy = reserved.offer, reserved.policy
    queue_id, place = reserved.view.job.queue_id, reserved.view.routing.backlog_key
    seen = parts.backlog.version(queue_id, place) if queue_id and place else None
    row, indexed = await asyncio.gather(_attach(parts, reserved), _index(parts, reserved), return_exceptions=True)
    if isinstance(row, BaseException):
        if isinstance(row, RouterError):
            await _give_back(parts, offer.worker_id, offer.offer_id)
        # Else storage did not answer, and the job may have taken the offer, or take it yet: a reservation that is
        # given back then would leave an offer, and soon an assignment, that its worker does not know. The worker's
        # settle deadline looks again when the matter is certain.
        raise row
    if isinstance(indexed, BaseException):
        raise indexed
    if row.record is None or offer.offer_id not in row.record.routing.offers:
        if row.record is None or offer.offer_id not in row.record.routing.accepted_offers.values():
            await _give_back(parts, offer.worker_id, offer.offer_id)
        return row
    parts.attached.add([offer.offer_id])
    metrics.record_offer("issued")
    if row.record.job.enqueued_at:
        metrics.record_time_to_offer((offer.offered_at - row.record.job.enqueued_at).total_seconds())
    if isinstance(policy.mode, RoundRobinMode) and queue_id:
        await parts.availability.save_cursor(queue_id)
    if seen and queue_id and not matching.wants_offers(row.record, policy.mode):
        await parts.backlog.close(row.record, queue_id, seen)
    return row


async def _index(parts: Parts, reserved: Reserved) -> None:
    for old, new in reserved.moves:
        await worker_commits.index(parts, old, new)


async def _undo(parts: Parts, reserved: Reserved) -> None:
    await _index(parts, reserved)
    await _give_back(parts, reserved.offer.worker_id, reserved.offer.offer_id)


def _look_again(parts: Parts, job_id: str) -> None:
    parts.background.start(parts.procedures.distribute(parts, job_id), f"offer job/{job_id}")


def _new_offer(
    job: JobRecord, worker: WorkerRecord, policy: DistributionPolicy, offer_id: str, now: datetime
) -> JobOffer:
    channel = worker.worker.channel(job.job.channel_id)
    assert channel is not None
    return JobOffer(
        offer_id=offer_id,
        worker_id=worker.id,
        capacity_cost=channel.capacity_cost_per_job,
        offered_at=now,
        expires_at=now + timedelta(seconds=policy.offer_expires_after_seconds),
    )


def _reserving(job: JobRecord, worker: WorkerRecord, offer: JobOffer) -> WorkerChange | None:
    assert job.job.queue_id is not None
    return workers.reserve(worker, offer, job.id, job.job.channel_id, job.job.queue_id)


async def _reserve(parts: Parts, attempt: Attempt, now: datetime) -> Reserved | Moved | None:
    if _known_not_to_fit(parts, attempt):
        return None
    view, policy, worker_id = attempt.view, attempt.policy, attempt.worker_id
    wanted = attempt.seen_version if attempt.unmoved else None
    known = parts.recent_workers.get(worker_id)
    if wanted is not None and known is not None and known.routing.version > wanted:
        return Moved(known)
    offer_id = parts.ids.offer_id(worker_id)
    made: list[JobOffer] = []
    moved: list[WorkerRecord] = []

    def step(record: WorkerRecord) -> WorkerChange | None:
        made.clear()
        moved.clear()
        if wanted is not None and record.routing.version != wanted:
            moved.append(record)
            return None
        if matching.disqualified(view, record, policy.mode, now) is not None:
            return None
        made.append(_new_offer(view, record, policy, offer_id, now))
        return _reserving(view, record, made[0])

    before, after = await worker_commits.change(parts, worker_id, step, attempt.worker, index_later=True)
    if moved:
        return Moved(moved[0])
    if after.version == before.version or not made or before.record is None or after.record is None:
        return None
    moves = ((before, after),)
    return Reserved(attempt.job, view, policy, made[0], before.record, after.record, moves)


def _known_not_to_fit(parts: Parts, attempt: Attempt) -> bool:
    """Whether this process has written the worker, as of the index row that was seen or later, and knows that it does
    not qualify. Whoever frees the worker after that writes a newer row and looks for jobs, this one among them."""
    known, seen = parts.recent_workers.get(attempt.worker_id), attempt.seen_version
    return (
        known is not None
        and seen is not None
        and seen <= known.routing.version
        and matching.disqualified(attempt.view, known, attempt.policy.mode, parts.clock.now()) is not None
    )


async def _attach(parts: Parts, reserved: Reserved) -> Row[JobRecord]:
    """The job's row decides: it takes the offer if it is still what the worker has reserved for. One that is queued
    by this gets the place with which it was looked whether somebody comes first."""
    view, offer, policy = reserved.view, reserved.offer, reserved.policy

    def step(found: Row[JobRecord]) -> JobChange | None:
        now = parts.clock.now()
        if found.record is None or now - offer.offered_at > ATTACH_WITHIN:
            return None
        if (found.record.job.channel_id, found.record.job.queue_id) != (view.job.channel_id, view.job.queue_id):
            return None
        if matching.disqualified(found.record, reserved.before, policy.mode, now) is not None:
            return None
        most, place = policy.mode.max_concurrent_offers, view.job.enqueued_at or now
        change = offers.queue_and_attach(found.record, offer, reserved.holder.worker, most, place, now)
        stands = job_commits.placed(change.record).routing.backlog_key if change and change.record else None
        if (stands or "") > (view.routing.backlog_key or ""):
            return None  # further back than when it was looked who comes first
        return change

    try:
        return await job_commits.change_row(parts, reserved.job.id, step, reserved.job)
    finally:
        # From here on its row tells how many it wants.
        parts.pending_offers.leave(reserved.job.id, offer.offer_id)


async def _give_back(parts: Parts, worker_id: str, offer_id: str) -> None:
    try:
        await worker_commits.drop_offers(parts, worker_id, frozenset({offer_id}), expired=False)
    except Exception:
        _log.exception("A reservation could not be given back; its settle deadline will", extra={"worker": worker_id})
        return
    _find_other_work(parts, worker_id)


def _find_other_work(parts: Parts, worker_id: str) -> None:
    """Whoever looked for this worker while it was reserved found it taken: somebody must look again. A little later,
    so that searches which take the worker from each other come to an end."""

    async def search() -> None:
        await asyncio.sleep(0.05 + 0.1 * parts.ids.fraction())
        await parts.procedures.find_work(parts, worker_id)

    parts.background.start_until_done(search, f"other work for worker/{worker_id}")
