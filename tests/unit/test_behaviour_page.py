"""docs/behaviour.md names what there is: operations and filters, fields and kinds, enumerations, events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGE: Final = (DOCS / "behaviour.md").read_text("utf-8")
OPENAPI: Final = json.loads((DOCS / "openapi.json").read_text("utf-8"))
SCHEMAS: Final[dict[str, dict[str, Any]]] = OPENAPI["components"]["schemas"]
#: Schemas of answers and options. Those of requests, pages and errors are told in sentences.
MODELS: Final = {
    name: schema
    for name, schema in SCHEMAS.items()
    if "properties" in schema and not re.search(r"(Update|Item)$|^(Paged|Error)", name)
}


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of each row of a section's tables. An empty first cell goes on with the one above."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    first = ""
    for line in re.findall(r"^\|(.*)\|$", found[1], re.MULTILINE):
        cells = [cell.strip() for cell in line.split(" | ")]
        first = cells[0] or first
        if not set(line) <= set("|- "):
            yield [first, *cells[1:]]


def names(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_operation_with_its_route() -> None:
    found = set()
    for cells in rows("Operations"):
        methods = re.findall(r"\b(GET|PATCH|POST|DELETE)\b", cells[1])
        if methods:
            (route,) = names(cells[1])
            found |= {(name, method, route) for name, method in zip(names(cells[0]), methods, strict=True)}
    assert found == {
        (operation["operationId"], method.upper(), path)
        for path, item in OPENAPI["paths"].items()
        if path.startswith("/routing/")
        for method, operation in item.items()
    }


def test_every_filter() -> None:
    found = {(cells[0].strip("`"), name.partition("=")[0]) for cells in rows("Operations") for name in names(cells[1])}
    expected = {
        (operation["operationId"], parameter["name"])
        for item in OPENAPI["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", ())
        if parameter.get("in") == "query" and parameter["name"] not in ("maxpagesize", "continuationToken")
    }
    assert {pair for pair in found if not pair[1].startswith("/")} == expected


@pytest.mark.parametrize("model", [name for name, schema in MODELS.items() if "kind" not in schema["properties"]])
def test_every_field_of_a_model(model: str) -> None:
    (row,) = [cells for cells in rows("Models") if re.match(rf"{model}\b", cells[0])]
    assert {name for cell in row[1:] for name in names(cell)} == set(MODELS[model]["properties"])


#: As the page calls the places of the unions, by how the names of their models end.
PLACES: Final = {
    "QueueSelectorAttachment": "queue selector attachment",
    "WorkerSelectorAttachment": "worker selector attachment",
    "RouterRule": "rule",
    "ExceptionTrigger": "exception trigger",
    "ExceptionAction": "exception action",
}
DISTRIBUTION_MODES: Final = ("BestWorkerMode", "LongestIdleMode", "RoundRobinMode")


def place(model: str) -> str:
    if model.endswith("Mode"):
        return "mode of a distribution policy" if model in DISTRIBUTION_MODES else "matching mode of a job"
    return next(name for end, name in PLACES.items() if model.endswith(end))


@pytest.mark.parametrize("model", [name for name, schema in MODELS.items() if "kind" in schema["properties"]])
def test_every_field_of_a_kind(model: str) -> None:
    properties = MODELS[model]["properties"]
    kind = properties["kind"]["const"]
    (row,) = [cells for cells in rows("Models") if cells[0].startswith(place(model)) and kind in names(cells[1])]
    told = set(re.findall(r"`(\w+)`", row[2])) - {"powerFx"}
    if "the same" in row[2]:
        told |= {"minConcurrentOffers", "maxConcurrentOffers", "bypassSelectors"}
    assert told == set(properties) - {"kind"} - ({"id"} if "Action" in model else set())


def test_every_value_of_an_enumeration() -> None:
    told = {cells[0]: set(names(cells[1])) for cells in rows("Models")}
    enumerations = {name: set(schema["enum"]) for name, schema in SCHEMAS.items() if "enum" in schema}
    assert len(enumerations) == 4
    assert {name: told[name] for name in enumerations} == enumerations


def test_what_must_be_given_is_bold() -> None:
    """Of what stands in arrays, and of resources; the rest is merged into what is there."""
    needed = {
        name.removesuffix("Item"): set(schema.get("required", ())) - {"kind"}
        for name, schema in SCHEMAS.items()
        if name.endswith("Item") and "kind" not in schema["properties"]
    }
    assert needed
    for model, fields in needed.items():
        (row,) = [cells for cells in rows("Models") if re.match(rf"{model}\b", cells[0])]
        assert set(re.findall(r"\*\*`(\w+)`\*\*", row[1])) == fields, model


def test_every_event() -> None:
    catalogue = (DOCS / "events.md").read_text("utf-8").partition("<!-- catalogue")[2]
    subjects = {cells[0]: names(cells[1])[0] for cells in rows("Events") if cells[0].startswith("Router")}
    events = re.findall(r"^### (Router\w+)$(.*?)(?=^### |\Z)", catalogue, re.MULTILINE | re.DOTALL)
    assert events
    assert {name for name, _ in events} == set(subjects)
    for name, text in events:
        example = re.search(r'"subject": "([^"]+)"', text)
        assert example, name
        pattern = subjects[name].replace("…", "job/{jobId}/channel/{channelId}")
        assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), example[1]), name
