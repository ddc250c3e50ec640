"""Much is there already: offers that nobody has answered, and jobs that nobody present can take."""

from __future__ import annotations

from functools import partial
from typing import Final

from bench.scale.clients import PROMPT, Fields, Manner
from bench.scale.figures import Figures
from bench.scale.play import Play
from bench.scale.scenario import Results, Scenario, Size
from bench.scale.scenarios.steady import enough_workers

_NEVER: Final = Manner(answers_after=None)
_RARE: Final = [{"key": "skill", "labelOperator": "equal", "value": "nobody has this"}]
_FEW: Final = 5.0
_SOME: Final = 40.0
#: Jobs a second for workers who take their time, and how long they take.
_SLOW_RATE: Final = 8.0


def _seconds(rate: float, size: Size) -> float:
    return size.of(30.0 if rate == _FEW else 15.0, 10.0 if rate == _FEW else 3.0)


def _plain(rate: float, size: Size, _: Results) -> Figures:
    """Nothing is in front: what the others are compared with."""
    return _behind(f"plain-{rate:.0f}", rate, size, 0, 0)


def _unanswered(rate: float, size: Size, _: Results) -> Figures:
    return _behind(f"unanswered-{rate:.0f}", rate, size, size.of(1_000, 100), 0)


def _waiting(name: str, count: int, rate: float, size: Size, _: Results) -> Figures:
    return _behind(name, rate, size, 0, size.of(count, 200))


def _behind(name: str, rate: float, size: Size, unanswered: int, waiting: int) -> Figures:
    play = Play(name, 4)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, play.world.loop.under_way())
            await play.pass_by(0.5)

    def offered(number: int) -> Fields:
        # Each comes before those that are there, so that the stage is set quickly.
        return {**play.job(number), "priority": 1 + number // 50}

    def rare(number: int) -> Fields:
        return {**play.job(number), "requestedWorkerSelectors": _RARE}

    async def story() -> None:
        await play.settings()
        await play.workers(unanswered, name="silent", manner=_NEVER)
        await play.put_in_front(unanswered, offered, offered=True)
        await play.put_in_front(waiting, rare)
        await play.workers(enough_workers(rate))
        await play.calm()
        watching = play.start(watch())
        await play.load(rate, _seconds(rate, size))
        await play.work_off(hopeless=size.quick)
        watching.cancel()

    play.perform(story)
    figures = play.figures()
    figures.more["in_front"] = unanswered + waiting
    figures.more["tasks"] = most
    return figures


def _slow_answers(size: Size, _: Results) -> Figures:
    """Workers who let it ring: so many offers are always unanswered as come meanwhile."""
    takes, seconds = size.of((30.0, 90.0), (10.0, 20.0))
    manner = Manner(answers_after=(0.9 * takes, 1.1 * takes))
    return _ringing("slow-answers", seconds, takes, manner)


def _prompt_answers(size: Size, _: Results) -> Figures:
    return _ringing("plain-8", size.of(90.0, 20.0), 0.0, PROMPT)


def _ringing(name: str, seconds: float, takes: float, manner: Manner) -> Figures:
    play = Play(name, 4)

    async def story() -> None:
        await play.settings()
        await play.workers(round(_SLOW_RATE * (takes + 2) * 1.4) + 10, manner=manner)
        await play.calm()
        await play.load(_SLOW_RATE, seconds)
        await play.work_off(takes + 20)

    play.perform(story)
    load = play.loads.get("j")
    # When as many are unanswered as there will be.
    return play.figures(since=load.began + 1.1 * takes if load else None)


def scenarios() -> list[Scenario]:
    found: list[Scenario] = []
    for rate in (_FEW, _SOME):
        plain = f"plain-{rate:.0f}"
        found.append(Scenario(plain, partial(_plain, rate)))
        found.append(Scenario(f"unanswered-{rate:.0f}", partial(_unanswered, rate), needs=(plain,)))
        for count, much in ((2_000, "many"), (10_000, "very-many")):
            name = f"waiting-{much}-{rate:.0f}"
            found.append(Scenario(name, partial(_waiting, name, count, rate), (plain,), quick=much == "many"))
    found.append(Scenario("plain-8", _prompt_answers))
    found.append(Scenario("slow-answers", _slow_answers, needs=("plain-8",)))
    return found
