"""Other modes, other policies, workers of several queues, jobs that want much and workers who decline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from bench.scale.clients import Fields, Manner
from bench.scale.figures import Figures
from bench.scale.scenario import Results, Scenario, Size
from bench.scale.scenarios.steady import steady

_QUEUES: Final = 6
_QUEUES_A_WORKER: Final = 3
_LANGUAGES: Final = ("en", "de", "fr")
_THREE_OFFERS: Final = {"maxConcurrentOffers": 3}
_DECLINING: Final = Manner(declines=0.3)
#: For each job a second: some of them are away, some are wanted by nobody, and a job may hold three.
_WORKERS: Final = 4


def _of_several_queues(number: int) -> dict[str, Any]:
    return {"queues": [f"q{(number + step) % _QUEUES}" for step in range(_QUEUES_A_WORKER)]}


def _skilled(number: int) -> dict[str, Any]:
    return {"labels": {"skill": number % 5 + 1, "language": _LANGUAGES[number % 3]}}


def _wanting(number: int) -> dict[str, Any]:
    """A quarter takes anybody, the others a language or a skill."""
    if number % 4 == 0:
        return {}
    if number % 4 == 1:
        wanted: dict[str, Any] = {"key": "language", "labelOperator": "equal", "value": _LANGUAGES[number // 4 % 3]}
    else:
        wanted = {"key": "skill", "labelOperator": "greaterThanOrEqual", "value": number // 4 % 5 + 1}
    return {"requestedWorkerSelectors": [wanted]}


def _job(number: int, queues: int) -> Fields:
    return {"queueId": f"q{number % queues}"}


def _all_worker(number: int) -> Mapping[str, Any]:
    return {**_of_several_queues(number), **_skilled(number)}


def _all_job(number: int) -> Fields:
    return {**_job(number, _QUEUES), **_wanting(number)}


def _of(name: str, size: Size, _: Results, **mix: Any) -> Figures:
    rate, seconds = size.of((100.0, 10.0), (40.0, 3.0))
    return steady(name, 4, rate, seconds, workers=round(_WORKERS * rate), hopeless=size.quick, **mix)


def _mix(name: str, *, quick: bool = False, **mix: Any) -> Scenario:
    play: Callable[[Size, Results], Figures] = partial(_of, f"mix-{name}", **mix)
    return Scenario(f"mix-{name}", play, quick=quick)


def scenarios() -> list[Scenario]:
    def wanting(number: int) -> Fields:
        return {**_job(number, 1), **_wanting(number)}

    return [
        _mix("queues", queues=_QUEUES, worker=_of_several_queues),
        _mix("selectors", worker=_skilled, job=wanting),
        _mix("round-robin", mode="roundRobin"),
        _mix("best-worker", mode="bestWorker", worker=_skilled, job=wanting, quick=True),
        _mix("three-offers", policy=_THREE_OFFERS, quick=True),
        _mix("declines", manner=_DECLINING),
        _mix(
            "all",
            queues=_QUEUES,
            worker=_all_worker,
            job=_all_job,
            mode="roundRobin",
            policy=_THREE_OFFERS,
            manner=_DECLINING,
        ),
    ]
