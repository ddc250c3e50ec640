"""What is counted while a world runs: operations, conflicts, offers and the events of jobs."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bench.scale import calls
from router.storage.port import Entity
from tests.sim.observer import Observer, Operation
from tests.sim.process import DEADLINE, Process
from tests.sim.virtual_loop import PROCESS

#: Rows of a query that are as much work for this process as one operation.
_ROWS_A_STEP: Final = 10
#: How far back the offers of each process are looked at, to tell who matches.
_LATELY_SECONDS: Final = 0.5

Listener = Callable[[calls.Event], None]


@dataclass(frozen=True)
class Offer:
    """An offer as its job's commit made it."""

    at: float
    job_id: str
    #: Whether a settle deadline had set that going.
    settled: bool


class Peak:
    """The most in one second, and where."""

    def __init__(self) -> None:
        self.most = 0
        self.where = ""
        self._second = -1
        self._counts: Counter[str] = Counter()

    def add(self, now: float, where: str, count: int = 1) -> None:
        if int(now) != self._second:
            self._second = int(now)
            self._counts.clear()
        self._counts[where] += count
        if self._counts[where] > self.most:
            self.most, self.where = self._counts[where], where


class Meter(Observer):
    """Counts from `start` to `stop`, and remembers the events of jobs all the time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        #: Told of each offer, once: when its commit is made, and when the topic takes its event.
        self.on_commit: list[Listener] = []
        self.on_taken: list[Listener] = []
        self.offers: dict[str, Offer] = {}
        #: Of each event of a job, in the order of the commits: when it was committed, and when the topic took it first.
        self.committed: dict[str, tuple[calls.Event, float]] = {}
        self.taken: dict[str, float] = {}
        #: All operations, and rows that queries found, as work for the machine that runs this.
        self.work = 0.0
        self._counts = False
        self.start()
        self.stop()
        self._lately: deque[tuple[float, Process]] = deque(maxlen=1_000)

    def start(self) -> None:
        """From here on; what was counted before is forgotten."""
        self._counts = True
        self.operations = self.conflicts = self.settings = 0
        self.partitions, self.account = Peak(), Peak()

    def stop(self) -> None:
        self._counts = False

    # What the world shows.

    def operated(self, process: Process, operation: Operation, *, conflict: bool = False, rows: int = 0) -> None:
        self.work += 1 + rows / _ROWS_A_STEP
        if not self._counts:
            return
        now = self._now()
        self.account.add(now, "account")
        self.partitions.add(now, f"{operation.table}/{operation.partition or '*'}", max(operation.writes, 1))
        self.conflicts += conflict
        self.settings += calls.is_of_settings(operation.table)
        self.operations += not calls.is_poll(operation.kind, operation.table)

    def observe(self, table: str, before: Entity | None, after: Entity | None) -> None:
        if table != "jobs" or after is None:
            return
        for event in calls.committed(after):
            if event.id in self.committed:
                continue
            now = self._now()
            self.committed[event.id] = (event, now)
            if event.type == calls.OFFERED:
                self.offers[event.data["offerId"]] = Offer(now, event.job_id, calls.is_settling(DEADLINE.get()))
                process = PROCESS.get()
                if isinstance(process, Process):
                    self._lately.append((now, process))
                for listener in self.on_commit:
                    listener(event)

    def took(self, event: dict[str, Any]) -> None:
        found = calls.taken(event)
        if found is None or found.id in self.taken:
            return
        self.taken[found.id] = self._now()
        if found.type == calls.OFFERED:
            for listener in self.on_taken:
                listener(found)

    # What can be asked.

    def matching(self) -> Process | None:
        """The process that serves and has made the most offers lately: whoever matches at this moment."""
        since = self._now() - _LATELY_SECONDS
        recent = Counter(
            process for at, process in self._lately if at >= since and process.alive and process.roles.serves
        )
        return recent.most_common(1)[0][0] if recent else None

    def happened(self, type: str) -> dict[str, float]:
        """When an event of this type was committed, of each job that has one."""
        return {event.job_id: at for event, at in reversed(self.committed.values()) if event.type == type}

    def untold(self) -> int:
        """Jobs of whose events the topic has not taken all, or not in the order of their commits."""
        latest: dict[str, float] = {}
        wrong: set[str] = set()
        for id, (event, _) in self.committed.items():
            at = self.taken.get(id)
            if at is None or at < latest.get(event.job_id, 0.0):
                wrong.add(event.job_id)
            else:
                latest[event.job_id] = at
        return len(wrong)
