"""The deadlines of a job: those that a change needs before it is written, and those of a job that rests."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from router.commit import policies
from router.commit.parts import Parts
from router.commit.watch import Rest, watched_until
from router.engine import deadlines
from router.engine.deadlines import Due
from router.engine.evolve import evolve
from router.models.jobs import ENDED, JobRecord, JobStatus
from router.models.policies import ExceptionPolicy
from router.storage.deadlines import Deadline, Over, kind_of, shard_of
from router.storage.keys import time_key
from router.storage.port import RowChanged
from router.storage.truth_rows import Overtaken, Row

#: A deadline this soon after the settle deadline is armed at once, so that it is never late.
NEAR: Final = timedelta(seconds=3)
#: How many far deadlines of a job are remembered as armed.
_MOST_ARMED: Final = 60
#: What is due this soon is left to the timer, which may have it in hand.
_SOON: Final = timedelta(seconds=5)
#: Tries of a write that others are faster with.
_MOST_TRIES: Final = 10


async def of_change(parts: Parts, row: Row[JobRecord], after: JobRecord) -> list[Deadline]:
    """The deadlines that are to stand in storage before the change is written. Later ones are armed when the job
    rests: most jobs have moved on by then."""
    settle_at, renewed = watched_until(row.settle_at, parts.clock.now())
    policy = await _policy(parts, after)
    if renewed:
        found = _unknown(row.record, after, policy)
    else:
        found = _deadlines(after, deadlines.of_change(row.record, after, policy))
    return [one for one in found if one.due <= settle_at + NEAR]


def _unknown(before: JobRecord | None, after: JobRecord, policy: ExceptionPolicy | None) -> list[Deadline]:
    """All deadlines of the job but those that are known to stand in storage, or are done; unless the change makes them
    necessary once more."""
    found = _deadlines(after, deadlines.of_change(None, after, policy))
    known = set(after.routing.armed)
    if known.isdisjoint(one.row for one in found):
        return found
    again = {one.row for one in _deadlines(after, deadlines.of_change(before, after, policy))}
    return [one for one in found if one.row not in known or one.row in again]


async def armed(parts: Parts, record: JobRecord) -> Rest[JobRecord]:
    """Arms the deadlines of a job that rests which are not known to stand in storage, and returns the record that knows
    them. After an outage some have passed by then, and are armed all the same: nobody else would see to them. With it
    come those that stand there and are over."""
    known = record.routing.armed
    needed = _deadlines(record, deadlines.of_life(record, await _policy(parts, record)))
    later = [one for one in needed if one.row not in known]
    over = _over(record, {one.row for one in needed}, ended=record.status in ENDED)
    if not later and not over:
        return Rest(record)
    await asyncio.gather(*(parts.deadlines.arm(deadline) for deadline in later))
    return Rest(_knowing(record, later, over), _to_remove(parts, record, over))


def _knowing(record: JobRecord, later: Sequence[Deadline], over: Collection[str]) -> JobRecord:
    """The record that knows these as armed, and those that are over no more."""
    known = [*(row for row in record.routing.armed if row not in over), *(one.row for one in later)]
    return evolve(record, routing={"armed": known[-_MOST_ARMED:], "armed_since": record.job.enqueued_at})


def of_deleted(parts: Parts, record: JobRecord) -> list[Over]:
    """What stands in storage for a job that is deleted now."""
    return _to_remove(parts, record, _over(record, (), ended=True))


def _to_remove(parts: Parts, record: JobRecord, over: Collection[str]) -> list[Over]:
    soon, shard = time_key(parts.clock.now() + _SOON), shard_of(record.id)
    return [Over(shard, row) for row in sorted(over) if row > soon]


def _over(record: JobRecord, needed: Collection[str], *, ended: bool) -> set[str]:
    """Those of the job's deadlines in storage that it does not need any more and never will again. A time that a client
    has set may be set once more, so its row stays until it is due."""
    since = record.routing.armed_since
    kinds = {"offer"}  # an offer that ended is never there again
    if ended or (since is not None and since != record.job.enqueued_at):
        kinds.add("wait")  # counted from a moment that the job has left behind
    if ended:
        kinds.add("life")
    return {row for row in record.routing.armed if kind_of(row) in kinds and row not in needed}


async def follow_wait_rules(parts: Parts, row: Row[JobRecord]) -> None:
    """For a job that waits already, when its queue's waitTime rules have changed and every process knows them: its next
    one is armed, and those of the rules before are removed. Else each change would leave one, for years perhaps."""
    for _ in range(_MOST_TRIES):
        record = row.record
        if record is None or record.status is not JobStatus.QUEUED:
            return
        due = deadlines.next_wait(record, await _policy(parts, record))
        needed = _deadlines(record, [due] if due is not None else [])
        names = {one.row for one in needed}
        later = [one for one in needed if one.row not in record.routing.armed]
        over = [one for one in record.routing.armed if kind_of(one) == "wait" and one not in names]
        if not later and not over:
            return
        shard = shard_of(record.id)
        # One that another process arms anew after this, since the rules have changed once more, stays.
        versions = await asyncio.gather(*(parts.deadlines.version(shard, one) for one in over))
        await asyncio.gather(*(parts.deadlines.arm(one) for one in later))
        try:
            await parts.jobs.store.save(replace(row, record=_knowing(record, later, over)), parts.ids.guid())
        except Overtaken as error:
            row = error.row
            continue
        gone = [Over(shard, one, version) for one, version in zip(over, versions, strict=True) if version is not None]
        await parts.deadlines.remove(gone)
        return
    raise RowChanged(f"Job '{row.id}' changes all the time.")


async def _policy(parts: Parts, record: JobRecord) -> ExceptionPolicy | None:
    """The exception policy whose waitTime rules run for the job."""
    if record.status is not JobStatus.QUEUED:
        return None
    found = await policies.exception_policy(parts, record.job.queue_id)
    return found[1] if found is not None else None


def _deadlines(record: JobRecord, found: Sequence[Due]) -> list[Deadline]:
    return [Deadline(one.kind, record.id, one.at, one.argument) for one in found]
