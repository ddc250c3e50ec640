"""More comes than can be carried, or nothing works for a moment: the line is worked off, and nothing collapses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from bench.scale.clients import Fields, Job
from bench.scale.figures import Figures, overtaken
from bench.scale.play import Play
from bench.scale.scenario import Results, Scenario, Size

#: How long a worker is away for a job: held, and told of the next one.
_CYCLE_SECONDS: Final = 1.15
_WINDOW_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 5.0
#: Jobs that were submitted, or offered, closer to each other than this have no order.
_TOLERANCE_SECONDS: Final = 1.0
_URGENT: Final = 10
#: What a call costs of a small instance's processor.
_PROCESSOR_SECONDS: Final = 0.01


def _overload(size: Size, _: Results) -> Figures:
    """Twice what the workers can do, then nothing until the line is empty; 10 s later half of what they can do."""
    workers, seconds, afterwards = size.of((100, 30.0, 10.0), (14, 7.0, 5.0))
    capacity = workers / _CYCLE_SECONDS
    play = Play("overload", 4)
    emptied = 0.0

    def job(number: int) -> Fields:
        return {**play.job(number), "priority": _URGENT if number % 10 == 0 else 1}

    async def story() -> None:
        nonlocal emptied
        await play.settings()
        await play.workers(workers)
        await play.calm()
        await play.load(2 * capacity, seconds, job)
        await play.until(_all_offered(play, "j"), 1.5 * seconds + 15)
        emptied = play.now
        await play.pass_by(10)
        await play.load(capacity / 2, afterwards, name="after")
        await play.work_off()

    play.perform(story)
    figures = play.figures()
    figures.latencies = play.latencies("after")
    overload = play.loads.get("j")
    if overload is not None and emptied:
        least = play.least_closed_a_second(overload.began + 2, emptied - 0.5, _WINDOW_SECONDS)
        figures.more["least"] = least / capacity
        figures.more["line_seconds"] = emptied - overload.ended
        figures.more["overtaken"] = overtaken(
            (_place(job, play.now) for job in overload.jobs.values()), _TOLERANCE_SECONDS
        )
    return figures


def _place(job: Job, never: float) -> tuple[int, float, float, float]:
    answered = job.answered if job.answered is not None else never
    return job.priority, job.submitted, answered, job.offered if job.offered is not None else never


def _all_offered(play: Play, name: str) -> Callable[[], bool]:
    jobs = play.loads[name].jobs
    return lambda: all(job.offered is not None for job in jobs.values())


def _pause(size: Size, _: Results) -> Figures:
    """All processes stand still for 5 s while jobs come."""
    rate, before, afterwards = size.of((100.0, 8.0, 15.0), (15.0, 3.0, 9.0))
    play = Play("pause", 4)
    woken = emptied = 0.0

    async def story() -> None:
        nonlocal woken, emptied
        await play.settings()
        await play.workers(round(2.5 * rate))
        await play.calm()
        loading = play.start(play.load(rate, before + _PAUSE_SECONDS + afterwards))
        await play.pass_by(before)
        for process in play.world.alive():
            process.freeze()
        await play.pass_by(_PAUSE_SECONDS)
        for process in play.world.alive():
            process.wake()
        woken = play.now
        stopped = [job for job in play.clients.jobs.values() if job.offered is None]
        await play.until(lambda: all(job.offered is not None for job in stopped), afterwards)
        emptied = play.now
        await loading
        await play.work_off()

    play.perform(story)
    figures = play.figures(since=woken + 5 if woken else None)
    load = play.loads.get("j")
    if load is not None and emptied:
        carried = play.closed_a_second(load.began + 1.8, woken - _PAUSE_SECONDS)
        least = play.least_closed_a_second(woken + 0.5, emptied, 2.0)
        figures.more["least"] = min(least / carried, 1.0)
        figures.more["line_seconds"] = emptied - woken
    return figures


def _processor(processes: int, size: Size, _: Results) -> Figures:
    """More than the processors can carry, as they are in small instances: each call costs some milliseconds of one."""
    rate, seconds, drain = size.of((20.0, 30.0, 240.0), (20.0, 15.0, 160.0))
    play = Play(f"processor-{processes}", processes)
    play.weather = replace(play.weather, processor=_PROCESSOR_SECONDS)
    emptied = 0.0

    async def story() -> None:
        nonlocal emptied
        await play.settings()
        await play.workers(60)
        await play.calm()
        await play.load(rate, seconds)
        await play.until(_all_offered(play, "j"), drain)
        emptied = play.now
        await play.work_off()

    play.perform(story)
    figures = play.figures()
    load = play.loads.get("j")
    if load is not None and emptied:
        carried = play.closed_a_second(load.began, emptied)
        figures.more["carried"] = carried
        figures.more["least"] = play.least_closed_a_second(load.began + 5, emptied, 10.0) / carried
        figures.more["line_seconds"] = emptied - load.ended
    return figures


def scenarios() -> list[Scenario]:
    return [
        Scenario("overload", _overload),
        Scenario("pause", _pause),
        *(Scenario(f"processor-{count}", partial(_processor, count)) for count in (1, 3)),
    ]
