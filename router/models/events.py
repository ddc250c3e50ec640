"""An event as a commit records it: what stands in the outbox until it is published."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from router.models.event_sizes import bounded, data_weight
from router.models.types import Model, Time


class PendingEvent(Model):
    """One event of a committed change. `type` is the name without `Microsoft.Communication.`; `time` is the
    moment of the commit; `id` stays the same however often it is published."""

    id: str
    type: str
    subject: str
    time: Time
    data: dict[str, Any]
    traceparent: str | None = None

    @property
    def weight(self) -> int:
        """About how many characters it has as JSON."""
        return data_weight(self.data)


class EventDraft(Model):
    """What the engine says happened; the commit gives it an id and a time."""

    type: str
    subject: str
    data: dict[str, Any]

    def pending(self, id: str, time: datetime, traceparent: str | None) -> PendingEvent:
        return PendingEvent(
            id=id, type=self.type, subject=self.subject, time=time, data=bounded(self.data), traceparent=traceparent
        )
