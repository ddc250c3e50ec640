"""Every metric and dimension of the router has a plain name, each its own."""

from __future__ import annotations

from local.metrics import words
from router.telemetry import names


def test_every_metric_has_a_plain_name_of_its_own() -> None:
    titles = [words.title(metric) for metric in names.METRICS]
    assert not [title for title in titles if "." in title or "_" in title]
    assert len(set(titles)) == len(names.METRICS)


def test_every_dimension_has_a_plain_name() -> None:
    dimensions = [value for name, value in vars(names).items() if name.startswith("DIMENSION_")]
    assert len(dimensions) == 8
    assert not [words.dimension(name) for name in dimensions if "." in words.dimension(name)]
    assert words.dimension("another") == words.title("another") == "another"
