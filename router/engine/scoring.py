"""The default score of best-worker distribution (docs/behaviour.md, "Scores")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from router.engine.selectors import holds
from router.models.selectors import LabelOperator, RouterWorkerSelector
from router.models.types import same_on_wire

_GREATER = frozenset({LabelOperator.GREATER_THAN, LabelOperator.GREATER_THAN_OR_EQUAL})


def default_score(
    job_labels: Mapping[str, Any],
    selectors: Sequence[RouterWorkerSelector],
    worker_labels: Mapping[str, Any],
    *,
    use_labels: bool = True,
    use_selectors: bool = True,
) -> float:
    """0 to 1, the higher the better: the mean over the job's labels (1 where the worker has the same) and its
    active selectors (1 or 0 for equality, a logistic curve of the relative distance for the others)."""
    points: list[float] = []
    if use_labels:
        points.extend(
            1.0 if name in worker_labels and same_on_wire(worker_labels[name], value) else 0.0
            for name, value in job_labels.items()
        )
    if use_selectors:
        points.extend(_points(selector, worker_labels) for selector in selectors if selector.active)
    return sum(points) / len(points) if points else 0.0


def _points(selector: RouterWorkerSelector, labels: Mapping[str, Any]) -> float:
    label, value = labels.get(selector.key), selector.value
    if selector.label_operator in (LabelOperator.EQUAL, LabelOperator.NOT_EQUAL):
        return 1.0 if holds(selector, labels) else 0.0
    if label is None or value is None or not _number(label) or not _number(value):
        return 1.0 if holds(selector, labels) else 0.0
    difference = label - value if selector.label_operator in _GREATER else value - label
    # A selector of 0 has no relative distance: the absolute one stands in for it.
    x = difference / abs(value) if value else float(difference)
    if x < -700:
        return 0.0
    return 1 / (1 + math.exp(-x))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
