"""Classes of jobs: those that ask for the same channel and labels, whenever that ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from router.engine.selectors import first_failing
from router.models.selectors import RouterWorkerSelector

#: Of a queue; the jobs of all others are one class together.
MOST_CLASSES: Final = 32
REST: Final = ""
#: A class of which nothing came for so long makes room for another.
_FORGOTTEN: Final = timedelta(hours=1)
_LONGEST_SPEC: Final = 800


@dataclass(frozen=True)
class JobClass:
    """What jobs of the class ask for: a channel, and labels by active selectors."""

    channel_id: str
    selectors: Sequence[RouterWorkerSelector]

    @cached_property
    def spec(self) -> list[Any]:
        """As JSON, without what tells only when it ends."""
        asked = sorted({json.dumps([one.key, one.label_operator.value, one.value]) for one in self.selectors})
        return [self.channel_id, [json.loads(one) for one in asked]]

    @cached_property
    def name(self) -> str:
        return hashlib.blake2b(json.dumps(self.spec).encode(), digest_size=6).hexdigest()

    def is_served_by(self, channels: frozenset[str], labels: Mapping[str, Any]) -> bool:
        return self.channel_id in channels and first_failing(self.selectors, labels) is None


def job_class(channel_id: str, selectors: Sequence[RouterWorkerSelector], *, bypass: bool = False) -> JobClass:
    """`bypass`: the queue's policy does not look at selectors."""
    return JobClass(channel_id, () if bypass else tuple(one for one in selectors if one.active))


class JobClasses:
    """The classes of a queue that a process has met."""

    def __init__(self) -> None:
        self._known: dict[str, JobClass] = {}
        self._seen: dict[str, datetime] = {}

    def name(self, asked: JobClass, now: datetime) -> str:
        """The name under which its jobs are counted."""
        if asked.name not in self._known and not self._room(now):
            return REST
        self._known[asked.name] = asked
        self._seen[asked.name] = now
        return asked.name

    def learn(self, specs: Mapping[str, list[Any] | None], now: datetime) -> None:
        """Classes that another process has met."""
        for name, spec in specs.items():
            if name != REST and name not in self._known and spec is not None and self._room(now):
                selectors = [
                    RouterWorkerSelector.model_validate({"key": key, "labelOperator": operator, "value": value})
                    for key, operator, value in spec[1]
                ]
                self._known[name] = JobClass(spec[0], tuple(selectors))
                self._seen[name] = now

    def spec(self, name: str) -> list[Any] | None:
        found = self._known.get(name)
        return found.spec if found is not None and len(json.dumps(found.spec)) <= _LONGEST_SPEC else None

    def served_by(self, channels: frozenset[str], labels: Mapping[str, Any]) -> frozenset[str]:
        return frozenset(name for name, one in self._known.items() if one.is_served_by(channels, labels))

    def _room(self, now: datetime) -> bool:
        if len(self._known) < MOST_CLASSES:
            return True
        oldest = min(self._seen, key=lambda name: self._seen[name])
        if now - self._seen[oldest] < _FORGOTTEN:
            return False
        del self._known[oldest], self._seen[oldest]
        return True
