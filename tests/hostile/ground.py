"""What the kinds of attacks share: a signed client, a seed, a time by which to end, and a tally."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.raw_wire import Answer, RawWire

#: How often a request is sent, at most: on a slow machine it may be asked to come again.
MOST_TRIES: Final = 20


class PatientWire(RawWire):
    """Who is asked to try again does so, as with the official clients: a machine that is slow breaks nothing."""

    async def exchange(self, method: str, target: str, headers: Mapping[str, str], content: bytes) -> Answer:
        answer = await super().exchange(method, target, headers, content)
        for _ in range(MOST_TRIES):
            if answer.status not in (429, 503) or "Retry-After" not in answer.headers:
                break
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer = await super().exchange(method, target, headers, content)
        return answer


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
