"""The last day in memory: aggregations, splits, filters, resolutions, bounds."""

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
    kept.add([point(120), point(5000, op="another")])
    assert kept.chart("requests", "count").lines[0].values[0] == 0
    assert kept.chart("requests", "rate").lines[0].values[0] == 0
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


def test_what_is_older_than_a_day_is_forgotten(kept: History, clock: Hand) -> None:
    kept.add([point(0, op="a")])
    clock.now += 86400
    kept.add([point(400, op="late"), MetricPoint(clock.now, "one", "", "requests", (("op", "b"),), 1, 1, 1, 1)])
    clock.now += 300
    chart = kept.chart("requests", "count", split="op", grain=300, window=86400)
    assert [line.label for line in chart.lines] == ["b"]
    assert kept.metrics() == {"requests": {"op": ["b"]}}


@pytest.mark.parametrize(
    ("window", "grain", "seconds_ago", "counted"),
    [
        (900, 10, 890, 1), (900, 60, 910, 0), (3600, 10, 3590, 1), (3600, 60, 3700, 0),
        (21600, 60, 21500, 1), (21600, 300, 22000, 0), (86400, 300, 86000, 1), (86400, 900, 3000, 1),
    ],
)  # fmt: skip
def test_each_window_has_its_own_and_no_more(
    kept: History, window: int, grain: int, seconds_ago: int, counted: int
) -> None:
    kept.add([point(seconds_ago)])
    chart = kept.chart("requests", "count", grain=grain, window=window)
    assert [line.whole.count for line in chart.lines] == [1] * counted
    assert sum(value or 0 for line in chart.lines for value in line.values) == counted
    assert len(chart.times) == window // grain


def test_a_step_that_is_finer_than_what_is_kept_is_refused(kept: History) -> None:
    with pytest.raises(ValueError, match="not kept"):
        kept.chart("requests", "count", grain=10, window=21600)
    with pytest.raises(ValueError, match="not kept"):
        kept.chart("requests", "count", grain=300, window=86400 + 1)


def test_no_value_before_anything_was_measured(kept: History, clock: Hand) -> None:
    clock.now += 600
    kept.add([MetricPoint(clock.now, "one", "", "requests", (), 1, 1, 1, 1)])
    for aggregation in ("count", "sum", "rate"):
        values = kept.chart("requests", aggregation).lines[0].values
        assert values[: len(values) - 11] == [None] * (len(values) - 11)
        assert None not in values[-10:-1]


def test_a_rate_is_per_minute_of_what_was_measured(kept: History, clock: Hand) -> None:
    clock.now += 90  # START is the beginning of a minute: one minute and a half
    kept.add([point(-30, total=6, count=6), MetricPoint(clock.now - 1, "one", "", "requests", (), 4, 4, 1, 1)])
    chart = kept.chart("requests", "rate")
    assert chart.lines[0].values[-2:] == [6, 8]
    assert chart.lines[0].whole.value("rate", chart.seconds) == pytest.approx(10 * 60 / 90)
    # Of a step that has just begun nothing can be said yet.
    clock.now = START + 123
    assert kept.chart("requests", "rate").lines[0].values[-1] is None
    assert kept.chart("requests", "count").lines[0].values[-1] == 0


def test_latest_is_what_a_gauge_says_now(kept: History, clock: Hand) -> None:
    kept.add([point(5, total=7, queue="a"), point(15, total=9, queue="a"), point(70, total=3, queue="b")])
    assert kept.latest("requests") == [({"queue": "a"}, 7)]
    clock.now += 60
    assert kept.latest("requests") == []


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
