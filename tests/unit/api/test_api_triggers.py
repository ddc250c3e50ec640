"""The functions that no client calls: what events and the timer set going (docs/architecture.md, "Timed things")."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import azure.functions as func
import pytest
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum

from router.api.triggers import triggers
from router.commit.parts import Parts
from router.events.envelope import EventSchema, envelope
from router.events.receive import Poisoned, Wake
from router.models.events import PendingEvent
from router.models.jobs import JobStatus
from router.upkeep import events
from router.upkeep.deadlines import DeadlineRunner
from router.usecases import settings as setting_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time

Function = Callable[[Any], Awaitable[None]]


class App:
    """The composition root, as far as the functions need it."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.runner = DeadlineRunner(process.parts)
        self.asked = 0
        blueprint = triggers(self)
        app = func.FunctionApp()
        app.register_functions(blueprint)
        self.functions: dict[str, Function] = {
            str(one.get_function_name()): one.get_user_function() for one in app.get_functions()
        }

    async def parts(self) -> Parts:
        self.asked += 1
        return self.process.parts

    async def deadlines(self) -> DeadlineRunner:
        return self.runner


def delivered(event: PendingEvent, schema: EventSchema = EventSchema.EVENT_GRID, **changes: Any) -> Any:
    """The event as the host hands it over."""
    wire = {**envelope(event, schema), **changes}
    return EventGridEventInConverter.decode(
        Datum(type="json", value=json.dumps(wire, default=str)), trigger_metadata=None
    )


async def quiet() -> App:
    """A router in which events and deadlines alone set anything going."""
    process = Process(Tables(), drives=False)
    await process.queue()
    return App(process)


async def save(app: App, kind: str, id: str, document: dict[str, Any]) -> None:
    parts = app.process.parts
    await setting_usecases.upsert(parts, kind, id, lambda _: document, lambda etag, modified: None)


def event_of(app: App, name: str) -> PendingEvent:
    return [one for one in app.process.topic.events if one.type == name][-1]


@pytest.mark.parametrize("schema", list(EventSchema))
@in_virtual_time
async def test_a_jobs_event_takes_the_job_on(schema: EventSchema) -> None:
    app = await quiet()
    await app.process.job("j")
    await asyncio.sleep(1)
    assert (await app.process.read_job("j")).status is JobStatus.CREATED
    await app.functions["OnJobEvent"](delivered(event_of(app, "RouterJobReceived"), schema))
    await asyncio.sleep(1)
    assert (await app.process.read_job("j")).status is JobStatus.QUEUED


@in_virtual_time
async def test_a_workers_event_finds_it_work() -> None:
    app = await quiet()
    await app.process.job("j")
    await asyncio.sleep(1)
    await app.functions["OnJobEvent"](delivered(event_of(app, "RouterJobReceived")))
    await app.process.worker("w")
    await asyncio.sleep(1)
    assert await app.process.offered_to("j") == []
    await app.functions["OnWorkerEvent"](delivered(event_of(app, "RouterWorkerRegistered")))
    await asyncio.sleep(1)
    assert await app.process.offered_to("j") == ["w"]


@in_virtual_time
async def test_an_event_of_another_origin_wakes_nothing() -> None:
    app = await quiet()
    await app.process.job("j")
    await asyncio.sleep(1)
    event = event_of(app, "RouterJobReceived")
    await app.functions["OnJobEvent"](delivered(event, eventType="Somebody.Elses"))
    assert app.asked == 0
    assert (await app.process.read_job("j")).status is JobStatus.CREATED


@pytest.mark.parametrize("name", ["OnJobEvent", "OnWorkerEvent", "OnExceptionEvent"])
@in_virtual_time
async def test_an_event_that_cannot_be_read_is_a_failure(name: str) -> None:
    app = await quiet()
    await app.process.job("j")
    await asyncio.sleep(1)
    with pytest.raises(Poisoned):
        await app.functions[name](delivered(event_of(app, "RouterJobReceived"), subject="job"))


@in_virtual_time
async def test_an_exceptions_event_runs_its_actions() -> None:
    app = await quiet()
    rule = {"id": "r", "trigger": {"kind": "queueLength", "threshold": 1}, "actions": [{"kind": "cancel"}]}
    queue = {"distributionPolicyId": "q", "exceptionPolicyId": "e"}
    await save(app, "ExceptionPolicy", "e", {"exceptionRules": [rule]})
    await save(app, "Queue", "q", queue)
    await asyncio.sleep(5)
    await app.process.job("j")
    await asyncio.sleep(1)
    await app.functions["OnJobEvent"](delivered(event_of(app, "RouterJobReceived")))
    await app.process.job("k")
    await asyncio.sleep(1)
    written = 0

    async def before(call: Call) -> None:
        """The process dies when the rule has fired, before its action."""
        nonlocal written
        if (call.kind, call.table, call.row) == ("replace", "jobs", "k"):
            written += 1
            if "RouterJobExceptionTriggered" in app.process.topic.names or written > 1:
                raise ConnectionError("the process is gone")

    app.process.tables.before = before
    with suppress(ConnectionError):
        await app.functions["OnJobEvent"](delivered(event_of(app, "RouterJobReceived")))
    await asyncio.sleep(1)
    app.process.tables.before = None
    assert (await app.process.read_job("k")).status is JobStatus.QUEUED
    await app.functions["OnExceptionEvent"](delivered(event_of(app, "RouterJobExceptionTriggered")))
    assert (await app.process.read_job("k")).status is JobStatus.CANCELLED
    assert (await app.process.read_job("j")).status is JobStatus.QUEUED


@in_virtual_time
async def test_a_flood_of_events_waits_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    app = await quiet()
    await app.process.job("j")
    await asyncio.sleep(1)
    running, most, woken = 0, 0, 0

    async def slow(parts: Parts, event: Wake) -> None:
        nonlocal running, most, woken
        running += 1
        most, woken = max(most, running), woken + 1
        await asyncio.sleep(1)
        running -= 1

    monkeypatch.setattr(events, "on_job_event", slow)
    event = delivered(event_of(app, "RouterJobReceived"))
    await asyncio.gather(*(app.functions["OnJobEvent"](event) for _ in range(100)))
    assert (most, woken) == (32, 100)


@in_virtual_time
async def test_the_timer_runs_what_is_due() -> None:
    app = await quiet()
    await app.process.job("j")
    await asyncio.sleep(20)
    await app.functions["OnDeadlines"](None)
    await app.runner.drain()
    await asyncio.sleep(1)
    assert (await app.process.read_job("j")).status is JobStatus.QUEUED


@in_virtual_time
async def test_each_function_has_its_trigger() -> None:
    app = await quiet()
    assert set(app.functions) == {"OnJobEvent", "OnWorkerEvent", "OnExceptionEvent", "OnDeadlines"}
