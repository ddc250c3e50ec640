"""`python -m bench.viewers [viewers] [rounds] [waiting]`: what viewers of the live picture cost those who are routed.

A call centre of 50 queues, 500 workers and 2,000 jobs that wait, or as many of each as fit fewer jobs; ten jobs a
second find a worker all the time. In a round nobody looks, viewers look, they look once more, nobody looks. Then what
a picture and a look cost the processor, and how soon a browser with the console shows a job that comes."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from bench.arguments import add_count, argument_parser, topology
from bench.audience import Audience, Taken
from bench.compared import compare
from bench.copies import copies
from bench.figures import Figure, heading, line, table, title
from bench.observer import SETTLING_SECONDS, observed
from bench.pace import comes_true, paced
from bench.stage import Stage, stage
from local.topology import Topology
from router.models.types import parse_time
from tests.acceptance.chromium import browser
from tests.acceptance.console.tab import console

#: Jobs that wait in each queue, and workers who serve it.
_LINE: Final = 40
_TEAM: Final = 10
_RATE: Final = 10.0
#: Short: a machine drifts, and neighbours are compared.
_STRETCH_SECONDS: Final = 3.0
#: Not counted at the beginning of a stretch: what the one before has begun goes on.
_SETTLING_SECONDS: Final = 0.5
_WARM_UP_SECONDS: Final = 8
#: What a look costs is measured on so many a second.
_LOOKS_A_SECOND: Final = 100
_COST_SECONDS: Final = 6.0
_COST_SETTLING_SECONDS: Final = 2.0
_PICTURES_SECONDS: Final = 15.0
_SEEN_SECONDS: Final = 30
_OFFER_SECONDS: Final = 600
_OFFERED_WITHIN: Final = 30.0
_AT_A_TIME: Final = 8
_AGAIN_SECONDS: Final = 0.8
_PROBE: Final = "probe-"
_PROBES_A_SECOND: Final = 2.3  # no multiple of the page's own rhythm
_WATCH: Final = f"""
window.seenAt = new Map();
new MutationObserver(() => {{
  for (const row of document.querySelectorAll("tr[data-id^='{_PROBE}']"))
    if (!window.seenAt.has(row.dataset.id)) window.seenAt.set(row.dataset.id, Date.now());
}}).observe(document.body, {{ childList: true, subtree: true }});
"""


@dataclass
class Stretches:
    """All of one kind, each with the jobs that were submitted in it, and when."""

    name: str
    submitted: list[Mapping[str, float]] = field(default_factory=list)
    #: Seconds of the app's processors a second.
    spent: list[float] = field(default_factory=list)
    taken: list[list[float]] = field(default_factory=list)

    @property
    def figure(self) -> Figure:
        return Figure(self.name, [one for stretch in self.taken for one in stretch])


async def main(processes: Topology, viewers: int, rounds: int, waiting: int) -> None:
    title(processes)
    async with stage(processes, connections=64) as scene:
        queues = max(1, waiting // _LINE)
        await _prepare(scene, queues)
        await _offered(scene, await _submit(scene, "warm", _WARM_UP_SECONDS, queues))
        await _routing(scene, viewers, rounds, queues)
        await _cost_of_a_picture(scene, viewers, queues)
        await _cost_of_a_look(scene, viewers)
        await _seen(scene, queues)


async def _routing(scene: Stage, viewers: int, rounds: int, queues: int) -> None:
    nobody, looked_at = Stretches("submit to offer, nobody looks"), Stretches(f"submit to offer, {viewers} viewers")
    audience = Audience(scene, viewers, looks_at_picture=True)
    submitted: dict[str, float] = {}
    seconds = rounds * 4 * _STRETCH_SECONDS + 1
    routing = asyncio.create_task(_submit(scene, "routed", seconds, queues, submitted))
    async with audience:
        for _ in range(rounds):
            # By turns who is first: a machine's speed drifts.
            for kind in (nobody, looked_at, looked_at, nobody):
                await _stretch(scene, kind, submitted, audience if kind is looked_at else None)
    await routing
    for kind in (nobody, looked_at):
        kind.taken = [await _offered(scene, stretch) for stretch in kind.submitted]
    heading(
        f"Routing beside {viewers} viewers of {queues} queues, {queues * _TEAM} workers, {queues * _LINE:,} waiting"
    )
    answers = {status: [one for one in audience.taken if one.status == status] for status in (200, 304)}
    of_looks = [(f"GetLive, {status}", [one.milliseconds for one in some]) for status, some in answers.items() if some]
    table([nobody.figure, looked_at.figure, *(Figure(name, some) for name, some in of_looks)])
    for name, figure in (("median", statistics.median), ("geometric mean", statistics.geometric_mean)):
        line(
            f"{name} beside viewers (95 of 100 between)", str(compare(nobody.taken, looked_at.taken, figure)), "+5.0 %"
        )
    for kind in (nobody, looked_at):
        line(f"processor, {kind.name}", f"{statistics.fmean(kind.spent) * 1000:.0f} ms a second")
    sizes = [one.bytes for one in answers[200]]
    if sizes:
        line(
            "answers with a picture", f"{len(sizes)} of {len(audience.taken)}, {statistics.fmean(sizes) / 1000:.1f} kB"
        )


async def _stretch(scene: Stage, kind: Stretches, submitted: Mapping[str, float], audience: Audience | None) -> None:
    async with AsyncExitStack() as around:
        if audience is not None:
            await around.enter_async_context(audience.looking())
        await asyncio.sleep(_SETTLING_SECONDS)
        known, before, began = len(submitted), _processor(scene), time.perf_counter()
        await asyncio.sleep(_STRETCH_SECONDS - _SETTLING_SECONDS)
        kind.spent.append((_processor(scene) - before) / (time.perf_counter() - began))
        kind.submitted.append(dict(list(submitted.items())[known:]))


async def _cost_of_a_picture(scene: Stage, viewers: int, queues: int) -> None:
    """Of a process that does nothing else, while jobs are routed by another one."""
    seconds = _COST_SETTLING_SECONDS + SETTLING_SECONDS + _PICTURES_SECONDS
    routing = asyncio.create_task(_submit(scene, "pictured", seconds, queues))
    seen = await observed(scene.parts.tables_connection_string, viewers, _PICTURES_SECONDS)
    await routing
    line(f"processor, a picture and its answers to {viewers} viewers", f"{seen.milliseconds:.1f} ms", "40 ms")
    line("reads of storage, a picture; a second", f"{seen.reads:.1f}; {seen.reads_a_second:.1f}", "12 a second at most")


async def _cost_of_a_look(scene: Stage, viewers: int) -> None:
    """Of the app's processor, while nothing is routed: many looks a second, beside as many answers from memory."""
    every = viewers / _LOOKS_A_SECOND
    spent: dict[str, float] = {}
    looks: list[Taken] = []
    for name in ("nothing", "a file", "the picture"):
        async with AsyncExitStack() as around:
            if name != "nothing":
                audience = Audience(scene, viewers, looks_at_picture=name == "the picture", every=every)
                await around.enter_async_context(audience)
                await around.enter_async_context(audience.looking())
                looks = audience.taken
            await asyncio.sleep(_COST_SETTLING_SECONDS)
            known, before = len(looks), _processor(scene)
            await asyncio.sleep(_COST_SECONDS)
            spent[name] = (_processor(scene) - before) * 1000
            looks = looks[known:]
    unchanged = sum(one.status == 304 for one in looks)
    for name in ("a file", "the picture"):
        cost = (spent[name] - spent["nothing"]) / (_COST_SECONDS * _LOOKS_A_SECOND)
        line(f"processor, a look at {name}", f"{cost:.2f} ms", "1 ms" if name == "the picture" else "")
    line("of these looks at the picture, unchanged", f"{unchanged} of {len(looks)}")


