"""What the instruments under test recorded, read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader

Dimensions = frozenset[tuple[str, object]]


@dataclass(frozen=True)
class Recorded:
    reader: InMemoryMetricReader

    def points(self) -> dict[str, dict[Dimensions, Any]]:
        """Each metric's points by their dimensions."""
        data = self.reader.get_metrics_data()
        found: dict[str, dict[Dimensions, Any]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] = {frozenset((p.attributes or {}).items()): p for p in metric.data.data_points}
        return found
