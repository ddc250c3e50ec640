"""A change of a job with all that hangs on it: deadlines before it, indexes and released workers after it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Final

from router.commit import policies
from router.commit import worker as worker_commits
from router.commit.loop import watched_until
from router.commit.parts import Parts
from router.engine import endings, exceptions, matching, selectors
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve
from router.models.jobs import (
    ENDED,
    JobRecord,
    JobStatus,
    ScheduleAndSuspendMode,
)
from router.models.policies import ExceptionPolicy
from router.storage.aggregates import Row
from router.storage.backlog import order_key
from router.storage.deadlines import Deadline
from router.storage.members import Owner
from router.telemetry import routing as metrics

_log = logging.getLogger(__name__)

#: A deadline this soon after the settle deadline is armed at once, so that it is never late.
NEAR: Final = timedelta(seconds=3)
Work = Coroutine[Any, Any, object]
#: A pure decision about a job that exists.
Step = Callable[[JobRecord], JobChange | None]


async def change(
    parts: Parts, job_id: str, step: Step, row: Row[JobRecord] | None = None, *, from_memory: bool = False
) -> Row[JobRecord] | None:
    """The row as it stands afterwards, or None if there is no such job. `from_memory`: see Commits.change."""

    async def decide(found: Row[JobRecord]) -> JobChange | None:
        return None if found.record is None else step(found.record)

    after = await change_row(parts, job_id, decide, row, from_memory=from_memory)
    return after if after.record is not None else None


async def change_row(
    parts: Parts,
    job_id: str,
    step: Callable[[Row[JobRecord]], object],
    row: Row[JobRecord] | None = None,
    *,
    from_memory: bool = False,
) -> Row[JobRecord]:
    """Like `change`, for steps that may also create (or await something)."""

    adding = AsyncExitStack()

    async def decide(found: Row[JobRecord]) -> JobChange | None:
        outcome = step(found)
        decided: JobChange | None = await outcome if asyncio.iscoroutine(outcome) else outcome  # type: ignore[assignment]
        if decided is None or decided.record is None:
            return decided
        if decided.record is found.record and not decided.events:
            return decided
        decided = await _with_length_rules(parts, found.record, decided, adding)
        assert decided.record is not None
        record = _remembering_owners(found.record, placed(decided.record))
        await _prepare(parts, found, record)
        return Change(record, decided.events)

    async with adding:
        before, after = await parts.jobs.change(job_id, decide, row, announce=False, from_memory=from_memory)
        if after.version != before.version:
            parts.recent_jobs[job_id] = after.commit
            try:
                await _follow(parts, before.record, after, adding)
                parts.followed.done(before.commit, after.commit)
            except Exception:
                parts.jobs.announce(after)
                raise
            parts.jobs.announce(after)
    return after


def placed(record: JobRecord) -> JobRecord:
    """The record with its place in the backlog, as its state gives it."""
    queued = record.status is JobStatus.QUEUED
    queue_id = record.job.queue_id if queued else None
    row = order_key(record) if queued else None
    if (record.routing.backlog_queue, record.routing.backlog_key) == (queue_id, row):
        return record
    return evolve(record, routing={"backlog_queue": queue_id, "backlog_key": row})


def _remembering_owners(before: JobRecord | None, record: JobRecord) -> JobRecord:
    """The record with the owners that it no longer names. Their hints stay until the job ends: a removal that came
    late could take away the hint of a job that has come back meanwhile."""
    if record.status in ENDED:
        return record
    known = record.routing.left_owners
    left = [owner for owner in owners(before) if owner not in (*owners(record), *known)]
    return evolve(record, routing={"left_owners": [*known, *left]}) if left else record


async def _with_length_rules(
    parts: Parts, before: JobRecord | None, change: JobChange, adding: AsyncExitStack
) -> JobChange:
    """While a job is being added to a queue, its queueLength rules look at who is ahead. Jobs are added to such a queue
    one after the other, each when the one before stands in the backlog: that is how long `adding` is held."""
    record = change.record
    assert record is not None
    if record.status is not JobStatus.QUEUED or (before and before.routing.stay == record.routing.stay):
        return change
    policy = await exception_policy(parts, record.job.queue_id)
    if policy is None or (most := exceptions.length_threshold(policy[1])) is None:
        return change
    assert record.job.queue_id is not None
    await adding.aclose()  # of a try that met a conflict
    await adding.enter_async_context(parts.locks.hold(f"add/{record.job.queue_id}"))
    ahead = await parts.backlog.count(record.job.queue_id, before=order_key(record), most=most)
    rules = exceptions.length_rules(policy[1], ahead)
    if not rules:
        return change
    fired = exceptions.trigger(record, policy[0], rules, parts.clock.now())
    return Change(fired.record, (*change.events, *fired.events))


async def exception_policy(parts: Parts, queue_id: str | None) -> tuple[str, ExceptionPolicy] | None:
    """The exception policy of a queue, with its id."""
    queue = await parts.resources.cached("Queue", queue_id) if queue_id else None
    policy_id = queue.model.exception_policy_id if queue else None
    if not policy_id:
        return None
    policy = await parts.resources.cached("ExceptionPolicy", policy_id)
    if policy is None:
        _log.warning("Queue names an exception policy that is not there", extra={"queue": queue_id})
        return None
    return policy_id, policy.model


async def _prepare(parts: Parts, row: Row[JobRecord], after: JobRecord) -> None:
    """What must stand in storage before the row says so: a spurious one is harmless, a missing one is not. Deadlines
    that come after the row's settle deadline are left to that: most jobs have moved on by then."""
    before, now = row.record, parts.clock.now()
    settle_at, renewed = watched_until(row.settle_at, now)
    found = await (_unknown_deadlines if renewed else _deadlines)(parts, before, after)
    due = [one for one in found if one.due <= settle_at + NEAR]
    work = [parts.deadlines.arm(deadline) for deadline in due]
    work += [parts.members.add(owner, after.id) for owner in owners(after) if owner not in owners(before)]
    if work:
        await asyncio.gather(parts.jobs.watch(row), *work)


