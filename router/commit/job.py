"""A change of a job with all that hangs on it: what it needs before it is written, and what it leaves to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from router.commit import deadlines, policies
from router.commit import worker as worker_commits
from router.commit.background import Undone
from router.commit.loop import Committed
from router.commit.owners import all_owners, forgotten, owners, remembering
from router.commit.parts import Parts
from router.engine import exceptions, matching
from router.engine.change import Change, JobChange
from router.engine.service_order import Standing, standing, stands_anew
from router.errors import Busy, RouterError
from router.models.event_catalogue import EventName
from router.models.jobs import ENDED, GOES_ON, SETTLED, JobRecord, JobStatus, RouterJobAssignment
from router.storage import departures
from router.storage.backlog import row_key
from router.storage.keys import key
from router.storage.members import Owner
from router.storage.truth_rows import Row
from router.storage.turns import Urgency
from router.telemetry import routing as metrics

#: A decision about a job's row; it may run several times.
Step = Callable[[Row[JobRecord]], Awaitable[JobChange | None]]
Work = Coroutine[Any, Any, object]
#: Events of commits that a round makes, whose hold stands behind them, and of those on which nothing hangs.
_HARMLESS: Final = frozenset({EventName.WORKER_OFFER_ISSUED, EventName.JOB_COMPLETED})
#: Events of commits after which a job waits: nothing is left to do when it does not wait any more.
_OF_WAITING: Final = frozenset({EventName.JOB_RECEIVED, EventName.JOB_QUEUED, EventName.JOB_CLASSIFIED})
#: The event of an accept that revoked no other offer. All that hangs on it is that the worker holds the assignment.
_OF_ACCEPT: Final = frozenset({EventName.WORKER_OFFER_ACCEPTED})


#: How often a job's row in the line is written anew because the job has changed meanwhile.
_MOST_PLACES: Final = 12
#: How long a row that stands in the line before its job counts: rounds leave it 10 s (matching/rows.py), and the write
#: of the job takes up to 7 s.
_STANDS: Final = timedelta(seconds=3)
#: A removal from the line that takes longer may undo what others have written meanwhile.
_LONG_SECONDS: Final = 0.3


@dataclass(frozen=True)
class Early:
    """What already stands in storage for a job that is most likely new: who knows that it is named, and its place."""

    owners: Sequence[Owner]
    where: Standing
    #: When that was written.
    at: datetime


async def prepare_new(parts: Parts, record: JobRecord, where: Standing) -> Early:
    """Puts what a new job needs into storage before it is known whether there is one. It does no harm if there is."""
    named, now = owners(record), parts.clock.now()
    await asyncio.gather(
        parts.jobs.watch.early(Row(record.id)),
        parts.backlog.put(record, where, now),
        *(parts.members.add(owner, record.id) for owner in named),
    )
    return Early(named, where, now)


class _NeedsHold(Exception):
    """The change adds the job to a queue that counts who comes: nobody else may add one meanwhile."""

    def __init__(self, queue_id: str) -> None:
        self.queue_id = queue_id


def existing(decide: Callable[[JobRecord], JobChange | None]) -> Step:
    """The step of a pure decision about a job that exists; there is nothing to do where it does not."""

    async def step(row: Row[JobRecord]) -> JobChange | None:
        return decide(row.record) if row.record is not None else None

    return step


async def change(
    parts: Parts,
    job_id: str,
    step: Step,
    row: Row[JobRecord] | None = None,
    *,
    from_memory: bool = False,
    driven: bool = False,
    round: asyncio.Future[None] | None = None,
    early: Early | None = None,
    until: asyncio.Future[None] | None = None,
) -> Committed[JobRecord]:
    """Commits what `step` decides (see Commits.change). `driven`: the caller takes the job on to its next state itself.
    `round`: part of a round of the job's queue, which keeps the line itself and is done with that future. `early`:
    what was put into storage before the job was read. `until`: the caller does more that hangs on the commit."""
    go = partial(_change, parts, job_id, step, driven=driven, round=round, early=early, until=until)
    try:
        return await go(row, from_memory=from_memory)
    except _NeedsHold as needs:
        queue_id = needs.queue_id
    while True:
        try:
            async with parts.rounds.held(queue_id):
                return await go()
        except _NeedsHold as needs:
            queue_id = needs.queue_id  # another one by now; never two at a time


async def _change(
    parts: Parts,
    job_id: str,
    step: Step,
    row: Row[JobRecord] | None = None,
    *,
    from_memory: bool = False,
    driven: bool,
    round: asyncio.Future[None] | None,
    early: Early | None,
    until: asyncio.Future[None] | None,
) -> Committed[JobRecord]:
    """Raises _NeedsHold, before anything is written."""
    places: list[tuple[JobRecord, Standing]] = []
    again: list[tuple[JobRecord, Standing]] = []
    tried: set[Standing] = set()
    #: Since when rows stand in the line that the write of the job relies on.
    stood: list[tuple[Standing, datetime]] = []
    new: list[JobRecord] = []
    listed: list[JobRecord] = []

    async def decide(found: Row[JobRecord]) -> JobChange | None:
        places.clear()
        again.clear()
        stood.clear()
        new.clear()
        decided = await step(found)
        if decided is None or decided.record is None:
            return decided
        if decided.record is found.record and not decided.events:
            return decided
        decided = await _with_length_rules(parts, found.record, decided)
        assert decided.record is not None
        record = remembering(found.record, decided.record)
        where = standing(record)
        if where is not None and round is None and stands_anew(found.record, record, where):
            is_there = (
                early is not None
                and found.record is None
                and early.where == where
                and parts.clock.now() - early.at < _STANDS  # a round removes a row that no job has come for
            )
            if is_there and early is not None:
                stood.append((where, early.at))
            stands = standing(found.record) == where
            (again if stands else places).extend([] if is_there else [(record, where)])
        if found.record is None:
            new.append(record)
        await _prepare(parts, found, record, early.owners if early is not None else ())
        return Change(record, decided.events, decided.result)

    async def take_places() -> None:
        listed.extend(new)
        tried.update(where for _, where in places)
        stood.extend((where, parts.clock.now()) for _, where in places)
        await asyncio.gather(
            *(_put(parts, record, where) for record, where in places),
            *(parts.listing.add("job", record.id, record.created_at) for record in new),
        )

    async def stand_again() -> None:
        # Not beside the write: who finds the job as it was, and writes its row in the line, does so before this.
        await asyncio.gather(*(_put(parts, record, where) for record, where in again))

    try:
        committed = await parts.jobs.change(
            job_id, decide, row, from_memory=from_memory, beside=take_places, then=stand_again
        )
    except Exception as error:
        if isinstance(error, RouterError):
            _withdraw(parts, listed, early, None)
        if tried:
            parts.background.start(_put_right(parts, job_id, tried), f"put job/{job_id} right in the line")
        raise
    since = asyncio.get_running_loop().time()
    _withdraw(parts, listed, early, committed.after.record)
    if not committed.changed:
        await _stand_if_in(parts, committed.after.record, tried)
        return committed
    tried.difference_update(where for _, where in places)
    # A process that stood still meanwhile: a round may have removed what no job had come for.
    now = parts.clock.now()
    tried.update(where for where, at in stood if now - at >= _STANDS)
    work: asyncio.Future[Any] | None = round
    is_left = parts.outbox.is_left(parts.jobs.store, committed.before)
    left = is_left and _leaves_work(committed, in_round=round is not None)
    try:
        await _stand_if_in(parts, committed.after.record, tried)
        freed = await _follow(parts, committed, since, in_round=round is not None)
        if left:
            # Whoever made the commit before may have died, and this one takes its events and its promise over.
            work = parts.background.begin(
                parts.procedures.reconcile_job(parts, job_id, committed.after),
                f"reconcile job/{job_id}",
                Urgency.FOLLOW,
            )
        elif round is None and parts.drives:
            work = _go_on(parts, committed, freed, driven)
        elif round is not None and committed.after.record is not None and committed.after.record.routing.triggered:
            work = parts.background.begin(_drive_after(parts, job_id, round), f"drive job/{job_id}", Urgency.FOLLOW)
        if until is not None:
            work = asyncio.gather(until, work) if work is not None else until
    except Exception as error:
        work = _failed(error)  # the settle deadline does it again
        raise
    finally:
        parts.outbox.follow(
            parts.jobs.store,
            parts.jobs.watch,
            committed.after,
            work,
            before=committed.before,
            overtaken=partial(_put_right, parts, job_id, {where for _, where in again}) if again else None,
            check=partial(_held, parts) if is_left and not left and _is_accepted(committed) else None,
            passes_on=_passes_on(committed.after),
        )
    return committed


def _withdraw(parts: Parts, listed: Sequence[JobRecord], early: Early | None, record: JobRecord | None) -> None:
    """A job that was taken for a new one was there already: it stands in the lists where it stood, and its new place in
    the line is nobody's."""
    for one in listed:
        if record is None or one.created_at != record.created_at:
            gone = parts.listing.remove("job", one.id, one.created_at)
            parts.background.start(gone, f"remove job/{one.id} from where it does not stand")
    if early is not None and standing(record) != early.where:
        gone = parts.backlog.remove(early.where)
        parts.background.start(gone, f"remove {early.where.place.job_id} from where it does not stand")


