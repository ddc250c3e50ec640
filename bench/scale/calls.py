"""The router as the measurement uses it: the only module here that knows its services, rows and time-outs."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from router.api.patience import patience
from router.commit.parts import Parts
from router.errors import RouterError
from router.events.topic import READ_SECONDS
from router.models.jobs import CloseJobOptions, CompleteJobOptions, RouterJobInput
from router.models.types import parse_time
from router.storage import azure
from router.storage.documents import read_document
from router.storage.port import Entity, StorageUnavailable
from router.usecases import jobs as job_usecases
from router.usecases import offers as offer_usecases
from tests.sim import scene
from tests.sim.process import Gone, Process
from tests.sim.workload import anything

T = TypeVar("T")
#: After how long a process gives up a send to a topic that is silent.
TOPIC_SECONDS: Final = READ_SECONDS
#: After how long a process gives up an attempt at storage that is silent, and how many it makes.
STORAGE_SECONDS: Final = azure.LONGEST_SECONDS
STORAGE_ATTEMPTS: Final = 1  # all tries together take no longer

OFFERED: Final = "RouterWorkerOfferIssued"
QUEUED: Final = "RouterJobQueued"
CLOSED: Final = "RouterJobClosed"
CANCELLED: Final = "RouterJobCancelled"
ACTIVATED: Final = "RouterJobWaitingForActivation"
EXPIRED: Final = "RouterWorkerOfferExpired"

setting = scene.setting
worker = scene.worker


@dataclass(frozen=True)
class Event:
    """One event of a job, as a commit has recorded it."""

    id: str
    type: str
    job_id: str
    data: Mapping[str, Any]


def committed(row: Entity) -> list[Event]:
    """The events of a job that its row holds and that may not have been sent yet."""
    text = read_document("Out", row.columns)
    found = json.loads(text) if text else []
    return [Event(one["id"], one["type"], one["data"]["jobId"], one["data"]) for one in found]


def taken(wire: Mapping[str, Any]) -> Event | None:
    """An event as the topic takes it; None if it is not one of a job."""
    data = wire["data"]
    if "jobId" not in data:
        return None
    return Event(wire["id"], wire["eventType"].removeprefix("Microsoft.Communication."), data["jobId"], data)


def is_settling(kind: str | None) -> bool:
    """Whether a deadline of this kind is one that looks after what has been left undone."""
    return kind is not None and kind.startswith("settle")


def is_poll(kind: str, table: str) -> bool:
    """Whether an operation is the timer's look for deadlines, which it takes each second whatever the load."""
    return (kind, table) == ("query", "deadlines")


def is_of_settings(table: str) -> bool:
    """Whether an operation reads what each process caches for some seconds, however many jobs come meanwhile."""
    return table in ("queues", "policies")


async def submit(process: Process, job_id: str, fields: Mapping[str, Any]) -> None:
    wanted = RouterJobInput.model_validate({"channelId": "chat", **fields})
    await _asked(process, job_usecases.upsert, job_id, lambda _: wanted, anything)


async def accept(process: Process, worker_id: str, offer_id: str) -> str:
    """The assignment."""
    _, assignment_id = await _asked(process, offer_usecases.accept, worker_id, offer_id)
    return assignment_id


async def decline(process: Process, worker_id: str, offer_id: str) -> None:
    await _asked(process, offer_usecases.decline, worker_id, offer_id, None)


async def complete(process: Process, job_id: str, assignment_id: str) -> None:
    await _asked(process, job_usecases.complete, job_id, assignment_id, CompleteJobOptions())


async def close(process: Process, job_id: str, assignment_id: str) -> None:
    await _asked(process, job_usecases.close, job_id, assignment_id, CloseJobOptions())


async def _asked(process: Process, service: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
    """As the function app does: no longer than clients wait for their 503 while storage is silent."""

    async def patient(parts: Parts, *args: Any) -> T:
        async with patience(parts.around.storage):
            return await service(parts, *args)

    return await process.call(patient, *args)


def is_passing(error: Exception) -> bool:
    """Whether the client may try again: the process has died, or the answer is 503."""
    return isinstance(error, Gone | StorageUnavailable) or (isinstance(error, RouterError) and error.status == 503)


def is_refusal(error: Exception) -> bool:
    """Whether the answer is that there is no such thing any more: an offer that another worker was quicker to take."""
    return isinstance(error, RouterError) and error.status in (404, 409)


def time_of(text: str) -> datetime:
    return parse_time(text)
