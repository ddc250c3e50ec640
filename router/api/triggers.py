"""The Event Grid functions, which wake reconciliation, and the timer function, which runs due deadlines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import azure.functions as func

from router.commit.parts import Parts
from router.events.receive import Wake, read_event
from router.telemetry import names, tracing
from router.upkeep import events
from router.upkeep.deadlines import DeadlineRunner

_log = logging.getLogger(__name__)

#: Events handled at once by one process: a flood waits its turn here instead of in storage.
_CONCURRENT: Final = 32
#: How long an event lets late deadlines go first: well within the time in which Event Grid wants an answer.
_YIELDS_SECONDS: Final = 3.0

Waker = Callable[[Parts, Wake], Awaitable[None]]


class App(Protocol):
    """What the functions need of the composition root."""

    async def parts(self) -> Parts: ...

    async def deadlines(self) -> DeadlineRunner: ...


def triggers(app: App) -> func.Blueprint:
    """A blueprint with the functions that no client calls."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    slots = asyncio.Semaphore(_CONCURRENT)

    async def handle(event: func.EventGridEvent, waker: Waker) -> None:
        found = read_event(event)
        if found is None:
            return  # of another origin
        parts = await app.parts()
        async with slots:
            await parts.overdue.calm(_YIELDS_SECONDS)
            attributes = {
                names.ATTRIBUTE_EVENT_TYPE: str(found.name),
                names.ATTRIBUTE_EVENT_ID: found.event_id,
                names.ATTRIBUTE_JOB: found.job_id,
                names.ATTRIBUTE_WORKER: found.worker_id,
            }
            with tracing.span(names.event_span(found.name), attributes, found.traceparent):
                await waker(parts, found)

    @blueprint.function_name("OnJobEvent")
    @blueprint.event_grid_trigger(arg_name="event")
    async def on_job_event(event: func.EventGridEvent) -> None:
        await handle(event, events.on_job_event)

    @blueprint.function_name("OnWorkerEvent")
    @blueprint.event_grid_trigger(arg_name="event")
    async def on_worker_event(event: func.EventGridEvent) -> None:
        await handle(event, events.on_worker_event)

    @blueprint.function_name("OnExceptionEvent")
    @blueprint.event_grid_trigger(arg_name="event")
    async def on_exception_event(event: func.EventGridEvent) -> None:
        await handle(event, events.on_job_event)

    @blueprint.function_name("OnDeadlines")
    @blueprint.timer_trigger(arg_name="timer", schedule="* * * * * *", run_on_startup=False, use_monitor=False)
    async def on_deadlines(timer: func.TimerRequest) -> None:
        runner = await app.deadlines()
        await runner.tick()

    return blueprint
