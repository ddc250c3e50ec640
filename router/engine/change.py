"""What a decision yields: the record as it is to be, the events that become true with it, and what its caller asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from router.models.events import EventDraft
from router.models.jobs import JobRecord
from router.models.workers import WorkerRecord

R = TypeVar("R", JobRecord, WorkerRecord)


@dataclass(frozen=True)
class Change(Generic[R]):
    """`record` None deletes. A change whose record equals the old one and has no events writes nothing."""

    record: R | None
    events: tuple[EventDraft, ...] = ()
    #: What the decision found out besides: an id that it chose, for example.
    result: Any = None


JobChange = Change[JobRecord]
WorkerChange = Change[WorkerRecord]
