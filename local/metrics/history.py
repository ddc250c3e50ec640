"""The last hour of metric points in memory, in buckets of ten seconds, and the questions that the page asks of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from local.metrics.envelopes import MetricPoint

KEPT_SECONDS: Final = 3600
BUCKET_SECONDS: Final = 10
MAX_SERIES: Final = 1000

Aggregation = Literal["count", "sum", "avg", "min", "max"]
Dimensions = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Tally:
    """What was measured within some time: the four figures of which every aggregation is made."""

    count: int = 0
    total: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    def add(self, count: int, total: float, minimum: float, maximum: float) -> None:
        self.count += count
        self.total += total
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)

    def merge(self, other: Tally) -> None:
        self.add(other.count, other.total, other.minimum, other.maximum)

    def value(self, aggregation: Aggregation) -> float | None:
        """The aggregated value; of nothing, count and sum are 0 and the others have none."""
        if aggregation == "count":
            return self.count
        if aggregation == "sum":
            return self.total
        if self.count == 0:
            return None
        return {"avg": self.total / self.count, "min": self.minimum, "max": self.maximum}[aggregation]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: the split's value, a value per step of time, and the whole hour together."""

    label: str
    values: list[float | None]
    whole: Tally


@dataclass(frozen=True, slots=True)
class Chart:
    times: list[int]
    lines: list[Line]


@dataclass(slots=True)
class _Series:
    namespace: str
    buckets: dict[int, Tally] = field(default_factory=dict)


class History:
    """Series by metric and dimensions; older buckets are dropped as time goes on, and new series past a bound."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._series: dict[tuple[str, Dimensions], _Series] = {}
        self._pruned = 0
        self.dropped = 0
        """Points that found no room."""

    def add(self, points: Iterable[MetricPoint]) -> None:
        self._prune()
        oldest = self._oldest()
        for point in points:
            bucket = _bucket(point.time)
            if bucket < oldest:
                continue
            key = (point.name, point.dimensions)
            series = self._series.get(key)
            if series is None:
                if len(self._series) >= MAX_SERIES:
                    self.dropped += 1
                    continue
                series = self._series[key] = _Series(point.namespace)
            series.buckets.setdefault(bucket, Tally()).add(point.count, point.total, point.minimum, point.maximum)

    def metrics(self) -> dict[str, dict[str, list[str]]]:
        """Each metric of the last hour with its dimensions and their values."""
        self._prune()
        found: dict[str, dict[str, set[str]]] = {}
        for name, dimensions in self._series:
            values = found.setdefault(name, {})
            for key, value in dimensions:
                values.setdefault(key, set()).add(value)
        return {
            name: {key: sorted(values) for key, values in sorted(dimensions.items())}
            for name, dimensions in sorted(found.items())
        }

    def chart(
        self,
        metric: str,
        aggregation: Aggregation,
        split: str | None = None,
        filters: Mapping[str, frozenset[str]] | None = None,
        grain: int = 60,
    ) -> Chart:
        """The last hour of a metric, one line for each value of `split`, the largest first, ties by label.

        A filter keeps the series whose dimension has one of the values; several filters must all hold.
        """
        self._prune()
        now = int(self._clock())
        times = list(range((now - KEPT_SECONDS) // grain * grain + grain, now + 1, grain))
        steps: dict[str, dict[int, Tally]] = {}
        wholes: dict[str, Tally] = {}
        for dimensions, series in self._matching(metric, filters or {}):
            label = metric if split is None else dimensions.get(split, "(none)")
            line = steps.setdefault(label, {})
            whole = wholes.setdefault(label, Tally())
            for bucket, tally in series.buckets.items():
                step = bucket // grain * grain
                if step >= times[0]:
                    line.setdefault(step, Tally()).merge(tally)
                    whole.merge(tally)
        nothing = Tally()
        lines = [
            Line(label, [line.get(time, nothing).value(aggregation) for time in times], wholes[label])
            for label, line in steps.items()
        ]
        lines.sort(key=lambda line: (-(line.whole.value(aggregation) or 0), line.label))
        return Chart(times, lines)

    def recent(self, metric: str, seconds: int) -> Tally:
        """All of a metric's series within the last seconds, rounded up to buckets."""
        since = _bucket(self._clock() - seconds)
        recent = Tally()
        for _, series in self._matching(metric, {}):
            for bucket, tally in series.buckets.items():
                if bucket >= since:
                    recent.merge(tally)
        return recent

    def totals(self, metric: str) -> list[tuple[dict[str, str], Tally]]:
        """What the last hour holds of each series of a metric."""
        found: list[tuple[dict[str, str], Tally]] = []
        for dimensions, series in self._matching(metric, {}):
            whole = Tally()
            for tally in series.buckets.values():
                whole.merge(tally)
            found.append((dimensions, whole))
        return found

    def namespace(self, metric: str) -> str:
        return next((series.namespace for (name, _), series in self._series.items() if name == metric), "")

    def _matching(self, metric: str, filters: Mapping[str, frozenset[str]]) -> Iterator[tuple[dict[str, str], _Series]]:
        for (name, dimensions), series in self._series.items():
            if name != metric:
                continue
            values = dict(dimensions)
            if all(values.get(key) in wanted for key, wanted in filters.items()):
                yield values, series

    def _oldest(self) -> int:
        return _bucket(self._clock() - KEPT_SECONDS)

    def _prune(self) -> None:
        oldest = self._oldest()
        if oldest == self._pruned:
            return
        self._pruned = oldest
        for key in list(self._series):
            buckets = self._series[key].buckets
            for bucket in [bucket for bucket in buckets if bucket < oldest]:
                del buckets[bucket]
            if not buckets:
                del self._series[key]


def _bucket(time: float) -> int:
    return int(time // BUCKET_SECONDS) * BUCKET_SECONDS
