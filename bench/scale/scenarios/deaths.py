"""The process that matches dies, or stands still and wakes up much later, at a moment that nobody has chosen."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

from bench.scale.clients import Job
from bench.scale.figures import Figures
from bench.scale.play import Play
from bench.scale.scenario import Results, Scenario, Size
from bench.scale.scenarios.steady import enough_workers
from tests.sim.process import Process

#: Until when others must have taken over.
_TAKEN_OVER_SECONDS: Final = 5.0
_FROZEN_SECONDS: Final = 20.0
#: Jobs that came so long before may have been in its hands.
_BEFORE_SECONDS: Final = 1.0


def _struck(name: str, freezes: bool, size: Size, _: Results) -> Figures:
    rate, strikes = size.of((100.0, 3), (12.0, 1))
    between = 10.0 if not freezes else _FROZEN_SECONDS + 6
    play = Play(name, 4)
    struck: list[tuple[Process, float]] = []

    async def story() -> None:
        await play.settings()
        await play.workers(2 * enough_workers(rate))
        await play.calm()
        loading = play.start(play.load(rate, 3.0 + strikes * between))
        await play.pass_by(2.0)
        for _ in range(strikes):
            await play.pass_by(play.world.chance.random())
            process = play.meter.matching() or play.somebody
            struck.append((process, play.now))
            if freezes:
                process.freeze()
                await play.pass_by(_FROZEN_SECONDS)
                process.wake()
            else:
                play.world.crashed(process)
            await play.pass_by(between - (play.now - struck[-1][1]) - 1.0)
        await loading
        await play.work_off()

    play.perform(story)
    figures = play.figures(since=math.inf)
    jobs = list(play.clients.jobs.values())
    others = [
        _waited(job, at, play.now)
        for process, at in struck
        for job in jobs
        if at - _BEFORE_SECONDS <= job.submitted < at + _TAKEN_OVER_SECONDS and job.answered_by != process.name
    ]
    own = [
        _waited(job, at, play.now)
        for process, at in struck
        for job in jobs
        if at - _BEFORE_SECONDS <= job.submitted <= at and job.answered_by == process.name
    ]
    figures.latencies = [
        one
        for number, (_, at) in enumerate(struck)
        for one in play.latencies(
            "j", at + _TAKEN_OVER_SECONDS, struck[number + 1][1] - 1 if number + 1 < len(struck) else math.inf
        )
    ]
    figures.more["longest"] = max(others, default=0.0) * 1000
    figures.more["longest_of_its_own"] = max(own, default=0.0) * 1000
    return figures


def _waited(job: Job, since: float, now: float) -> float:
    """Since it came, or since the process was struck if that was later; nothing if it was offered before."""
    return max((now if job.offered is None else job.offered) - max(job.submitted, since), 0.0)


def scenarios() -> list[Scenario]:
    return [
        Scenario("dies", partial(_struck, "dies", False)),
        Scenario("freezes", partial(_struck, "freezes", True)),
    ]
