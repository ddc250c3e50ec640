"""When the router will do something by itself, so that whoever makes up a day puts nothing else beside it.

The services take some hundredths of a second for what the replay does at once. Two things that are nearer to each other
than that may come in either order: both are right, and no replay can know which it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

#: Seconds that two things are apart at least: longer than the services take for one of them.
APART: Final = 0.3


class Foresight:
    """What waits of jobs lead to, and what has been planned."""

    def __init__(self, rules: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        #: By queue: the thresholds of waiting times, and where the job goes then, if to another queue.
        self._waits: dict[str, list[tuple[float, str | None]]] = {}
        #: Where a job may be sent at once, because of the queue's length.
        self._sends: dict[str, list[str]] = {}
        for queue_id, some in rules.items():
            for rule in some:
                to = next((str(one["queueId"]) for one in rule["actions"] if "queueId" in one), None)
                if rule["trigger"]["kind"] == "waitTime":
                    self._waits.setdefault(queue_id, []).append((rule["trigger"]["thresholdSeconds"], to))
                elif to is not None:
                    self._sends.setdefault(queue_id, []).append(to)
        #: By the moment of each: what it will lead to.
        self._planned: dict[float, tuple[float, ...]] = {}

    def of_wait(self, queue_id: str, since: float) -> Iterator[float]:
        """What the rules do to a job that waits in the queue since then, there and where they send it."""
        for threshold, to in self._waits.get(queue_id, ()):
            yield since + threshold
            if to is not None:
                yield from self.of_wait(to, since + threshold)

    def of_new(self, queue_id: str, since: float) -> Iterator[float]:
        for place in (queue_id, *self._sends.get(queue_id, ())):
            yield from self.of_wait(place, since)

    def plan(self, moment: float, leads_to: Sequence[float], others: Iterable[float]) -> bool:
        """Whether it can be then: neither it nor what it leads to comes near to the others or to what is planned. Then
        it is planned."""
        own = (moment, *leads_to)
        known = [*others, *(one for planned, after in self._planned.items() for one in (planned, *after))]
        if any(abs(one - other) < APART for one in own for other in known):
            return False
        self._planned[moment] = tuple(leads_to)
        return True

    def forget_before(self, moment: float) -> None:
        """What was planned for a time that is over has happened: what it has led to is seen from the jobs."""
        self._planned = {planned: after for planned, after in self._planned.items() if planned >= moment}
