"""An event as the topic takes it: Event Grid's own schema or CloudEvents 1.0, and cut where it is too large."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from router.models.event_catalogue import DATA_VERSION, EVENT_TYPE_PREFIX
from router.models.event_sizes import MAX_EVENT_BYTES, cut_data
from router.models.event_sizes import to_json as to_json
from router.models.events import PendingEvent
from router.models.types import format_time

#: What Event Grid takes in one request, and so in one event: 1 MB, less the brackets.
MAX_REQUEST_BYTES: Final = MAX_EVENT_BYTES
MAX_REQUEST_EVENTS: Final = 5_000
#: Where the trace travels: an attribute of its own in CloudEvents; Event Grid's schema has no room but the data.
TRACEPARENT: Final = "traceparent"
DEFAULT_SOURCE: Final = "/jobRouter"


class EventSchema(StrEnum):
    """The input schema of the topic, as the setting names it."""

    EVENT_GRID = "EventGrid"
    CLOUD_EVENTS = "CloudEvents"


def envelope(event: PendingEvent, schema: EventSchema, source: str = DEFAULT_SOURCE) -> dict[str, Any]:
    """The event on the wire. It shares its data with `event`, which must not change."""
    if schema is EventSchema.CLOUD_EVENTS:
        wire = {
            "specversion": "1.0",
            "id": event.id,
            "source": source,
            "type": EVENT_TYPE_PREFIX + event.type,
            "subject": event.subject,
            "time": format_time(event.time),
            "datacontenttype": "application/json",
            "data": event.data,
        }
        if event.traceparent:
            wire[TRACEPARENT] = event.traceparent
        return wire
    return {
        "id": event.id,
        "subject": event.subject,
        "eventType": EVENT_TYPE_PREFIX + event.type,
        "eventTime": format_time(event.time),
        "dataVersion": DATA_VERSION,
        "data": {**event.data, TRACEPARENT: event.traceparent} if event.traceparent else event.data,
    }


def cut(wire: dict[str, Any], limit: int = MAX_REQUEST_BYTES) -> dict[str, Any]:
    """The event without what makes it too large (models/event_sizes.py)."""
    around = len(to_json({**wire, "data": {}}))
    return {**wire, "data": cut_data(wire["data"], limit - around + 2)}