async def _unknown_deadlines(parts: Parts, before: JobRecord | None, after: JobRecord) -> list[Deadline]:
    """All deadlines of the job but those that its last settle deadline has armed, which stand in storage or are done;
    unless the change makes them necessary once more."""
    found = await _deadlines(parts, None, after)
    known = set(after.routing.armed)
    if known.isdisjoint(one.row for one in found):
        return found
    again = {one.row for one in await _deadlines(parts, before, after)}
    return [one for one in found if one.row not in known or one.row in again]


async def later_deadlines(parts: Parts, record: JobRecord) -> list[Deadline]:
    """The job's deadlines that are not known to stand in storage: for its settle deadline. After an outage some have
    passed by then, and are armed all the same: nobody else would see to them."""
    if record.status in ENDED:
        return []
    found = [*await _deadlines(parts, None, record), Deadline("life", record.id, endings.life_ends(record))]
    return [one for one in found if one.row not in record.routing.armed]


async def _deadlines(parts: Parts, before: JobRecord | None, after: JobRecord) -> list[Deadline]:
    """The deadlines that the change makes necessary."""
    old = before.routing if before else None
    found = [
        Deadline("offer", after.id, offer.expires_at, offer.offer_id)
        for offer_id, offer in after.routing.offers.items()
        if old is None or offer_id not in old.offers
    ]
    found += [
        Deadline("retry", after.id, decline.retry_at, worker_id)
        for worker_id, decline in after.routing.declined.items()
        if decline.retry_at and (old is None or old.declined.get(worker_id) != decline)
    ]
    if after.routing.retry_at and (old is None or old.retry_at != after.routing.retry_at):
        found.append(Deadline("retry", after.id, after.routing.retry_at))
    if after.routing.close_at and (old is None or old.close_at != after.routing.close_at):
        found.append(Deadline("close", after.id, after.routing.close_at))
    mode = after.job.matching_mode
    if isinstance(mode, ScheduleAndSuspendMode) and (before is None or before.job.matching_mode != mode):
        found.append(Deadline("schedule", after.id, mode.schedule_at))
    if after.status is not JobStatus.QUEUED:
        return found
    entered = before is None or before.status is not JobStatus.QUEUED
    expiry = selectors.next_expiry(after.job)
    if expiry and (entered or before is None or selectors.next_expiry(before.job) != expiry):
        found.append(Deadline("selectors", after.id, expiry))
    if entered or before is None or before.routing.stay != after.routing.stay:
        found += await wait_deadlines(parts, after)
    return found


