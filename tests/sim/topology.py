"""Which processes a world has, and what each of them does."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Roles:
    """What one process does: answers calls and takes events, runs the timer function, or both."""

    serves: bool = True
    timer: bool = True


BOTH: Final = Roles()
SERVING: Final = Roles(timer=False)
TIMER: Final = Roles(serves=False)

Topology = tuple[Roles, ...]


def apart(serving: int) -> Topology:
    """As the platform places functions: HTTP and Event Grid functions together, the timer function alone."""
    return (TIMER, *(SERVING for _ in range(serving)))


#: Two processes that do everything, as the local host starts them.
TOGETHER: Final[Topology] = (BOTH, BOTH)
TOPOLOGIES: Final[tuple[Topology, ...]] = (TOGETHER, apart(2), apart(4))


def draw(chance: random.Random) -> Topology:
    """The processes of one run."""
    return chance.choice(TOPOLOGIES)
