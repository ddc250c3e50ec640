"""Rules between the deployment's other files, the pages and the code: functions, events, settings and metrics have one
name everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from scripts.deployment import kusto
from scripts.deployment.app import App
from scripts.deployment.project import assigned, substituted
from scripts.deployment.runbook import ALERT_FILES
from scripts.deployment.tables import (
    ALERT_AGGREGATIONS,
    ALERT_FREQUENCIES,
    ALERT_OPERATORS,
    ALERT_WINDOWS,
    ASSIGNMENTS,
    DEVELOPMENT_VARIABLES,
    INCOMING_OPERATIONS,
    SUBSCRIPTIONS,
)
from scripts.deployment.templates import declared

SUBSCRIPTIONS_FILE: Final = "infra/event-subscriptions.json"
OPERATIONS_FILE: Final = "infra/incoming-operations.kql"
#: How a query names a metric, in each of the schemas that Application Insights answers in.
_METRIC: Final = re.compile(r"(?:\bname|\bName|metric_name_s)\s*(?:==|=~)\s*['\"]([^'\"]+)['\"]")
_METRICS: Final = re.compile(r"(?:\bname|\bName)\s*(?:in~?|has_any)\s*\(([^)]*)\)")
_DIMENSION: Final = re.compile(r"customDimensions(?:\.(\w+)|\[['\"]([^'\"]+)['\"]\])")
_QUOTED: Final = re.compile(r"['\"]([^'\"]+)['\"]")
#: A parameter of the workbook, in a query.
_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
#: A column of the last `project`, each on a line of its own.
_PROJECTED: Final = re.compile(r"^    (\w+)(?: =.*|,?)$", re.MULTILINE)
_KUSTO: Final = re.compile(r"^```kusto$(.*?)^```$", re.MULTILINE | re.DOTALL)
_TELEMETRY_NAME: Final = re.compile(r"`(router(?:\.[a-z_]+)+)`")
_OUTPUT: Final = re.compile(r"azd env get-value ([A-Z_]+)")
_VAULT_SECRET: Final = re.compile(r"az keyvault secret \w+ --vault-name (?:\([^)]*\)|\S+) --name ([\w-]+)")
_VARIABLE: Final = re.compile(r"\bROUTER_[A-Z_]+[A-Z]\b")
_ROLE_ROW: Final = re.compile(r"^\| [^|]+ \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
_ALWAYS_READY: Final = re.compile(r"\bfunction:(\w+)")
_FUNCTION: Final = re.compile(r"`(On[A-Z]\w+)`")
#: Names of the router's own in Azure, as pages write them.
_OWN_NAME: Final = re.compile(r"`(router-[a-z-]+)`")


def problems(root: Path, app: App) -> Iterator[str]:
    yield from _subscriptions(root, app)
    for name in ("infra/workbook.json", *ALERT_FILES):
        yield from (f"{name}: {problem}" for problem in _dashboard(root / name, app))
    yield from (f"{OPERATIONS_FILE}: {problem}" for problem in _incoming_operations(root / OPERATIONS_FILE))
    yield from _documents(root, app)
    yield from _sample(root, app)


def _subscriptions(root: Path, app: App) -> Iterator[str]:
    try:
        subscriptions: list[dict[str, Any]] = json.loads((root / SUBSCRIPTIONS_FILE).read_text())
    except (OSError, ValueError) as error:
        yield f"{SUBSCRIPTIONS_FILE}: {error}"
        return
    missing = [
        key for key in ("name", "function", "includedEventTypes") if not all(key in one for one in subscriptions)
    ]
    if missing:
        yield f"{SUBSCRIPTIONS_FILE}: a subscription has no {', '.join(missing)}"
        return
    names = [subscription["name"] for subscription in subscriptions]
    if len(set(names)) != len(names):
        yield f"{SUBSCRIPTIONS_FILE}: names repeat"
    for subscription in subscriptions:
        name, function = subscription["name"], subscription["function"]
        if not re.fullmatch(r"[A-Za-z0-9-]{3,64}", name):
            yield f"{SUBSCRIPTIONS_FILE}: {name!r} is no name for an event subscription"
        if function not in app.functions:
            yield f"{SUBSCRIPTIONS_FILE}: {name} wakes {function}, which does not exist"
        elif app.functions[function].get("type") != "eventGridTrigger":
            yield f"{SUBSCRIPTIONS_FILE}: {function} has no Event Grid trigger"
        for kind in sorted(set(subscription["includedEventTypes"]) - app.events):
            yield f"{SUBSCRIPTIONS_FILE}: {name} filters {kind}, which is never published"
        if not subscription["includedEventTypes"]:
            yield f"{SUBSCRIPTIONS_FILE}: {name} filters nothing"
    yield from (f"{SUBSCRIPTIONS_FILE}: {problem}" for problem in _undecided(subscriptions))
    triggered = {name for name, trigger in app.functions.items() if trigger.get("type") == "eventGridTrigger"}
    for name in sorted(triggered - {subscription["function"] for subscription in subscriptions}):
        yield f"{SUBSCRIPTIONS_FILE}: nothing wakes {name}"
    for path in ("infra/main.bicep", "docs/deployment.md"):
        if (root / path).is_file():
            for name in sorted(set(_ALWAYS_READY.findall((root / path).read_text())) - set(app.functions)):
                yield f"{path}: function {name} does not exist"
            for name in sorted(set(_ALWAYS_READY.findall((root / path).read_text())) & triggered):
                if f"`function:{name}` would cost" not in (root / path).read_text():
                    yield f"{path}: {name} is in the group http, as every Event Grid trigger"


def _undecided(subscriptions: list[dict[str, Any]]) -> Iterator[str]:
    """Where the file differs from the table of what wakes what."""
    given = {
        one["name"]: (one["function"], {kind.rpartition(".")[2] for kind in one["includedEventTypes"]})
        for one in subscriptions
    }
    for name in sorted(given.keys() ^ SUBSCRIPTIONS.keys()):
        yield f"the subscription {name} is in only one of the file and scripts/deployment/tables.py"
    for name in sorted(given.keys() & SUBSCRIPTIONS.keys()):
        (function, events), (wanted_function, wanted) = given[name], SUBSCRIPTIONS[name]
        if function != wanted_function:
            yield f"{name} wakes {function}, scripts/deployment/tables.py says {wanted_function}"
        for event in sorted(events ^ wanted):
            yield f"{name}: {event} is in only one of the file and scripts/deployment/tables.py"


def _dashboard(path: Path, app: App) -> Iterator[str]:
    """The workbook or the alert rules."""
    if not path.is_file():
        yield "does not exist"
        return
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        yield f"is no JSON: {error}"
        return
    yield from _workbook(content) if isinstance(content, dict) else _alerts(content)
    yield from _queries(strings(content), app)
    for query in queries(content):
        yield from kusto.problems(query)


def _incoming_operations(path: Path) -> Iterator[str]:
    """The function that stands for ACS's own table has that table's columns, and no others."""
    query = path.read_text() if path.is_file() else ""
    yield from kusto.problems(query)
    columns = set(_PROJECTED.findall(query.partition("| project")[2]))
    for column in sorted(columns ^ INCOMING_OPERATIONS):
        yield f"{column} is in only one of the query and ACS's table"


def _workbook(content: dict[str, Any]) -> Iterator[str]:
    """What Azure Monitor takes for granted of a workbook, and the parameters that its queries read."""
    if content.get("version") != "Notebook/1.0":
        yield f"version {content.get('version')!r} is not Notebook/1.0"
    items = list(_items(content))
    if not items:
        yield "shows nothing"
    parameters = {parameter["name"] for item in items for parameter in item.get("content", {}).get("parameters", ())}
    for item in items:
        name, query = item.get("name", "without a name"), item.get("content", {}).get("query")
        if item.get("type") == 3 and not query:
            yield f"{name}: has no query"
        for words in strings(item):
            for parameter in sorted(set(_PARAMETER.findall(words)) - parameters):
                yield f"{name}: no parameter is called {parameter}"
        time = item.get("content", {}).get("timeContextFromParameter")
        if time is not None and time not in parameters:
            yield f"{name}: no parameter is called {time}"


def _items(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The items of a workbook, also those in groups."""
    for item in content.get("items", ()):
        if item.get("type") == 12:
            yield from _items(item.get("content", {}))
        else:
            yield item


