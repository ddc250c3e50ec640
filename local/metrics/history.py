"""The last day of metric points in memory, and the questions that the page asks of it.

Kept in three resolutions, each for a shorter time the finer it is, so that a series has some hundred buckets in each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from local.metrics.envelopes import MetricPoint

HOUR: Final = 3600
MAX_SERIES: Final = 1000
LATEST_SECONDS: Final = 60
"""A gauge that has not been exported for longer says nothing of now."""

Aggregation = Literal["rate", "count", "sum", "avg", "min", "max"]
Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Resolution:
    step: int
    kept: int


_RESOLUTIONS: Final = (_Resolution(10, HOUR), _Resolution(60, 6 * HOUR), _Resolution(300, 24 * HOUR))
BUCKET_SECONDS: Final = _RESOLUTIONS[0].step
KEPT_SECONDS: Final = _RESOLUTIONS[-1].kept


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

    def value(self, aggregation: Aggregation, seconds: float = 60) -> float | None:
        """The aggregated value; of nothing, count, rate and sum are 0 and the others have none.

        The rate is per minute, of what was counted within `seconds`; less than a bucket is taken as one.
        """
        if aggregation == "count":
            return self.count
        if aggregation == "rate":
            return self.count * 60 / max(seconds, BUCKET_SECONDS)
        if aggregation == "sum":
            return self.total
        if self.count == 0:
            return None
        return {"avg": self.total / self.count, "min": self.minimum, "max": self.maximum}[aggregation]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: the split's value, a value per step of time, and the whole window together."""

    label: str
    values: list[float | None]
    whole: Tally


@dataclass(frozen=True, slots=True)
class Chart:
    """`seconds` is how much of the window was measured: less than all of it while the collector is young."""

    times: list[int]
    lines: list[Line]
    seconds: float


class _Series:
    __slots__ = ("buckets", "last", "last_at", "namespace")

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.buckets: tuple[dict[int, Tally], ...] = tuple({} for _ in _RESOLUTIONS)
        self.last = 0.0
        self.last_at = -math.inf

    def add(self, point: MetricPoint, now: float) -> None:
        for resolution, buckets in zip(_RESOLUTIONS, self.buckets, strict=True):
            bucket = _floor(point.time, resolution.step)
            if bucket >= _floor(now - resolution.kept, resolution.step):
                tally = buckets.setdefault(bucket, Tally())
                tally.add(point.count, point.total, point.minimum, point.maximum)
        if point.time >= self.last_at:
            self.last, self.last_at = point.total / max(point.count, 1), point.time

    def within(self, resolution: int, since: int) -> Iterator[tuple[int, Tally]]:
        return ((bucket, tally) for bucket, tally in self.buckets[resolution].items() if bucket >= since)


