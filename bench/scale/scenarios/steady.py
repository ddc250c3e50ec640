"""Jobs come at a steady rate, and there are workers enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from bench.scale.clients import PROMPT, Fields, Manner
from bench.scale.figures import Figures
from bench.scale.play import Play
from bench.scale.scenario import Results, Scenario, Size

#: What is offered where one process carries more than half of it.
_MUCH: Final = 400.0
_STEPS: Final = (25.0, 50.0, 100.0, 200.0)
#: A process carries a rate if it closes this part of what comes in time. What it closes a second says less: of some
#: seconds, in which jobs come at random moments, the last ones are not closed yet.
_CARRIED: Final = 0.95


def enough_workers(rate: float) -> int:
    """So many that one is always free: each is away for a bit more than a second."""
    return round(1.5 * rate) + 20


def steady(
    name: str,
    processes: int,
    rate: float,
    seconds: float,
    *,
    queues: int = 1,
    mode: str = "longestIdle",
    policy: Mapping[str, Any] | None = None,
    workers: int | None = None,
    worker: Callable[[int], Mapping[str, Any]] | None = None,
    job: Callable[[int], Fields] | None = None,
    manner: Manner = PROMPT,
    hopeless: bool = False,
) -> Figures:
    """One scenario of this kind. With `hopeless` it ends early where more come than are carried."""
    play = Play(name, processes, queues=queues, mode=mode)

    async def story() -> None:
        await play.settings(**policy or {})
        await play.workers(workers or enough_workers(rate), worker, manner=manner)
        await play.calm()
        await play.load(rate, seconds, job)
        await play.work_off(hopeless=hopeless)

    play.perform(story)
    return play.figures()


def _one_queue(processes: int, rate: float, name: str, size: Size, _: Results) -> Figures:
    whole, quick = (20.0, 3.0) if rate <= 100 else (10.0, 2.5)
    return steady(name, processes, rate, size.of(whole, quick), hopeless=size.quick)


def _eight_queues(size: Size, _: Results) -> Figures:
    return steady("eight-queues", 8, 400.0, size.of(10.0, 1.6), queues=8, hopeless=size.quick)


def _carries(size: Size, _: Results) -> Figures:
    """The rate is raised until one process no longer keeps up with it."""
    for rate in _STEPS:
        figures = steady("carries-1", 1, rate, 8.0)
        if figures.kept_up < _CARRIED:
            break
    return figures


def _more(processes: int, _: Size, results: Results) -> Figures:
    """Twice what one process carries."""
    carried = results["carries-1"].closed
    rate = _MUCH if carried > _MUCH / 2 * _CARRIED else 2 * carried
    return steady(f"more-{processes}", processes, rate, 12.0)


def scenarios() -> list[Scenario]:
    found = [
        Scenario(f"one-queue-{processes}", partial(_one_queue, processes, 100.0, f"one-queue-{processes}"), quick=quick)
        for processes, quick in ((1, True), (2, False), (4, False), (8, True))
    ]
    found += [
        Scenario("at-fifty", partial(_one_queue, 4, 50.0, "at-fifty"), quick=False),
        Scenario("two-hundred", partial(_one_queue, 4, 200.0, "two-hundred")),
        Scenario("four-hundred", partial(_one_queue, 4, 400.0, "four-hundred"), quick=False),
        Scenario("eight-queues", _eight_queues),
        Scenario("carries-1", _carries, quick=False),
    ]
    found += [
        Scenario(f"more-{processes}", partial(_more, processes), needs=("carries-1",), quick=False)
        for processes in (1, 2, 4, 8)
    ]
    return found
