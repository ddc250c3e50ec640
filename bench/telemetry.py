"""What telemetry costs a request: the same app without it, with it as deployed (it keeps some traces a second, so
few of many requests), and with a trace of each request (what one costs that comes alone), in turns."""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final

from bench.figures import heading, line
from bench.stage import Stage, stage
from router.telemetry import names
from router.telemetry.setup import EXPORT_INTERVAL_SECONDS
from tests.integration.telemetry_sink import sink

_ROUNDS: Final = 20
_AT_ONCE: Final = 8
_GETS: Final = 160
_UPSERTS: Final = 60
#: Six times as often as by default, so that sending falls into many rounds.
_EXPORT_MILLISECONDS: Final = 5000


@dataclass
class _App:
    name: str
    scene: Stage
    #: Of each kind of round, by round: milliseconds of a request, requests a second, processor milliseconds of the app.
    taken: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[str, list[float]] = field(default_factory=dict)
    worked: dict[str, list[float]] = field(default_factory=dict)
    requests: int = 0

    def processor(self) -> float:
        times = [process.cpu_times() for process in self.scene.app_processes()]
        return float(sum(one.user + one.system for one in times)) * 1000


def _endpoint(asked: Connection) -> None:
    """The ingestion endpoint, in a process of its own; says what it received when it is asked."""
    with sink() as received:
        asked.send(received.connection_string)
        while asked.recv():
            traces = {span["tags"]["ai.operation.id"] for span in received.of_type("RemoteDependencyData")}
            asked.send((sum(point["count"] for point in received.metrics(names.API_REQUESTS)), len(traces)))


async def run() -> None:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    endpoint = context.Process(target=_endpoint, args=(theirs,), daemon=True)
    endpoint.start()
    try:
        async with AsyncExitStack() as ending:
            apps = await _apps(ending, mine.recv())
            await _measure(apps)
            await asyncio.sleep(1.5 * _EXPORT_MILLISECONDS / 1000)
            mine.send(True)
            _tell(apps, *mine.recv())
    finally:
        mine.send(False)
        endpoint.join(10)


async def _apps(ending: AsyncExitStack, connection_string: str) -> list[_App]:
    """All on the first one's storage, so that they read the same row."""
    # The local start exports to its own collector unless this is set; the app takes a blank for nothing.
    without = await ending.enter_async_context(stage(environment={"APPLICATIONINSIGHTS_CONNECTION_STRING": " "}))
    exporting = {
        "ROUTER_TABLES_CONNECTION_STRING": without.parts.tables_connection_string,
        "APPLICATIONINSIGHTS_CONNECTION_STRING": connection_string,
        "OTEL_METRIC_EXPORT_INTERVAL": str(_EXPORT_MILLISECONDS),
    }
    usual = await ending.enter_async_context(stage(environment=exporting))
    traced = await ending.enter_async_context(stage(environment={**exporting, "OTEL_TRACES_SAMPLER": "always_on"}))
    return [_App("without", without), _App("with, some traces", usual), _App("with, all traces", traced)]


async def _measure(apps: list[_App]) -> None:
    scene = apps[0].scene
    await scene.put("/routing/distributionPolicies/told", {"mode": {"kind": "longestIdle"}})
    await scene.put("/routing/queues/told", {"distributionPolicyId": "told"})
    job = {"channelId": "voice", "queueId": "told", "matchingMode": {"kind": "suspend"}, "labels": {"a": 1}}
    await scene.put("/routing/jobs/told", job)
    for app in apps:
        await scene.put(f"/routing/jobs/{_own(app, apps)}", job)
    for number in range(-2, _ROUNDS):
        # Each app comes first, second and third in turn.
        for place in range(len(apps)):
            app = apps[(number + place) % len(apps)]
            path = f"/routing/jobs/{_own(app, apps)}"

            async def get(_: int, app: _App = app) -> int:
                return (await app.scene.wire.get("/routing/jobs/told")).status

            async def upsert(count: int, app: _App = app, path: str = path, number: int = number) -> int:
                return (await app.scene.wire.patch(path, {"tags": {"round": number, "count": count}})).status

            await _round(app, "GetJob", get, _GETS, number >= 0)
            await _round(app, "UpsertJob, an update", upsert, _UPSERTS, number >= 0)


def _own(app: _App, apps: list[_App]) -> str:
    return f"told{apps.index(app)}"


async def _round(app: _App, name: str, action: Callable[[int], Awaitable[int]], times: int, counts: bool) -> None:
    """Half of the requests one after the other, half of them some at once (updates of a row would be in each
    other's way)."""
    one_by_one = times // 2 if name == "GetJob" else times
    before = app.processor()
    started = time.perf_counter()
    for number in range(one_by_one):
        assert await action(number) == 200
    taken = (time.perf_counter() - started) * 1000 / one_by_one
    rest = iter(range(one_by_one, times))

    async def some() -> None:
        for number in rest:
            assert await action(number) == 200

    started = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    elapsed = time.perf_counter() - started
    app.requests += times
    if counts:
        app.taken.setdefault(name, []).append(taken)
        app.worked.setdefault(name, []).append((app.processor() - before) / times)
        if times > one_by_one:
            app.rates.setdefault(name, []).append((times - one_by_one) / elapsed)


def _tell(apps: list[_App], counted: int, traces: int) -> None:
    heading(f"A request with telemetry, beside the same app without ({_ROUNDS} rounds of each in turns)")
    columns = (
        "request",
        "telemetry",
        "mean ms",
        "x without",
        f"requests/s, {_AT_ONCE} at once (x)",
        "app's processor ms",
        "more",
    )
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name in apps[0].taken:
        for app in apps:
            ratio = _median_ratio(app.taken[name], apps[0].taken[name])
            rates = app.rates.get(name)
            rate = f"{statistics.median(rates):.0f} ({_median_ratio(rates, apps[0].rates[name]):.2f})" if rates else ""
            worked = statistics.mean(app.worked[name])
            more = worked - statistics.mean(apps[0].worked[name])
            taken = statistics.median(app.taken[name])
            print(f"| {name} | {app.name} | {taken:.2f} | {ratio:.2f} | {rate} | {worked:.2f} | {more:+.2f} |")
    print(flush=True)
    line("exported", f"every {_EXPORT_MILLISECONDS / 1000:g} s, by default every {EXPORT_INTERVAL_SECONDS:g} s")
    line("app memory", ", ".join(f"{app.scene.app_memory():.0f} MB {app.name}" for app in apps))
    line("requests counted at the endpoint", f"{counted}", f"{sum(app.requests for app in apps[1:])}")
    line("traces received", f"{traces}")


def _median_ratio(some: list[float], others: list[float]) -> float:
    """Rounds are compared with the neighbouring one, as the machine's mood changes."""
    return statistics.median(one / other for one, other in zip(some, others, strict=True))
