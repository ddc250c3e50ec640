"""The Event Grid functions, which wake reconciliation, and the timer function, which runs due deadlines."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import azure.functions as func

from router.commit.parts import Parts
from router.events.receive import Wake, read_event
from router.outages import WrongClock, is_told
from router.settings import SettingsError
from router.storage.port import StorageUnavailable
from router.telemetry import names, tracing
from router.upkeep import events
from router.upkeep.deadlines import DeadlineRunner

_log = logging.getLogger(__name__)

#: Events handled at once by one process: a flood waits its turn here instead of in storage.
_CONCURRENT: Final = 32
#: How long an event lets late deadlines go first: well within the time in which Event Grid wants an answer.
_YIELDS_SECONDS: Final = 3.0

#: How often the timer says that it cannot run: it tries each second.
_SAYS_SECONDS: Final = 60.0

Waker = Callable[[Parts, Wake], Awaitable[None]]


class App(Protocol):
    """What the functions need of the composition root."""

    async def parts(self) -> Parts: ...

    async def deadlines(self) -> DeadlineRunner: ...


class _Seldom:
    """Says a fault that lasts at its start, when it becomes another one, and then once a minute."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._said: tuple[type[Exception], float] | None = None

    def fault(self, error: Exception) -> None:
        kind, now = type(error), self._elapsed()
        if is_told(error):
            return
        if self._said is None or self._said[0] is not kind or now - self._said[1] >= _SAYS_SECONDS:
            self._said = (kind, now)
            _log.error("Deadlines wait, nothing due is lost: %s", error)

    def over(self) -> None:
        if self._said is not None:
            self._said = None
            _log.warning("Deadlines are handled again.")


def triggers(app: App, elapsed: Callable[[], float] = time.monotonic) -> func.Blueprint:
    """A blueprint with the functions that no client calls. `elapsed` tells seconds, from any start."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    slots = asyncio.Semaphore(_CONCURRENT)
    seldom = _Seldom(elapsed)

    async def handle(event: func.EventGridEvent, waker: Waker) -> None:
        found = read_event(event)
        if found is None:
            return  # of another origin
        parts = await app.parts()
        await parts.on_time()
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
        # Wrong settings and silent storage are what an operator mends: an exception each second would only bury their
        # reason, and cost. What nobody has foreseen goes on to the host, each time.
        try:
            runner = await app.deadlines()
            await runner.tick()
        except (SettingsError, StorageUnavailable, WrongClock) as error:
            seldom.fault(error)
        else:
            seldom.over()

    return blueprint
