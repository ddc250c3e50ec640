"""Waiting figures: a job's position, a queue's length and waits (docs/behaviour.md, "Waiting figures")."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from router.commit.parts import Parts
from router.engine import waiting
from router.engine.service_order import standing
from router.errors import NotFound
from router.models.jobs import DEFAULT_PRIORITY
from router.usecases import jobs as job_usecases


@dataclass(frozen=True)
class Position:
    job_id: str
    position: int
    queue_id: str
    queue_length: int
    estimated_wait_minutes: int


@dataclass(frozen=True)
class Statistics:
    queue_id: str
    length: int
    #: By priority; of an empty queue 0 for the default priority.
    estimated_wait_minutes: dict[int, int]
    longest_wait_minutes: float | None


async def position(parts: Parts, job_id: str) -> Position:
    """Conflict when the job is not queued."""
    record = await job_usecases.get(parts, job_id)
    where = standing(record)
    if where is None or where.entering:
        raise job_usecases.not_queued(record)
    ahead = await parts.backlog.count(where.queue_id, before=where.place)
    length = await parts.backlog.count(where.queue_id)
    rate = await _rate(parts, where.queue_id, record.job.enqueued_at)
    return Position(job_id, ahead + 1, where.queue_id, max(length, ahead + 1), waiting.estimate(ahead + 1, rate))


async def statistics(parts: Parts, queue_id: str) -> Statistics:
    if await parts.resources.load("Queue", queue_id) is None:
        raise NotFound("Queue", queue_id)
    now = parts.clock.now()
    length, first = 0, now
    last: dict[int, int] = {}
    async for one in parts.backlog.all(queue_id):
        length += 1
        last[one.priority] = length
        first = min(first, one.enqueued_at)
    if not length:
        return Statistics(queue_id, 0, {DEFAULT_PRIORITY: 0}, None)
    rate = await _rate(parts, queue_id, first)
    longest = (now - first).total_seconds() / 60
    estimates = {priority: waiting.estimate(place, rate) for priority, place in last.items()}
    return Statistics(queue_id, length, estimates, longest)


async def _rate(parts: Parts, queue_id: str, waiting_since: datetime | None) -> float:
    recent = await parts.throughput.recent(queue_id)
    return waiting.rate(recent.assigned, recent.busy, waiting_since, parts.clock.now())