# Before the write.


async def _with_length_rules(parts: Parts, before: JobRecord | None, change: JobChange) -> JobChange:
    """While a job is being added to a queue, its queueLength rules look at who is ahead. Whoever adds a job to such a
    queue holds it: so the count is right, whoever else adds one."""
    record = change.record
    assert record is not None
    if record.status is not JobStatus.QUEUED or (before and before.routing.stay == record.routing.stay):
        return change
    policy = await policies.exception_policy(parts, record.job.queue_id)
    if policy is None or (most := exceptions.length_threshold(policy[1])) is None:
        return change
    where = standing(record)
    assert where is not None
    if not parts.rounds.holds(where.queue_id):
        raise _NeedsHold(where.queue_id)
    ahead = await parts.backlog.count(where.queue_id, before=where.place, most=most)
    rules = exceptions.length_rules(policy[1], ahead)
    if not rules:
        return change
    fired = exceptions.trigger(record, policy[0], rules, parts.clock.now())
    return Change(fired.record, (*change.events, *fired.events), change.result)


async def _prepare(parts: Parts, row: Row[JobRecord], after: JobRecord, known: Collection[Owner]) -> None:
    """What must stand in storage before the job's row is written, and does no harm if that never happens."""
    before = row.record
    work: list[Work] = [parts.deadlines.arm(deadline) for deadline in await deadlines.of_change(parts, row, after)]
    work += [parts.members.add(owner, after.id) for owner in owners(after) if owner not in (*owners(before), *known)]
    if work:
        await asyncio.gather(parts.jobs.watch.early(row), *work)