def _processor(scene: Stage) -> float:
    return sum(scene.processor_seconds().values())


async def _prepare(scene: Stage, queues: int) -> None:
    await scene.put(
        "/routing/distributionPolicies/v", {"mode": {"kind": "longestIdle"}, "offerExpiresAfterSeconds": _OFFER_SECONDS}
    )
    await asyncio.gather(
        *(scene.put(f"/routing/queues/q{number}", {"distributionPolicyId": "v"}) for number in range(queues))
    )
    # Who waits asks for what nobody has; the workers are busy with nothing.
    job = {
        "channelId": "chat",
        "requestedWorkerSelectors": [{"key": "skill", "labelOperator": "equal", "value": "rare"}],
    }
    worker: dict[str, Any] = {
        "capacity": 100,
        "channels": [{"channelId": "voice", "capacityCostPerJob": 1}],
        "availableForOffers": True,
    }
    async with copies(scene) as made:
        for queue in range(queues):
            waiting = [f"waits{queue}-{number}" for number in range(_LINE)]
            await made.waiting(job | {"queueId": f"q{queue}"}, waiting)
            team = [f"w{queue}-{number}" for number in range(_TEAM)]
            await made.available(worker | {"queues": [f"q{queue}"]}, team)


async def _submit(
    scene: Stage, name: str, seconds: float, queues: int, submitted: dict[str, float] | None = None
) -> Mapping[str, float]:
    """When each job was submitted; `submitted` is filled while that goes on."""
    submitted = {} if submitted is None else submitted
    async with asyncio.TaskGroup() as going:
        async for number in paced(_RATE, int(_RATE * seconds)):
            job = f"{name}-{number}"
            submitted[job] = time.time()
            going.create_task(
                _put(scene, f"/routing/jobs/{job}", {"channelId": "voice", "queueId": f"q{number % queues}"})
            )
    return submitted