def _alerts(content: list[dict[str, Any]]) -> Iterator[str]:
    for alert in content:
        name, column = alert.get("name"), alert.get("metricMeasureColumn")
        if alert.get("operator") not in ALERT_OPERATORS:
            yield f"{name}: operator {alert.get('operator')} is unknown"
        if column is not None and not re.search(rf"\b{column} = ", alert.get("query", "")):
            yield f"{name}: the query has no column {column}"
        for key, allowed in (
            ("evaluationFrequency", ALERT_FREQUENCIES),
            ("windowSize", ALERT_WINDOWS),
            ("timeAggregation", ALERT_AGGREGATIONS),
        ):
            if alert.get(key) not in allowed:
                yield f"{name}: {key} {alert.get(key)} is unknown"


def _queries(texts: Iterable[str], app: App) -> Iterator[str]:
    """Metrics and spans that a query filters by name, and the dimensions that it reads."""
    for query in texts:
        found = set(_METRIC.findall(query))
        for names in _METRICS.findall(query):
            found |= set(_QUOTED.findall(names))
        for name in sorted(found - app.metrics - app.spans):
            yield f"no metric or span is called {name}"
        for name in sorted({dotted or quoted for dotted, quoted in _DIMENSION.findall(query)} - app.dimensions):
            yield f"no dimension is called {name}"