async def stand(parts: Parts, record: JobRecord, where: Standing) -> None:
    """The job's row in the line says what the job says. Somebody may have changed the job since it was read, and have
    written that row before this: so the job is read once more."""
    for _ in range(_MOST_PLACES):
        await _put(parts, record, where)
        found = (await parts.jobs.store.load(record.id)).record
        if found is None or standing(found) != where or not stands_anew(record, found, where):
            return
        record = found
    raise Busy


async def _put_right(parts: Parts, job_id: str, places: Collection[Standing]) -> None:
    """The rows of these places may say what the job does not: where it stands in one of them, that is written anew."""
    record = (await parts.jobs.store.load(job_id)).record
    if await _stand_if_in(parts, record, places) and record is not None and record.job.queue_id is not None:
        await parts.rounds.ask([record.job.queue_id], sure=True)


async def _stand_if_in(parts: Parts, record: JobRecord | None, places: Collection[Standing]) -> bool:
    where = standing(record)
    if record is None or where is None or where not in places:
        return False
    await stand(parts, record, where)
    return True


async def _put(parts: Parts, record: JobRecord, where: Standing) -> None:
    policy = None if where.entering else await policies.distribution_policy(parts, where.queue_id)
    now, retry_at = parts.clock.now(), record.routing.retry_at
    takes = policy is None or (matching.wants_offers(record, policy.mode) > 0 and not (retry_at and retry_at > now))
    if takes:
        await parts.backlog.put(record, where, now)
    else:
        await parts.backlog.put_closed(record, where, now)


