"""Each of the 22 events, provoked through the official client and received at a webhook over the local topic."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from router.models.event_catalogue import CATALOGUE, EventName
from router.models.types import parse_time
from scripts.event_run import EventRun, running_router, type_of
from scripts.event_scenarios import SCENARIOS, an_assignment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventRun]:
    with running_router(tmp_path_factory.mktemp("router")) as run:
        yield run


@pytest.mark.parametrize("name", list(EventName))
def test_event(run: EventRun, name: EventName) -> None:
    started = datetime.now(UTC)
    event = SCENARIOS[name](run)
    assert event["eventType"] == f"Microsoft.Communication.{name}"
    assert event["dataVersion"] == "1.0"
    assert event["metadataVersion"] == "1"
    assert event["topic"].startswith("/subscriptions/")
    assert started - timedelta(seconds=1) <= parse_time(event["eventTime"]) <= datetime.now(UTC)
    CATALOGUE[name].model_validate(event["data"])
    start = "worker/{workerId}" if name.startswith("RouterWorker") else "job/{jobId}/channel/{channelId}"
    assert event["subject"].startswith(start.format(**event["data"]))


def test_a_job_tells_its_life_in_order(run: EventRun) -> None:
    job, assignment, _, _ = an_assignment(run)
    run.client.complete_job(job, assignment)
    run.client.close_job(job, assignment)
    run.client.delete_job(job)
    run.subscriber.wait(EventName.JOB_DELETED, jobId=job)
    life = [
        EventName.JOB_RECEIVED,
        EventName.JOB_QUEUED,
        EventName.WORKER_OFFER_ISSUED,
        EventName.WORKER_OFFER_ACCEPTED,
        EventName.JOB_COMPLETED,
        EventName.JOB_CLOSED,
        EventName.JOB_DELETED,
    ]
    events = [run.subscriber.wait(name, jobId=job) for name in life]
    of_job = [event for event in run.subscriber.events if event["data"].get("jobId") == job]
    assert sorted({event["id"] for event in of_job}) == sorted(event["id"] for event in events), "these and no others"
    times = [parse_time(event["eventTime"]) for event in events]
    assert times == sorted(times)


def test_ids_are_unique(run: EventRun) -> None:
    job, _, _, _ = an_assignment(run)
    run.subscriber.wait(EventName.WORKER_OFFER_ACCEPTED, jobId=job)
    told: dict[str, str] = {}
    for event in list(run.subscriber.events):
        assert told.setdefault(event["id"], json.dumps(event["data"])) == json.dumps(event["data"])
    assert len(told) >= 4, "the job was received, queued, offered and accepted"


def test_cloud_events(tmp_path: Path) -> None:
    """The other schema, both ways: the job's life goes on because the router's own functions read it too."""
    with running_router(tmp_path, ROUTER_EVENTGRID_SCHEMA="CloudEvents") as run:
        job, assignment, _, _ = an_assignment(run)
        run.client.complete_job(job, assignment)
        event = run.subscriber.wait(EventName.JOB_COMPLETED, jobId=job)
    assert event["specversion"] == "1.0"
    assert type_of(event) == "Microsoft.Communication.RouterJobCompleted"
    assert event["subject"] == f"job/{job}/channel/voice/assignment/{assignment}"
    assert event["source"]
    assert event["datacontenttype"] == "application/json"
    assert parse_time(event["time"]) <= datetime.now(UTC)
    CATALOGUE[EventName.JOB_COMPLETED].model_validate(event["data"])


@pytest.mark.parametrize("name", list(EventName))
def test_the_page_shows_each_event_as_it_is(name: EventName) -> None:
    page = (ROOT / "docs" / "events.md").read_text()
    section = re.search(rf"^### {name}\n(.*?)(?=^### |\Z|^<!-- end)", page, flags=re.M | re.S)
    assert section is not None, f"docs/events.md has no {name}; run python -m scripts.event_catalogue"
    example = json.loads(section[1].split("```json\n")[1].split("```")[0])
    assert example["eventType"] == f"Microsoft.Communication.{name}"
    CATALOGUE[name].model_validate(example["data"])
    for field in CATALOGUE[name].model_fields.values():
        assert f"| `{field.alias}` |" in section[1]
