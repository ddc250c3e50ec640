"""What every use case works with: stores, indexes, clock, ids, the outbox. Built once by router/app.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Protocol

from router.clock import Clock
from router.commit.background import Background
from router.commit.chronicle import Chronicle
from router.commit.locks import KeyedLocks
from router.commit.loop import Commits
from router.commit.outbox import Outbox, Publisher
from router.commit.overdue import Overdue
from router.commit.queue_search import QueueSearch
from router.commit.told import ToldWaits
from router.commit.watch import Rest, Settled, Standing, Watch
from router.engine.facts import Thresholds
from router.ids import Ids
from router.models.jobs import JobRecord
from router.models.selectors import RouterWorkerSelector
from router.models.workers import WorkerRecord
from router.outages import Surroundings
from router.recent import RecentIds
from router.settings import DEFAULT_HISTORY_DAYS
from router.storage.availability import AvailabilityStore
from router.storage.backlog import BacklogStore
from router.storage.days import DayStore
from router.storage.deadlines import DeadlineStore
from router.storage.departures import DepartureStore
from router.storage.facts import FactStore
from router.storage.history import HistoryStore
from router.storage.jobs import job_store
from router.storage.listing import ListingStore
from router.storage.members import MemberStore
from router.storage.port import Tables
from router.storage.resources import ResourceStore
from router.storage.rounds import RoundStore
from router.storage.shadows import ShadowStore
from router.storage.throughput import ThroughputStore
from router.storage.truth_rows import Row
from router.storage.turns import Turns
from router.storage.workers import WorkerStore


class Rules(Protocol):
    """The rule engines, as matching and classification call them. Failures raise RuleFailure."""

    async def scores(
        self,
        rule: Any,
        job_labels: Mapping[str, Any],
        selectors: list[RouterWorkerSelector],
        workers: list[Mapping[str, Any]],
        options: Any,
        context: str,
    ) -> list[float]:
        """One score a worker (labels), in the same order."""
        ...

    async def value(self, rule: Any, labels: Mapping[str, Any], context: str) -> Any:
        """What a rule yields for a job's labels."""
        ...


class Rounds(Protocol):
    """The matching of queues, as commits ask for it (matching/rounds.py)."""

    def ask(self, queue_ids: Iterable[str], *, sure: bool = False) -> asyncio.Future[None]:
        """Asks that jobs and workers of these queues be matched. Done when that has happened or another process is
        sure to do it. `sure`: somebody waits there for certain."""
        ...

    def take_over(self, queue_ids: Iterable[str]) -> None:
        """Somebody has to look after these queues, whose holder stands still or is gone."""
        ...

    def held(self, queue_id: str) -> AbstractAsyncContextManager[None]:
        """While it is held, nobody else adds jobs to the queue or matches its jobs."""
        ...

    def holds(self, queue_id: str) -> bool:
        """Whether the caller is in such a hold."""
        ...


@dataclass(frozen=True)
class Procedures:
    """What commits set going and what itself makes commits: handed in, so that modules import in one direction only
    (upkeep/procedures.py has them)."""

    rounds: Callable[[Parts], Rounds]
    #: Takes the job on to its next state.
    drive_job: Callable[[Parts, str], Coroutine[Any, Any, None]]
    #: Bring everything about a job or a worker to where it should be, from its row if that has just been written.
    reconcile_job: Callable[[Parts, str, Row[JobRecord] | None], Coroutine[Any, Any, None]]
    reconcile_worker: Callable[[Parts, str, Row[WorkerRecord] | None], Coroutine[Any, Any, None]]
    #: Arms what a job that rests needs further on; the record that knows it, and what it does not need any more.
    job_rests: Callable[[Parts, JobRecord], Coroutine[Any, Any, Rest[JobRecord]]]
    #: Revokes the worker's offers that its state no longer allows.
    revoke_unqualified: Callable[[Parts, WorkerRecord], Coroutine[Any, Any, None]]


