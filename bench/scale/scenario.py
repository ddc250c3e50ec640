"""A scenario by its name, and the two sizes in which all are played."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bench.scale.figures import Figures

T = TypeVar("T")
Results = Mapping[str, Figures]


@dataclass(frozen=True)
class Size:
    """The whole, or the quick form, which has fewer jobs."""

    quick: bool = False

    def of(self, whole: T, quick: T) -> T:
        return quick if self.quick else whole


@dataclass(frozen=True)
class Scenario:
    name: str
    #: Plays it. What other scenarios have measured is given by their names.
    play: Callable[[Size, Results], Figures]
    #: Those whose figures it needs, or that it is compared with.
    needs: tuple[str, ...] = ()
    #: Whether the quick form has it.
    quick: bool = True
