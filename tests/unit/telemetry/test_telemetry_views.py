"""The views that make Count right, under the rules of every OpenTelemetry SDK."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from router.telemetry import names, requests
from router.telemetry.setup import make_views


def test_the_names_asked_for_are_those_that_the_sdk_keeps() -> None:
    """Before 1.45 a view's name is compared as it is written with the instrument's, which is in lower case."""
    asked = {view._instrument_name for view in make_views()}
    for counter in names.COUNTERS:
        assert any(fnmatchcase(counter.lower(), name) for name in asked), counter


def test_count_and_sum_are_the_number_of_requests() -> None:
    reader = InMemoryMetricReader()
    requests.start(MeterProvider([reader], views=make_views()).get_meter(names.METER))
    try:
        for _ in range(7):
            requests.count_request("GetJob", None, 200)
    finally:
        requests.stop()
    data = reader.get_metrics_data()
    assert data is not None
    found = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    point: Any
    (point,) = found["ApiRequestRouter"].data.data_points
    assert (point.count, point.sum) == (7, 7)
    assert set(point.attributes or ()) == set(names.REQUEST_DIMENSIONS)
