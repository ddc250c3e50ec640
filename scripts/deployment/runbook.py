"""Rules for the runbook: the alerts, event subscriptions, workbook and platform metrics that it names are there, and no
alert is without its row."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from scripts.deployment.tables import PLATFORM_METRICS, SUBSCRIPTIONS

PAGE: Final = "docs/operations.md"
ALERT_FILES: Final = ("infra/alerts.json", "infra/cap-alerts.json")
_DASHBOARDS: Final = "infra/app/dashboards.bicep"
_COMMAND: Final = re.compile(r"az monitor metrics list(?:[^\n]*\\\n)*[^\n]*")
_METRICS: Final = re.compile(r"--metrics ((?:\w+ ?)+)")
_FILTER: Final = re.compile(r"--filter \"([^\"]*)\"")
_DIMENSION: Final = re.compile(r"(\w+) eq ")
_WORKBOOK: Final = re.compile(r'workbook "([^"]+)"')
_FILLED_IN: Final = re.compile(r"\{(\w+)\}")


def problems(root: Path) -> Iterator[str]:
    page = (root / PAGE).read_text()
    dashboards = (root / _DASHBOARDS).read_text()
    for path in ALERT_FILES:
        yield from (f"{PAGE}: {problem}" for problem in _without_a_row(root / path, page))
        for name in sorted(set(_FILLED_IN.findall(" ".join(str(alert.get("query")) for alert in alerts(root / path))))):
            if f"'{{{name}}}'" not in dashboards:
                yield f"{path}: {_DASHBOARDS} does not fill in {{{name}}}"
    for name in sorted(SUBSCRIPTIONS):
        if f"`{name}`" not in page:
            yield f"{PAGE}: the event subscription {name} is not named"
    for command in _COMMAND.findall(page):
        yield from (f"{PAGE}: {problem}" for problem in _metrics(command))
    for name in _WORKBOOK.findall(page):
        if f"displayName: '{name}'" not in dashboards:
            yield f"{PAGE}: no workbook is called {name}"


def _without_a_row(path: Path, page: str) -> Iterator[str]:
    for alert in alerts(path):
        title = str(alert.get("displayName", "")).removeprefix("Job Router: ")
        if f"| {title} |" not in page:
            yield f"the alert {title!r} is not in the daily look"


def _metrics(command: str) -> Iterator[str]:
    """A split by a dimension that one of the metrics lacks is refused, with all of them."""
    metrics = " ".join(_METRICS.findall(command)).split()
    for metric in sorted(set(metrics) - PLATFORM_METRICS.keys()):
        yield f"{metric} is not a metric in scripts/deployment/tables.py"
    for dimension in _DIMENSION.findall(" ".join(_FILTER.findall(command))):
        for metric in metrics:
            if dimension not in PLATFORM_METRICS.get(metric, {dimension}):
                yield f"{metric} has no dimension {dimension}"


def alerts(path: Path) -> list[dict[str, Any]]:
    """The alert rules of a file; none where it is no JSON, which scripts/deployment/references.py tells."""
    try:
        return list(json.loads(path.read_text()))
    except (OSError, ValueError):
        return []
