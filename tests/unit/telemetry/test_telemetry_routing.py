"""Every routing metric is recorded with its dimensions, and the gauges stay bounded and fresh."""

from __future__ import annotations

from typing import Any

import pytest

from router.telemetry import names, routing
from router.telemetry.routing import QueueFigures
from tests.unit.telemetry.telemetry_recorded import Dimensions, Recorded


def test_counters(recorded: Recorded) -> None:
    for outcome in ("issued", "accepted", "declined", "expired", "revoked"):
        routing.record_offer(outcome)
    routing.record_offer("issued", 4)
    routing.record_offer("revoked", 0)
    routing.record_reconciliation("job", "changed")
    routing.record_reconciliation("worker", "failed")
    routing.record_conflict("job")
    routing.record_retry("worker")
    points = recorded.points()

    def counted(metric: str, **dimensions: str) -> int:
        (value,) = [
            point.value
            for key, point in points[metric].items()
            if key == frozenset((f"router.{name}", value) for name, value in dimensions.items())
        ]
        return int(value)

    assert counted(names.OFFERS, outcome="issued") == 5
    assert counted(names.OFFERS, outcome="accepted") == 1
    assert counted(names.OFFERS, outcome="revoked") == 1
    assert counted(names.RECONCILIATIONS, aggregate="job", outcome="changed") == 1
    assert counted(names.RECONCILIATIONS, aggregate="worker", outcome="failed") == 1
    assert counted(names.CONFLICTS, aggregate="job") == 1
    assert counted(names.RETRIES, aggregate="worker") == 1


def test_unknown_values_are_counted_together_and_fail_nobody(recorded: Recorded) -> None:
    routing.record_offer("nonsense")  # type: ignore[arg-type]
    routing.record_conflict("outbox")  # type: ignore[arg-type]
    routing.record_retry("outbox")  # type: ignore[arg-type]
    routing.record_reconciliation("outbox", "nonsense")  # type: ignore[arg-type]
    counted = {
        metric: [set(dict(key).values()) for key in by_dimensions]
        for metric, by_dimensions in recorded.points().items()
    }
    expected = (names.OFFERS, names.CONFLICTS, names.RETRIES, names.RECONCILIATIONS)
    assert counted == {metric: [{"other"}] for metric in expected}


def test_times(recorded: Recorded) -> None:
    routing.record_time_to_offer(0.5)
    routing.record_time_to_offer(-0.1)  # clocks of two instances may differ
    routing.record_assignment(12.0, 10.0)
    routing.record_outbox_age(0.02)
    routing.record_deadline_lag(0.3)
    sums = {name: [(p.count, p.sum) for p in by.values()] for name, by in recorded.points().items()}
    assert sums[names.TIME_TO_OFFER] == [(2, 0.5)]
    assert sums[names.ASSIGNMENT_TIME] == [(1, 12.0)]
    assert sums[names.ASSIGNMENT_QUEUE_TIME] == [(1, 10.0)]
    assert sums[names.OUTBOX_AGE] == [(1, 0.02)]
    assert sums[names.DEADLINE_LAG] == [(1, 0.3)]


def test_queue_gauges(recorded: Recorded) -> None:
    routing.set_queue_figures([QueueFigures("support", 3, 42.5), QueueFigures("sales", 0, 0.0)])
    points = recorded.points()
    assert gauge(points, names.QUEUE_LENGTH) == {"support": 3, "sales": 0}
    assert gauge(points, names.QUEUE_LONGEST_WAIT) == {"support": 42.5, "sales": 0.0}


def test_queues_past_the_bound_share_one_series(recorded: Recorded) -> None:
    figures = [QueueFigures(f"queue-{number}", 1, float(number)) for number in range(routing.MAX_QUEUE_SERIES + 5)]
    routing.set_queue_figures(figures)
    lengths = gauge(recorded.points(), names.QUEUE_LENGTH)
    assert len(lengths) == routing.MAX_QUEUE_SERIES + 1
    assert lengths["other"] == 5
    # Another hundred queues later the first ones still have the only series of their own.
    routing.set_queue_figures(figure for figure in reversed(figures))
    points = recorded.points()
    assert set(gauge(points, names.QUEUE_LENGTH)) == set(lengths)
    assert gauge(points, names.QUEUE_LONGEST_WAIT)["other"] == routing.MAX_QUEUE_SERIES + 4


def test_service_levels_are_of_queues_that_have_one_and_the_rest_is_told_by_its_lowest(recorded: Recorded) -> None:
    routing.set_queue_figures([QueueFigures("support", 3, 42.5, 75.0), QueueFigures("sales", 0, 0.0)])
    assert gauge(recorded.points(), names.QUEUE_SERVICE_LEVEL) == {"support": 75.0}
    levels = [90.0 - number for number in range(routing.MAX_QUEUE_SERIES)]
    figures = [QueueFigures(f"queue-{number}", 1, 0.0, level) for number, level in enumerate(levels)]
    routing.set_queue_figures([*figures, QueueFigures("idle", 0, 0.0)])
    shown = gauge(recorded.points(), names.QUEUE_SERVICE_LEVEL)
    assert shown["queue-0"] == 90.0
    assert shown["other"] == levels[-1]
    assert "idle" not in shown


def test_old_figures_are_not_reported(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(routing, "monotonic", lambda: now)
    routing.set_queue_figures([QueueFigures("support", 3, 42.5)])
    assert gauge(recorded.points(), names.QUEUE_LENGTH) == {"support": 3}
    now += routing.FIGURES_LIVE_SECONDS + 1
    assert gauge(recorded.points(), names.QUEUE_LENGTH) == {}


def test_every_metric_has_an_instrument(recorded: Recorded) -> None:
    """A name that nothing records would be a chart that stays empty."""
    from router.telemetry import requests

    requests.count_request("GetJob", None, 200, 0.1)
    routing.record_offer("issued")
    routing.record_time_to_offer(1)
    routing.record_assignment(1, 1)
    routing.record_reconciliation("job", "unchanged")
    routing.record_conflict("job")
    routing.record_retry("job")
    routing.record_outbox_age(1)
    routing.record_deadline_lag(1)
    routing.record_told_wait("q", held=True)
    routing.set_queue_figures([QueueFigures("q", 1, 1, 50.0)])
    assert {name.lower() for name in recorded.points()} == {name.lower() for name in names.METRICS}


def gauge(points: dict[str, dict[Dimensions, Any]], metric: str) -> dict[object, float]:
    return {dict(key)[names.DIMENSION_QUEUE]: point.value for key, point in points.get(metric, {}).items()}
