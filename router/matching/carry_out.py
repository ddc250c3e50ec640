"""What a plan has decided is done: reserve on the workers, attach to the jobs, or give back. Each write is conditional
on the row that the plan was made of; what fails goes into the next round."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from router.commit import job as job_commits
from router.commit import policies
from router.commit import worker as worker_commits
from router.commit.acting import deciding
from router.commit.loop import Committed
from router.commit.parts import Parts, gathered
from router.engine import exceptions, jobs, matching, offers, workers
from router.engine.candidates import available
from router.engine.change import Change, JobChange, WorkerChange
from router.engine.evolve import evolve
from router.engine.ownership import owner
from router.engine.plan import Match, Plan
from router.engine.selectors import all_selectors
from router.engine.service_order import Standing, standing
from router.errors import RouterError
from router.matching.rows import workers as rows_of_workers
from router.matching.scene import Scene
from router.models.jobs import JobOffer, JobRecord, JobStatus
from router.models.policies import DistributionPolicy, RoundRobinMode
from router.models.workers import WorkerRecord
from router.outages import trace
from router.storage.availability import Move, row_keys
from router.storage.backlog import Waiting, row_key
from router.storage.port import RowChanged
from router.storage.truth_rows import Overtaken, Row
from router.telemetry import routing as metrics

_log = logging.getLogger(__name__)

#: An offer that is not attached this long after its round began is given back.
ATTACH_WITHIN: Final = timedelta(seconds=3)
#: A reservation that its job does not know after this long was left by a process that died. So much longer that no
#: offer is attached after its reservation is gone.
ABANDONED_AFTER: Final = timedelta(seconds=10)
#: A scoring rule that fails is tried again ever more rarely.
_LONGEST_RETRY_SECONDS: Final = 300.0

#: Says that the capacity of these workers is about to be reserved. Raises HoldLost (matching/rounds.py).
Announce = Callable[[Sequence[str], Sequence[str]], Awaitable[None]]
Jobs = dict[str, tuple[Waiting, Row[JobRecord]]]


@dataclass
class _Reserved:
    """A worker with what was reserved on it: its row without and with that."""

    committed: Committed[WorkerRecord]
    offers: dict[str, JobOffer]

    @property
    def before(self) -> WorkerRecord:
        assert self.committed.before.record is not None
        return self.committed.before.record

    @property
    def holder(self) -> WorkerRecord:
        assert self.committed.after.record is not None
        return self.committed.after.record


_ByJob = Mapping[str, Sequence[tuple[JobOffer, _Reserved]]]


@dataclass
class Done:
    """What became of a plan."""

    offered: int = 0
    #: Jobs that are in the line now and were not.
    entered: int = 0
    #: Something has failed, or made room again: there may be more to match.
    again: bool = False
    #: Rows of the index that this has written.
    rows: set[str] = field(default_factory=set)
    #: Workers of which the index tells what is no longer true.
    outdated: set[str] = field(default_factory=set)


async def carry_out(
    parts: Parts, seen: Scene, plan: Plan, found: Jobs, announce: Announce, round: asyncio.Future[None]
) -> Done:
    """Offers what the plan says, and queues the jobs that enter, offered or not. Commits of jobs are followed up to
    their end when `round` is done."""
    done = Done()
    entering = {id: both for id, both in found.items() if both[0].entering}
    planned = {match.job.id: found[match.job.id] for match in plan.matches}
    offered = {id: both for id, both in planned.items() if id in entering}
    closed = {
        id: both
        for id, both in planned.items()
        if id not in entering and both[1].record is not None and not _takes_more(seen, plan, both[1].record)
    }
    taken: list[_Reserved] = []
    if entering and not plan.matches:
        await announce([], [])
    if plan.matches:
        worker_ids = sorted({match.worker_id for match in plan.matches})
        rows, _ = await asyncio.gather(
            rows_of_workers(parts, seen, worker_ids), announce(worker_ids, sorted({*offered, *closed}))
        )
        taken, _ = await asyncio.gather(
            _reserve_all(parts, seen, plan, rows, done), _take_places(parts, seen, plan, {**offered, **closed})
        )
    by_job = _in_order(seen, plan, taken)
    touched = [id for id in found if id in by_job or id in entering]
    counted = entering and await _is_counted(parts, seen.queue_id)
    followed, after = await asyncio.gather(
        _follow_workers(parts, taken, done),
        (_attach_in_turn if counted else _attach_all)(parts, seen, found, touched, by_job, round),
        return_exceptions=True,
    )
    if isinstance(after, BaseException):
        raise after
    # Where storage did not answer, a job may have taken its offer, or take it yet. A reservation that is given back
    # then would leave an offer that its worker does not know. Who holds the queue next looks after it.
    failures = [one for one in (followed, *after) if isinstance(one, BaseException)]
    rows_after = {id: row.record for id, row in zip(touched, after, strict=True) if isinstance(row, Row)}
    done.entered = sum(id in entering for id in rows_after)
    done.again = done.again or any(
        _asks_for_less(row.record, rows_after[id]) for id, (_, row) in entering.items() if id in rows_after
    )
    work = [_entered(parts, seen, found[id][0], rows_after[id], done) for id in offered if id in rows_after]
    moves = [
        move
        for id, record in rows_after.items()
        if id not in offered and id not in closed and (move := _moved(seen, found[id][0], record)) is not None
    ]
    work += [parts.backlog.update(moves, seen.now)] if moves else []
    work += [
        _opened(parts, seen, waiting, rows_after.get(id, row.record))
        for id, (waiting, row) in closed.items()
        if id in rows_after or id not in touched
    ]
    work += _unattached(parts, taken, rows_after, done)
    if isinstance(seen.policy and seen.policy.mode, RoundRobinMode):
        served = [match.worker_id for match in plan.matches if _has(rows_after.get(match.job.id), match.worker_id)]
        work += [parts.availability.save_turn(seen.queue_id, served[-1])] if served else []
    await gathered(work)
    if failures:
        raise failures[0]
    return done


def _in_order(seen: Scene, plan: Plan, taken: Sequence[_Reserved]) -> dict[str, list[tuple[JobOffer, _Reserved]]]:
    """What was reserved, by job; without what a job that comes first and has lost its worker could take instead: that
    is given back, and planned again."""
    by_job: dict[str, list[tuple[JobOffer, _Reserved]]] = {}
    by_worker = {one.holder.id: one for one in taken}
    lost: list[JobRecord] = []
    for match in plan.matches:
        one = by_worker.get(match.worker_id)
        offer = one.offers.get(match.job.id) if one is not None else None
        if one is None or offer is None:
            lost.append(match.job)
            continue
        assert seen.policy is not None
        mode = seen.policy.mode
        if any(matching.disqualified(job, one.before, mode, seen.now) is None for job in lost):
            by_job.setdefault(match.job.id, [])
        else:
            by_job.setdefault(match.job.id, []).append((offer, one))
    return by_job


def _unattached(
    parts: Parts,
    taken: Sequence[_Reserved],
    rows_after: Mapping[str, JobRecord | None],
    done: Done,
) -> list[Coroutine[Any, Any, None]]:
    """Gives back what the jobs did not take; counts what they took."""
    back: dict[str, set[str]] = {}
    for one in taken:
        for job_id, offer in one.offers.items():
            if job_id not in rows_after:
                continue  # it is not known whether the job has taken it
            record = rows_after[job_id]
            if record is not None and _knows(record, offer.offer_id):
                done.offered += 1
                _measure(parts, record, offer)
            else:
                back.setdefault(one.holder.id, set()).add(offer.offer_id)
    done.again = done.again or bool(back)
    return [_give_back(parts, id, ids) for id, ids in back.items()]


async def back_off(parts: Parts, queue_id: str, job_id: str, reason: str) -> None:
    """A scoring rule failed: the job stays queued and is tried again, ever more rarely. It keeps the last reason."""
    now = parts.clock.now()

    def decide(record: JobRecord) -> JobChange | None:
        if record.status is not JobStatus.QUEUED:
            return None
        failures = record.routing.scoring_failures + 1
        retry_at = now + timedelta(seconds=min(2.0**failures, _LONGEST_RETRY_SECONDS))
        routing = {"scoring_failures": failures, "scoring_failure": reason, "retry_at": retry_at}
        return Change(evolve(record, routing=routing))

    record = (await job_commits.change(parts, job_id, job_commits.existing(decide))).after.record
    where = standing(record)
    if record is not None and where is not None:
        line = await parts.backlog.line(queue_id, 1, after=row_key(where)[:-1], before=row_key(where) + "~")
        for found in line.jobs:
            await parts.backlog.update([(found, record, where, False)], now)


# Workers.


async def _reserve_all(
    parts: Parts, seen: Scene, plan: Plan, rows: Mapping[str, Row[WorkerRecord]], done: Done
) -> list[_Reserved]:
    matches: dict[str, list[Match]] = {}
    for match in plan.matches:
        matches.setdefault(match.worker_id, []).append(match)
    found = await asyncio.gather(
        *(_reserve(parts, seen, rows[id], some) for id, some in matches.items()), return_exceptions=True
    )
    taken: list[_Reserved] = []
    failure: BaseException | None = None
    for (worker_id, some), result in zip(matches.items(), found, strict=True):
        if isinstance(result, _Reserved):
            taken.append(result)
            if len(result.offers) == len(some):
                continue
        elif isinstance(result, BaseException) and not isinstance(result, RowChanged | RouterError):
            failure = failure or result
            continue
        done.again = True
        row, index = rows[worker_id].record, seen.workers[worker_id]
        if row is None or row.routing.version != index.version:
            done.outdated.add(worker_id)
    if failure is not None:
        await asyncio.gather(
            *(_give_back(parts, one.holder.id, {o.offer_id for o in one.offers.values()}) for one in taken)
        )
        raise failure
    return taken


async def _reserve(parts: Parts, seen: Scene, row: Row[WorkerRecord], matches: Sequence[Match]) -> _Reserved | None:
    """One write takes capacity for all the jobs that the worker is to be offered; None if it can take none of them."""
    policy = seen.policy
    assert policy is not None
    ids = [parts.ids.offer_id(row.id) for _ in matches]

    async def step(found: Row[WorkerRecord]) -> WorkerChange | None:
        record = found.record
        if record is None or record.routing.version != seen.workers[row.id].version:
            return None  # it is not what the plan was made of
        made: dict[str, JobOffer] = {}
        for match, offer_id in zip(matches, ids, strict=True):
            if matching.disqualified(match.job, record, policy.mode, seen.now) is not None:
                continue
            offer = _new_offer(match.job, record, policy, offer_id, seen.now)
            change = workers.reserve(record, offer, match.job.id, match.job.job.channel_id, seen.queue_id)
            if change is not None and change.record is not None:
                record = change.record
                made[match.job.id] = offer
        return Change(record, result=made) if made else None

    try:
        committed = await parts.workers.attempt(row, step, watched=False)
    except Overtaken as error:
        # It may have been written before that somebody else wrote, and its answer be lost: nobody else knows of it.
        holder = error.row.record
        held = {one.offer_id for one in holder.worker.offers} & set(ids) if holder is not None else set[str]()
        if held:
            await _give_back(parts, row.id, held)
        raise
    return _Reserved(committed, committed.result) if committed.changed else None


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
        owner=owner(worker.worker),
    )


async def _follow_workers(parts: Parts, taken: Sequence[_Reserved], done: Done) -> None:
    """The index follows the reservations."""
    moves = [Move(available(one.before), available(one.holder)) for one in taken]
    done.rows |= {row for move in moves if move.new is not None for row in row_keys(move.new)}
    try:
        await parts.availability.move(moves)
    finally:
        for one in taken:
            worker_commits.follow(parts, one.committed, None)


async def _give_back(parts: Parts, worker_id: str, offer_ids: set[str]) -> None:
    try:
        queues = await worker_commits.drop_offers(parts, worker_id, frozenset(offer_ids), expired=False)
    except RouterError as error:
        _log.warning("A reservation is given back later: %s", error, exc_info=trace(error), extra={"worker": worker_id})
        raise
    if queues:
        parts.rounds.ask(sorted(queues))


# Jobs.


def _queued(waiting: Waiting) -> Standing:
    """Where a job that enters stands when it is queued."""
    return Standing(waiting.queue_id, waiting.place)


def _enqueued(waiting: Waiting, record: JobRecord, now: datetime) -> JobChange:
    """A job that enters, with the place with which it was planned. It may have stood there for so long that the time
    of a selector is over: then it waits without that from the start."""
    return jobs.enqueue(record, now, since=waiting.place.enqueued_at)


def _asks_for_less(planned: JobRecord | None, now: JobRecord | None) -> bool:
    """Whether more workers may take the job than when it was planned."""
    return now is not None and planned is not None and _active(now) < _active(planned)


def _active(record: JobRecord) -> int:
    return sum(one.active for one in all_selectors(record.job))


async def _take_places(parts: Parts, seen: Scene, plan: Plan, planned: Jobs) -> None:
    """Jobs that enter with an offer get their place in the line, and the rows of those that get all their offers are
    closed, before the offers are theirs: who accepts one at once takes the row away again."""
    moves: list[tuple[Waiting, JobRecord, Standing, bool]] = []
    for waiting, row in planned.values():
        assert row.record is not None
        record = _enqueued(waiting, row.record, seen.now).record if waiting.entering else row.record
        assert record is not None
        moves.append((waiting, record, _queued(waiting), _takes_more(seen, plan, row.record)))
    if moves:
        await parts.backlog.update(moves, seen.now)


def _takes_more(seen: Scene, plan: Plan, job: JobRecord) -> bool:
    """Whether the job takes more offers than are planned for it."""
    planned = sum(match.job.id == job.id for match in plan.matches)
    return seen.policy is None or matching.wants_offers(job, seen.policy.mode) > planned


async def _entered(parts: Parts, seen: Scene, waiting: Waiting, record: JobRecord | None, done: Done) -> None:
    """The line says of a job that has entered what became of it, where that is not what was planned."""
    where = standing(record)
    if record is None or where is None or row_key(where) != row_key(_queued(waiting)):
        done.again = True
        await parts.backlog.remove(_queued(waiting))
        if record is not None and where is not None:
            await job_commits.stand(parts, record, where)
    elif _is_open(seen, record):
        await job_commits.stand(parts, record, where)


async def _opened(parts: Parts, seen: Scene, waiting: Waiting, record: JobRecord | None) -> None:
    """A job whose row was closed, and that has not got what was planned, is found again."""
    where = standing(record)
    if record is not None and where == _queued(waiting) and _is_open(seen, record):
        await job_commits.stand(parts, record, where)


def _moved(seen: Scene, waiting: Waiting, record: JobRecord | None) -> tuple[Waiting, JobRecord, Standing, bool] | None:
    """The row of a job that has entered without an offer, or waited and has all its offers now."""
    where = standing(record)
    if record is None or where is None or where.entering:
        return None
    if waiting.entering:
        # Not as urgent any more, perhaps. Who has made it more urgent since has put it there.
        is_there = where.queue_id == waiting.queue_id and where.place >= waiting.place
        return (waiting, record, where, True) if is_there else None
    return (waiting, record, where, False) if row_key(where) == waiting.row and not _is_open(seen, record) else None


def _is_open(seen: Scene, record: JobRecord) -> bool:
    return seen.policy is None or matching.wants_offers(record, seen.policy.mode) > 0


async def _is_counted(parts: Parts, queue_id: str) -> bool:
    """Whether rules of the queue count who is ahead when a job is added."""
    policy = await policies.exception_policy(parts, queue_id)
    return policy is not None and exceptions.length_threshold(policy[1]) is not None


async def _attach_all(
    parts: Parts, seen: Scene, found: Jobs, touched: Sequence[str], by_job: _ByJob, round: asyncio.Future[None]
) -> list[Row[JobRecord] | BaseException]:
    """The jobs' rows afterwards, or what has failed."""
    return await asyncio.gather(
        *(_attach(parts, seen, found[id], by_job.get(id, []), round) for id in touched), return_exceptions=True
    )


