"""Waiting figures: a job's position, a queue's length and waits (docs/behaviour.md, "Waiting figures")."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from router.commit.parts import Parts
from router.engine.expected_wait import InLine, holds_too_seldom, minutes_of
from router.engine.selectors import all_selectors
from router.engine.service_order import rank_of, standing
from router.errors import NotFound
from router.models.jobs import DEFAULT_PRIORITY
from router.storage.backlog import Waiting
from router.storage.job_classes import JobClass, job_class
from router.usecases import jobs as job_usecases
from router.usecases.outlook import Outlook, Wait

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Position:
    job_id: str
    position: int
    queue_id: str
    queue_length: int
    wait: Wait


@dataclass(frozen=True)
class Statistics:
    queue_id: str
    length: int
    #: By priority; of an empty queue 0 for the default priority.
    waits: dict[int, Wait]
    longest_wait_minutes: float | None


async def position(parts: Parts, job_id: str) -> Position:
    """Conflict when the job is not queued."""
    record = await job_usecases.get(parts, job_id)
    where = standing(record)
    if where is None or where.entering:
        raise job_usecases.not_queued(record)
    asked = job_class(record.job.channel_id, all_selectors(record.job))
    ahead = [one async for one in parts.backlog.all(where.queue_id, before=where.place)]
    length = max(await parts.backlog.count(where.queue_id), len(ahead) + 1)
    outlook = await _outlook(parts, where.queue_id, [asked])
    enqueued = record.job.enqueued_at or parts.clock.now()
    wait = outlook.wait(asked, rank_of(record), enqueued, [_in_line(one) for one in ahead], enqueued)
    if wait.range is not None:
        until = parts.clock.now() + timedelta(minutes=minutes_of(wait.range.p80_seconds))
        parts.told.tell(job_id, where.queue_id, until)
    return Position(job_id, len(ahead) + 1, where.queue_id, length, wait)


async def statistics(parts: Parts, queue_id: str) -> Statistics:
    if await parts.resources.load("Queue", queue_id) is None:
        raise NotFound("Queue", queue_id)
    now = parts.clock.now()
    line = [one async for one in parts.backlog.all(queue_id)]
    if not line:
        return Statistics(queue_id, 0, {DEFAULT_PRIORITY: Wait(0)}, None)
    first = min(one.enqueued_at for one in line)
    in_line = [_in_line(one) for one in line]
    last = {one.priority: place for place, one in enumerate(line)}
    outlook = await _outlook(parts, queue_id, [_class(line[place]) for place in last.values()])
    waits: dict[int, Wait] = {}
    for priority, place in last.items():
        asked, one = _class(line[place]), line[place]
        rank = (one.place.rank, one.place.below)
        waits[priority] = outlook.wait(asked, rank, one.enqueued_at, in_line[:place], first)
    return Statistics(queue_id, len(line), waits, (now - first).total_seconds() / 60)


def _class(one: Waiting) -> JobClass:
    return job_class(one.channel_id, one.selectors)


def _in_line(one: Waiting) -> InLine:
    return InLine(_class(one).name, one.enqueued_at, offered=not one.open)


async def _outlook(parts: Parts, queue_id: str, asked: Iterable[JobClass]) -> Outlook:
    counted = await parts.throughput.counted(queue_id, asked)
    held = await parts.throughput.held(queue_id)
    if holds_too_seldom(held.told, held.held):
        _log.warning("Told waits hold too seldom", extra={"queue": queue_id, "told": held.told, "held": held.held})
    return Outlook(counted, held, parts.clock.now())
