"""Which scenarios there are, and how they are played side by side."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.pool
import time
from collections.abc import Iterator, Sequence

from bench.scale.figures import Figures
from bench.scale.scenario import Results, Scenario, Size
from bench.scale.scenarios import deaths, in_front, lone, mixes, overload, silence, steady


def scenarios(size: Size) -> list[Scenario]:
    """All of this size, in the order in which they are played."""
    found = [one for module in (steady, lone, mixes, overload, silence, in_front, deaths) for one in module.scenarios()]
    return [one for one in found if one.quick or not size.quick]


def chosen(every: Sequence[Scenario], names: Sequence[str]) -> list[Scenario]:
    """Those whose names begin with one of these, and what they need; all where none is named."""
    wanted = {one.name for one in every if not names or one.name.startswith(tuple(names))}
    needed = {name for one in every if one.name in wanted for name in one.needs}
    return [one for one in every if one.name in wanted | needed]


def measure(todo: Sequence[Scenario], size: Size, workers: int) -> Iterator[Figures]:
    """Plays them, each as soon as what it needs is there."""
    results: dict[str, Figures] = {}
    names = {one.name for one in todo}
    waiting = list(todo)
    under_way: dict[str, multiprocessing.pool.AsyncResult[Figures]] = {}
    with multiprocessing.get_context("spawn").Pool(workers, _begin) as pool:
        while waiting or under_way:
            for one in list(waiting):
                if all(name in results or name not in names for name in one.needs):
                    waiting.remove(one)
                    under_way[one.name] = pool.apply_async(_play, (one.name, size, dict(results)))
            for name in [name for name, found in under_way.items() if found.ready()]:
                results[name] = under_way.pop(name).get()
                yield results[name]
            time.sleep(0.02)


def _begin() -> None:
    logging.disable()  # in bad weather the services tell of every failure


def _play(name: str, size: Size, results: Results) -> Figures:
    one = next(one for one in scenarios(size) if one.name == name)
    started = time.process_time()
    figures = one.play(size, results)
    figures.more["cpu_seconds"] = time.process_time() - started
    return figures
