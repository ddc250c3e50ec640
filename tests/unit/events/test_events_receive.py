"""What the Event Grid trigger hands over, as the Functions worker decodes it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from azure.functions import EventGridEvent
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum

from local.host.json_net import reparsed
from router.events.envelope import EventSchema, envelope
from router.events.receive import Poisoned, read_event
from router.models.event_catalogue import EventName
from tests.unit.events.event_samples import NOW, drafts, pending

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BOTH = list(EventSchema)
WORKER_ONLY = {
    EventName.WORKER_REGISTERED,
    EventName.WORKER_UPDATED,
    EventName.WORKER_DELETED,
    EventName.WORKER_DEREGISTERED,
}


def delivered(wire: dict[str, Any]) -> Any:
    return EventGridEventInConverter.decode(Datum(type="json", value=json.dumps(wire)), trigger_metadata=None)


@pytest.mark.parametrize("schema", BOTH)
@pytest.mark.parametrize("name", list(EventName))
def test_every_event_wakes_what_it_concerns(name: EventName, schema: EventSchema) -> None:
    draft = drafts()[name]
    event = pending(type=draft.type, subject=draft.subject, data=draft.data, traceparent=TRACE)
    wake = read_event(delivered(envelope(event, schema)))
    assert wake is not None
    assert (wake.event_id, wake.name, wake.subject, wake.time) == ("event-1", name, draft.subject, NOW)
    assert wake.traceparent == TRACE
    assert wake.job_id == (None if name in WORKER_ONLY else "job-1")
    assert wake.worker_id == draft.data.get("workerId")


@pytest.mark.parametrize("schema", BOTH)
@pytest.mark.parametrize("type_name", ["SMSReceived", "RouterJobFoo"])
def test_events_of_other_origins_are_ignored(type_name: str, schema: EventSchema) -> None:
    assert read_event(delivered(envelope(pending(type=type_name, data={}), schema))) is None


def test_an_event_without_a_type_is_of_other_origin() -> None:
    assert read_event(delivered({"id": "1", "data": {}})) is None


@pytest.mark.parametrize("schema", BOTH)
@pytest.mark.parametrize(
    "data",
    [None, "text", [], 7],
)
def test_an_unreadable_event_is_named_and_fails(
    data: Any, schema: EventSchema, caplog: pytest.LogCaptureFixture
) -> None:
    wire = {**envelope(pending(), schema), "data": data}
    with caplog.at_level(logging.ERROR), pytest.raises(Poisoned) as raised:
        read_event(delivered(wire))
    assert raised.value.event_id == "event-1"
    assert "event-1" in caplog.text


def test_a_time_without_an_offset_is_utc() -> None:
    event = EventGridEvent(
        id="event-1",
        topic="",
        subject="job/job-1",
        event_type="Microsoft.Communication.RouterJobDeleted",
        event_time=NOW.replace(tzinfo=None),
        data={"jobId": "job-1"},
        data_version="1.0",
    )
    wake = read_event(event)
    assert wake is not None
    assert wake.time == NOW


def test_an_event_without_an_id_fails() -> None:
    wire = envelope(pending(), EventSchema.EVENT_GRID)
    del wire["id"]
    with pytest.raises(Poisoned):
        read_event(delivered(wire))


@pytest.mark.parametrize(
    "subject",
    ["", "job/", "jobs/j", f"job/{'x' * 257}/channel/v", "worker/w", "worker//job/j", "worker/w/job/", "queue/q"],
)
def test_a_subject_that_names_nothing_fails(subject: str) -> None:
    wire = {**envelope(pending(), EventSchema.EVENT_GRID), "subject": subject}
    with pytest.raises(Poisoned):
        read_event(delivered(wire))


TIMES = ["2026-11-26T05:12:01.0100Z", "2026-11-26T05:12:01+02:00", "/Date(1)/"]
#: Ids with what separates them in a subject, and such as the extension writes otherwise in the data.
IDS = [*TIMES, "a", "a/channel/b", "x/job/y", "/", "job/channel/", "2026-11-26T05:12:01.01Z/job/2"]


@pytest.mark.parametrize("worker", IDS)
@pytest.mark.parametrize("job", IDS)
@pytest.mark.parametrize("schema", BOTH)
def test_ids_are_those_that_were_sent_whatever_the_extension_made_of_the_data(
    job: str, worker: str, schema: EventSchema
) -> None:
    data = {"jobId": job, "workerId": worker, "channelId": "v/channel/w"}
    subjects = {
        EventName.JOB_QUEUED: (f"job/{job}/channel/v/channel/w/queue/q", job, None),
        EventName.WORKER_OFFER_ISSUED: (f"worker/{worker}/job/{job}", job, worker),
        EventName.WORKER_REGISTERED: (f"worker/{worker}", None, worker),
        EventName.JOB_CLOSED: (f"job/{job}/channel/v/channel/w/assignment/1", job, None if worker in TIMES else worker),
    }
    for name, (subject, job_id, worker_id) in subjects.items():
        wire = envelope(pending(type=name.value, subject=subject, data=data), schema)
        wake = read_event(delivered(reparsed(wire)))
        assert wake is not None
        assert (wake.job_id, wake.worker_id) == (job_id, worker_id), name
