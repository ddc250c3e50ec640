"""What an Event Grid trigger hands over, read into the little that the router needs: whom to wake."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from router.events.envelope import TRACEPARENT
from router.models.event_catalogue import EVENT_TYPE_PREFIX, EventName

_log = logging.getLogger(__name__)

_NAMES: Final[Mapping[str, EventName]] = {EVENT_TYPE_PREFIX + name.value: name for name in EventName}
_WORKER_EVENTS: Final = frozenset(
    {
        EventName.WORKER_REGISTERED,
        EventName.WORKER_UPDATED,
        EventName.WORKER_DELETED,
        EventName.WORKER_DEREGISTERED,
    }
)
#: Events of a job that name a worker, which they concern as well.
_BOTH: Final = frozenset(
    {
        EventName.JOB_COMPLETED,
        EventName.JOB_UNASSIGNED,
        EventName.JOB_CLOSED,
        EventName.WORKER_OFFER_ISSUED,
        EventName.WORKER_OFFER_ACCEPTED,
        EventName.WORKER_OFFER_DECLINED,
        EventName.WORKER_OFFER_EXPIRED,
        EventName.WORKER_OFFER_REVOKED,
    }
)


@dataclass(frozen=True, slots=True)
class Wake:
    """An event of this router, as a reason to look at a job, a worker or both. It decides nothing."""

    event_id: str
    name: EventName
    subject: str
    job_id: str | None
    worker_id: str | None
    queue_id: str | None
    #: When its commit was; None where the event does not say.
    time: datetime | None
    traceparent: str | None


class Poisoned(Exception):
    """An event that says it is ours and is not readable. Raised again on each delivery, until Event Grid has
    tried often enough and dead-letters it."""

    def __init__(self, event_id: str, reason: str) -> None:
        super().__init__(f"Event {event_id} cannot be read: {reason}")
        self.event_id = event_id


def read_event(event: Any) -> Wake | None:
    """An `azure.functions.EventGridEvent` or `CloudEvent`; None for an event of another origin."""
    cloud = hasattr(event, "specversion")
    type_name = event.type if cloud else event.event_type
    name = _NAMES.get(type_name) if isinstance(type_name, str) else None
    if name is None:
        _log.debug("Event %s of type %r is not the router's.", event.id, type_name)
        return None
    try:
        return _wake(event, name, cloud)
    except Poisoned as error:
        _log.error("%s", error, extra={"event_id": error.event_id, "event_type": name.value})
        raise


def _wake(event: Any, name: EventName, cloud: bool) -> Wake:
    event_id = event.id
    if not isinstance(event_id, str) or not event_id:
        raise Poisoned(repr(event_id), "it has no id")
    data = event.get_json()
    if not isinstance(data, Mapping):
        raise Poisoned(event_id, f"its data is {type(data).__name__}, not an object")
    time = event.time if cloud else event.event_time
    trace = event.extension_attrs.get(TRACEPARENT) if cloud else data.get(TRACEPARENT)
    of_worker = name in _WORKER_EVENTS
    return Wake(
        event_id=event_id,
        name=name,
        subject=event.subject or "",
        job_id=None if of_worker else _id(event_id, data, "jobId"),
        worker_id=_id(event_id, data, "workerId") if of_worker or name in _BOTH else None,
        queue_id=_optional_id(event_id, data, "queueId"),
        time=_utc(time),
        traceparent=trace if isinstance(trace, str) else None,
    )


def _id(event_id: str, data: Mapping[str, Any], name: str) -> str:
    value = _optional_id(event_id, data, name)
    if value is None:
        raise Poisoned(event_id, f"its data has no {name}")
    return value


def _optional_id(event_id: str, data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is None or (isinstance(value, str) and 1 <= len(value) <= 256):
        return value
    raise Poisoned(event_id, f"its data's {name} is no id: {str(value)[:80]!r}")


def _utc(time: Any) -> datetime | None:
    """The host cuts the offset off a time that it has turned into UTC."""
    if not isinstance(time, datetime):
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
