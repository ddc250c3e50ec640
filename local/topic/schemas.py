"""The two event schemas: what may be published, what is stamped on it, and how one becomes the other."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from local.topic.errors import PublishError

MAX_REQUEST_BYTES = 1024 * 1024  # for the whole request, and so for each event in it

_EVENT_GRID_FIELDS = frozenset(
    ("id", "subject", "eventType", "eventTime", "dataVersion", "data", "topic", "metadataVersion")
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?$")
_CLOUD_NAME = re.compile(r"[a-z0-9]+$")


class Schema(StrEnum):
    EVENT_GRID = "EventGridSchema"
    CLOUD_EVENTS = "CloudEventSchemaV1_0"

    @property
    def setting(self) -> str:
        """As ROUTER_EVENTGRID_SCHEMA and the command line name it."""
        return "EventGrid" if self is Schema.EVENT_GRID else "CloudEvents"


_SERVICE_NAMES = {Schema.EVENT_GRID: "EventGridEvent", Schema.CLOUD_EVENTS: "CloudEventV10"}
_CLOUD_TYPES = ("application/cloudevents-batch+json", "application/cloudevents+json")
_CONTENT_TYPES = {
    # A bare `curl -d`, as in the service's own quickstart, says it is a form; CloudEvents get past here to be told
    # which of their properties this schema does not know.
    Schema.EVENT_GRID: ("application/json", "application/x-www-form-urlencoded", *_CLOUD_TYPES),
    Schema.CLOUD_EVENTS: (*_CLOUD_TYPES, "application/json"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted event: what filters and delivery look at, and its text as it will be stored."""

    type: str
    subject: str
    data_version: str
    body: str


def check_content_type(content_type: str, schema: Schema) -> None:
    if content_type not in _CONTENT_TYPES[schema]:
        wanted = " or ".join(_CONTENT_TYPES[schema])
        raise PublishError(
            415,
            "UnsupportedMediaType",
            f"Content-Type '{content_type}' is not accepted in '{_SERVICE_NAMES[schema]}' schema; use {wanted}.",
        )


def parse_events(body: bytes, schema: Schema, topic_id: str, content_type: str = "application/json") -> list[Event]:
    """Read and check a published body; a single bad event refuses the whole request, as the service does."""
    try:
        # NaN and Infinity are Python's own addition to JSON.
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _invalid(schema, "The body is not valid JSON.") from None
    if schema is Schema.CLOUD_EVENTS and content_type == "application/cloudevents+json":
        if not isinstance(value, dict):
            raise _invalid(schema, f"Token Expected: StartObject, Actual Token Received: {_token(value)}.")
        value = [value]
    if not isinstance(value, list):
        raise _invalid(schema, f"Token Expected: StartArray, Actual Token Received: {_token(value)}.")
    read = _event_grid if schema is Schema.EVENT_GRID else _cloud_event
    try:
        return [read(item, schema, topic_id) for item in value]
    except (ValueError, RecursionError):  # 1e999 is read as infinity, which cannot be written again
        raise _invalid(schema, "A value is out of range.") from None


def to_cloud_event(event: dict[str, Any]) -> dict[str, Any]:
    """An Event Grid event as the service delivers it to a CloudEvents subscription."""
    cloud = {
        "id": event["id"],
        "source": event["topic"],
        "specversion": "1.0",
        "type": event["eventType"],
        "subject": event["subject"],
        "time": event["eventTime"],
        "dataversion": event["dataVersion"],
    }
    if "data" in event:
        cloud["data"] = event["data"]
    return cloud


def _event_grid(item: Any, schema: Schema, topic_id: str) -> Event:
    event = _object(item, schema)
    for name in event:
        if name not in _EVENT_GRID_FIELDS:
            raise _invalid(schema, f"Received unexpected property '{name[:100]}' in JSON.")
    for name in ("id", "subject", "eventType", "eventTime", "dataVersion"):
        _require_string(event, name, schema, may_be_empty=name == "dataVersion")
    if not _TIME.match(event["eventTime"]):
        raise _invalid(schema, f"Property 'eventTime' is not a date and time: '{event['eventTime'][:100]}'.")
    if event.get("topic") not in (None, "", topic_id):
        raise _invalid(schema, f"Property 'topic' must be left out or be '{topic_id}'.")
    if event.get("metadataVersion") not in (None, "1"):
        raise _invalid(schema, "Property 'metadataVersion' must be left out or be '1'.")
    event["topic"] = topic_id
    event["metadataVersion"] = "1"
    return Event(event["eventType"], event["subject"], event["dataVersion"], _dump(event))


def _cloud_event(item: Any, schema: Schema, topic_id: str) -> Event:
    event = _object(item, schema)
    for name in ("id", "source", "type", "specversion"):
        _require_string(event, name, schema)
    if event["specversion"] != "1.0":
        raise _invalid(schema, f"Property 'specversion' must be '1.0', not '{event['specversion'][:100]}'.")
    for name in ("subject", "time", "datacontenttype", "dataschema", "data_base64"):
        if event.get(name) is not None and not isinstance(event[name], str):
            raise _invalid(schema, f"Property '{name}' must be a string.")
    if event.get("time") is not None and not _TIME.match(event["time"]):
        raise _invalid(schema, f"Property 'time' is not a date and time: '{event['time'][:100]}'.")
    if "data" in event and "data_base64" in event:
        raise _invalid(schema, "Properties 'data' and 'data_base64' exclude each other.")
    for name in event:
        if name != "data_base64" and not _CLOUD_NAME.match(name):
            raise _invalid(schema, f"'{name[:100]}' is not an attribute name (lower-case letters, digits).")
    return Event(event["type"], event.get("subject") or "", "", _dump(event))


def _object(item: Any, schema: Schema) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise _invalid(schema, f"Token Expected: StartObject, Actual Token Received: {_token(item)}.")
    return item


def _require_string(event: dict[str, Any], name: str, schema: Schema, *, may_be_empty: bool = False) -> None:
    value = event.get(name)
    if value is None:
        raise _invalid(schema, f"Required property '{name}' is missing.")
    if not isinstance(value, str):
        raise _invalid(schema, f"Property '{name}' must be a string.")
    if not value and not may_be_empty:
        raise _invalid(schema, f"Property '{name}' must not be empty.")


def _invalid(schema: Schema, what: str) -> PublishError:
    message = (
        f"This resource is configured to receive event in '{_SERVICE_NAMES[schema]}' schema. "
        f"The JSON received does not conform to the expected schema. {what}"
    )
    return PublishError(400, "BadRequest", message, "InputJsonInvalid")


def _token(value: object) -> str:
    match value:
        case dict():
            return "StartObject"
        case list():
            return "StartArray"
        case None:
            return "Null"
        case str():
            return "String"
        case bool():
            return "Boolean"
        case _:
            return "Number"


def _dump(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
