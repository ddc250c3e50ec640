"""One run of one seed: some busy seconds, then fair weather until everything rests, then every check."""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass

from tests.sim import topology, weather
from tests.sim.rest import check_rest, check_unmatched, is_busy
from tests.sim.timelines import check_facts, check_timelines, is_young
from tests.sim.virtual_loop import Stuck
from tests.sim.workload import Workload
from tests.sim.world import World

_SETTLED_SECONDS = 75.0
_A_WHILE = 7.5


@dataclass(frozen=True)
class Outcome:
    seed: int
    faults: tuple[str, ...]
    digest: int
    calls: int
    jobs: int
    trace: tuple[str, ...] = ()


class _Log(logging.Handler):
    """What the services log as an error is a fault, unless the weather made it."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._world.judge_failure(record.getMessage(), error)


def run(seed: int, trace: bool = False) -> Outcome:
    chance = random.Random(seed ^ 0x5EED)
    world = World(seed, weather.draw(chance), trace, topology.draw(chance))
    workload = Workload(world)
    handler, logger = _Log(world), logging.getLogger("router")
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        world.loop.run(world.outside.run(world.loop.create_task, _story(world, workload)))
    except Stuck:
        world.history.fault("the run is stuck")
    finally:
        failures = list(world.loop.faults)
        logger.removeHandler(handler)
        logging.disable()  # what dead code says on its way out is nobody's concern
        world.end()
        logging.disable(logging.NOTSET)
        logger.propagate = propagate
    faults = [*world.history.faults, *(f"{one.get('message')}: {one.get('exception')!r}" for one in failures)]
    return Outcome(
        seed, tuple(dict.fromkeys(faults)), world.digest, world.calls, len(workload.jobs), tuple(world.trace or ())
    )


async def _story(world: World, workload: Workload) -> None:
    drawn = world.weather
    world.fair_weather()
    await workload.set_up()
    world.weather = drawn
    watch = world.loop.create_task(_watch(world)) if world.always_calm else None
    await asyncio.gather(workload.play(world.chance.choice((3.0, 10.0, 25.0))), _outage(world), _freezes(world))
    world.fair_weather()
    await asyncio.sleep(_SETTLED_SECONDS)
    for _ in range(10):
        if not is_busy(world):
            break
        await asyncio.sleep(1.0)
    check_rest(world, workload.acknowledged)
    for _ in range(100):
        if not is_young(world):
            break
        await asyncio.sleep(_A_WHILE)  # an offer has just expired, say
    # Rules that hand a job to and fro leave something to be logged at any time.
    if not is_young(world):
        check_timelines(world)
        await check_facts(world)
    # Now that everything works: who comes gets work at once.
    world.always_calm = True
    await asyncio.gather(*(workload.register(worker_id) for worker_id in workload.workers))
    await workload.create_job("late-job")
    await asyncio.sleep(2.2)
    check_unmatched(world, still_for=2.0)
    if watch is not None:
        watch.cancel()


async def _outage(world: World) -> None:
    if world.weather.outage:
        await asyncio.sleep(world.weather.outage_after)
        world.go_down()
        await asyncio.sleep(world.weather.outage)
        world.come_up()


async def _freezes(world: World) -> None:
    weather = world.weather
    for _ in range(weather.freezes):
        await asyncio.sleep(3.0 * world.chance.random())
        awake = [process for process in world.alive() if not process.is_frozen]
        if len(awake) < 2:
            continue
        process = world.chance.choice(awake)
        process.freeze()
        world.outside.run(world.loop.call_later, weather.frozen * world.chance.random(), process.wake)


async def _watch(world: World) -> None:
    """In calm weather nothing is left unmatched for longer than two seconds, at any time."""
    while True:
        await asyncio.sleep(0.5)
        check_unmatched(world, still_for=2.0)


def describe(outcome: Outcome) -> str:
    lines = [f"seed {outcome.seed} fails; replay: .venv/bin/python -m tests.sim --seed {outcome.seed} --trace"]
    return "\n".join([*lines, *(f"  {fault}" for fault in outcome.faults[:12])])


def run_many(seeds: list[int]) -> list[Outcome]:
    """For worker processes: the outcomes without traces."""
    return [run(seed) for seed in seeds]
