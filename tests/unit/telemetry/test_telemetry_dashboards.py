"""The workbook and the alert rules name only metrics, dimensions and attributes that the router emits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.telemetry import names

INFRA = Path(__file__).parents[3] / "infra"
WORKBOOK: dict[str, Any] = json.loads((INFRA / "workbook.json").read_text())
ALERTS: list[dict[str, Any]] = json.loads((INFRA / "alerts.json").read_text())

DIMENSIONS = {
    *names.REQUEST_DIMENSIONS,
    names.DIMENSION_OUTCOME,
    names.DIMENSION_AGGREGATE,
    names.DIMENSION_QUEUE,
    names.DIMENSION_ROUTER_OPERATION,
}
ATTRIBUTES = {value for name, value in vars(names).items() if name.startswith("ATTRIBUTE_")}


def queries(value: Any, place: str = "workbook") -> Iterator[tuple[str, str]]:
    """Every KQL query anywhere in a JSON value, with where it stands."""
    if isinstance(value, dict):
        for key, inner in value.items():
            here = str(value.get("name", place))
            if key == "query":
                yield here, inner
            else:
                yield from queries(inner, here)
    elif isinstance(value, list):
        for inner in value:
            yield from queries(inner, place)


ALL = [*queries(WORKBOOK), *((alert["name"], alert["query"]) for alert in ALERTS)]


def metrics_of(query: str) -> set[str]:
    named = set(re.findall(r'\bname == "([^"]+)"', query))
    for listed in re.findall(r"\bname in \(([^)]*)\)", query):
        named |= set(re.findall(r'"([^"]+)"', listed))
    return named


@pytest.mark.parametrize(("place", "query"), ALL)
def test_every_name_in_a_query_exists(place: str, query: str) -> None:
    table = "dependencies" if query.startswith("dependencies") else "customMetrics"
    assert table in query
    metrics = metrics_of(query)
    assert metrics <= names.METRICS
    assert metrics or table == "dependencies"
    used = set(re.findall(r"customDimensions\.(\w+)", query)) | set(re.findall(r'customDimensions\["([^"]+)"\]', query))
    assert used <= (ATTRIBUTES if table == "dependencies" else DIMENSIONS)
    # Nothing else that looks like a name of ours hides in a query.
    assert set(re.findall(r'"(router\.[^"]+)"', query)) <= names.METRICS | DIMENSIONS | ATTRIBUTES


def test_the_workbook_shows_every_metric() -> None:
    shown: set[str] = set()
    for _, query in queries(WORKBOOK):
        shown |= metrics_of(query)
    assert shown == names.METRICS


def test_the_alerts_watch_errors_outbox_deadlines_the_timer_and_service_levels() -> None:
    assert {alert["name"]: metrics_of(alert["query"]) for alert in ALERTS} == {
        "server-errors": {names.API_REQUESTS},
        "outbox-age": {names.OUTBOX_AGE},
        "deadline-lag": {names.DEADLINE_LAG},
        "timer-stopped": {names.OUTBOX_AGE, names.DEADLINE_LAG},
        "service-level": {names.QUEUE_SERVICE_LEVEL},
    }
    for alert in ALERTS:
        assert alert["metricMeasureColumn"] in alert["query"]
        assert alert["severity"] in range(5)
        assert re.fullmatch(r"PT\d+M", alert["windowSize"])


def test_workbook_items_are_named_once() -> None:
    item_names = [item["name"] for item in WORKBOOK["items"]]
    assert len(item_names) == len(set(item_names))


def test_templates_take_every_key_of_an_alert() -> None:
    bicep = (INFRA / "app" / "dashboards.bicep").read_text()
    assert {key for alert in ALERTS for key in alert} == set(re.findall(r"\balert\.\??(\w+)", bicep))


def test_the_documentation_names_every_metric_dimension_and_operation() -> None:
    text = (INFRA.parent / "docs" / "metrics.md").read_text()
    for name in (*names.METRICS, *DIMENSIONS, *names.WIRE_OPERATIONS, *names.OWN_OPERATIONS):
        assert f"`{name}`" in text


def test_the_documentation_names_every_attribute_and_no_other() -> None:
    text = (INFRA.parent / "docs" / "metrics.md").read_text()
    traces = text.partition("\n## Traces\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`((?:router|http)\.[a-z_.]+)`", traces)) == ATTRIBUTES


def test_every_attribute_is_set_somewhere() -> None:
    code = "".join(path.read_text() for path in (INFRA.parent / "router" / "api").rglob("*.py"))
    constants = {name for name in vars(names) if name.startswith("ATTRIBUTE_")}
    assert constants == set(re.findall(r"names\.(ATTRIBUTE_\w+)", code))
