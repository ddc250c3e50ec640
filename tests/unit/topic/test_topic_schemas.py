"""What a publisher may send, and what it is told otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.topic.errors import PublishError
from local.topic.schemas import Schema, check_content_type, parse_events, to_cloud_event

TOPIC = "/subscriptions/s/topics/t"
EVENT_GRID: dict[str, object] = {
    "id": "1",
    "subject": "job/1",
    "eventType": "T",
    "eventTime": "2026-01-01T00:00:00Z",
    "dataVersion": "1.0",
    "data": {"a": 1},
}
CLOUD = {"id": "1", "source": "/s", "type": "T", "specversion": "1.0"}


def parse(event: Any, schema: Schema = Schema.EVENT_GRID) -> dict[str, Any]:
    (read,) = parse_events(json.dumps([event]).encode(), schema, TOPIC)
    body: dict[str, Any] = json.loads(read.body)
    return body


def test_topic_and_metadata_version_are_stamped() -> None:
    assert parse(EVENT_GRID) == EVENT_GRID | {"topic": TOPIC, "metadataVersion": "1"}
    assert parse(EVENT_GRID | {"topic": "", "metadataVersion": None})["topic"] == TOPIC
    assert parse(EVENT_GRID | {"topic": TOPIC, "metadataVersion": "1"})["metadataVersion"] == "1"


@pytest.mark.parametrize("field", ["id", "subject", "eventType", "eventTime", "dataVersion"])
@pytest.mark.parametrize("value", [None, 5, {}, "missing"])
def test_required_properties_of_an_event_grid_event(field: str, value: object) -> None:
    event = {name: part for name, part in EVENT_GRID.items() if name != field}
    if value != "missing":
        event[field] = value
    with pytest.raises(PublishError, match=f"'{field}'") as refused:
        parse(event)
    assert refused.value.status == 400
    error = json.loads(refused.value.body())["error"]
    assert error["code"] == "BadRequest"
    assert error["details"] == [{"code": "InputJsonInvalid", "message": error["message"]}]


@pytest.mark.parametrize(
    "change",
    [
        {"eventTime": "yesterday"},
        {"id": ""},
        {"topic": "/another"},
        {"metadataVersion": "2"},
        {"source": "/s"},
    ],
)
def test_other_faults_of_an_event_grid_event(change: dict[str, Any]) -> None:
    with pytest.raises(PublishError, match=next(iter(change))):
        parse(EVENT_GRID | change)


def test_an_event_may_have_no_data_and_an_empty_data_version() -> None:
    event = {name: part for name, part in EVENT_GRID.items() if name != "data"} | {"dataVersion": ""}
    assert "data" not in parse(event)


@pytest.mark.parametrize("field", list(CLOUD))
def test_required_attributes_of_a_cloud_event(field: str) -> None:
    with pytest.raises(PublishError, match=f"'{field}'"):
        parse({name: part for name, part in CLOUD.items() if name != field}, Schema.CLOUD_EVENTS)


@pytest.mark.parametrize(
    "change",
    [{"specversion": "0.3"}, {"time": "x"}, {"data": 1, "data_base64": "eA=="}, {"Bad_Name": 1}, {"subject": 5}],
)
def test_other_faults_of_a_cloud_event(change: dict[str, Any]) -> None:
    with pytest.raises(PublishError):
        parse(CLOUD | change, Schema.CLOUD_EVENTS)


def test_a_cloud_event_stays_as_it_is() -> None:
    event = CLOUD | {"subject": "job/1", "ext1": "x", "data_base64": "eA==", "time": "2026-01-01T00:00:00.1+01:00"}
    assert parse(event, Schema.CLOUD_EVENTS) == event


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"{}", b"5", b'"x"', b"[1]", b"[[]]", b"[NaN]", b"[" * 100_000, b'[{"id":Infinity}]']
)
@pytest.mark.parametrize("schema", list(Schema))
def test_what_is_not_a_list_of_events_is_refused(body: bytes, schema: Schema) -> None:
    with pytest.raises(PublishError) as refused:
        parse_events(body, schema, TOPIC)
    assert refused.value.status == 400


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(number: str) -> None:
    body = json.dumps([EVENT_GRID | {"data": "?"}]).replace('"?"', number).encode()
    with pytest.raises(PublishError):
        parse_events(body, Schema.EVENT_GRID, TOPIC)


def test_a_single_cloud_event_comes_without_a_list_when_its_content_type_says_so() -> None:
    body = json.dumps(CLOUD).encode()
    assert len(parse_events(body, Schema.CLOUD_EVENTS, TOPIC, "application/cloudevents+json")) == 1
    with pytest.raises(PublishError):
        parse_events(b"[" + body + b"]", Schema.CLOUD_EVENTS, TOPIC, "application/cloudevents+json")


def test_an_event_grid_event_as_a_cloud_event() -> None:
    assert to_cloud_event(EVENT_GRID | {"topic": TOPIC}) == {
        "id": "1",
        "source": TOPIC,
        "specversion": "1.0",
        "type": "T",
        "subject": "job/1",
        "time": "2026-01-01T00:00:00Z",
        "dataversion": "1.0",
        "data": {"a": 1},
    }


def test_content_types() -> None:
    check_content_type("application/json", Schema.EVENT_GRID)
    check_content_type("application/cloudevents-batch+json", Schema.CLOUD_EVENTS)
    for schema in Schema:
        with pytest.raises(PublishError) as refused:
            check_content_type("text/xml", schema)
        assert refused.value.status == 415
