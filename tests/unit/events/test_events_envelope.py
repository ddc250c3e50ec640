"""Events on the wire: both schemas, the size that the topic counts, and what is cut from one too large."""

from __future__ import annotations

import json
from typing import Any

from router.engine import announce
from router.events.envelope import EventSchema, cut, envelope, to_json
from router.models.event_catalogue import CATALOGUE, EventName, QueueBrief
from tests.unit.events.event_samples import drafts, job, pending, worker

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_event_grid_schema() -> None:
    event = pending()
    assert envelope(event, EventSchema.EVENT_GRID) == {
        "id": "event-1",
        "subject": "job/job-1/channel/voice/queue/queue-1",
        "eventType": "Microsoft.Communication.RouterJobQueued",
        "eventTime": "2024-01-31T12:00:00.125+00:00",
        "dataVersion": "1.0",
        "data": event.data,
    }


def test_cloud_events() -> None:
    event = pending(traceparent=TRACE)
    assert envelope(event, EventSchema.CLOUD_EVENTS, "/my/router") == {
        "specversion": "1.0",
        "id": "event-1",
        "source": "/my/router",
        "type": "Microsoft.Communication.RouterJobQueued",
        "subject": "job/job-1/channel/voice/queue/queue-1",
        "time": "2024-01-31T12:00:00.125+00:00",
        "datacontenttype": "application/json",
        "traceparent": TRACE,
        "data": event.data,
    }


def test_the_trace_travels_in_the_data_where_the_schema_has_no_room() -> None:
    event = pending(traceparent=TRACE)
    assert envelope(event, EventSchema.EVENT_GRID)["data"] == {**event.data, "traceparent": TRACE}
    assert "traceparent" not in event.data


def test_text_is_ascii() -> None:
    text = to_json(envelope(pending(data={"text": "äöü€ 😀"}), EventSchema.EVENT_GRID))
    assert len(text) == len(text.encode("ascii"))
    assert json.loads(text)["data"] == {"text": "äöü€ 😀"}


def huge_offer() -> dict[str, Any]:
    large = job(labels={"big": "x" * 4000, "small": 1}, tags={"t": "y" * 2000})
    draft = announce.offer_accepted(large, worker(), "offer-1", "assignment-1")
    return envelope(pending(type=draft.type, data=draft.data), EventSchema.EVENT_GRID)


def test_what_fits_is_not_cut() -> None:
    wire = huge_offer()
    assert cut(wire, len(to_json(wire))) == wire


def test_the_largest_labels_go_first_and_are_named() -> None:
    wire = huge_offer()
    smaller = cut(wire, 4000)
    assert len(to_json(smaller)) <= 4000
    assert smaller["data"] == {**wire["data"], "jobLabels": {}, "truncated": ["jobLabels"]}
    assert wire["data"]["jobLabels"]["small"] == 1, "the event itself stays whole"


def test_ids_stay_whatever_the_limit() -> None:
    wire = huge_offer()
    smaller = cut(wire, 10)["data"]
    for name in ("jobId", "workerId", "offerId", "assignmentId", "queueId", "channelId"):
        assert smaller[name] == wire["data"][name]
    assert smaller["truncated"] == ["jobLabels", "jobTags", "workerLabels", "workerTags"]


def test_lists_and_texts_go_when_labels_are_not_enough() -> None:
    draft = announce.job_cancelled(job(), "n" * 3000, "Cancelled")
    data = cut(envelope(pending(type=draft.type, data=draft.data), EventSchema.EVENT_GRID), 1200)["data"]
    assert data["note"] == "n" * 256
    assert "note" in data["truncated"]
    assert data["jobId"] == "job-1"


def test_queues_keep_their_names_as_long_as_there_is_room() -> None:
    queues = {id: QueueBrief(id, f"Queue {id}", {"big": "x" * 1000}) for id in ("queue-1", "queue-gone")}
    draft = announce.worker_registered(worker(), queues)
    wire = envelope(pending(type=draft.type, data=draft.data), EventSchema.EVENT_GRID)
    data = cut(wire, 1200)["data"]
    assert data["queueAssignments"] == [
        {"id": "queue-1", "name": "Queue queue-1", "labels": {}},
        {"id": "queue-gone", "name": "Queue queue-gone", "labels": {}},
    ]


def test_a_cut_event_is_still_one_of_the_catalogue() -> None:
    for name, draft in drafts().items():
        wire = envelope(pending(type=draft.type, data=draft.data), EventSchema.EVENT_GRID)
        data = {**cut(wire, 10)["data"]}
        data.pop("truncated", None)
        CATALOGUE[EventName(name)].model_validate(data)