# After the write.


async def _follow(parts: Parts, committed: Committed[JobRecord], since: float, *, in_round: bool) -> set[str]:
    """Brings in line what hangs on the job, which was written before `since` by the loop's clock. The queues of the
    workers that are freed by that."""
    before, after, job_id = committed.before.record, committed.after.record, committed.after.id
    work: list[Work] = []
    was, now = standing(before), standing(after)
    if was is not None and not in_round and (now is None or _row(was) != _row(now)):
        work.append(_leave(parts, job_id, was, since))
        if now is None and (after is None or after.status is not JobStatus.ASSIGNED):
            # Who has come into another line, or to a worker, is seen there.
            work.append(parts.departures.tell(departures.LINES, [(key(was.queue_id), row_key(was))]))
    if before is not None and after is None:
        work.append(parts.listing.remove("job", job_id, before.created_at))
        parts.jobs.watch.drop(deadlines.of_deleted(parts, before))
    if before is not None and before.status not in ENDED and (after is None or after.status in ENDED):
        work += [parts.members.remove(owner, job_id) for owner in all_owners(before)]
    work += [_forget(parts, owner, job_id) for owner in forgotten(before, after)]
    releases = _releases(parts, before, after) if before is not None and after is not None else []
    found = await asyncio.gather(*releases, *work)
    return {queue_id for queues in found[: len(releases)] for queue_id in queues}


async def _leave(parts: Parts, job_id: str, was: Standing, since: float) -> None:
    """Removes the job's row from where it stood. One that took long may have come after the job was there again. So may
    any, where another commit here has put it there `since` the one that took it away: that one may be on its way."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await parts.backlog.remove(was)
    if parts.backlog.was_put(was, since):
        async with parts.locks.hold(f"job/{job_id}"):
            pass
        await _put_right(parts, job_id, {was})
        return
    known = parts.jobs.store.as_written(job_id)
    is_back = known is not None and standing(known.record) == was
    if is_back or loop.time() - began > _LONG_SECONDS:
        await _put_right(parts, job_id, {was})


async def _forget(parts: Parts, owner: Owner, job_id: str) -> None:
    """Removes the hint of an owner that the job named long ago; it is there again if the job has come back since."""
    await parts.members.remove(owner, job_id)
    if owner in owners((await parts.jobs.store.load(job_id)).record):
        await parts.members.add(owner, job_id)


def _leaves_work(committed: Committed[JobRecord], *, in_round: bool) -> bool:
    """Whether more hangs on the commit before than its events: what they tell of says what. A round sees to what
    waiting jobs need."""
    after = committed.after.record
    waits = not in_round and after is not None and after.status not in SETTLED
    harmless = _HARMLESS if waits else _HARMLESS | _OF_WAITING | _OF_ACCEPT
    return bool(committed.before.overflow) or not _told(committed) <= harmless


def _told(committed: Committed[JobRecord]) -> set[str]:
    """What the commits before have told, or are about to tell, whose follow-up may not be done."""
    return {*committed.before.owed, *(event.type for event in committed.before.outbox)}


def _is_accepted(committed: Committed[JobRecord]) -> bool:
    """Whether the job may have been accepted by the commits before, and is with that worker still. One that this commit
    has taken from its worker is released by it, as an assignment or as the offer that it was."""
    return not _OF_ACCEPT.isdisjoint(_told(committed)) and bool(_open_assignments(committed.after.record))


def _open_assignments(record: JobRecord | None) -> list[RouterJobAssignment]:
    return [one for one in record.job.assignments.values() if one.closed_at is None] if record is not None else []


async def _held(parts: Parts, row: Row[JobRecord]) -> None:
    """The worker's row holds the assignment: whoever accepted for it may have died before that."""
    for one in _open_assignments(row.record):
        assert row.record is not None
        await worker_commits.hold(parts, row.record, one)


