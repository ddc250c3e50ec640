"""What an Event Grid trigger hands over, read into the little that the router needs: whom to wake."""

from __future__ import annotations

import logging
import re
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
#: What Json.NET takes for a time: ISO 8601 with its letter T, and the form of older serializers.
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?|/Date\(.*\)/")
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
    job_id, worker_id = _concerned(event_id, name, event.subject, data)
    return Wake(
        event_id=event_id,
        name=name,
        subject=event.subject or "",
        job_id=job_id,
        worker_id=worker_id,
        time=_utc(time),
        traceparent=trace if isinstance(trace, str) else None,
    )


def _concerned(event_id: str, name: EventName, subject: Any, data: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The job and the worker that an event is about, from its subject, which arrives as it was sent.

    The Event Grid extension reads the data anew and writes what looks like a time otherwise (Json.NET's
    DateParseHandling), also where it is an id. Data only says where an id ends that has separators in it: such an id
    looks like no time, and arrives whole.
    """
    if not isinstance(subject, str):
        raise Poisoned(event_id, "it has no subject")
    kind, _, rest = subject.partition("/")
    if name in _WORKER_EVENTS and kind == "worker":
        return None, _is_id(event_id, rest)
    if name not in _WORKER_EVENTS and kind == "worker":
        told = (data.get("workerId"), data.get("jobId"))
        pairs = _splits(rest, "/job/") or [("", "")]
        worker, job = max(pairs, key=lambda pair: (pair[0] == told[0]) + (pair[1] == told[1]))
        return _is_id(event_id, job), _is_id(event_id, worker)
    if name not in _WORKER_EVENTS and kind == "job":
        heads = [head for head, _ in _splits(rest, "/channel/")] or [rest]
        job_id = data.get("jobId")
        return _is_id(event_id, job_id if job_id in heads else heads[0]), _worker_in_data(event_id, name, data)
    raise Poisoned(event_id, f"its subject names nothing: {subject[:80]!r}")


def _splits(text: str, separator: str) -> list[tuple[str, str]]:
    """At each place where the separator stands, the first one first."""
    pieces = text.split(separator)
    return [(separator.join(pieces[:at]), separator.join(pieces[at:])) for at in range(1, len(pieces))]


def _worker_in_data(event_id: str, name: EventName, data: Mapping[str, Any]) -> str | None:
    """The worker where only the data names it; None where it may have been written otherwise: the job knows it too."""
    value = data.get("workerId")
    if name not in _BOTH or (isinstance(value, str) and _TIME.fullmatch(value)):
        return None
    return _is_id(event_id, value)


def _is_id(event_id: str, value: Any) -> str:
    if isinstance(value, str) and 1 <= len(value) <= 256:
        return value
    raise Poisoned(event_id, f"it names no id: {str(value)[:80]!r}")


def _utc(time: Any) -> datetime | None:
    """The host cuts the offset off a time that it has turned into UTC."""
    if not isinstance(time, datetime):
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
