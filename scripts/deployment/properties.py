"""Rules for what the templates give to resources: every type and version, every property, and the values that are
listed, as Azure Resource Manager knows them. The names are data, in arm_properties.json, with their sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.deployment.bicep import BicepFile, Resource

_FILE: Final = Path(__file__).with_name("arm_properties.json")
#: What Bicep itself reads at the top of a resource.
_OF_BICEP: Final = {"parent", "scope", "dependsOn"}
_ANY: Final = "*"


@dataclass(frozen=True)
class Known:
    """One type in one version: names by the path of their object, and values by the path of their property."""

    names: dict[str, list[str] | str]
    values: dict[str, list[str]]


def known() -> dict[str, Known]:
    types = json.loads(_FILE.read_text())["types"]
    return {name: Known(one["names"], one["values"]) for name, one in types.items()}


def problems(root: Path) -> Iterator[str]:
    types = known()
    seen: set[str] = set()
    for path in sorted((root / "infra").rglob("*.bicep")):
        file = BicepFile(path)
        for resource in () if file.errors else file.resources.values():
            seen.add(resource.qualified)
            if resource.qualified not in types:
                yield f"{path.relative_to(root)}: {resource.symbol}: {resource.qualified} is not in {_FILE.name}"
                continue
            for problem in _of_resource(file, resource, types[resource.qualified]):
                yield f"{path.relative_to(root)}: {resource.symbol}: {problem}"
    for name in sorted(set(types) - seen):
        yield f"scripts/deployment/{_FILE.name}: no template has a {name}"


def _of_resource(file: BicepFile, resource: Resource, of_type: Known) -> Iterator[str]:
    for path, value in file.written(resource):
        above, here = ".".join(path[:-1]), ".".join(path)
        if _below_any(path, of_type):
            continue
        names = of_type.names.get(above)
        if names is None:
            if path[-2] in of_type.names.get(".".join(path[:-2]), ()):  # else that one is reported
                yield f"nothing is known of what is below {above}"
        elif path[-1] not in names and not (above == "" and path[-1] in _OF_BICEP):
            yield f"there is no property {here}"
        for written in file.literals(value):
            if here in of_type.values and written not in of_type.values[here]:
                yield f"{here} cannot be {written}"


def _below_any(path: tuple[str, ...], of_type: Known) -> bool:
    """Whether an object above takes any name, such as tags."""
    return any(of_type.names.get(".".join(path[:length])) == _ANY for length in range(1, len(path)))