def queries(content: Any) -> Iterator[str]:
    """Every query in a JSON document, however deep."""
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "query" and isinstance(value, str):
                yield value
            else:
                yield from queries(value)
    elif isinstance(content, list):
        for value in content:
            yield from queries(value)


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
    """The deployment page tells every setting and every parameter; no page tells of what there is not."""
    for path in sorted([*root.glob("README.md"), *(root / "docs").glob("*.md")]):
        yield from (f"{path.relative_to(root)}: {problem}" for problem in _page(root, path.read_text(), app))
    for path in (root / "docs/metrics.md", root / "docs/operations.md"):
        for name in sorted(set(_TELEMETRY_NAME.findall(path.read_text())) - app.metrics - app.dimensions):
            if not any(root.glob(f"{'/'.join(name.split('.')[:2])}*")):  # modules are written alike
                yield f"{path.relative_to(root)}: no metric, dimension or attribute is called {name}"
    security = root / "docs/security.md"
    if security.is_file():
        rows = security.read_text().partition("### Roles")[2].partition("\n## ")[0]
        for role in sorted(set(ASSIGNMENTS.values()) ^ (set(_ROLE_ROW.findall(rows)) - {"role", "---"})):
            yield f"docs/security.md: the role {role} is in only one of the page and the templates"
    where = "docs/deployment.md"
    if not (root / where).is_file():
        yield f"{where} does not exist"
        return
    page = (root / where).read_text()
    for name in sorted(app.settings):
        if f"`{name}`" not in page:
            yield f"{where}: the setting {name} is not described"
    for name in sorted(declared(root / "infra/main.bicep", "param")):
        if f"`{name}`" not in page:
            yield f"{where}: the parameter {name} is not described"


def _page(root: Path, page: str, app: App) -> Iterator[str]:
    """The names on one page: variables, outputs, secrets of the vault, metrics and dimensions."""
    outputs = declared(root / "infra/main.bicep", "output")
    variables = set(substituted(root)) | assigned(root)
    known = set(app.settings) | outputs | variables | DEVELOPMENT_VARIABLES
    for name in sorted(set(_VARIABLE.findall(page)) - known):
        yield f"{name} is no setting, output or variable"
    for name in sorted(set(_OUTPUT.findall(page)) - outputs - variables):
        yield f"main.bicep has no output {name}"
    vault = (root / "infra/app/vault.bicep").read_text()
    for name in sorted(set(_VAULT_SECRET.findall(page))):
        if f"'{name}'" not in vault:
            yield f"the vault has no secret {name}"
    yield from _queries(_KUSTO.findall(page), app)
    for query in _KUSTO.findall(page):
        yield from kusto.problems(query)
    for name in sorted(set(_FUNCTION.findall(page)) - set(app.functions)):
        yield f"function {name} does not exist"
    own = SUBSCRIPTIONS.keys() | set(re.findall(r"'(router-[a-z-]+)'", vault))
    for name in sorted(set(_OWN_NAME.findall(page)) - own):
        yield f"there is no event subscription or secret {name}"


def _sample(root: Path, app: App) -> Iterator[str]:
    """The settings for Azure Functions Core Tools."""
    where = "local.settings.sample.json"
    if (root / where).is_file():
        values = json.loads((root / where).read_text())["Values"]
        for name in sorted(set(values) - set(app.settings) - {"AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME"}):
            yield f"{where}: nothing reads {name}"
