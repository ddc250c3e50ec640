"""A worker as matching sees it: what it can still take, and what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from router.engine.capacity import in_use, jobs_on, open_channels
from router.models.workers import WorkerRecord


@dataclass(frozen=True, slots=True)
class ChannelRoom:
    """What a job of the channel costs, how many of them the worker takes at most and how many it has."""

    cost: int
    most: int | None
    jobs: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A worker that may be offered a job, as of one version of it. The index tells all but `jobs`."""

    worker_id: str
    version: int
    capacity: int
    used: int
    channels: Mapping[str, ChannelRoom]
    #: Live offers; counted where there is a limit.
    offers: int
    most_offers: int | None
    #: Since when it could have taken more work.
    since: datetime
    #: Declines before this moment no longer count.
    registered_at: datetime | None
    #: Its own labels and `Id`.
    labels: Mapping[str, Any]
    queues: Sequence[str]
    #: The jobs that it holds, offered or assigned.
    jobs: frozenset[str] = field(default=frozenset())

    @property
    def load_ratio(self) -> float:
        return min(self.used / self.capacity, 1.0)

    def with_offer(self, job_id: str, channel_id: str) -> Candidate:
        """The worker as it is when it holds an offer of this job too."""
        room = self.channels[channel_id]
        return replace(
            self,
            used=self.used + room.cost,
            channels={**self.channels, channel_id: replace(room, jobs=room.jobs + 1)},
            offers=self.offers + 1,
            jobs=self.jobs | {job_id},
        )


def candidate(record: WorkerRecord) -> Candidate:
    """The worker as matching sees it, whether it takes offers now or not."""
    worker = record.worker
    limited = worker.max_concurrent_offers is not None
    return Candidate(
        worker_id=worker.id,
        version=record.routing.version,
        capacity=worker.capacity,
        used=in_use(worker),
        channels={
            one.channel_id: ChannelRoom(
                one.capacity_cost_per_job, one.max_number_of_jobs, jobs_on(record, one.channel_id)
            )
            for one in worker.channels
        },
        offers=len(worker.offers) if limited else 0,
        most_offers=worker.max_concurrent_offers,
        since=record.routing.available_since,
        registered_at=record.routing.registered_at,
        labels=worker.matching_labels,
        queues=worker.queues,
        jobs=frozenset([*(one.job_id for one in worker.offers), *(one.job_id for one in worker.assigned_jobs)]),
    )


def available(record: WorkerRecord | None) -> Candidate | None:
    """The worker as the index is to tell of it; None when it can take nothing."""
    return candidate(record) if record is not None and open_channels(record) else None


def index_state(record: WorkerRecord) -> tuple[Any, ...]:
    """All that the index tells of a worker: its version counts the changes of this."""
    found = available(record)
    if found is None:
        return ()
    return (
        found.capacity,
        found.used,
        tuple(found.channels.items()),
        found.offers,
        found.most_offers,
        found.since,
        found.registered_at,
        tuple((name, type(value), value) for name, value in found.labels.items()),
        tuple(found.queues),
    )
