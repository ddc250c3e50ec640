"""The subscriptions file and its filters."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from local.topic.schemas import Event, Schema
from local.topic.subscriptions import Subscription, SubscriptionsError, SubscriptionsFile, parse_subscriptions

URL = "http://127.0.0.1:1/hook"


def parse(*items: Any, schema: Schema = Schema.EVENT_GRID) -> list[Subscription]:
    return parse_subscriptions(json.dumps(items), schema)


def test_defaults_are_event_grid_s() -> None:
    (one,) = parse({"name": "a", "endpoint": URL})
    assert one == Subscription("a", URL)
    assert (one.max_delivery_attempts, one.event_time_to_live_minutes) == (30, 1440)
    assert one.max_events_per_batch == 1
    assert not one.trusted


def test_every_field_is_read() -> None:
    (one,) = parse(
        {
            "name": "a",
            "endpoint": URL,
            "includedEventTypes": ["A"],
            "subjectBeginsWith": "b",
            "subjectEndsWith": "e",
            "isSubjectCaseSensitive": True,
            "deliverySchema": "CloudEventSchemaV1_0",
            "maxEventsPerBatch": 10,
            "trusted": True,
            "maxDeliveryAttempts": 3,
            "eventTimeToLiveMinutes": 5,
        }
    )
    assert one == Subscription("a", URL, frozenset("A"), "b", "e", True, Schema.CLOUD_EVENTS, 10, True, 3, 5)


@pytest.mark.parametrize(
    "item",
    [
        5,
        {"endpoint": URL},
        {"name": "a"},
        {"name": "../a", "endpoint": URL},
        {"name": "a", "endpoint": "file:///etc/passwd"},
        {"name": "a", "endpoint": URL, "maxEventsPerBatch": 0},
        {"name": "a", "endpoint": URL, "maxEventsPerBatch": True},
        {"name": "a", "endpoint": URL, "maxDeliveryAttempts": 31},
        {"name": "a", "endpoint": URL, "trusted": "false"},
        {"name": "a", "endpoint": URL, "deliverySchema": "Custom"},
        {"name": "a", "endpoint": URL, "includedEventTypes": "A"},
        {"name": "a", "endpoint": URL, "subjectBeginWith": "typing error"},
    ],
)
def test_bad_items_are_refused(item: object) -> None:
    with pytest.raises(SubscriptionsError):
        parse(item)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(SubscriptionsError, match="two"):
        parse({"name": "a", "endpoint": URL}, {"name": "A", "endpoint": URL})


def test_a_topic_of_cloud_events_delivers_cloud_events() -> None:
    (one,) = parse({"name": "a", "endpoint": URL}, schema=Schema.CLOUD_EVENTS)
    assert one.delivery_schema is Schema.CLOUD_EVENTS
    with pytest.raises(SubscriptionsError):
        parse({"name": "a", "endpoint": URL, "deliverySchema": "EventGridSchema"}, schema=Schema.CLOUD_EVENTS)


@pytest.mark.parametrize(
    ("filters", "type", "subject", "wanted"),
    [
        ({}, "T", "", True),
        ({"included_event_types": frozenset(["T"])}, "T", "s", True),
        ({"included_event_types": frozenset(["T"])}, "t", "s", False),
        ({"subject_begins_with": "Job/"}, "T", "jOB/1", True),
        ({"subject_begins_with": "Job/", "is_subject_case_sensitive": True}, "T", "job/1", False),
        ({"subject_begins_with": "job/"}, "T", "worker/job/", False),
        ({"subject_ends_with": "/1"}, "T", "job/1", True),
        ({"subject_ends_with": "/1"}, "T", "job/1/x", False),
        ({"subject_begins_with": "job/", "included_event_types": frozenset(["U"])}, "T", "job/1", False),
    ],
)
def test_filters(filters: dict[str, Any], type: str, subject: str, wanted: bool) -> None:
    assert Subscription("a", URL, **filters).wants(Event(type, subject, "1", "{}")) is wanted


class TestFile:
    def test_it_is_read_once_for_each_version(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        file = SubscriptionsFile(path, Schema.EVENT_GRID)
        assert file.read_if_changed() is None
        path.write_text("[]")
        assert file.read_if_changed() == []
        assert file.read_if_changed() is None
        path.write_text(json.dumps([{"name": "a", "endpoint": URL}]))
        assert file.read_if_changed() == [Subscription("a", URL)]
        path.unlink()
        assert file.read_if_changed() is None

    def test_a_replacement_of_the_same_size_and_time_is_seen(self, tmp_path: Path) -> None:
        path, other = tmp_path / "s.json", tmp_path / "o.json"
        path.write_text(json.dumps([{"name": "a", "endpoint": URL}]))
        other.write_text(json.dumps([{"name": "b", "endpoint": URL}]))
        for each in (path, other):
            os.utime(each, ns=(1, 1))
        file = SubscriptionsFile(path, Schema.EVENT_GRID)
        file.read_if_changed()
        other.replace(path)
        assert file.read_if_changed() == [Subscription("b", URL)]

    def test_a_bad_version_is_told_once(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        path.write_bytes(b"\xff")
        file = SubscriptionsFile(path, Schema.EVENT_GRID)
        with pytest.raises(SubscriptionsError):
            file.read_if_changed()
        assert file.read_if_changed() is None
