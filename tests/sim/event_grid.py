"""Event Grid in memory: what the topic takes goes to the router's own functions, as the subscriptions of the
deployment say: late, twice, out of order or, in bad weather, never."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.events.receive import read_event
from router.upkeep import events
from tests.sim.process import Gone, Handler
from tests.sim.virtual_loop import PROCESS

if TYPE_CHECKING:
    from tests.sim.world import World

_FILE: Final = Path(__file__).parents[2] / "infra" / "event-subscriptions.json"
#: What each function calls: as router/api/triggers.py joins them.
_FUNCTIONS: Final[dict[str, Handler]] = {
    "OnJobEvent": events.on_job_event,
    "OnWorkerEvent": events.on_worker_event,
    "OnExceptionEvent": events.on_job_event,
}
_SUBSCRIBERS: Final[dict[str, list[str]]] = {}
for _one in json.loads(_FILE.read_text()):
    for _type in _one["includedEventTypes"]:
        _SUBSCRIBERS.setdefault(_type, []).append(_one["function"])
#: Events that take the job they tell of on: they ask for a round of its queue.
WAKES_JOB: Final = frozenset(
    name for name, woken in _SUBSCRIBERS.items() if {"OnJobEvent", "OnExceptionEvent"} & {*woken}
)
_ATTEMPTS: Final = 4
_RETRY_SECONDS: Final = 10.0


class _Event:
    """What the host hands to a trigger: azure.functions.EventGridEvent, as far as it is read."""

    def __init__(self, wire: dict[str, Any]) -> None:
        self.id = wire["id"]
        self.event_type = wire["eventType"]
        self.subject = wire["subject"]
        self.event_time = datetime.fromisoformat(wire["eventTime"])
        self._data = wire["data"]

    def get_json(self) -> Any:
        return self._data


class EventGrid:
    def __init__(self, world: World) -> None:
        self._world = world
        #: Ids in the order in which each was taken first, and how often.
        self.accepted: dict[str, int] = {}
        self.under_way = 0

    def accept(self, texts: Sequence[str]) -> None:
        for text in texts:
            wire = json.loads(text)
            self.accepted[wire["id"]] = self.accepted.get(wire["id"], 0) + 1
            self._world.observer.took(wire)
            for function in _SUBSCRIBERS.get(wire["eventType"], ()):
                self._deliver(function, wire)

    def _deliver(self, function: str, wire: dict[str, Any]) -> None:
        world, weather, chance = self._world, self._world.weather, self._world.chance
        if weather.dropped and chance.random() < weather.dropped:
            world.note(None, f"{wire['eventType']} is dropped")
            return
        times = 2 if weather.doubled and chance.random() < weather.doubled else 1
        for _ in range(times):
            wait = world.latency()
            if weather.late and chance.random() < weather.late:
                wait += chance.random() * weather.latest
            self._later(wait, function, wire, 1)

    def _later(self, wait: float, function: str, wire: dict[str, Any], attempt: int) -> None:
        self.under_way += 1

        async def deliver() -> None:
            try:
                await self._hand_over(function, wire, attempt)
            finally:
                self.under_way -= 1

        def begin() -> None:
            self._world.loop.create_task(deliver())

        self._world.outside.run(self._world.loop.call_later, wait, begin)

    async def _hand_over(self, function: str, wire: dict[str, Any], attempt: int) -> None:
        assert PROCESS.get() is None
        found = read_event(_Event(wire))
        assert found is not None
        process = self._world.some_process()
        try:
            if process is None:
                raise Gone
            await process.call(_FUNCTIONS[function], found)
        except Exception as error:
            self._world.judge_failure(f"{function} of {wire['eventType']}", error)
            if attempt < _ATTEMPTS:
                self._later(_RETRY_SECONDS * (0.5 + self._world.chance.random()), function, wire, attempt + 1)
