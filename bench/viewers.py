"""`python -m bench.viewers [viewers] [seconds] [waiting]`: what viewers of the live picture cost those who are routed.

A call centre of 50 queues, 500 workers and 2,000 jobs that wait, or as many of each as fit fewer jobs; ten jobs a
second find a worker. Pairs of stretches of the same router, without viewers and with them, each of whom asks every two
seconds; then a browser with the console open, and how soon it shows a job that has come."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any, Final

from bench.arguments import add_count, argument_parser, topology
from bench.figures import Figure, heading, line, table, title
from bench.pace import paced
from bench.stage import Stage, stage
from local.topology import Topology
from router.models.types import parse_time
from tests.acceptance.chromium import browser
from tests.acceptance.console.tab import console

#: Jobs that wait in each queue, and workers who serve it.
_LINE: Final = 40
_TEAM: Final = 10
_RATE: Final = 10.0
_EVERY_SECONDS: Final = 2.0
_AT_ONCE: Final = 4
_PAIRS: Final = 3
_OFFER_SECONDS: Final = 600
_PROBE: Final = "probe-"
_PROBES_A_SECOND: Final = 2.3  # no multiple of the page's own rhythm
_WATCH: Final = f"""
window.seenAt = new Map();
new MutationObserver(() => {{
  for (const row of document.querySelectorAll("tr[data-id^='{_PROBE}']"))
    if (!window.seenAt.has(row.dataset.id)) window.seenAt.set(row.dataset.id, Date.now());
}}).observe(document.body, {{ childList: true, subtree: true }});
"""


async def main(processes: Topology, viewers: int, seconds: int, waiting: int) -> None:
    title(processes)
    async with stage(processes, connections=64) as scene:
        queues = max(1, waiting // _LINE)
        await _prepare(scene, queues)
        await _measure(scene, viewers, seconds, queues)


async def _measure(scene: Stage, viewers: int, seconds: int, queues: int) -> None:
    without: list[float] = []
    beside: list[float] = []
    looks: list[float] = []
    ratios: list[float] = []
    await _route(scene, "warm", 5, queues)
    for pair in range(_PAIRS):
        alone = await _route(scene, f"without{pair}", seconds, queues)
        looking = [asyncio.create_task(_look(scene, number / viewers, looks)) for number in range(viewers)]
        try:
            watched = await _route(scene, f"with{pair}", seconds, queues)
        finally:
            for one in looking:
                one.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
        without += alone
        beside += watched
        ratios.append(statistics.median(watched) / statistics.median(alone) - 1)
    shown = await _seen(scene, seconds, queues)
    heading(
        f"Routing beside {viewers} viewers of {queues} queues, {queues * _TEAM} workers, {queues * _LINE:,} waiting"
    )
    table(
        [
            Figure("submit to offer, nobody looks", without),
            Figure("submit to offer, with viewers", beside),
            Figure("GetLive", looks),
            Figure("submit to seen in the console", shown),
        ]
    )
    line("medians of pairs, with to without", ", ".join(f"{one:+.1%}" for one in ratios))
    line("median of all, with to without", f"{statistics.median(beside) / statistics.median(without) - 1:+.1%}", "5 %")
    line("seen in the console, p95", f"{Figure('', shown).p95:.0f} ms", "3,000 ms")


async def _prepare(scene: Stage, queues: int) -> None:
    await scene.put(
        "/routing/distributionPolicies/v", {"mode": {"kind": "longestIdle"}, "offerExpiresAfterSeconds": _OFFER_SECONDS}
    )
    for number in range(queues):
        await scene.put(f"/routing/queues/q{number}", {"distributionPolicyId": "v"})
    limit = asyncio.Semaphore(_AT_ONCE)

    async def put(path: str, body: dict[str, Any]) -> None:
        async with limit:
            await scene.put(path, body)

    # Who waits asks for what nobody has; the workers are busy with nothing.
    selector = [{"key": "skill", "labelOperator": "equal", "value": "rare"}]
    waiting = [
        put(
            f"/routing/jobs/waits{number}",
            {"channelId": "chat", "queueId": f"q{number % queues}", "requestedWorkerSelectors": selector},
        )
        for number in range(queues * _LINE)
    ]
    channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
    workers = [
        put(
            f"/routing/workers/w{number}",
            {
                "capacity": 100,
                "queues": [f"q{number % queues}"],
                "channels": channels,
                "availableForOffers": True,
            },
        )
        for number in range(queues * _TEAM)
    ]
    await asyncio.gather(*waiting, *workers)


async def _route(scene: Stage, name: str, seconds: float, queues: int) -> list[float]:
    """Milliseconds from the request that submits a job to its offer, whose own time tells when that was."""
    submitted: dict[str, float] = {}
    tasks: list[asyncio.Task[object]] = []
    async for number in paced(_RATE, int(_RATE * seconds)):
        job = f"{name}-{number}"
        submitted[job] = time.time()
        body = {"channelId": "voice", "queueId": f"q{number % queues}"}
        tasks.append(asyncio.create_task(scene.put(f"/routing/jobs/{job}", body)))
    await asyncio.gather(*tasks)
    await asyncio.sleep(3)
    taken = []
    for job, at in submitted.items():
        following = (await scene.wire.get(f"/routing/jobs/{job}/explain?maxpagesize=1")).body["next"]
        ends = [parse_time(step["at"]).timestamp() for step in following if step["what"] == "offerExpires"]
        taken += [(one - _OFFER_SECONDS - at) * 1000 for one in ends]
    return taken


async def _seen(scene: Stage, seconds: float, queues: int) -> list[float]:
    """Milliseconds from the request that submits a job which waits, until a page that is open shows it; beside the
    jobs that are routed."""
    submitted: dict[str, float] = {}
    async with browser() as running, console(running, scene.router) as tab:
        await tab.enter(f"/now?find={_PROBE}")
        await tab.sees("#find")
        await tab.page.run(_WATCH)
        routing = asyncio.create_task(_route(scene, "seen", seconds, queues))
        async for number in paced(_PROBES_A_SECOND, int(_PROBES_A_SECOND * seconds)):
            job = f"{_PROBE}{number}"
            submitted[job] = time.time() * 1000
            await scene.put(f"/routing/jobs/{job}", {"channelId": "chat", "queueId": f"q{number % queues}"})
        await routing
        await tab.page.until(f"window.seenAt.size >= {len(submitted)}", 10)
        seen: dict[str, float] = json.loads(await tab.page.run("JSON.stringify(Object.fromEntries(window.seenAt))"))
    return [seen[job] - at for job, at in submitted.items()]


async def _look(scene: Stage, offset: float, looks: list[float]) -> None:
    await asyncio.sleep(offset * _EVERY_SECONDS)
    etag = ""
    while True:
        started = time.perf_counter()
        headers = {"If-None-Match": etag} if etag else {}
        answer = await scene.wire.get("/routing/live", headers=headers)
        looks.append((time.perf_counter() - started) * 1000)
        assert answer.status in (200, 304), answer.status
        etag = answer.headers.get("ETag", "")
        await asyncio.sleep(max(0.0, _EVERY_SECONDS - (time.perf_counter() - started)))


if __name__ == "__main__":
    options = argument_parser("bench.viewers", __doc__)
    add_count(options, "viewers", 1, 20)
    add_count(options, "seconds", 1, 20)
    add_count(options, "waiting", _LINE, 2_000)
    given = options.parse_args()
    asyncio.run(main(topology(workers=1), given.viewers, given.seconds, given.waiting))