def _passes_on(row: Row[JobRecord]) -> bool:
    """Whether the job moves on, and whoever takes it over has nothing to do for what has been done so far."""
    if row.record is None or row.record.status in ENDED or row.overflow:
        return False
    return {*row.owed, *(event.type for event in row.outbox)} <= _HARMLESS | _OF_WAITING | _OF_ACCEPT


def _row(where: Standing) -> tuple[str, str]:
    return where.queue_id, row_key(where)


def _releases(parts: Parts, before: JobRecord, after: JobRecord) -> list[Coroutine[Any, Any, set[str]]]:
    """Offers and assignments that the job no longer has are taken from their workers' rows."""
    work: list[Coroutine[Any, Any, set[str]]] = []
    ended: dict[str, set[str]] = {}
    accepted = set(after.routing.accepted_offers.values())
    for offer_id, offer in before.routing.offers.items():
        if offer_id not in after.routing.offers and offer_id not in accepted:
            ended.setdefault(offer.worker_id, set()).add(offer_id)
    for offer_id, over in after.routing.ended_offers.items():
        if offer_id in before.routing.offers and over.outcome in ("expired", "revoked"):
            metrics.record_offer(over.outcome)  # type: ignore[arg-type]
    for worker_id, offer_ids in ended.items():
        expired = any(
            after.routing.ended_offers.get(id) and after.routing.ended_offers[id].outcome == "expired"
            for id in offer_ids
        )
        work.append(worker_commits.drop_offers(parts, worker_id, frozenset(offer_ids), expired=expired))
    for assignment_id, assignment in before.job.assignments.items():
        now = after.job.assignments.get(assignment_id)
        if assignment.closed_at is None and (now is None or now.closed_at is not None):
            offer_id = before.routing.accepted_offers.get(assignment_id, "")
            work.append(worker_commits.release(parts, assignment.worker_id, assignment_id, offer_id))
    return work


def _go_on(parts: Parts, committed: Committed[JobRecord], freed: set[str], driven: bool) -> asyncio.Future[Any] | None:
    """Sets going what the change makes possible."""
    before, after = committed.before.record, committed.after.record
    work: list[asyncio.Future[Any]] = []
    where = standing(after)
    if after is not None and where is not None and stands_anew(before, after, where):
        work.append(parts.rounds.ask([where.queue_id], sure=True))
        freed = freed - {where.queue_id}
    if freed:
        work.append(parts.rounds.ask(sorted(freed)))
    if after is not None and not driven and (after.status in GOES_ON or after.routing.triggered):
        work.append(
            parts.background.begin(parts.procedures.drive_job(parts, after.id), f"drive job/{after.id}", Urgency.FOLLOW)
        )
    if not work:
        return None
    return work[0] if len(work) == 1 else asyncio.gather(*work)


async def _drive_after(parts: Parts, job_id: str, round: asyncio.Future[None]) -> None:
    """The actions of rules that have fired while the round had the queue."""
    await round
    await parts.procedures.drive_job(parts, job_id)


def _failed(error: Exception) -> asyncio.Future[Any]:
    failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    failed.set_exception(Undone(error))
    return failed
