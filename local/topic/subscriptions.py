"""Who wants which events: the subscriptions file, its checks, and the filters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from local.topic.schemas import Event, Schema

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")  # it names a file, too
_FIELDS = frozenset(
    (
        "name",
        "endpoint",
        "includedEventTypes",
        "subjectBeginsWith",
        "subjectEndsWith",
        "isSubjectCaseSensitive",
        "deliverySchema",
        "maxEventsPerBatch",
        "trusted",
        "maxDeliveryAttempts",
        "eventTimeToLiveMinutes",
    )
)


class SubscriptionsError(ValueError):
    """The subscriptions file says something that cannot be followed."""


@dataclass(frozen=True, slots=True)
class Subscription:
    name: str
    endpoint: str
    included_event_types: frozenset[str] | None = None
    subject_begins_with: str = ""
    subject_ends_with: str = ""
    is_subject_case_sensitive: bool = False
    delivery_schema: Schema = Schema.EVENT_GRID
    max_events_per_batch: int = 1
    trusted: bool = False
    max_delivery_attempts: int = 30
    event_time_to_live_minutes: float = 1440

    def wants(self, event: Event) -> bool:
        if self.included_event_types is not None and event.type not in self.included_event_types:
            return False
        begin, end, subject = self.subject_begins_with, self.subject_ends_with, event.subject
        if not self.is_subject_case_sensitive:
            begin, end, subject = begin.lower(), end.lower(), subject.lower()
        return subject.startswith(begin) and subject.endswith(end)


class SubscriptionsFile:
    """The file, read again when its time stamp, size or identity changes."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path = path
        self._schema = schema
        self._seen: tuple[int, int, int] | None = None

    def read_if_changed(self) -> list[Subscription] | None:
        """The subscriptions, or None while the file is as it was, or is not there (it may be on its way back).

        Raises `SubscriptionsError` once for each bad version of the file.
        """
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except FileNotFoundError:
            return None
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            text = self._path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SubscriptionsError(f"{self._path.name}: {error}") from error
        return parse_subscriptions(text, self._schema)


def parse_subscriptions(text: str, schema: Schema) -> list[Subscription]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SubscriptionsError(f"not valid JSON: {error}") from error
    if not isinstance(value, list):
        raise SubscriptionsError("must be a JSON list of subscriptions")
    subscriptions = [parse_subscription(item, schema) for item in value]
    names = [subscription.name.lower() for subscription in subscriptions]
    for name in names:
        if names.count(name) > 1:
            raise SubscriptionsError(f"two subscriptions are named {name!r}")
    return subscriptions


def parse_subscription(item: object, topic_schema: Schema) -> Subscription:
    """One subscription. Raises `SubscriptionsError`."""
    if not isinstance(item, dict):
        raise SubscriptionsError(f"a subscription must be an object, not {item!r}")
    unknown = sorted(set(item) - _FIELDS)
    if unknown:
        raise SubscriptionsError(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}")
    name, endpoint = _text(item, "name"), _text(item, "endpoint")
    if not _NAME.match(name):
        raise SubscriptionsError(f"name {name!r}: 1 to 64 letters, digits, hyphens and underscores")
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SubscriptionsError(f"{name}: endpoint {endpoint!r} is not an http or https URL")
    try:
        # The service cannot turn CloudEvents into its own schema either, so there the default is CloudEvents.
        delivery = Schema(item.get("deliverySchema", topic_schema))
    except ValueError:
        raise SubscriptionsError(f"{name}: deliverySchema must be one of {', '.join(Schema)}") from None
    if topic_schema is Schema.CLOUD_EVENTS and delivery is not Schema.CLOUD_EVENTS:
        raise SubscriptionsError(f"{name}: a topic of CloudEvents delivers CloudEvents only")
    return Subscription(
        name=name,
        endpoint=endpoint,
        included_event_types=_event_types(item, name),
        subject_begins_with=_text(item, "subjectBeginsWith", ""),
        subject_ends_with=_text(item, "subjectEndsWith", ""),
        is_subject_case_sensitive=_flag(item, "isSubjectCaseSensitive"),
        delivery_schema=delivery,
        max_events_per_batch=int(_number(item, "maxEventsPerBatch", 1, 1, 5000)),
        trusted=_flag(item, "trusted"),
        max_delivery_attempts=int(_number(item, "maxDeliveryAttempts", 30, 1, 30)),
        event_time_to_live_minutes=_number(item, "eventTimeToLiveMinutes", 1440, 0, 1440),
    )


def _event_types(item: Mapping[str, Any], name: str) -> frozenset[str] | None:
    value = item.get("includedEventTypes")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise SubscriptionsError(f"{name}: includedEventTypes must be a list of strings")
    return frozenset(value) if value else None  # an empty list filters nothing out, as in the service


def _text(item: Mapping[str, Any], field: str, default: str | None = None) -> str:
    value = item.get(field, default)
    if not isinstance(value, str):
        raise SubscriptionsError(f"{field} must be a string, not {value!r}")
    return value


def _flag(item: Mapping[str, Any], field: str) -> bool:
    value = item.get(field, False)
    if not isinstance(value, bool):
        raise SubscriptionsError(f"{field} must be true or false, not {value!r}")
    return value


def _number(item: Mapping[str, Any], field: str, default: float, low: float, high: float) -> float:
    value = item.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise SubscriptionsError(f"{field} must be a number from {low} to {high}, not {value!r}")
    return float(value)
