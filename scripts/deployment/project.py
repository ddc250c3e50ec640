"""Rules for azd's side of a deployment: azure.yaml, its hooks, and the parameters that they hand to the templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # its types are a package of their own

from scripts.deployment import tables
from scripts.deployment.templates import declared, required, secure

_NAME: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBSTITUTION: Final = re.compile(r"\$\{(\w+)(=[^}]*)?\}")
_SH_VARIABLE: Final = re.compile(r"\$\{?([A-Z][A-Z0-9_]+)")
_PWSH_VARIABLE: Final = re.compile(r"\$env:([A-Z][A-Z0-9_]+)")
_SET: Final = re.compile(r"azd env set ['\"]?([A-Z][A-Z0-9_]+)")
_TEMPLATE: Final = re.compile(r"[\w-]+\.bicep\b")
_HOOK_RUN: Final = re.compile(r"azd hooks run ([a-z]+)")
_VERSIONS: Final = re.compile(r"(>=|>|<=|<|=|~|\^)? ?\d+\.\d+(\.\d+)?")
_PASSED: Final = re.compile(r"^ {4,}(\w+)=[\"$]", re.MULTILINE)
#: What azd itself puts into an environment.
_AZD_VARIABLES: Final = {"AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_SUBSCRIPTION_ID", "AZURE_PRINCIPAL_ID"}
#: Variables of the shell.
_SHELL_VARIABLES: Final = {"CDPATH"}


def problems(root: Path) -> Iterator[str]:
    try:
        config = yaml.safe_load((root / "azure.yaml").read_text())
    except (OSError, yaml.YAMLError) as error:
        yield f"azure.yaml: {' '.join(str(error).split())}"
        return
    if not isinstance(config, dict):
        yield "azure.yaml: is no mapping"
        return
    main = root / "infra/main.bicep"
    yield from (f"azure.yaml: {problem}" for problem in _azure_yaml(root, config))
    yield from _parameters(root, main)
    # Not what main.parameters.json reads: that has defaults there, and none in a hook.
    yield from _hooks(
        root, declared(main, "output") | _AZD_VARIABLES | _SHELL_VARIABLES, set(config.get("hooks") or {})
    )
    yield from _host(root)


def _azure_yaml(root: Path, config: dict[str, Any]) -> Iterator[str]:
    """What the published schema says, for the parts that the project uses."""
    yield from (f"{key} is no key of the schema" for key in sorted(set(config) - tables.AZURE_YAML_KEYS))
    for place, keys in tables.AZURE_YAML_OBJECT_KEYS.items():
        yield from (f"{place}.{key} is no key of the schema" for key in sorted(set(config.get(place, {})) - keys))
    version = str(config.get("requiredVersions", {}).get("azd", "1.0"))
    if not _VERSIONS.fullmatch(version):
        yield f"requiredVersions.azd {version!r} is no range of versions"
    name = str(config.get("name", ""))
    if len(name) < 2 or not _NAME.match(name):
        yield f"name {name!r} is not lowercase letters, digits and hyphens"
    infra = config.get("infra", {})
    if infra.get("provider", "bicep") not in {"bicep", "terraform"}:
        yield f"infra.provider {infra['provider']} is unknown"
    module = root / infra.get("path", "infra") / f"{infra.get('module', 'main')}.bicep"
    if not module.is_file():
        yield f"{module.relative_to(root)} does not exist"
    services = config.get("services") or {}
    if not services:
        yield "no services"
    tagged = "\n".join(path.read_text() for path in (root / "infra").rglob("*.bicep"))
    if "'azd-env-name':" not in tagged:
        yield "no resource group is tagged azd-env-name, by which azd finds it"
    for service, options in services.items():
        yield from (f"services.{service}: {problem}" for problem in _service(root, options))
        if f"'azd-service-name': '{service}'" not in tagged:
            yield f"services.{service}: no resource is tagged azd-service-name {service}"
    for hook, options in (config.get("hooks") or {}).items():
        if hook not in tables.AZURE_YAML_HOOKS:
            yield f"hooks.{hook} is no hook of the schema"
        yield from (f"hooks.{hook}{problem}" for problem in _hook(root, options))
    hooks = {path.stem for path in (root / "scripts/hooks").iterdir() if path.suffix in {".sh", ".ps1"}}
    for hook in sorted(hooks - set(config.get("hooks") or {})):
        yield f"nothing runs scripts/hooks/{hook}"


def _service(root: Path, options: dict[str, Any]) -> Iterator[str]:
    host = options.get("host")
    if host not in tables.AZURE_YAML_HOSTS:
        yield f"host {host} is unknown"
    if "project" not in options:
        yield "project is required"
    elif not (root / options["project"] / "host.json").is_file():
        yield f"project {options['project']} has no host.json"
    if options.get("language") not in tables.AZURE_YAML_LANGUAGES:
        yield f"language {options.get('language')} is unknown"
    yield from (f"{key} is not allowed" for key in sorted(set(options) - tables.AZURE_YAML_SERVICE_KEYS))


def _hook(root: Path, options: dict[str, Any], place: str = "") -> Iterator[str]:
    yield from (f"{place}.{key} is unknown" for key in sorted(set(options) - tables.AZURE_YAML_HOOK_KEYS))
    systems = {"windows", "posix"} & set(options)
    if place == "" and systems != {"windows", "posix"}:
        yield " must name a script for windows and one for posix"
    for system in sorted(systems):
        yield from _hook(root, options[system], f".{system}")
    if systems:
        yield from (f"{place}.{key} stands beside windows and posix" for key in sorted(set(options) - systems))
        return
    if options.get("shell") not in {"sh", "pwsh"}:
        yield f"{place}.shell {options.get('shell')} is neither sh nor pwsh"
    if not (root / options.get("run", "")).is_file():
        yield f"{place}.run {options.get('run')} does not exist"


def substituted(root: Path) -> dict[str, str]:
    """The variables that main.parameters.json takes from the azd environment, with their defaults."""
    return dict(_SUBSTITUTION.findall((root / "infra/main.parameters.json").read_text()))


def _parameters(root: Path, main: Path) -> Iterator[str]:
    where = "infra/main.parameters.json"
    given = json.loads((root / where).read_text())["parameters"]
    for name in sorted(set(given) - declared(main, "param")):
        yield f"{where}: main.bicep has no parameter {name}"
    for name in sorted(required(main) - set(given)):
        yield f"{where}: {name} is missing"
    for name in sorted(secure(main)):
        value = str(given.get(name, {}).get("value", ""))
        if value and not _SUBSTITUTION.fullmatch(value):
            yield f"{where}: {name} is a secret and must come from the azd environment"
    page = (root / "docs/deployment.md").read_text()
    for variable, default in substituted(root).items():
        if not default and variable not in _AZD_VARIABLES:
            yield f"{where}: azd does not set {variable}, and it has no default"
        elif variable not in _AZD_VARIABLES | assigned(root) and f"`{variable}`" not in page:
            yield f"{where}: docs/deployment.md does not tell of {variable}"


def assigned(root: Path) -> set[str]:
    """The variables that the hooks set in the azd environment."""
    return {name for path in (root / "scripts/hooks").iterdir() if path.suffix in {".sh", ".ps1"}
            for name in _SET.findall(path.read_text())}  # fmt: skip


def _hooks(root: Path, known: set[str], hooks: set[str]) -> Iterator[str]:
    """Both shells of a hook set and read the same variables, which exist, and pass parameters that exist."""
    folder = root / "scripts/hooks"
    scripts = {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.suffix in {".sh", ".ps1"}}
    kept = assigned(root)
    for name, source in scripts.items():
        for file in sorted(set(_TEMPLATE.findall(source))):
            if not (root / "infra" / file).is_file():
                yield f"scripts/hooks/{name}: infra/{file} does not exist"
    for page in [*sorted(folder.iterdir()), *sorted((root / "docs").glob("*.md"))]:
        if page.is_file():
            for hook in sorted(set(_HOOK_RUN.findall(page.read_text())) - hooks):
                yield f"{page.relative_to(root)}: azure.yaml has no hook {hook}"
    template = declared(root / "infra/event-subscriptions.bicep", "param")
    for name in sorted({Path(name).stem for name in scripts}):
        posix, windows = scripts.get(f"{name}.sh"), scripts.get(f"{name}.ps1")
        if posix is None or windows is None:
            yield f"scripts/hooks/{name}: one of .sh and .ps1 is missing"
            continue
        if set(_SET.findall(posix)) != set(_SET.findall(windows)):
            yield f"scripts/hooks/{name}: .sh and .ps1 set different variables"
        read = set(_SH_VARIABLE.findall(posix)) | set(_PWSH_VARIABLE.findall(windows))
        for variable in sorted(read - known - kept):
            yield f"scripts/hooks/{name}: nothing sets {variable}"
        for parameter in sorted(set(_PASSED.findall(posix)) ^ set(_PASSED.findall(windows))):
            yield f"scripts/hooks/{name}: only one of .sh and .ps1 passes {parameter}"
        for parameter in sorted(set(_PASSED.findall(posix)) - template):
            yield f"scripts/hooks/{name}: event-subscriptions.bicep has no parameter {parameter}"
    for variable in sorted(
        kept - known - set(substituted(root)) - set(_PWSH_VARIABLE.findall("".join(scripts.values())))
    ):
        yield f"scripts/hooks: nothing reads {variable}"


def _host(root: Path) -> Iterator[str]:
    """What the app and the templates take for granted of host.json."""
    host = json.loads((root / "host.json").read_text())
    if host.get("version") != "2.0":
        yield "host.json: version must be 2.0"
    if host.get("extensions", {}).get("http", {}).get("routePrefix") != "":
        yield "host.json: routePrefix must be empty, as routes begin with routing/"
    if host.get("singleton", {}).get("listenerLockRecoveryPollingInterval") != "00:00:15":
        yield "host.json: singleton.listenerLockRecoveryPollingInterval must be 15 s: else a minute without timer"
    if not str(host.get("extensionBundle", {}).get("version", "")).startswith("[4"):
        yield "host.json: Flex Consumption needs an extension bundle of version 4 or later"
