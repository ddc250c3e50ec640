"""What every use case works with: stores, indexes, clock, ids, the outbox. Built once by router/app.py."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from router.clock import Clock
from router.commit.background import Background
from router.commit.followed import Followed
from router.commit.locks import KeyedLocks
from router.commit.loop import Commits
from router.commit.outbox import Outbox, Publisher
from router.commit.overdue import Overdue
from router.commit.pending_offers import PendingOffers
from router.ids import Ids
from router.models.jobs import JobRecord
from router.models.selectors import RouterWorkerSelector
from router.models.workers import WorkerRecord
from router.recent import Recent, RecentIds
from router.storage.aggregates import job_store, worker_store
from router.storage.availability import AvailabilityStore
from router.storage.backlog import BacklogStore
from router.storage.deadlines import DeadlineStore
from router.storage.members import MemberStore
from router.storage.port import Tables
from router.storage.resources import ResourceStore
from router.storage.throughput import ThroughputStore

_RECENT_WORKERS: Final = 2_000
_RECENT_JOBS: Final = 10_000


class Rules(Protocol):
    """The rule engines, as distribution and classification call them. Failures raise RuleFailure."""

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


@dataclass(frozen=True)
class Procedures:
    """What commits and offers set going and what itself makes commits and offers: handed in, so that modules import
    in one direction only (upkeep/procedures.py has them)."""

    #: Offers the job of that id to workers.
    distribute: Callable[[Parts, str], Coroutine[Any, Any, None]]
    #: Offers the worker of that id jobs.
    find_work: Callable[[Parts, str], Coroutine[Any, Any, None]]
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
    background: Background = field(default_factory=Background)
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    pending_offers: PendingOffers = field(default_factory=PendingOffers)
    overdue: Overdue = field(default_factory=Overdue)
    #: Offers that this process has seen on their job: young offers not among these are looked up before they show.
    attached: RecentIds = field(default_factory=RecentIds)
    #: Workers as this process last wrote them.
    recent_workers: Recent[str, WorkerRecord] = field(default_factory=lambda: Recent(_RECENT_WORKERS))
    #: The last commit of each job's row that this process made.
    recent_jobs: Recent[str, str] = field(default_factory=lambda: Recent(_RECENT_JOBS))
    #: Commits after which this process has done all that hangs on them.
    followed: Followed = field(default_factory=Followed)
    outbox: Outbox = field(init=False)
    jobs: Commits[JobRecord] = field(init=False)
    workers: Commits[WorkerRecord] = field(init=False)
    resources: ResourceStore = field(init=False)
    deadlines: DeadlineStore = field(init=False)
    backlog: BacklogStore = field(init=False)
    availability: AvailabilityStore = field(init=False)
    members: MemberStore = field(init=False)
    throughput: ThroughputStore = field(init=False)

    def __post_init__(self) -> None:
        table = self.tables.table
        self.outbox = Outbox(self.publisher, self.background, self.clock, self.overdue)
        self.deadlines = DeadlineStore(table("deadlines"))
        self.jobs = Commits(job_store(table("jobs")), self.deadlines, self.outbox, self.locks, self.clock, self.ids)
        self.workers = Commits(
            worker_store(table("workers")), self.deadlines, self.outbox, self.locks, self.clock, self.ids
        )
        self.resources = ResourceStore(self.tables, self.clock)
        self.backlog = BacklogStore(table("backlog"))
        self.availability = AvailabilityStore(table("availability"))
        self.members = MemberStore(table("members"))
        self.throughput = ThroughputStore(table("throughput"), self.clock, self.ids.guid())
