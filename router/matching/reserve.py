"""Capacity of workers is reserved for the jobs that a plan gives them, the index follows, or it is given back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from router.commit import worker as worker_commits
from router.commit.loop import Committed
from router.commit.parts import Parts
from router.engine import matching, workers
from router.engine.candidates import available
from router.engine.change import Change, WorkerChange
from router.engine.ownership import owner
from router.engine.plan import Match, Plan
from router.errors import RouterError
from router.matching.scene import Scene
from router.models.jobs import JobOffer, JobRecord
from router.models.policies import DistributionPolicy
from router.models.workers import WorkerRecord
from router.outages import trace
from router.storage.availability import Move, row_keys
from router.storage.port import RowChanged
from router.storage.truth_rows import Overtaken, Row

_log = logging.getLogger(__name__)

#: A reservation that its job does not know after this long was left by a process that died. So much longer that no
#: offer is attached after its reservation is gone.
ABANDONED_AFTER: Final = timedelta(seconds=10)


@dataclass
class Reserved:
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


@dataclass
class Reservations:
    """What became of the workers of a plan."""

    taken: list[Reserved] = field(default_factory=list)
    #: Some could not be reserved as was planned.
    is_short: bool = False
    #: Workers of which the index tells what is no longer true.
    outdated: set[str] = field(default_factory=set)


async def reserve(parts: Parts, seen: Scene, plan: Plan, rows: Mapping[str, Row[WorkerRecord]]) -> Reservations:
    """For all jobs of the plan, one write a worker. Raises StorageUnavailable, once what was reserved is given back."""
    matches: dict[str, list[Match]] = {}
    for match in plan.matches:
        matches.setdefault(match.worker_id, []).append(match)
    found = await asyncio.gather(
        *(_reserve(parts, seen, rows[id], some) for id, some in matches.items()), return_exceptions=True
    )
    made = Reservations()
    failure: BaseException | None = None
    for (worker_id, some), result in zip(matches.items(), found, strict=True):
        if isinstance(result, Reserved):
            made.taken.append(result)
            if len(result.offers) == len(some):
                continue
        elif isinstance(result, BaseException) and not isinstance(result, RowChanged | RouterError):
            failure = failure or result
            continue
        made.is_short = True
        row, index = rows[worker_id].record, seen.workers[worker_id]
        if row is None or row.routing.version != index.version:
            made.outdated.add(worker_id)
    if failure is not None:
        await asyncio.gather(
            *(give_back(parts, one.holder.id, {o.offer_id for o in one.offers.values()}) for one in made.taken)
        )
        raise failure
    return made


async def _reserve(parts: Parts, seen: Scene, row: Row[WorkerRecord], matches: Sequence[Match]) -> Reserved | None:
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
            await give_back(parts, row.id, held)
        raise
    return Reserved(committed, committed.result) if committed.changed else None


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


def moves_of(taken: Sequence[Reserved]) -> list[Move]:
    """How the index follows these."""
    return [Move(available(one.before), available(one.holder)) for one in taken]


def rows_of(moves: Sequence[Move]) -> set[str]:
    """The rows of the index that tell of these workers afterwards."""
    return {row for move in moves if move.new is not None for row in row_keys(move.new)}


async def follow(parts: Parts, taken: Sequence[Reserved], moves: Sequence[Move]) -> None:
    """The index follows the reservations."""
    try:
        await parts.availability.move(moves)
    finally:
        for one in taken:
            worker_commits.follow(parts, one.committed, None)


async def give_back(parts: Parts, worker_id: str, offer_ids: Collection[str]) -> None:
    try:
        queues = await worker_commits.drop_offers(parts, worker_id, frozenset(offer_ids), expired=False)
    except RouterError as error:
        _log.warning("A reservation is given back later: %s", error, exc_info=trace(error), extra={"worker": worker_id})
        raise
    if queues:
        parts.rounds.ask(sorted(queues))
