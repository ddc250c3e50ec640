"""Rules between templates and code: settings, functions, events, tables and metrics have one name everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from scripts.deployment.app import App
from scripts.deployment.bicep import BicepFile, every_property, text, walk
from scripts.deployment.tables import HARMLESS_SECRETS, IDENTITY_SETTINGS, PLATFORM_SETTINGS, RETIRED_SETTINGS

SUBSCRIPTIONS: Final = "infra/event-subscriptions.json"
#: How a query names a metric, in each of the schemas that Application Insights answers in.
_METRIC: Final = re.compile(r"(?:\bname|\bName|metric_name_s)\s*(?:==|=~)\s*['\"]([^'\"]+)['\"]")
_METRICS: Final = re.compile(r"(?:\bname|\bName)\s*(?:in~?|has_any)\s*\(([^)]*)\)")
_DIMENSION: Final = re.compile(r"customDimensions(?:\.(\w+)|\[['\"]([^'\"]+)['\"]\])")
_QUOTED: Final = re.compile(r"['\"]([^'\"]+)['\"]")
_ALWAYS_READY: Final = re.compile(r"\bfunction:(\w+)")


def problems(root: Path, app: App) -> Iterator[str]:
    yield from _settings(root, app)
    yield from _subscriptions(root, app)
    yield from _tables(root, app)
    for name in ("infra/workbook.json", "infra/alerts.json"):
        yield from (f"{name}: {problem}" for problem in _queries(root / name, app))
    yield from _documents(root, app)


def _settings(root: Path, app: App) -> Iterator[str]:
    where = "infra/app/function.bicep"
    file = BicepFile(root / where)
    variables = [value for name, value in file.variables.items() if name.endswith("Settings")]
    known = set(app.settings) | set(PLATFORM_SETTINGS)
    required = {name for name, needed in {**app.settings, **PLATFORM_SETTINGS}.items() if needed} | IDENTITY_SETTINGS
    values = {name: text(value) for variable in variables for name, value in every_property(variable)}
    given = set(values)
    for name in sorted(given & RETIRED_SETTINGS):
        yield f"{where}: {name} is retired on Flex Consumption"
    for name in sorted(given - known - RETIRED_SETTINGS):
        yield f"{where}: nothing reads the setting {name}"
    for name in sorted(required - given):
        yield f"{where}: the setting {name} is required"
    for name in sorted((given & app.secrets) - HARMLESS_SECRETS):
        if not values[name].endswith("Reference"):
            yield f"{where}: {name} is a secret and must be a Key Vault reference"


def _subscriptions(root: Path, app: App) -> Iterator[str]:
    subscriptions: list[dict[str, Any]] = json.loads((root / SUBSCRIPTIONS).read_text())
    names = [subscription["name"] for subscription in subscriptions]
    if len(set(names)) != len(names):
        yield f"{SUBSCRIPTIONS}: names repeat"
    for subscription in subscriptions:
        name, function = subscription["name"], subscription["function"]
        if not re.fullmatch(r"[A-Za-z0-9-]{3,64}", name):
            yield f"{SUBSCRIPTIONS}: {name!r} is no name for an event subscription"
        if function not in app.functions:
            yield f"{SUBSCRIPTIONS}: {name} wakes {function}, which does not exist"
        elif app.functions[function].get("type") != "eventGridTrigger":
            yield f"{SUBSCRIPTIONS}: {function} has no Event Grid trigger"
        for kind in sorted(set(subscription["includedEventTypes"]) - app.events):
            yield f"{SUBSCRIPTIONS}: {name} filters {kind}, which is never published"
        if not subscription["includedEventTypes"]:
            yield f"{SUBSCRIPTIONS}: {name} filters nothing"
    triggered = {name for name, trigger in app.functions.items() if trigger.get("type") == "eventGridTrigger"}
    for name in sorted(triggered - {subscription["function"] for subscription in subscriptions}):
        yield f"{SUBSCRIPTIONS}: nothing wakes {name}"
    for path in ("infra/main.bicep", "docs/deployment.md"):
        if (root / path).is_file():
            for name in sorted(set(_ALWAYS_READY.findall((root / path).read_text())) - set(app.functions)):
                yield f"{path}: function {name} does not exist"


def _tables(root: Path, app: App) -> Iterator[str]:
    where = "infra/app/cosmos.bicep"
    listed = BicepFile(root / where).variables["tableNames"]
    names = {text(node).strip("'") for node in walk(listed) if node.type == "string"}
    for name in sorted(names ^ set(app.tables)):
        yield f"{where}: table {name} is in only one of tableNames and router/storage"


def _queries(path: Path, app: App) -> Iterator[str]:
    """Metrics and spans that a query filters by name, and the dimensions that it reads."""
    if not path.is_file():
        yield "does not exist"
        return
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        yield f"is no JSON: {error}"
        return
    for query in strings(content):
        found = set(_METRIC.findall(query))
        for names in _METRICS.findall(query):
            found |= set(_QUOTED.findall(names))
        for name in sorted(found - app.metrics - app.spans):
            yield f"no metric or span is called {name}"
        for name in sorted({dotted or quoted for dotted, quoted in _DIMENSION.findall(query)} - app.dimensions):
            yield f"no dimension is called {name}"


def strings(content: Any) -> Iterator[str]:
    """Every text in a JSON document, however deep."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from strings(value)
    elif isinstance(content, list):
        for value in content:
            yield from strings(value)


def _documents(root: Path, app: App) -> Iterator[str]:
    """The deployment page tells every setting and every parameter."""
    where = "docs/deployment.md"
    if not (root / where).is_file():
        yield f"{where} does not exist"
        return
    page = (root / where).read_text()
    for name in sorted(app.settings):
        if f"`{name}`" not in page:
            yield f"{where}: the setting {name} is not described"
    for name in sorted(BicepFile(root / "infra/main.bicep").parameters):
        if f"`{name}`" not in page:
            yield f"{where}: the parameter {name} is not described"
    for name in sorted(set(re.findall(r"`(ROUTER_[A-Z_]+)`", page)) - set(app.settings)):
        if f"${{{name}" not in (root / "infra/main.parameters.json").read_text() and not name.startswith(
            ("ROUTER_NEW_", "ROUTER_KEYS_")
        ):
            yield f"{where}: {name} is no setting"
