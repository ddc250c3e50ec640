"""One job at a time, at rest between two of them, or between two of its steps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from bench.scale import calls
from bench.scale.clients import Load, Manner
from bench.scale.figures import Figures, percentile
from bench.scale.play import LATENCY, Play
from bench.scale.scenario import Results, Scenario, Size

#: Longer than all that a step sets going takes; a job's four steps are done before its settle deadline.
_REST_SECONDS: Final = 2.5
_NEVER: Final = Manner(answers_after=None)


def _lone(processes: int, size: Size, _: Results) -> Figures:
    figures = _each_alone(f"lone-{processes}", processes, size.of(60, 15), spread=0.9)
    # Where each call takes the same time, that says how many were made one after the other, deliveries of events among
    # them. The last one tells the topic.
    steady = _each_alone("", processes, size.of(20, 6), spread=0.0)
    figures.more["calls"] = round(percentile(steady.latencies, 0.5) / 1000 / LATENCY) - 1
    return figures


def _each_alone(name: str, processes: int, jobs: int, spread: float) -> Figures:
    play = Play(name, processes)
    play.weather = replace(play.weather, spread=spread)

    async def story() -> None:
        await play.settings()
        await play.workers(5, manner=Manner(holds=(0.2, 0.3)))
        await play.calm()
        load = play.loads["j"] = Load(play.now)
        for number in range(jobs):
            play.clients.one(load, f"j{number}", play.job(number))
            await play.pass_by(1.0 + play.world.chance.random() / 10)
        load.ended = play.now
        await play.work_off()

    play.perform(story)
    return play.figures()


def _at_rest(processes: int, size: Size, _: Results) -> Figures:
    """Each step of a job when all that the one before has set going is done; then its settle deadline."""
    play = Play(f"rest-{processes}", processes)
    jobs = size.of(10, 4)

    async def routed(job_id: str) -> None:
        play.clients.one(play.loads["j"], job_id, play.job(0))
        await play.pass_by(_REST_SECONDS)
        offer_id = next(reversed(play.meter.offers))
        assignment = await calls.accept(play.somebody, "w0", offer_id)
        await play.pass_by(_REST_SECONDS)
        await calls.complete(play.somebody, job_id, assignment)
        await play.pass_by(_REST_SECONDS)
        await calls.close(play.somebody, job_id, assignment)
        job = play.clients.jobs[job_id]
        job.closed, job.times_closed = play.now, 1
        await play.pass_by(20.0)

    async def story() -> None:
        await play.settings()
        await play.workers(1, manner=_NEVER)
        await play.calm()
        play.loads["first"] = play.loads["j"] = Load(play.now)
        await routed("first")  # the caches are filled
        play.clients.jobs.clear()
        play.loads["j"] = Load(play.now)
        play.meter.start()
        for number in range(jobs):
            await routed(f"j{number}")
        play.loads["j"].ended = play.now

    play.perform(story)
    figures = play.figures(since=0.0)
    # Between two jobs the settings are forgotten, as they are not where more come.
    figures.operations -= figures.more["settings"]
    return figures


def scenarios() -> list[Scenario]:
    return [
        *(Scenario(f"lone-{processes}", partial(_lone, processes)) for processes in (1, 4)),
        *(Scenario(f"rest-{processes}", partial(_at_rest, processes)) for processes in (1, 4)),
    ]
