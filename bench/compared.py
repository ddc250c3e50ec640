"""How much longer one kind of stretch takes than another, and how sure that is."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

_RESAMPLES: Final = 2_000
_OF_A_HUNDRED: Final = 95


@dataclass(frozen=True)
class Ratio:
    """Of two figures, less one; 95 of 100 such measurements have it between `low` and `high`."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.1%} ({self.low:+.1%} to {self.high:+.1%})"


def compare(
    one: Sequence[Sequence[float]],
    other: Sequence[Sequence[float]],
    figure: Callable[[Iterable[float]], float] = statistics.median,
) -> Ratio:
    """`other` beside `one`: stretches that were measured by turns, each with its neighbour. They are drawn again in
    pairs, so what lasted longer than a stretch (a slow minute of the machine) is no difference between the two."""
    pairs = list(zip(one, other, strict=True))
    dice = random.Random(1)
    drawn = sorted(_ratio(dice.choices(pairs, k=len(pairs)), figure) for _ in range(_RESAMPLES))
    beyond = _RESAMPLES * (100 - _OF_A_HUNDRED) // 200
    return Ratio(_ratio(pairs, figure), drawn[beyond], drawn[-1 - beyond])


def _ratio(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]], figure: Callable[[Iterable[float]], float]
) -> float:
    one, other = (figure(chain.from_iterable(stretches)) for stretches in zip(*pairs, strict=True))
    return other / one - 1
