"""`python -m bench.outage topic|azurite [jobs a second] [seconds] [--after N] [--team N]`: the topic, or storage,
stands still for so many seconds.

The process is stopped by SIGSTOP, as a service that hangs, and goes on after SIGCONT; jobs come before, meanwhile and
after at the same rate. Since no event comes from a topic that is stopped, agents also ask for offers all the time.
WORKERS and TIMER as for `bench.jobs`. Prints one line."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import aiohttp

from bench.arguments import add_count, add_rate, add_seconds, argument_parser, topology
from bench.call_centre import Asked, CallCentre, call_centre
from bench.figures import Figure, values_line
from bench.job_figures import offers, problems, processor
from bench.pace import comes_true
from bench.stage import Stage
from local.topology import Topology

_PROCESSES: Final = {"topic": "eventgrid", "azurite": "azurite"}
_BEFORE_SECONDS: Final = 10
#: After which what has not come is said not to have come.
_PATIENCE: Final = 240.0
_LOOK_SECONDS: Final = 0.25
#: Requests hang where storage does, and must not wait for each other here.
_CONNECTIONS: Final = 2_000
_QUEUE: Final = "outage"


class Backlog:
    """Events that the topic has not delivered, to the app's functions or to the subscriber."""

    def __init__(self, scene: Stage) -> None:
        self._scene = scene
        self._seen: list[tuple[float, int]] = []

    async def watch(self) -> None:
        parts = self._scene.parts
        async with aiohttp.ClientSession(headers={"aeg-sas-key": parts.topic_key}) as session:
            while True:
                async with session.get(f"{parts.topic_endpoint}/admin/state") as answer:
                    subscriptions = (await answer.json())["subscriptions"].values()
                waiting = sum(one["pending"] for one in subscriptions)
                self._seen.append((time.perf_counter(), waiting))
                await asyncio.sleep(_LOOK_SECONDS)

    async def values(self, back: float) -> dict[str, object]:
        """How many they were at most, and how long after the return there was none any more."""

        async def empty() -> bool:
            return bool(self._seen) and self._seen[-1][1] == 0

        await comes_true(empty, _PATIENCE)
        peak = max(self._seen, key=lambda one: one[1])
        emptied = [moment for moment, waiting in self._seen if waiting == 0 and moment >= peak[0]]
        return {"topic_backlog_max": peak[1], "topic_empty_s": f"{emptied[0] - back:.1f}" if emptied else "never"}


async def main(processes: Topology, part: str, rate: float, seconds: float, after_seconds: int, team: int) -> None:
    async with call_centre(processes, answering=True, connections=_CONNECTIONS) as centre:
        await centre.open(_QUEUE, team=team)
        worked = centre.scene.processor_seconds()
        looking = asyncio.create_task(_look(centre))
        before = await centre.submit(_QUEUE, rate, int(rate * _BEFORE_SECONDS))
        with _standing_still(centre.scene.router.pid(_PROCESSES[part])):
            stopped = time.perf_counter()
            meanwhile = await centre.submit(_QUEUE, rate, int(rate * seconds))
            back = time.perf_counter()
        backlog = Backlog(centre.scene)
        watching = asyncio.create_task(backlog.watch())
        after = await centre.submit(_QUEUE, rate, int(rate * after_seconds))
        await centre.until(centre.answered, centre.submitted)
        await centre.until(centre.closed, {*centre.acknowledged(centre.submitted), *centre.offered}, _PATIENCE)
        values = {
            "part": part,
            "rate": rate,
            "seconds": seconds,
            "team": team,
            **offers(centre, before, "before_offer"),
            **_requests(one for one in centre.asked if stopped <= one.sent < back),
            **_meanwhile(centre, meanwhile, back),
            "events_gone_s": await _events_gone(centre, back),
            **await backlog.values(back),
            **_afterwards(centre, after),
            "closed": len(centre.closed),
            "not_closed": sum(job not in centre.closed for job in centre.submitted),
            **processor(centre, worked),
            **problems(centre),
        }
        looking.cancel()
        watching.cancel()
    values_line("outage", processes, values)


@contextmanager
def _standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _look(centre: CallCentre) -> None:
    """What an agent sees who asks: all offers of the team, by pages."""
    while True:
        path: str | None = "/routing/workers?maxpagesize=200"
        while path:
            answer = await centre.ask("look", "GET", path)
            page: dict[str, Any] = answer.body if answer is not None and answer.status == 200 else {"value": []}
            for worker in page["value"]:
                for offer in worker["offers"]:
                    centre.see_offer(worker["id"], offer["offerId"], offer["jobId"], time.perf_counter())
            path = page.get("nextLink")
        await asyncio.sleep(_LOOK_SECONDS)


def _requests(asked: Iterator[Asked]) -> dict[str, object]:
    """How often requests sent meanwhile were answered with which status, and after how long."""
    taken: dict[str, list[float]] = {}
    for one in asked:
        taken.setdefault(f"{one.operation}_{one.status}", []).append(one.milliseconds)
    values: dict[str, object] = {}
    for name, milliseconds in sorted(taken.items()):
        values |= {name: len(milliseconds), **Figure(name, milliseconds).values("p50", "p95", "max")}
    return values


def _meanwhile(centre: CallCentre, jobs: list[str], back: float) -> dict[str, object]:
    """Jobs that came while the part stood still: which were offered before it was back, and which after."""
    acknowledged = centre.acknowledged(jobs)
    at_once = [job for job in acknowledged if centre.offered.get(job, back) < back]
    later = [job for job in acknowledged if centre.offered.get(job, 0) >= back]
    return {
        "meanwhile_jobs": len(jobs),
        "meanwhile_acknowledged": len(acknowledged),
        "meanwhile_offered": len(at_once),
        **Figure("meanwhile_offer", centre.waits(at_once, centre.offered)).values("p50", "p95", "max"),
        "offered_after_return": len(later),
        "offered_after_return_last_s": f"{max((centre.offered[job] for job in later), default=back) - back:.1f}",
        "offered_without_acknowledgement": len(set(jobs) & centre.offered.keys() - set(acknowledged)),
    }


def _afterwards(centre: CallCentre, jobs: list[str]) -> dict[str, object]:
    """Jobs that came after the return: until an offer was seen at all, and until an event told of it."""
    seen = Figure("after_seen", centre.waits(jobs, centre.offered))
    return {"after_jobs": len(jobs), **seen.values("p50", "p95", "max"), **offers(centre, jobs, "after_offer")}


async def _events_gone(centre: CallCentre, back: float) -> str:
    """Seconds from the return until the subscriber had every event of what was acknowledged before it."""
    owed = {event for event, moment in centre.owed.items() if moment < back}
    if not await centre.until(centre.arrived, owed, _PATIENCE):
        return f"never:{len(owed - centre.arrived.keys())}"
    return f"{max([back, *(centre.arrived[event] for event in owed)]) - back:.1f}"


if __name__ == "__main__":
    parser = argument_parser("bench.outage", __doc__)
    parser.add_argument("part", choices=sorted(_PROCESSES))
    add_rate(parser, 5)
    add_seconds(parser, 60)
    add_count(parser, "--after", 1, 30)
    add_count(parser, "--team", 1, 30)
    given = parser.parse_args()
    asyncio.run(main(topology(), given.part, given.rate, given.seconds, given.after, given.team))
