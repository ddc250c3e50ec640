"""Rules of the Bicep templates: they parse, every name leads somewhere, nothing is left open."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from scripts.deployment.bicep import BicepFile, Resource, properties, text, walk
from scripts.deployment.tables import ASSIGNMENTS, DATA_PLANE_ROLES, ROLES, SAFE_DEFAULTS

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DATA_PLANE_ROLE = re.compile(r"[rR]oleDefinitions/([^'/$]+)'")
_LOOKS_SECRET = re.compile(r"password|secret(?!s?Name)|accountkey|accesskeys$", re.IGNORECASE)


def problems(root: Path) -> Iterator[str]:
    """Everything wrong with the templates under infra/."""
    files = {path: BicepFile(path) for path in sorted((root / "infra").rglob("*.bicep"))}
    if not files:
        yield "infra: no templates"
    for path, file in files.items():
        where = path.relative_to(root)
        found = [*file.errors] or [*_in_one_file(file), *_between_files(file, files)]
        yield from (f"{where}: {problem}" for problem in found)
    yield from _api_versions(root, files.values())
    yield from _roles(root)


def _in_one_file(file: BicepFile) -> Iterator[str]:
    for name in sorted(file.undeclared):
        yield f"{name} is not declared"
    for name in sorted(file.unused):
        yield f"{name} is never used"
    for parameter in file.parameters.values():
        if not parameter.described:
            yield f"parameter {parameter.name} has no description"
        if _LOOKS_SECRET.search(parameter.name) and not parameter.secure:
            yield f"parameter {parameter.name} looks like a secret but is not @secure()"
    for resource in file.resources.values():
        if not resource.existing:
            yield from _unsafe(file, resource)


def _unsafe(file: BicepFile, resource: Resource) -> Iterator[str]:
    expected = SAFE_DEFAULTS.get(resource.qualified.partition("@")[0])
    if expected is None:
        return
    values = {".".join(path[1:]): text(value) for path, value in file.written(resource) if path[0] == "properties"}
    for name, value in expected.items():
        if values.get(name) != value:
            yield f"{resource.symbol}: {name} must be {value}, not {values.get(name, 'absent')}"


def _between_files(file: BicepFile, files: dict[Path, BicepFile]) -> Iterator[str]:
    for loaded in file.loaded_files:
        if not (file.path.parent / loaded).is_file():
            yield f"{loaded} does not exist"
    for loaded, name in sorted(set(file.item_properties)):
        path = file.path.parent / loaded
        if path.is_file() and not all(name in item for item in _items(path)):
            yield f"an item of {loaded} has no {name}"
    for module in file.modules.values():
        target = files.get((file.path.parent / module.path).resolve())
        target = target or files.get(file.path.parent / module.path)
        if target is None:
            yield f"module {module.symbol}: {module.path} does not exist"
            continue
        for name in sorted(module.passed - set(target.parameters)):
            yield f"module {module.symbol}: {module.path} has no parameter {name}"
        required = {name for name, parameter in target.parameters.items() if not parameter.optional}
        for name in sorted(required - module.passed):
            yield f"module {module.symbol}: parameter {name} is missing"
        for symbol, output in sorted(set(file.module_outputs)):
            if symbol == module.symbol and output not in target.outputs:
                yield f"module {module.symbol}: {module.path} has no output {output}"


def _items(path: Path) -> list[dict[str, object]]:
    """The items of a JSON file; none where it is no JSON, which scripts/deployment/references.py tells."""
    try:
        return list(json.loads(path.read_text()))
    except ValueError:
        return []


def _api_versions(root: Path, files: Iterable[BicepFile]) -> Iterator[str]:
    """One version for each type: a second one is a drift that nobody decided."""
    seen: dict[str, set[str]] = {}
    for file in files:
        for resource in file.resources.values():
            if resource.version:
                seen.setdefault(resource.type, set()).add(resource.version)
    for kind, versions in sorted(seen.items()):
        if len(versions) > 1:
            yield f"infra: {kind} in several API versions: {', '.join(sorted(versions))}"


def _roles(root: Path) -> Iterator[str]:
    known = {**ROLES, **DATA_PLANE_ROLES}
    for path in sorted((root / "infra").rglob("*.bicep")):
        source = path.read_text()
        for guid in sorted({*_GUID.findall(source), *_DATA_PLANE_ROLE.findall(source)}):
            if guid not in known:
                yield f"{path.relative_to(root)}: {guid} is not a role in scripts/deployment/tables.py"
    path = root / "infra/app/roles.bicep"
    if not path.is_file():
        yield "infra/app/roles.bicep does not exist"
        return
    file = BicepFile(path)
    names = {key: text(value).strip("'") for key, value in properties(file.variables["roles"])}
    given: dict[str, str] = {}
    for resource in file.resources.values():
        if resource.type == "Microsoft.Authorization/roleAssignments":
            used = {part for node in walk(resource.node) if node.type == "member_expression"
                    for part in [text(node).removeprefix("roles.")] if part in names}  # fmt: skip
            given[resource.symbol] = ", ".join(sorted(ROLES.get(names[part], names[part]) for part in used))
    for symbol in sorted(set(given) | set(ASSIGNMENTS)):
        if given.get(symbol) != ASSIGNMENTS.get(symbol):
            yield (
                f"infra/app/roles.bicep: {symbol} assigns {given.get(symbol, 'nothing')}, "
                f"scripts/deployment/tables.py says {ASSIGNMENTS.get(symbol, 'nothing')}"
            )
