"""Timer triggers: one task a function, so that runs never overlap; occurrences missed meanwhile are not made up."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from datetime import UTC, datetime
from typing import Final

from local.host.failures import Failures
from local.host.index import TIMER_TRIGGER, HostedFunction, IndexingError
from local.host.ncrontab import Schedule, ScheduleError, parse_schedule
from local.host.worker import FunctionFailed, Worker

log = logging.getLogger("local.host")


class TimerTriggers:
    """Fires every timer function of the app."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._timers = [
            (function, _schedule(function)) for function in worker.functions if function.trigger == TIMER_TRIGGER
        ]
        self._failures = Failures()
        self._tasks: Final[list[asyncio.Task[None]]] = []
        self._locks: Final = {function.name: asyncio.Lock() for function, _ in self._timers}

    def start(self) -> None:
        for function, schedule in self._timers:
            self._tasks.append(asyncio.get_running_loop().create_task(self._run(function, schedule)))

    async def fire(self) -> None:
        """Runs every timer function at once, after the run that is under way."""
        now = datetime.now(UTC)
        for function, schedule in self._timers:
            await self._fire(function, schedule, now, None, past_due=False)

    async def stop(self) -> None:
        """No further runs; the one under way is left to the invoker."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, function: HostedFunction, schedule: Schedule) -> None:
        last: datetime | None = None
        if function.settings.get("runOnStartup"):
            last = datetime.now(UTC)
            await self._fire(function, schedule, last, None, past_due=False)
        due: datetime | None = None
        while True:
            started = datetime.now(UTC)
            upcoming = schedule.after(max(due, started) if due else started)
            # Past due: occurrences went by while the last run took its time; this run stands for them.
            past_due = due is not None and schedule.after(due) < upcoming
            due = upcoming
            await _sleep_until(due)
            now = datetime.now(UTC)
            await self._fire(function, schedule, now, last, past_due=past_due)
            last = now

    async def _fire(
        self, function: HostedFunction, schedule: Schedule, now: datetime, last: datetime | None, *, past_due: bool
    ) -> None:
        status = {
            "Last": (last or datetime.min.replace(tzinfo=UTC)).isoformat(),
            "Next": schedule.after(now).isoformat(),
            "LastUpdated": (last or datetime.min.replace(tzinfo=UTC)).isoformat(),
        }
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
        async with self._locks[function.name]:
            try:
                await self._worker.call_json(function, json.dumps(info))
            except FunctionFailed as error:
                self._failures.tell(function.name, error)


async def _sleep_until(due: datetime) -> None:
    # The event loop's clock may wake a little early; a timer never fires before its time.
    left = (due - datetime.now(UTC)).total_seconds()
    if left > 0:
        await asyncio.sleep(left)
        await _sleep_until(due)


def _schedule(function: HostedFunction) -> Schedule:
    expression = str(function.settings.get("schedule", ""))
    if expression.startswith("%") and expression.endswith("%"):
        expression = os.environ.get(expression.strip("%"), "")  # the platform reads it from the app's settings
    try:
        return parse_schedule(expression)
    except ScheduleError as error:
        raise IndexingError(f"function {function.name}: {error}") from error
