"""The places in the line of a round's jobs: taken and closed before offers are made, and put right afterwards."""

from __future__ import annotations

from datetime import datetime

from router.commit import job as job_commits
from router.commit.parts import Parts
from router.engine import jobs, matching
from router.engine.change import JobChange
from router.engine.plan import Plan
from router.engine.service_order import Standing, standing
from router.matching.rows import Jobs
from router.matching.scene import Scene
from router.models.jobs import JobRecord
from router.storage.backlog import Waiting, row_key


def queued(waiting: Waiting) -> Standing:
    """Where a job that enters stands when it is queued."""
    return Standing(waiting.queue_id, waiting.place)


def enqueued(waiting: Waiting, record: JobRecord, now: datetime) -> JobChange:
    """A job that enters, with the place with which it was planned. It may have stood there for so long that the time
    of a selector is over: then it waits without that from the start."""
    return jobs.enqueue(record, now, since=waiting.place.enqueued_at)


async def take(parts: Parts, seen: Scene, plan: Plan, planned: Jobs) -> None:
    """Jobs that enter with an offer get their place in the line, and the rows of those that get all their offers are
    closed, before the offers are theirs: who accepts one at once takes the row away again."""
    moves: list[tuple[Waiting, JobRecord, Standing, bool]] = []
    for waiting, row in planned.values():
        assert row.record is not None
        record = enqueued(waiting, row.record, seen.now).record if waiting.entering else row.record
        assert record is not None
        moves.append((waiting, record, queued(waiting), takes_more(seen, plan, row.record)))
    if moves:
        await parts.backlog.update(moves, seen.now)


def takes_more(seen: Scene, plan: Plan, job: JobRecord) -> bool:
    """Whether the job takes more offers than are planned for it."""
    planned = sum(match.job.id == job.id for match in plan.matches)
    return seen.policy is None or matching.wants_offers(job, seen.policy.mode) > planned


def stands(waiting: Waiting, record: JobRecord | None) -> bool:
    """Whether a job that has entered stands where that was planned."""
    where = standing(record)
    return where is not None and row_key(where) == row_key(queued(waiting))


async def entered(parts: Parts, seen: Scene, waiting: Waiting, record: JobRecord | None) -> None:
    """The line says of a job that has entered what became of it, where that is not what was planned."""
    where = standing(record)
    if not stands(waiting, record):
        await parts.backlog.remove(queued(waiting))
    elif record is None or not _is_open(seen, record):
        return
    if record is not None and where is not None:
        await job_commits.stand(parts, record, where)


async def opened(parts: Parts, seen: Scene, waiting: Waiting, record: JobRecord | None) -> None:
    """A job whose row was closed, and that has not got what was planned, is found again."""
    where = standing(record)
    if record is not None and where == queued(waiting) and _is_open(seen, record):
        await job_commits.stand(parts, record, where)


def moved(seen: Scene, waiting: Waiting, record: JobRecord | None) -> tuple[Waiting, JobRecord, Standing, bool] | None:
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
