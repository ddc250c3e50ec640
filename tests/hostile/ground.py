"""What the kinds of attacks share: a signed client, a seed, a time by which to end, and a tally."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from tests.raw_wire import RawWire


@dataclass
class Tally:
    """What one kind of attack has done."""

    attempts: int = 0
    broke: list[str] = field(default_factory=list)

    def tried(self, held: bool, what: str) -> None:
        self.attempts += 1
        if not held:
            self.broke.append(what)


@dataclass
class Ground:
    wire: RawWire
    chance: random.Random
    ends: float
    _begun: bool = False

    def goes_on(self) -> bool:
        """Until the time is over, and once on the slowest machine."""
        begun, self._begun = self._begun, True
        return not begun or time.monotonic() < self.ends
