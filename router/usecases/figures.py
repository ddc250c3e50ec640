"""Waiting figures: a job's position, a queue's length and waits (docs/behaviour.md, "Waiting figures")."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from router.commit.parts import Parts
from router.engine import waiting
from router.engine.expected_wait import InLine, Rank, WaitRange, expected_wait, minutes_of
from router.engine.selectors import all_selectors
from router.engine.service_order import rank_of, standing
from router.errors import NotFound
from router.models.jobs import DEFAULT_PRIORITY
from router.models.results import EstimatedWait, EstimatedWaitBasis
from router.storage.backlog import Waiting
from router.storage.job_classes import REST, JobClass, job_class
from router.storage.throughput import Held, Throughput
from router.usecases import jobs as job_usecases

_log = logging.getLogger(__name__)

#: So many jobs that were told a wait say how often it holds; below this share it is said to hold too seldom.
ENOUGH_TOLD: Final = 20
HELD_AT_LEAST: Final = 70.0


@dataclass(frozen=True)
class Wait:
    """Whole minutes, as ACS says it; beyond that a range, or why there is none."""

    minutes: int
    range: EstimatedWait | None = None
    unknown: str | None = None


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
    outlook = await _outlook(parts, where.queue_id, asked)
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
    waits: dict[int, Wait] = {}
    for priority, place in last.items():
        asked, one = _class(line[place]), line[place]
        outlook = await _outlook(parts, queue_id, asked)
        rank = (one.place.rank, one.place.below)
        waits[priority] = outlook.wait(asked, rank, one.enqueued_at, in_line[:place], first)
    return Statistics(queue_id, len(line), waits, (now - first).total_seconds() / 60)


def _class(one: Waiting) -> JobClass:
    return job_class(one.channel_id, one.selectors)


def _in_line(one: Waiting) -> InLine:
    return InLine(_class(one).name, one.enqueued_at)


@dataclass(frozen=True)
class _Outlook:
    """What is known of how fast a queue's jobs are taken."""

    recent: Throughput
    held: Held
    now: datetime

    def wait(self, asked: JobClass, rank: Rank, since: datetime, ahead: Sequence[InLine], first: datetime) -> Wait:
        """Of a job behind `ahead`; `first` is since when jobs have been waiting."""
        recent = self.recent
        own = InLine(self._known(asked.name, asked.name), since)
        line = [InLine(self._known(one.needs, own.needs), one.since) for one in ahead]
        found = expected_wait(own, rank, line, recent.classes, recent.pools, recent.since, self.now)
        if isinstance(found, WaitRange):
            return Wait(math.ceil(found.p50 / 60), self._shown(found))
        rate = waiting.rate(recent.assigned, recent.busy, first, self.now)
        return Wait(waiting.estimate(len(ahead) + 1, rate), unknown=found.reason)

    def _known(self, name: str, otherwise: str) -> str:
        """The class under which such jobs are counted. Of one that nobody has taken lately nothing is known: it is
        taken to compete with the job itself."""
        if name in self.recent.classes:
            return name
        return REST if REST in self.recent.classes else otherwise

    def _shown(self, found: WaitRange) -> EstimatedWait:
        told, percent, caution = None, None, None
        if self.held.told >= ENOUGH_TOLD:
            told, percent = self.held.told, round(100 * self.held.held / self.held.told, 1)
            if percent < HELD_AT_LEAST:
                caution = f"In the last 24 hours what was told held for only {percent:.0f} % of {told} jobs."
        basis = EstimatedWaitBasis(
            assignments=found.basis.assignments,
            minutes=round(found.basis.seconds / 60, 1),
            competing=found.basis.competing,
            told=told,
            held_percent=percent,
        )
        return EstimatedWait(
            mean_seconds=round(found.mean, 1),
            p50_seconds=round(found.p50, 1),
            p80_seconds=round(found.p80, 1),
            sentence=found.sentence,
            basis=basis,
            caution=caution,
        )


async def _outlook(parts: Parts, queue_id: str, asked: JobClass) -> _Outlook:
    recent = await parts.throughput.recent(queue_id, asked)
    held = await parts.throughput.held(queue_id)
    if held.told >= ENOUGH_TOLD and 100 * held.held < HELD_AT_LEAST * held.told:
        _log.warning("Told waits hold too seldom", extra={"queue": queue_id, "told": held.told, "held": held.held})
    return _Outlook(recent, held, parts.clock.now())
