"""The deadlines of a job: those that a change needs before it is written, and those of a job that rests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from router.commit import policies
from router.commit.parts import Parts
from router.commit.watch import watched_until
from router.engine import deadlines
from router.engine.deadlines import Due
from router.engine.evolve import evolve
from router.models.jobs import JobRecord, JobStatus
from router.models.policies import ExceptionPolicy
from router.storage.deadlines import Deadline
from router.storage.truth_rows import Row

#: A deadline this soon after the settle deadline is armed at once, so that it is never late.
NEAR: Final = timedelta(seconds=3)
#: How many far deadlines of a job are remembered as armed.
_MOST_ARMED: Final = 60


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


async def armed(parts: Parts, record: JobRecord) -> JobRecord:
    """Arms the deadlines of a job that rests which are not known to stand in storage, and returns the record that knows
    them. After an outage some have passed by then, and are armed all the same: nobody else would see to them."""
    later = [
        one
        for one in _deadlines(record, deadlines.of_life(record, await _policy(parts, record)))
        if one.row not in record.routing.armed
    ]
    if not later:
        return record
    await asyncio.gather(*(parts.deadlines.arm(deadline) for deadline in later))
    return evolve(record, routing={"armed": [*record.routing.armed, *(one.row for one in later)][-_MOST_ARMED:]})


async def arm_wait_rules(parts: Parts, record: JobRecord) -> None:
    """For a job that waits already when its queue's waitTime rules change."""
    policy = await _policy(parts, record)
    found = _deadlines(record, deadlines.of_wait_rules(record, policy)) if policy else []
    await asyncio.gather(*(parts.deadlines.arm(deadline) for deadline in found))


async def _policy(parts: Parts, record: JobRecord) -> ExceptionPolicy | None:
    """The exception policy whose waitTime rules run for the job."""
    if record.status is not JobStatus.QUEUED:
        return None
    found = await policies.exception_policy(parts, record.job.queue_id)
    return found[1] if found is not None else None


def _deadlines(record: JobRecord, found: Sequence[Due]) -> list[Deadline]:
    return [Deadline(one.kind, record.id, one.at, one.argument) for one in found]
