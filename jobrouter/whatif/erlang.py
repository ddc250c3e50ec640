"""Erlang's formulas in closed form: what the replay is held against on their own assumptions."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Erlang:
    """Of a line of Poisson arrivals and exponential work: seconds and shares of all who come."""

    waits: float
    mean_wait: float
    abandoned: float
    #: Share that is served within the threshold.
    within: float


def erlang_c(agents: int, rate: float, work: float, threshold: float = 20.0) -> Erlang:
    """Nobody leaves. `rate` a second, `work` seconds. Raises ValueError where the line only grows."""
    offered = rate * work
    if offered >= agents:
        raise ValueError("more work comes than can be done")
    blocking = 1.0
    for number in range(1, agents + 1):  # Erlang B, one agent more at a time
        blocking = offered * blocking / (number + offered * blocking)
    waits = blocking / (1 - offered / agents * (1 - blocking))
    drain = (agents - offered) / work
    return Erlang(waits, waits / drain, 0.0, 1 - waits * math.exp(-drain * threshold))


def erlang_a(agents: int, rate: float, work: float, patience: float) -> Erlang:
    """Customers leave after an exponential time of `patience` seconds on average. `mean_wait` is of all who come,
    until they are served or leave; `within` is not known in closed form and left at 0."""
    weights = [1.0]
    for number in range(1, agents + 1):
        weights.append(weights[-1] * rate * work / number)
    line, ahead = weights[-1], 0
    queued: list[float] = []
    while line > 1e-15 * max(weights) or not queued:
        ahead += 1
        line *= rate / (agents / work + ahead / patience)
        queued.append(line)
        if ahead > 1_000_000:
            raise ValueError("the line only grows")
    total = sum(weights) + sum(queued)
    length = sum(number * one for number, one in enumerate(queued, start=1)) / total
    waits = (weights[-1] + sum(queued)) / total
    return Erlang(waits, length / rate, length / patience / rate, 0.0)
