"""What a job that waits is told, from what is known of how fast its queue's jobs are taken (docs/waiting.md)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from pydantic import TypeAdapter

from router.engine import live_lines, waiting
from router.engine.expected_wait import ENOUGH_TOLD, InLine, Rank, WaitRange, expected_wait, holds_too_seldom
from router.models.results import EstimatedWait, EstimatedWaitBasis
from router.models.selectors import RouterWorkerSelector
from router.storage.counted import Counted, Throughput
from router.storage.job_classes import REST, JobClass, job_class
from router.storage.throughput import Held

#: A line is told of so many priorities at most in a live picture: those of which most jobs wait.
_MOST_PRIORITIES: Final = 8
_SELECTORS: Final = TypeAdapter(list[RouterWorkerSelector])


@dataclass(frozen=True)
class Wait:
    """Whole minutes, as ACS says it; beyond that a range, or why there is none."""

    minutes: int
    range: EstimatedWait | None = None
    unknown: str | None = None


@dataclass(frozen=True)
class Outlook:
    """What is known of how fast a queue's jobs are taken."""

    counted: Counted
    held: Held
    now: datetime

    def wait(self, asked: JobClass, rank: Rank, since: datetime, ahead: Sequence[InLine], first: datetime) -> Wait:
        """Of a job behind `ahead`; `first` is since when jobs have been waiting."""
        recent = self.counted.of(asked.name)
        own = InLine(_known(recent, asked.name, asked.name), since)
        names = {name: _known(recent, name, own.needs) for name in {one.needs for one in ahead}}
        line = [one if one.needs == names[one.needs] else replace(one, needs=names[one.needs]) for one in ahead]
        found = expected_wait(own, rank, line, recent.classes, recent.pools, recent.since, self.now, recent.answer)
        if isinstance(found, WaitRange):
            return Wait(math.ceil(found.p50 / 60), self._shown(found))
        rate = waiting.rate(recent.assigned, recent.busy, first, self.now)
        return Wait(waiting.estimate(len(ahead) + 1, rate), unknown=found.reason)

    def _shown(self, found: WaitRange) -> EstimatedWait:
        told, percent, caution = None, None, None
        if self.held.told >= ENOUGH_TOLD:
            told, percent = self.held.told, round(100 * self.held.held / self.held.told, 1)
            if holds_too_seldom(told, self.held.held):
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


def _known(recent: Throughput, name: str, otherwise: str) -> str:
    """The class under which such jobs are counted. Of one that nobody has taken lately nothing is known: it is taken
    to compete with the job itself."""
    if name in recent.classes:
        return name
    return REST if REST in recent.classes else otherwise


@dataclass(frozen=True, eq=False)
class LiveOutlook:
    """What is known of a queue, for its line as live pictures have it."""

    outlook: Outlook

    def of_line(self, rows: Sequence[live_lines.InLine], at: datetime) -> dict[str, Any]:
        """Of the last job of each priority, as statistics tell it."""
        outlook = replace(self.outlook, now=max(at, self.outlook.now))
        line = [InLine(class_of(one).name, datetime.fromisoformat(one.enqueued_at), not one.open) for one in rows]
        first = min(one.since for one in line)
        known: dict[str, Any] = {}
        unknown: dict[str, str] = {}
        for priority, place in last_of_each(rows).items():
            rank, asked = (int(rows[place].row[0]), -priority), class_of(rows[place])
            told = outlook.wait(asked, rank, line[place].since, line[:place], first)
            if told.range is not None:
                known[str(priority)] = told.range.model_dump(mode="json", by_alias=True, exclude_none=True)
            elif told.unknown is not None:
                unknown[str(priority)] = told.unknown
        return {
            **({"estimatedWait": known} if known else {}),
            **({"estimatedWaitUnknown": unknown} if unknown else {}),
        }


def last_of_each(rows: Sequence[live_lines.InLine]) -> dict[int, int]:
    """Where the last job of each priority stands."""
    last = {one.priority: place for place, one in enumerate(rows)}
    counts = Counter(one.priority for one in rows)
    return {priority: last[priority] for priority, _ in counts.most_common(_MOST_PRIORITIES)}


def class_of(row: live_lines.InLine) -> JobClass:
    return _class(row.channel_id, row.selectors)


@lru_cache(maxsize=1000)
def _class(channel_id: str, selectors: str) -> JobClass:
    return job_class(channel_id, _SELECTORS.validate_json(selectors))