async def _attach_in_turn(
    parts: Parts, seen: Scene, found: Jobs, touched: Sequence[str], by_job: _ByJob, round: asyncio.Future[None]
) -> list[Row[JobRecord] | BaseException]:
    """Like `_attach_all`, in the order of service, each when those before it stand in the line and can be counted."""
    done: dict[str, Row[JobRecord] | BaseException] = {}
    for id in sorted(touched, key=lambda job_id: found[job_id][0].place):
        waiting = found[id][0]
        try:
            row = await _attach(parts, seen, found[id], by_job.get(id, []), round)
            move = _moved(seen, waiting, row.record)
            if move is not None and waiting.entering:
                await parts.backlog.update([move], seen.now)
            done[id] = row
        except Exception as error:
            done[id] = error
    return [done[id] for id in touched]


async def _attach(
    parts: Parts,
    seen: Scene,
    both: tuple[Waiting, Row[JobRecord]],
    reserved: Sequence[tuple[JobOffer, _Reserved]],
    round: asyncio.Future[None],
) -> Row[JobRecord]:
    """The job's row decides: it takes the offers if it is still what the workers have reserved for. One that enters is
    queued by that, with the place with which it was planned; without an offer if there is none. Its row afterwards."""
    waiting, row = both
    planned = row.record
    assert planned is not None

    async def step(found: Row[JobRecord]) -> JobChange | None:
        record, now = found.record, parts.clock.now()
        where = standing(record)
        if record is None or where is None or where.queue_id != seen.queue_id or where.place > waiting.place:
            return None  # gone, or further back than when it was looked who comes first
        change = JobChange(record)
        if record.status is JobStatus.CREATED:
            change = _enqueued(waiting, record, now)
            entered = standing(change.record)
            if entered is None or entered.place > waiting.place:
                return change  # it is not as urgent any more as it was when it was looked who comes first
        for offer, one in reserved:
            attached = _with_offer(change, offer, one, seen, planned, now)
            change = attached if attached is not None else change
        return change

    queue = parts.resources.remembered("Queue", seen.queue_id) if reserved else None
    try:
        with deciding(f"distributionPolicy/{queue.model.distribution_policy_id}" if queue else None):
            return (await job_commits.change(parts, row.id, step, row, round=round)).after
    except RouterError as error:
        _log.warning("A job could not take an offer: %s", error, extra={"job": row.id})
        return await parts.jobs.store.load(row.id)


def _with_offer(
    change: JobChange, offer: JobOffer, reserved: _Reserved, seen: Scene, planned: JobRecord, now: datetime
) -> JobChange | None:
    record, policy = change.record, seen.policy
    assert record is not None
    assert policy is not None
    if now - offer.offered_at > ATTACH_WITHIN or record.job.channel_id != planned.job.channel_id:
        return None
    if matching.disqualified(record, reserved.before, policy.mode, now) is not None:
        return None
    attached = offers.attach(record, offer, reserved.holder.worker, policy.mode.max_concurrent_offers, now)
    return attached and Change(attached.record, (*change.events, *attached.events))


def _knows(record: JobRecord, offer_id: str) -> bool:
    return offer_id in record.routing.offers or offer_id in record.routing.accepted_offers.values()


def _has(record: JobRecord | None, worker_id: str) -> bool:
    return record is not None and any(one.worker_id == worker_id for one in record.routing.offers.values())


def _measure(parts: Parts, record: JobRecord, offer: JobOffer) -> None:
    parts.attached.add([offer.offer_id])
    metrics.record_offer("issued")
    if record.job.enqueued_at:
        metrics.record_time_to_offer((offer.offered_at - record.job.enqueued_at).total_seconds())