class History:
    """Series by metric and dimensions; older buckets are dropped as time goes on, and new series past a bound."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._series: dict[tuple[str, Dimensions], _Series] = {}
        self._pruned = 0
        self._begun = clock()
        self.dropped = 0
        """Points that found no room."""

    def add(self, points: Iterable[MetricPoint]) -> None:
        self._prune()
        now = self._clock()
        oldest = _floor(now - KEPT_SECONDS, _RESOLUTIONS[-1].step)
        for point in points:
            if point.time < oldest:
                continue
            key = (point.name, point.dimensions)
            series = self._series.get(key)
            if series is None:
                if len(self._series) >= MAX_SERIES:
                    self.dropped += 1
                    continue
                series = self._series[key] = _Series(point.namespace)
            series.add(point, now)
            self._begun = min(self._begun, point.time)

    def metrics(self) -> dict[str, dict[str, list[str]]]:
        """Each metric that is kept, with its dimensions and their values."""
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
        window: int = HOUR,
    ) -> Chart:
        """The last `window` seconds of a metric, one line for each value of `split`, the largest first, ties by label.

        A filter keeps the series whose dimension has one of the values; several filters must all hold. A step that was
        over before anything was measured has no value, nor has the rate of one that has just begun.
        Raises ValueError for a grain that is finer than what is kept for the window.
        """
        resolution = _resolution(window, grain)
        self._prune()
        now = self._clock()
        times = list(range(_floor(now - window, grain) + grain, int(now) + 1, grain))
        steps: dict[str, dict[int, Tally]] = {}
        wholes: dict[str, Tally] = {}
        for dimensions, series in self._matching(metric, filters or {}):
            label = metric if split is None else dimensions.get(split, "(none)")
            for bucket, tally in series.within(resolution, times[0]):
                steps.setdefault(label, {}).setdefault(_floor(bucket, grain), Tally()).merge(tally)
                wholes.setdefault(label, Tally()).merge(tally)
        measured = [min(time + grain, now) - max(time, self._begun) for time in times]
        seconds = now - max(times[0], self._begun)
        nothing = Tally()

        def value(tally: Tally, time: int, seconds: float) -> float | None:
            young = aggregation == "rate" and seconds < BUCKET_SECONDS and time + grain > now
            return None if young or time + grain <= self._begun else tally.value(aggregation, seconds)

        lines = [
            Line(
                label,
                [value(line.get(time, nothing), time, each) for time, each in zip(times, measured, strict=True)],
                wholes[label],
            )
            for label, line in steps.items()
        ]
        lines.sort(key=lambda line: (-(line.whole.value(aggregation) or 0), line.label))
        return Chart(times, lines, seconds)

    def recent(self, metric: str, window: int, filters: Mapping[str, frozenset[str]] | None = None) -> Tally:
        """What the last `window` seconds hold of a metric, rounded up to buckets."""
        recent = Tally()
        resolution = _resolution(window, None)
        since = _floor(self._clock() - window, _RESOLUTIONS[resolution].step)
        for _, series in self._matching(metric, filters or {}):
            for _, tally in series.within(resolution, since):
                recent.merge(tally)
        return recent

    def measured(self, window: int) -> float:
        """The seconds of which `recent` tells: fewer than asked for while the collector is young."""
        now = self._clock()
        return now - max(_floor(now - window, _RESOLUTIONS[_resolution(window, None)].step), self._begun)

    def latest(self, metric: str) -> list[tuple[dict[str, str], float]]:
        """What a gauge says now, of each series that is still exported."""
        since = self._clock() - LATEST_SECONDS
        return [
            (dimensions, series.last) for dimensions, series in self._matching(metric, {}) if series.last_at >= since
        ]

    def totals(self, metric: str) -> list[tuple[dict[str, str], Tally]]:
        """What the last hour holds of each series of a metric."""
        found: list[tuple[dict[str, str], Tally]] = []
        since = _floor(self._clock() - HOUR, BUCKET_SECONDS)
        for dimensions, series in self._matching(metric, {}):
            whole = Tally()
            for _, tally in series.within(0, since):
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

    def _prune(self) -> None:
        now = self._clock()
        turn = _floor(now, BUCKET_SECONDS)
        if turn == self._pruned:
            return
        self._pruned = turn
        for key in list(self._series):
            series = self._series[key]
            for resolution, buckets in zip(_RESOLUTIONS, series.buckets, strict=True):
                oldest = _floor(now - resolution.kept, resolution.step)
                for bucket in [bucket for bucket in buckets if bucket < oldest]:
                    del buckets[bucket]
            if not any(series.buckets):
                del self._series[key]


def _resolution(window: int, grain: int | None) -> int:
    """The finest that is kept for so long; of any grain, or of one that is made of its steps."""
    for index, resolution in enumerate(_RESOLUTIONS):
        if window <= resolution.kept:
            if grain is not None and grain % resolution.step:
                break
            return index
    raise ValueError(f"{window} s in steps of {grain} s are not kept")


def _floor(time: float, step: int) -> int:
    return int(time // step) * step
