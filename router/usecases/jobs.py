"""Jobs as clients use them: upsert, get, list, delete and the actions
(docs/behaviour.md, "Operations" and "Job life")."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

from router.commit import job as job_commits
from router.commit import policies
from router.commit.parts import Parts
from router.engine import endings, jobs
from router.engine.change import JobChange
from router.engine.ownership import Own
from router.engine.service_order import standing
from router.errors import Busy, Conflict, ErrorDetail, NotFound, RouterError
from router.models.filters import JobFilter
from router.models.jobs import (
    ACTIVE,
    CancelJobOptions,
    CloseJobOptions,
    CompleteJobOptions,
    JobRecord,
    RouterJobInput,
    ScheduleAndSuspendMode,
    UnassignJobOptions,
)
from router.models.sizes import LARGEST_WRITTEN, check_size, written_units
from router.offload import by_weight, by_weight_of
from router.storage.keys import time_key
from router.storage.port import Condition
from router.storage.record_pages import Position
from router.storage.truth_rows import Row
from router.upkeep.job import reconcile_workers
from router.upkeep.worker import free_workers
from router.usecases.lists import Lister
from router.usecases.settings import Check, checked, missing_references

#: What the client wants of the job, given what is there. Raises BadRequest; see wire/invalid.py.
Wanted = Callable[[JobRecord | None], RouterJobInput]

#: Looks at a job that is to go, while others change it.
_DELETE_TRIES: Final = 10


class _Wish:
    """What the client wants. For a job that is not there, which is asked for twice, it is worked out once."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._new: RouterJobInput | RouterError | None = None

    async def of(self, record: JobRecord | None) -> RouterJobInput:
        """Raises BadRequest, TooLarge."""
        if record is not None:
            return await by_weight_of(record.weight, self._made, record)
        new, self._new = self._new, None
        if new is None:
            try:
                new = self._new = await by_weight(self._made, None)
            except RouterError as error:
                self._new = error
                raise
        if isinstance(new, RouterError):
            try:
                raise new
            finally:
                del new  # else the frame and the error hold each other, and all that came with the request
        return new

    def _made(self, record: JobRecord | None) -> RouterJobInput:
        want = self._wanted(record)
        _check_size(want, record)
        return want


async def upsert(parts: Parts, job_id: str, wanted: Wanted, check: Check) -> tuple[JobRecord, bool]:
    """The job afterwards, and whether it is new. Raises Busy where more comes than can be carried."""
    async with parts.turns.enter():
        return await _upsert(parts, job_id, _Wish(wanted), check)


async def _upsert(parts: Parts, job_id: str, wish: _Wish, check: Check) -> tuple[JobRecord, bool]:
    now = parts.clock.now()

    async def step(row: Row[JobRecord]) -> JobChange:
        record = row.record
        check(record.etag if record else None, record.modified if record else None)
        want = await checked(partial(wish.of, record), _references, partial(_missing, parts, record))
        return jobs.create(job_id, want, now) if record is None else jobs.update(record, want, now)

    row, early = await _read(parts, job_id, wish, check, now)
    committed = await job_commits.change(parts, job_id, step, row, early=early)
    assert committed.after.record is not None
    return committed.after.record, committed.before.record is None


async def _read(
    parts: Parts, job_id: str, wish: _Wish, check: Check, now: datetime
) -> tuple[Row[JobRecord], job_commits.Early | None]:
    """The job's row. Most often it is to be a new one: if nothing speaks against that, it is not read, for its write
    fails where there is one; and what it needs is put into storage. A request that is refused leaves nothing behind."""
    new = None
    if parts.jobs.store.as_written(job_id) is None:
        with suppress(RouterError):
            check(None, None)
            new = jobs.create(job_id, await wish.of(None), now).record
    where = standing(new)
    if new is None or where is None:
        return await parts.jobs.store.load(job_id), None
    is_remembered = parts.resources.remembered("Queue", where.queue_id) is not None
    # What the matching needs of the settings is read meanwhile too, if it is not known.
    parts.background.begin(policies.distribution_policy(parts, where.queue_id), f"policy of queue {where.queue_id}")
    if not is_remembered:  # there may be none
        return await parts.jobs.store.load(job_id), None
    return Row(job_id), await job_commits.prepare_new(parts, new, where)


async def get(parts: Parts, job_id: str, own: Own | None = None) -> JobRecord:
    row = await parts.jobs.store.load(job_id)
    if row.record is None:
        raise NotFound("Job", job_id)
    if own is not None:
        own.check_job(row.record)
    return row.record


async def page(
    parts: Parts, wanted: JobFilter, size: int, after: Position | None
) -> tuple[list[JobRecord], Position | None]:
    """Newest first."""
    where = _conditions(wanted)
    lister = Lister(parts, parts.jobs.store, where, partial(_fits, wanted), wanted, filtered=bool(where), exact=True)
    return await lister.page(size, after)


