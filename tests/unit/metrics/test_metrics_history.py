"""The last hour in memory: aggregations, splits, filters, bounds."""

from __future__ import annotations

import pytest

from local.metrics import history
from local.metrics.envelopes import MetricPoint
from local.metrics.history import History

START = 1_800_000_000.0


class Hand:
    """A clock moved by hand."""

    now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def kept(clock: Hand) -> History:
    return History(clock)


def point(seconds_ago: float = 0, total: float = 1, count: int = 1, **dimensions: str) -> MetricPoint:
    return MetricPoint(
        START - seconds_ago, "one", "JobRouter", "requests", tuple(sorted(dimensions.items())), total, count,
        minimum=total / count, maximum=total / count,
    )  # fmt: skip


def test_points_of_several_processes_add_up(kept: History) -> None:
    kept.add([point(total=3, count=3, op="a"), point(total=2, count=2, op="a"), point(op="b")])
    chart = kept.chart("requests", "count", split="op")
    assert [(line.label, line.whole.count) for line in chart.lines] == [("a", 5), ("b", 1)]
    assert sum(value or 0 for value in chart.lines[0].values) == 5


def test_every_aggregation(kept: History) -> None:
    kept.add([point(total=6.0, count=2), point(total=1.0, count=1)])
    values = {name: kept.chart("requests", name).lines[0].values[-1] for name in ("count", "sum", "avg", "min", "max")}
    assert values == {"count": 3, "sum": 7.0, "avg": pytest.approx(7 / 3), "min": 1.0, "max": 3.0}


def test_nothing_is_zero_when_counted_and_a_gap_otherwise(kept: History) -> None:
    kept.add([point(120)])
    assert kept.chart("requests", "count").lines[0].values[0] == 0
    assert kept.chart("requests", "avg").lines[0].values[0] is None
    assert kept.chart("nothing", "count").lines == []


def test_filters_must_all_hold(kept: History) -> None:
    kept.add([point(op="a", status="200"), point(op="a", status="404"), point(op="b", status="404")])
    chart = kept.chart("requests", "count", filters={"op": frozenset({"a"}), "status": frozenset({"404", "500"})})
    assert chart.lines[0].whole.count == 1
    assert kept.chart("requests", "count", filters={"op": frozenset({"c"})}).lines == []


@pytest.mark.parametrize("grain", [10, 60, 300])
def test_an_hour_of_steps_that_ends_now(kept: History, clock: Hand, grain: int) -> None:
    kept.add([point(0), point(3590), point(1800)])
    chart = kept.chart("requests", "count", grain=grain)
    assert len(chart.times) == 3600 // grain
    assert {later - earlier for earlier, later in zip(chart.times, chart.times[1:], strict=False)} == {grain}
    assert chart.times[-1] <= clock.now < chart.times[-1] + grain
    assert chart.lines[0].values[-1] == 1
    # The line and the figures in the table tell the same.
    assert sum(value or 0 for value in chart.lines[0].values) == chart.lines[0].whole.count


def test_what_is_older_than_an_hour_is_forgotten(kept: History, clock: Hand) -> None:
    kept.add([point(0, op="a")])
    clock.now += 3600
    kept.add([point(0, op="late"), MetricPoint(clock.now, "one", "", "requests", (("op", "b"),), 1, 1, 1, 1)])
    clock.now += 20
    assert [line.label for line in kept.chart("requests", "count", split="op").lines] == ["b"]
    assert kept.metrics() == {"requests": {"op": ["b"]}}


def test_series_are_bounded(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_SERIES", 3)
    kept.add([point(op=str(number)) for number in range(5)])
    kept.add([point(op="0")])
    assert len(kept.totals("requests")) == 3
    assert kept.dropped == 2
    assert {series["op"]: tally.count for series, tally in kept.totals("requests")} == {"0": 2, "1": 1, "2": 1}


def test_recent_is_the_last_seconds_alone(kept: History) -> None:
    kept.add([point(5), point(55), point(90)])
    assert kept.recent("requests", 60).count == 2


def test_lines_are_ordered_by_size_then_label(kept: History) -> None:
    kept.add([point(op="b"), point(op="a"), point(total=5, count=5, op="c")])
    assert [line.label for line in kept.chart("requests", "count", split="op").lines] == ["c", "a", "b"]
    assert kept.chart("requests", "count", split="other").lines[0].label == "(none)"
