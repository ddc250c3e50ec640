"""Workers: what clients write, what they see, and what the router remembers beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from router.models.sizes import parts_weight, weight
from router.models.types import Flag, Id, Labels, Model, PositiveInt32, Time, with_id_label

MAX_QUEUES: Final = 200
MAX_CHANNELS: Final = 100
IDLE_DAYS: Final = 7


class WorkerState(StrEnum):
    ACTIVE = "active"
    DRAINING = "draining"
    INACTIVE = "inactive"


class RouterChannel(Model):
    """What one job of a channel costs a worker, and how many of them it takes at most."""

    channel_id: Id
    capacity_cost_per_job: PositiveInt32
    max_number_of_jobs: PositiveInt32 | None = None


def check_channels(channels: list[RouterChannel]) -> list[RouterChannel]:
    if len({channel.channel_id for channel in channels}) != len(channels):
        raise ValueError("must have distinct channelId values")
    return channels


class RouterWorkerInput(Model):
    """What a client may write of a worker: the document that a merge patch changes."""

    queues: Annotated[list[Id], Field(max_length=MAX_QUEUES)] = []
    capacity: PositiveInt32
    labels: Labels = {}
    tags: Labels = {}
    channels: Annotated[list[RouterChannel], Field(max_length=MAX_CHANNELS), AfterValidator(check_channels)] = []
    available_for_offers: Flag | None = None
    #: From 2024-01-18-preview on.
    max_concurrent_offers: PositiveInt32 | None = None

    def channel(self, channel_id: str) -> RouterChannel | None:
        return next((channel for channel in self.channels if channel.channel_id == channel_id), None)


class RouterJobOffer(Model):
    """A live offer as its worker holds it: it reserves capacity."""

    offer_id: str
    job_id: str
    capacity_cost: int
    offered_at: Time
    expires_at: Time


class RouterWorkerAssignment(Model):
    assignment_id: str
    job_id: str
    capacity_cost: int
    assigned_at: Time


class RouterWorker(RouterWorkerInput):
    """A worker as clients see it, without `etag`."""

    id: str
    state: WorkerState
    offers: list[RouterJobOffer] = []
    assigned_jobs: list[RouterWorkerAssignment] = []
    load_ratio: float = 0.0

    @property
    def matching_labels(self) -> dict[str, Any]:
        """The labels that selectors see: its own and `Id`."""
        return with_id_label(self.labels, self.id)


class WorkerRouting(Model):
    """What the router remembers of a worker and clients do not see."""

    #: The start of time for one that was written before this was remembered.
    created_at: Time = datetime.min.replace(tzinfo=UTC)
    #: Channel of each job the worker holds, offered or assigned: job id to channel id.
    job_channels: dict[str, str] = {}
    #: Queue of each offered job.
    offer_queues: dict[str, str] = {}
    #: Queue of each assigned job, where the offer told it: job id to queue id.
    assignment_queues: dict[str, str] = {}
    #: Offers that became assignments it still holds: offer id to job id. A repeated accept finds its job here.
    accepted_offers: dict[str, str] = {}
    #: Since when it could have taken more work: what "longest idle" compares.
    available_since: Time
    #: When it last registered: declines before this moment no longer count.
    registered_at: Time | None = None
    #: Since when it is in its state; none where that began before this was remembered.
    state_since: Time | None = None
    #: When it last did anything: 7 days later it is deregistered.
    active_at: Time
    #: Counts the states that the availability index tells apart: its rows belong to one version each.
    version: int = 0
    #: Being deleted: takes no more offers and is gone for clients.
    deleting: bool = False


class WorkerRecord(Model):
    """The truth row of a worker."""

    worker: RouterWorker
    routing: WorkerRouting
    etag: str
    modified: Time

    @property
    def id(self) -> str:
        return self.worker.id

    @property
    def created_at(self) -> datetime:
        return self.routing.created_at

    @property
    def weight(self) -> int:
        """About how many characters it has as JSON."""
        worker = self.worker
        return (
            weight(worker.labels, worker.tags, worker.queues)
            + parts_weight(worker.channels)
            + parts_weight(worker.offers)
            + parts_weight(worker.assigned_jobs)
        )


class DeclineJobOfferOptions(Model):
    retry_offer_at: Time | None = None