@dataclass
class Parts:
    """The parts of one router process."""

    tables: Tables
    clock: Clock
    ids: Ids
    publisher: Publisher
    rules: Rules
    procedures: Procedures
    #: Whether this process sees to what follows its commits by itself; else events and deadlines alone do.
    drives: bool = True
    #: Days for which the history is kept; 0: there is none.
    history_days: int = DEFAULT_HISTORY_DAYS
    #: Of reports: what counts as served well where a queue does not say so, and the time zone whose days are added up.
    thresholds: Thresholds = field(default_factory=Thresholds)
    report_zone: tzinfo = UTC
    background: Background = field(default_factory=Background)
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    overdue: Overdue = field(default_factory=Overdue)
    around: Surroundings = field(default_factory=Surroundings)
    #: Offers that this process has seen on their job: young offers not among these are looked up before they show.
    attached: RecentIds = field(default_factory=RecentIds)
    #: Changes of policies and queues that this process has put where they are kept, by their keys.
    told_changes: RecentIds = field(default_factory=RecentIds)
    turns: Turns = field(init=False)
    history: HistoryStore = field(init=False)
    facts: FactStore = field(init=False)
    chronicle: Chronicle = field(init=False)
    outbox: Outbox = field(init=False)
    jobs: Commits[JobRecord] = field(init=False)
    workers: Commits[WorkerRecord] = field(init=False)
    worker_rows: WorkerStore = field(init=False)
    resources: ResourceStore = field(init=False)
    queue_search: QueueSearch = field(init=False)
    departures: DepartureStore = field(init=False)
    deadlines: DeadlineStore = field(init=False)
    backlog: BacklogStore = field(init=False)
    availability: AvailabilityStore = field(init=False)
    members: MemberStore = field(init=False)
    listing: ListingStore = field(init=False)
    throughput: ThroughputStore = field(init=False)
    told: ToldWaits = field(default_factory=ToldWaits)
    round_store: RoundStore = field(init=False)
    rounds: Rounds = field(init=False)

    def __post_init__(self) -> None:
        self.tables = self.turns = Turns(self.tables)
        table = self.tables.table
        instance = self.ids.guid()
        self.departures = DepartureStore(table("throughput"), self.clock, instance)
        self.deadlines = DeadlineStore(table("deadlines"))
        self.history = HistoryStore(table("history"))
        self.facts = FactStore(table("facts"))
        self.chronicle = Chronicle(self.history, self.deadlines, self.clock, self.history_days)
        self.outbox = Outbox(
            self.publisher, self.background, self.clock, self.overdue, self.drives, self.chronicle, self.turns
        )
        self.resources = ResourceStore(self.tables, self.clock)
        self.queue_search = QueueSearch(self.resources)
        settled = Settled(self.deadlines, self.background, self.chronicle, self.clock)
        standing = Standing(self.deadlines, self.background)

        async def job_rests(record: JobRecord) -> Rest[JobRecord]:
            return await self.procedures.job_rests(self, record)

        async def worker_rests(record: WorkerRecord) -> Rest[WorkerRecord]:
            return Rest(record)

        jobs, workers = job_store(table("jobs")), WorkerStore(table("workers"), self.clock, self.departures)
        self.worker_rows = workers
        common = (self.deadlines, settled, self.background, self.clock, self.ids, self.chronicle, standing)
        committing = (self.outbox, self.locks, self.clock, self.ids, self.drives, self.chronicle)
        self.jobs = Commits(jobs, Watch(jobs, *common, job_rests), *committing)
        self.workers = Commits(workers, Watch(workers, *common, worker_rests), *committing)
        self.backlog = BacklogStore(table("backlog"))
        self.availability = AvailabilityStore(table("availability"))
        self.members = MemberStore(table("members"))
        self.listing = ListingStore(table("listing"), self.clock)
        self.throughput = ThroughputStore(table("throughput"), self.clock, instance)
        self.round_store = RoundStore(table("rounds"))
        self.rounds = self.procedures.rounds(self)

    @property
    def days(self) -> DayStore:
        """Finished days of the reports' time zone."""
        return DayStore(self.tables.table("facts"), str(self.report_zone))

    @property
    def shadows(self) -> ShadowStore:
        """What candidates would have done, by days of the reports' time zone."""
        return ShadowStore(self.tables.table("facts"), str(self.report_zone))

    async def on_time(self) -> None:
        """Before anything is decided by time. A clock in doubt is held against storage's first. Raises WrongClock,
        StorageUnavailable."""
        if self.around.clock.is_doubtful:
            await self.tables.ready()
            self.around.clock.check()


async def gathered(work: Iterable[Awaitable[object]]) -> None:
    """All of it done. Raises the first failure after the others have ended."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
