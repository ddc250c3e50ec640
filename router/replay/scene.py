"""A day that is being played: what time it is, what comes next, and who and what is there."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from router.engine import workers
from router.models.jobs import JobRecord, JobStatus
from router.models.workers import WorkerRecord
from router.replay.behaviour import People
from router.replay.history import Day
from router.replay.lines import Lines
from router.replay.played import Played
from router.replay.rules import Rules
from router.replay.team import Team

Act = Callable[..., None]


class Scene:
    def __init__(self, day: Day, people: People) -> None:
        self.day, self.people = day, people
        self.second = 0.0
        #: When the day ends.
        self.last = (day.ends - day.begins).total_seconds()
        self.played = Played()
        self.rules = Rules()
        self.jobs: dict[str, JobRecord] = {}
        self.lines = Lines()
        self.team = Team(self.played, self.last)
        #: How often each job was assigned.
        self.assigned: dict[str, int] = defaultdict(int)
        self._heap: list[tuple[float, int, Act, tuple[Any, ...]]] = []
        self._number = 0

    @property
    def now(self) -> datetime:
        return self.day.begins + timedelta(seconds=self.second)

    def at(self, second: float, act: Act, *about: Any) -> None:
        self._number += 1
        heapq.heappush(self._heap, (second, self._number, act, about))

    def at_time(self, moment: datetime, act: Act, *about: Any) -> None:
        """What is due already is done next."""
        self.at(max((moment - self.day.begins).total_seconds(), self.second), act, *about)

    def next(self) -> tuple[Act, tuple[Any, ...]] | None:
        """What comes next; it is as late as that then."""
        if not self._heap:
            return None
        self.second, _, act, about = heapq.heappop(self._heap)
        return act, about

    def job_becomes(self, record: JobRecord | None) -> None:
        assert record is not None
        self.jobs[record.id] = record
        self.lines.put(record)

    def stays(self, job_id: str, stay: int) -> bool:
        """Whether the job is still in its queue, in that stay."""
        record = self.jobs.get(job_id)
        return record is not None and record.status is JobStatus.QUEUED and record.routing.stay == stay

    def worker_becomes(self, record: WorkerRecord | None) -> None:
        assert record is not None
        self.team.put(record, self.second)

    def drop(self, worker_id: str, offer_ids: Sequence[str], *, deregister: bool = False) -> None:
        """The worker has these offers no longer."""
        change = workers.drop_offers(self.team[worker_id], frozenset(offer_ids), deregister=deregister)
        self.worker_becomes(change.record)
