"""An event as the topic takes it: Event Grid's own schema or CloudEvents 1.0, and cut where it is too large."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

from router.models.event_catalogue import DATA_VERSION, EVENT_TYPE_PREFIX
from router.models.events import PendingEvent
from router.models.types import format_time

#: What Event Grid takes in one request, and so in one event: 1 MB, less the brackets.
MAX_REQUEST_BYTES: Final = 1_000_000 - 2
MAX_REQUEST_EVENTS: Final = 5_000
#: A cut event names in this field of its data what has been taken out.
CUT_MARKER: Final = "truncated"
#: A text that has to be cut keeps this many characters.
CUT_TEXT: Final = 256
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


def to_json(value: Any) -> str:
    """As it is sent: ASCII only, so that characters are bytes."""
    return json.dumps(value, separators=(",", ":"))


def cut(wire: dict[str, Any], limit: int = MAX_REQUEST_BYTES) -> dict[str, Any]:
    """The event without what makes it too large, the largest first: labels and tags, then lists and long texts.
    Its ids always stay, so that it still wakes whom it concerns; `truncated` names what is missing."""
    data = dict(wire["data"])
    wire = {**wire, "data": data}
    missing: list[str] = []
    for shorten in (_without_labels, _emptied):
        for name in sorted(data, key=lambda name: -len(to_json(data[name]))):
            if len(to_json(wire)) <= limit:
                return wire
            shorter = shorten(name, data[name])
            if shorter != data[name]:
                data[name] = shorter
                missing.append(name)
                data[CUT_MARKER] = sorted(set(missing))
    return wire


def _without_labels(name: str, value: Any) -> Any:
    if name.lower().endswith(("labels", "tags")):
        return {}
    if name == "queueDetails":
        return {**value, "labels": {}}
    if name == "queueAssignments":
        return [{**queue, "labels": {}} for queue in value]
    return value


def _emptied(name: str, value: Any) -> Any:
    if isinstance(value, list) and name != CUT_MARKER:
        return []
    return value[:CUT_TEXT] if isinstance(value, str) else value