async def wait_deadlines(parts: Parts, record: JobRecord) -> list[Deadline]:
    """When the waitTime rules of the job's queue that have not fired in this stay are to be looked at."""
    policy = await exception_policy(parts, record.job.queue_id)
    if policy is None or record.job.enqueued_at is None:
        return []
    return [
        Deadline("wait", record.id, at, rule_id)
        for rule_id, at in exceptions.wait_deadlines(policy[1], record.job.enqueued_at)
        if rule_id not in record.routing.fired_rules
    ]


def owners(record: JobRecord | None) -> list[Owner]:
    """The queue and the policy that may not be deleted while the job is active."""
    return [] if record is None or record.status in ENDED else _named(record)


def all_owners(record: JobRecord) -> list[Owner]:
    """Whoever may have a hint of the job, active or not, each once."""
    return list(dict.fromkeys((*_named(record), *record.routing.left_owners)))


def _named(record: JobRecord) -> list[Owner]:
    named: list[Owner] = []
    if record.job.queue_id:
        named.append(("q", record.job.queue_id))
    if record.job.classification_policy_id:
        named.append(("c", record.job.classification_policy_id))
    return named


async def _follow(parts: Parts, before: JobRecord | None, row: Row[JobRecord], adding: AsyncExitStack) -> None:
    """Brings in line what hangs on the job; a settle deadline stands behind it."""
    after = row.record
    work: list[Work] = []
    if after is None:
        if before is not None:
            if before.status not in ENDED:
                work += [parts.members.remove(owner, row.id) for owner in all_owners(before)]
            if before.routing.backlog_key and before.routing.backlog_queue:
                work.append(parts.backlog.remove(before.routing.backlog_queue, before.routing.backlog_key))
    else:
        work.append(_into_backlog(parts, before, after, adding))
        if after.status in ENDED and before is not None and before.status not in ENDED:
            work += [parts.members.remove(owner, row.id) for owner in all_owners(before)]
        work += _releases(parts, before, after)
    if work:
        await asyncio.gather(*work)


async def _into_backlog(parts: Parts, before: JobRecord | None, after: JobRecord, adding: AsyncExitStack) -> None:
    """Who waits to be added too goes on as soon as the job stands in the backlog: what else hangs on the job takes
    locks of its own."""
    work: list[Work] = []
    old = (before.routing.backlog_queue, before.routing.backlog_key) if before else (None, None)
    new = (after.routing.backlog_queue, after.routing.backlog_key)
    if new[0] and new != old and await _has_all_offers(parts, after):
        work.append(parts.backlog.put_closed(after, new[0]))
    elif new[0] and (new != old or before is None or _says_more(before, after)):
        work.append(parts.backlog.put(after, new[0]))
    if old[0] and old[1] and old != new:
        work.append(parts.backlog.remove(old[0], old[1]))
    await asyncio.gather(*work)
    await adding.aclose()


async def _has_all_offers(parts: Parts, record: JobRecord) -> bool:
    if not record.routing.offers:
        return False
    policy = await policies.of_queue(parts, record.job.queue_id)
    return policy is not None and not matching.wants_offers(record, policy.mode)


def _says_more(before: JobRecord, after: JobRecord) -> bool:
    """Whether the job may take offers that it could not take before, or matches others."""
    return (
        len(after.routing.offers) < len(before.routing.offers)
        or before.job.channel_id != after.job.channel_id
        or before.job.requested_worker_selectors != after.job.requested_worker_selectors
        or before.job.attached_worker_selectors != after.job.attached_worker_selectors
    )


def _releases(parts: Parts, before: JobRecord | None, after: JobRecord) -> list[Work]:
    """Offers and assignments that the job no longer has are taken from their workers' rows."""
    if before is None:
        return []
    work: list[Work] = []
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