async def delete(parts: Parts, job_id: str) -> None:
    """Conflict unless the job has ended; fine when it is not there. What its workers still hold of it is freed first:
    nobody could do that any more when it is gone. Raises Busy when the job goes on changing meanwhile."""
    for _ in range(_DELETE_TRIES):
        row = await parts.jobs.store.load(job_id)
        if row.record is None:
            return
        freed = row.record
        endings.delete(freed)
        # Not in the step: a round that this waits for may be waiting for the job's lock.
        await free_workers(parts, freed)
        if not row.is_followed:
            # Whoever ended the job has not seen to its workers yet, and may never do so.
            await reconcile_workers(parts, freed)

        def decide(record: JobRecord, etag: str = freed.etag) -> JobChange | None:
            return endings.delete(record) if record.etag == etag else None

        committed = await job_commits.change(parts, job_id, job_commits.existing(decide), row)
        if committed.after.record is None:
            return
    raise Busy


async def reclassify(parts: Parts, job_id: str) -> None:
    await _act(parts, job_id, jobs.reclassify)


async def cancel(parts: Parts, job_id: str, options: CancelJobOptions) -> None:
    now = parts.clock.now()
    await _act(parts, job_id, lambda record: endings.cancel(record, options, now))


async def complete(
    parts: Parts, job_id: str, assignment_id: str, options: CompleteJobOptions, own: Own | None = None
) -> None:
    now = parts.clock.now()

    def decide(record: JobRecord) -> JobChange:
        if own is not None:
            own.check_assignment(record, assignment_id)
        return endings.complete(record, assignment_id, options, now)

    await _act(parts, job_id, decide)


async def close(
    parts: Parts, job_id: str, assignment_id: str, options: CloseJobOptions, own: Own | None = None
) -> None:
    now = parts.clock.now()

    def decide(record: JobRecord) -> JobChange:
        if own is not None:
            own.check_assignment(record, assignment_id)
        return endings.close(record, assignment_id, options, now)

    await _act(parts, job_id, decide)


async def unassign(parts: Parts, job_id: str, assignment_id: str, options: UnassignJobOptions) -> int:
    """How often the job has been unassigned."""
    now = parts.clock.now()
    after = await _act(parts, job_id, lambda record: endings.unassign(record, assignment_id, options, now))
    return after.routing.unassignment_count


async def _act(parts: Parts, job_id: str, decide: Callable[[JobRecord], JobChange | None]) -> JobRecord:
    """What a client does to a job that exists. Raises NotFound, and what `decide` raises."""
    committed = await job_commits.change(parts, job_id, job_commits.existing(decide), from_memory=True)
    if committed.after.record is None:
        raise NotFound("Job", job_id)
    return committed.after.record


def _check_size(wanted: RouterJobInput, current: JobRecord | None) -> None:
    """What a client writes leaves room for the job's life; what has grown since may stay, and shrink. Raises
    TooLarge (413)."""
    size = written_units(wanted, RouterJobInput.model_fields)
    if size > LARGEST_WRITTEN:
        grown = written_units(current.job, RouterJobInput.model_fields) if current is not None else 0
        check_size(size, max(LARGEST_WRITTEN, grown))


def _references(wanted: RouterJobInput) -> dict[str, Any]:
    return {"queueId": wanted.queue_id, "classificationPolicyId": wanted.classification_policy_id}


async def _missing(parts: Parts, current: JobRecord | None, named: Mapping[str, Any]) -> list[ErrorDetail]:
    """A queue or classification policy that is named anew must exist."""
    kinds = {"queueId": "Queue", "classificationPolicyId": "ClassificationPolicy"}
    return await missing_references(parts, kinds, _references(current.job) if current is not None else {}, named)


def _conditions(wanted: JobFilter) -> list[Condition]:
    where: list[Condition] = []
    if wanted.statuses == ACTIVE:
        where.append(("Active", "eq", True))
    elif wanted.statuses is not None:
        where.extend(("Status", "eq", str(status)) for status in wanted.statuses)
    if wanted.queue_id is not None:
        where.append(("QueueId", "eq", wanted.queue_id))
    if wanted.channel_id is not None:
        where.append(("ChannelId", "eq", wanted.channel_id))
    if wanted.classification_policy_id is not None:
        where.append(("PolicyId", "eq", wanted.classification_policy_id))
    if wanted.scheduled_before is not None:
        where.append(("ScheduleAt", "le", time_key(wanted.scheduled_before)))
    if wanted.scheduled_after is not None:
        where.append(("ScheduleAt", "ge", time_key(wanted.scheduled_after)))
    return where


def _fits(wanted: JobFilter, record: JobRecord) -> bool:
    """As the conditions say it of the row."""
    job, mode = record.job, record.job.matching_mode
    at = mode.schedule_at if isinstance(mode, ScheduleAndSuspendMode) else None
    return (
        (wanted.statuses is None or job.status in wanted.statuses)
        and (wanted.queue_id is None or job.queue_id == wanted.queue_id)
        and (wanted.channel_id is None or job.channel_id == wanted.channel_id)
        and (wanted.classification_policy_id is None or job.classification_policy_id == wanted.classification_policy_id)
        and (wanted.scheduled_before is None or (at is not None and at <= wanted.scheduled_before))
        and (wanted.scheduled_after is None or (at is not None and at >= wanted.scheduled_after))
    )


def not_queued(record: JobRecord) -> Conflict:
    return Conflict(f"Job '{record.id}' is {record.status}; only a queued job has a position.")
