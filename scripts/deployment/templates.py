"""Rules of the Bicep templates. What the language and Azure's types demand is the compiler's to say; what only this
project knows is asked of what it compiles."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from scripts.deployment.app import App
from scripts.deployment.compiler import Compiler, CompilerFailed
from scripts.deployment.tables import (
    ASSIGNMENTS,
    DATA_PLANE_ROLES,
    HARMLESS_SECRETS,
    IDENTITY_SETTINGS,
    ONE_BY_ONE,
    OPEN_VALUES,
    PLATFORM_SETTINGS,
    RETIRED_SETTINGS,
    ROLES,
    SAFE_DEFAULTS,
)

#: What is deployed by itself; all other files are modules.
ENTRIES: Final = ("infra/main.bicep", "infra/event-subscriptions.bicep")
_DECLARED: Final = r"^{kind} (\w+)\b"
_MODULE: Final = re.compile(r"^module \w+ '([^']+)'", re.MULTILINE)
_VERSIONED: Final = re.compile(r"'(Microsoft\.[\w./]+)@([\w-]+)'")
_DATA_PLANE_ROLE: Final = re.compile(r"[rR]oleDefinitions/([^'/$]+)'")
_ROLE: Final = re.compile(r"variables\('roles'\)\.(\w+)")
_PARAMETER: Final = re.compile(r"parameters\('(\w+)'\)")
_SETTING: Final = re.compile(r"'([A-Za-z_]+)', ([^,()]*(?:\([^()]*\))?)")
_ASKED: Final = re.compile(r"\b(?:and|empty|equals|not|or|parameters|variables)\([^()]*\)")
_ASSIGNMENT: Final = "Microsoft.Authorization/roleAssignments"


def declared(path: Path, kind: str) -> set[str]:
    """The names that a file declares as `param` or `output`. Asked where there may be no compiler."""
    return set(re.findall(_DECLARED.format(kind=kind), path.read_text(), re.MULTILINE)) if path.is_file() else set()


def required(path: Path) -> set[str]:
    """The parameters without a default; a type of several lines has one behind it."""
    return (
        set(re.findall(r"^param (\w+) (?!.*=).*[^{\n]$", path.read_text(), re.MULTILINE)) if path.is_file() else set()
    )


def secure(path: Path) -> set[str]:
    return set(re.findall(r"^@secure\(\)\nparam (\w+)", path.read_text(), re.MULTILINE)) if path.is_file() else set()


def problems(root: Path, compiler: Compiler, app: App | None) -> Iterator[str]:
    """Everything wrong with the templates under infra/; with an app, also where they and the code differ."""
    yield from _files(root)
    compiled: dict[str, dict[str, Any]] = {}
    for entry in ENTRIES:
        try:
            answer = compiler.compile(root / entry)
        except CompilerFailed as error:
            yield f"{entry}: {error}"
            continue
        yield from (f"infra/{finding}" for finding in answer.findings)
        if answer.template is not None:
            compiled[entry] = answer.template
    if len(compiled) < len(ENTRIES):
        return
    for template in compiled.values():
        for name, module in modules("", template):
            where = f"{name}: " if name else ""
            yield from (f"infra: {where}{problem}" for problem in _module(module))
    main = dict(modules("", compiled[ENTRIES[0]]))
    yield from (f"infra/app/roles.bicep: {problem}" for problem in _assignments(main))
    if app is not None:
        yield from (f"infra/app/function.bicep: {problem}" for problem in settings_problems(main["app"], app))
        for table in sorted(set(main["cosmos"]["variables"]["tableNames"]) ^ set(app.tables)):
            yield f"infra/app/cosmos.bicep: table {table} is in only one of tableNames and router/storage"


def formats(root: Path, compiler: Compiler, write: bool = False) -> Iterator[str]:
    """The files that are not written as the compiler writes them; `write` puts that right."""
    for path in sorted([*(root / "infra").rglob("*.bicep"), *(root / "infra").rglob("*.bicepparam")]):
        formatted = compiler.formatted(path)
        if path.read_text() != formatted:
            if write:
                path.write_text(formatted)
            yield f"{path.relative_to(root)}: is not formatted"


def snapshots(root: Path, compiler: Compiler, write: bool = False) -> Iterator[str]:
    """Where the variants under infra/snapshots differ from what is committed of them."""
    variants = sorted((root / "infra/snapshots").glob("*.bicepparam"))
    if not variants:
        yield "infra/snapshots: no variants"
    for path in variants:
        kept = path.with_suffix(".json")
        try:
            now = compiler.snapshot(path)
        except CompilerFailed as error:
            yield f"{path.relative_to(root)}: {error}"
            continue
        yield from (f"{path.relative_to(root)}: {one['message']}" for one in json.loads(now)["diagnostics"])
        before = kept.read_text() if kept.is_file() else ""
        if now == before:
            continue
        if write:
            kept.write_text(now)
        changes = difflib.unified_diff(before.splitlines(), now.splitlines(), "committed", "now", n=1, lineterm="")
        yield f"{kept.relative_to(root)}: is another deployment:\n" + "\n".join(
            line[:160] for line in list(changes)[:40]
        )


def modules(name: str, template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A compiled template and those of its modules, each with the symbol of its module."""
    yield name, template
    resources = template["resources"]
    for symbol, resource in resources.items() if isinstance(resources, dict) else ():
        if resource["type"] == "Microsoft.Resources/deployments" and "template" in resource.get("properties", {}):
            yield from modules(symbol, resource["properties"]["template"])