async def _put(scene: Stage, path: str, body: dict[str, Any]) -> None:
    """Again, as an SDK does, where the router is busy: that is a part of what it takes."""
    while (answer := await scene.wire.patch(path, body)).status in (429, 503):
        await asyncio.sleep(_AGAIN_SECONDS)
    assert answer.status in (200, 201), (answer.status, answer.content[:500])


async def _offered(scene: Stage, submitted: Mapping[str, float]) -> list[float]:
    """Milliseconds from the request that submits a job to its offer, whose own time tells when that was."""
    turns = asyncio.Semaphore(_AT_A_TIME)

    async def taken(job: str, at: float) -> float:
        found: list[float] = []

        async def offered() -> bool:
            following = (await scene.wire.get(f"/routing/jobs/{job}/explain?maxpagesize=1")).body["next"]
            found[:] = [parse_time(step["at"]).timestamp() for step in following if step["what"] == "offerExpires"]
            return bool(found)

        async with turns:
            assert await comes_true(offered, _OFFERED_WITHIN), f"{job} is not offered"
        return (found[0] - _OFFER_SECONDS - at) * 1000

    return await asyncio.gather(*(taken(job, at) for job, at in submitted.items()))


async def _seen(scene: Stage, queues: int) -> None:
    """From the request that submits a job which waits, until a page that is open shows it; beside the jobs that are
    routed."""
    submitted: dict[str, float] = {}
    async with browser() as running, console(running, scene.router) as tab:
        await tab.enter(f"/now?find={_PROBE}")
        await tab.sees("#find")
        await tab.page.run(_WATCH)
        routing = asyncio.create_task(_submit(scene, "seen", _SEEN_SECONDS, queues))
        async for number in paced(_PROBES_A_SECOND, int(_PROBES_A_SECOND * _SEEN_SECONDS)):
            job = f"{_PROBE}{number}"
            submitted[job] = time.time() * 1000
            await scene.put(f"/routing/jobs/{job}", {"channelId": "chat", "queueId": f"q{number % queues}"})
        await routing
        await tab.page.until(f"window.seenAt.size >= {len(submitted)}", 10)
        seen: dict[str, float] = json.loads(await tab.page.run("JSON.stringify(Object.fromEntries(window.seenAt))"))
    shown = Figure("submit to seen in the console", [seen[job] - at for job, at in submitted.items()])
    table([shown])
    line("seen in the console, p95", f"{shown.p95:.0f} ms", "3,000 ms")


if __name__ == "__main__":
    options = argument_parser("bench.viewers", __doc__)
    add_count(options, "viewers", 1, 20)
    add_count(options, "rounds", 1, 12)
    add_count(options, "waiting", _LINE, 2_000)
    given = options.parse_args()
    asyncio.run(main(topology(workers=1), given.viewers, given.rounds, given.waiting))
