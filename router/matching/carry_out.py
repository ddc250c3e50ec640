"""What a plan has decided is done: reserve on the workers, attach to the jobs, or give back. Each write is conditional
on the row that the plan was made of; what fails goes into the next round."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from router.commit.parts import Parts, gathered
from router.engine import matching
from router.engine.plan import Plan
from router.engine.selectors import all_selectors
from router.matching import places, reserve
from router.matching.attach import attach, knows
from router.matching.reserve import Reservations, Reserved
from router.matching.rows import Claim, Jobs
from router.matching.rows import workers as rows_of_workers
from router.matching.scene import Scene
from router.models.jobs import JobOffer, JobRecord
from router.models.policies import RoundRobinMode
from router.storage.truth_rows import Row
from router.telemetry import routing as metrics

#: Says that the capacity of these workers is about to be reserved. Raises HoldLost (matching/rounds.py).
Announce = Callable[[Sequence[str], Sequence[str]], Awaitable[None]]


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
    parts: Parts, seen: Scene, plan: Plan, found: Jobs, announce: Announce, claim: Claim, round: asyncio.Future[None]
) -> Done:
    """Offers what the plan says, and queues the jobs that enter, offered or not. Commits of jobs are followed up to
    their end when `round` is done."""
    entering = {id: both for id, both in found.items() if both[0].entering}
    planned = {match.job.id: found[match.job.id] for match in plan.matches}
    offered = {id: both for id, both in planned.items() if id in entering}
    closed = {
        id: both
        for id, both in planned.items()
        if id not in entering and both[1].record is not None and not places.takes_more(seen, plan, both[1].record)
    }
    reserved = Reservations()
    if entering and not plan.matches:
        await announce([], [])
    if plan.matches:
        worker_ids = sorted({match.worker_id for match in plan.matches})
        rows, _ = await asyncio.gather(
            rows_of_workers(parts, seen, worker_ids), announce(worker_ids, sorted({*offered, *closed}))
        )
        # Who takes the hold over writes these rows. One that was read after that would be reserved on all the same,
        # and nobody would look after it.
        await claim()
        reserved, _ = await asyncio.gather(
            reserve.reserve(parts, seen, plan, rows), places.take(parts, seen, plan, {**offered, **closed})
        )
    taken, moved = reserved.taken, reserve.moves_of(reserved.taken)
    by_job = _in_order(seen, plan, taken)
    touched = [id for id in found if id in by_job or id in entering]
    followed, after = await asyncio.gather(
        reserve.follow(parts, taken, moved),
        attach(parts, seen, found, touched, by_job, round),
        return_exceptions=True,
    )
    if isinstance(after, BaseException):
        raise after
    # Where storage did not answer, a job may have taken its offer, or take it yet. A reservation that is given back
    # then would leave an offer that its worker does not know. Who holds the queue next looks after it.
    failures = [one for one in (followed, *after) if isinstance(one, BaseException)]
    rows_after = {id: row.record for id, row in zip(touched, after, strict=True) if isinstance(row, Row)}
    done = Done(
        entered=sum(id in entering for id in rows_after), rows=reserve.rows_of(moved), outdated=reserved.outdated
    )
    done.again = (
        reserved.is_short
        or any(_asks_for_less(row.record, rows_after[id]) for id, (_, row) in entering.items() if id in rows_after)
        or any(not places.stands(waiting, rows_after[id]) for id, (waiting, _) in offered.items() if id in rows_after)
    )
    work = [places.entered(parts, seen, found[id][0], rows_after[id]) for id in offered if id in rows_after]
    moves = [
        move
        for id, record in rows_after.items()
        if id not in offered and id not in closed and (move := places.moved(seen, found[id][0], record)) is not None
    ]
    work += [parts.backlog.update(moves, seen.now)] if moves else []
    work += [
        places.opened(parts, seen, waiting, rows_after.get(id, row.record))
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


def _in_order(seen: Scene, plan: Plan, taken: Sequence[Reserved]) -> dict[str, list[tuple[JobOffer, Reserved]]]:
    """What was reserved, by job; without what a job that comes first and has lost its worker could take instead: that
    is given back, and planned again."""
    by_job: dict[str, list[tuple[JobOffer, Reserved]]] = {}
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
    taken: Sequence[Reserved],
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
            if record is not None and knows(record, offer.offer_id):
                done.offered += 1
                _measure(parts, record, offer)
            else:
                back.setdefault(one.holder.id, set()).add(offer.offer_id)
    done.again = done.again or bool(back)
    return [reserve.give_back(parts, id, ids) for id, ids in back.items()]


def _asks_for_less(planned: JobRecord | None, now: JobRecord | None) -> bool:
    """Whether more workers may take the job than when it was planned."""
    return now is not None and planned is not None and _active(now) < _active(planned)


def _active(record: JobRecord) -> int:
    return sum(one.active for one in all_selectors(record.job))


def _has(record: JobRecord | None, worker_id: str) -> bool:
    return record is not None and any(one.worker_id == worker_id for one in record.routing.offers.values())


def _measure(parts: Parts, record: JobRecord, offer: JobOffer) -> None:
    parts.attached.add([offer.offer_id])
    metrics.record_offer("issued")
    if record.job.enqueued_at:
        metrics.record_time_to_offer((offer.offered_at - record.job.enqueued_at).total_seconds())