def deployed(template: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The resources of a compiled template, without its modules and what exists already."""
    resources = template["resources"]
    for resource in resources.values() if isinstance(resources, dict) else resources:
        if not resource.get("existing") and resource["type"] != "Microsoft.Resources/deployments":
            yield resource


def _files(root: Path) -> Iterator[str]:
    """What the sources alone tell: files that nothing uses, versions that differ, roles that nobody knows."""
    files = sorted((root / "infra").rglob("*.bicep"))
    used = {(root / entry).resolve() for entry in ENTRIES}
    versions: dict[str, set[str]] = {}
    for path in files:
        source = path.read_text()
        used |= {(path.parent / module).resolve() for module in _MODULE.findall(source)}
        for kind, version in _VERSIONED.findall(source):
            versions.setdefault(kind, set()).add(version)
        for role in sorted(set(_DATA_PLANE_ROLE.findall(source)) - {*ROLES, *DATA_PLANE_ROLES}):
            yield f"{path.relative_to(root)}: {role} is not a role in scripts/deployment/tables.py"
    yield from (f"{path.relative_to(root)}: nothing uses it" for path in files if path.resolve() not in used)
    for kind, found in sorted(versions.items()):
        if len(found) > 1:  # a drift that nobody decided
            yield f"infra: {kind} in several API versions: {', '.join(sorted(found))}"


def _module(template: dict[str, Any]) -> Iterator[str]:
    for name, parameter in template.get("parameters", {}).items():
        if not parameter.get("metadata", {}).get("description"):
            yield f"parameter {name} has no description"
    for resource in deployed(template):
        copied = resource.get("copy")
        if copied and resource["type"] in ONE_BY_ONE and copied.get("batchSize") != 1:
            yield f"{resource['type']}: must be made one after the other (@batchSize(1))"
        for path, value in SAFE_DEFAULTS.get(resource["type"], {}).items():
            (found,) = list(_at(resource["properties"], path.split("."))) or [None]
            if found != value:
                kind = resource["type"].rpartition("/")[2]
                yield f"{kind}: {path} must be {value}, not {'absent' if found is None else found}"
        for path, values in OPEN_VALUES.get(resource["type"], {}).items():
            for written in _at(resource, path.split(".")):
                for literal in sorted(_literals(written) - values):
                    yield f"{resource['type'].rpartition('/')[2]}: {path} cannot be {literal}"


def _at(value: Any, path: list[str]) -> Iterator[Any]:
    """What stands at a path, in each item of the lists on the way."""
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _literals(value: str) -> set[str]:
    """The texts that an expression may come to: not those that it only compares."""
    if not value.startswith("["):
        return {value}
    before = ""
    while before != value:
        before, value = value, _ASKED.sub("", value)
    return set(re.findall(r"'([^']*)'", value))


def _assignments(main: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Every role that is given, and to whom on what, is one that was decided; and all of that stands in one file."""
    for name, module in main.items():
        if name != "roles" and any(resource["type"] == _ASSIGNMENT for resource in deployed(module)):
            yield f"the module {name} gives roles, which is left to this file"
    ids = main["roles"]["variables"]["roles"]
    for guid in sorted(set(ids.values()) - ROLES.keys()):
        yield f"{guid} is not a role in scripts/deployment/tables.py"
    given: dict[tuple[str, str], set[str]] = {}
    for resource in deployed(main["roles"]):
        properties = resource["properties"]
        who = "".join(_PARAMETER.findall(properties["principalId"]))
        scope = _PARAMETER.findall(resource.get("scope", ""))
        used = _ROLE.findall(properties["roleDefinitionId"])
        role = ROLES.get(ids.get(used[0], ""), used[0]) if used else properties["roleDefinitionId"]
        given.setdefault((who, scope[-1] if scope else "the resource group"), set()).add(role)
    for who, what in sorted(given.keys() | ASSIGNMENTS.keys()):
        found, wanted = given.get((who, what), {"nothing"}), ASSIGNMENTS.get((who, what), "nothing")
        if found != {wanted}:
            yield (f"{who} is given {', '.join(sorted(found))} on {what}, scripts/deployment/tables.py says {wanted}")


def settings_problems(module: dict[str, Any], app: App) -> Iterator[str]:
    """Where the settings that the template gives and those that code and platform read differ."""
    given = given_settings(module)
    for variable, value in module["variables"].items():
        if variable.endswith("Settings"):
            yield from _conditional(value)
    wanted = {name for name, needed in {**app.settings, **PLATFORM_SETTINGS}.items() if needed} | IDENTITY_SETTINGS
    for name in sorted(given.keys() & RETIRED_SETTINGS):
        yield f"{name} is retired on Flex Consumption"
    for name in sorted(given.keys() - app.settings.keys() - PLATFORM_SETTINGS.keys() - RETIRED_SETTINGS):
        yield f"nothing reads the setting {name}"
    for name in sorted(wanted - given.keys()):
        yield f"the setting {name} is required"
    for name in sorted((given.keys() & app.secrets) - HARMLESS_SECRETS):
        if not re.fullmatch(r"\[?parameters\('\w+Reference'\)\]?", given[name]):
            yield f"{name} is a secret and must be a Key Vault reference"


def given_settings(module: dict[str, Any]) -> dict[str, str]:
    """Every setting that the Function App may be given, with its expression."""
    given: dict[str, str] = {}
    for variable, value in module["variables"].items():
        if variable.endswith("Settings"):
            given |= value if isinstance(value, dict) else dict(_SETTING.findall(value.partition("createObject()")[2]))
    return given


def _conditional(value: object) -> Iterator[str]:
    """Settings that are given only where parameters are: all of these are asked for, or one goes out empty."""
    if not isinstance(value, str):
        return
    condition, _, settings = value.partition("createObject()")
    for name, expression in _SETTING.findall(settings):
        for parameter in sorted(set(_PARAMETER.findall(expression)) - set(_PARAMETER.findall(condition))):
            yield f"{name} is set although {parameter} may be empty"
