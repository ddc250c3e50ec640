"""The lock of the deployed package: every dependency with its version and the hashes of its wheels, and their licences.

python -m scripts.lock            makes both anew: asks pip what it would install
python -m scripts.lock --check    says where lock, requirements.txt and what is installed differ; asks nobody"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as _canonical

from scripts.deployment.pip_for import pip_install

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "scripts" / "deployment" / "requirements.lock"
LICENCES: Final = ROOT / "docs" / "licences.md"
_HEAD: Final = "# Made by `python -m scripts.lock` from requirements.txt: what is deployed, with its wheels' hashes.\n"
#: Pythons that the platform has for the app.
PYTHONS: Final = ("3.11", "3.12", "3.13")
#: What the platform's Linux can load, best first.
PLATFORMS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def canonicalize_name(name: str) -> str:
    return str(_canonical(name))


@dataclass(frozen=True)
class Locked:
    """A distribution as the lock names it."""

    name: str
    version: str
    #: For which Pythons; all where it is empty.
    marker: str
    hashes: tuple[str, ...]

    def is_for(self, python: str) -> bool:
        return not self.marker or Marker(self.marker).evaluate({"python_version": python})

    def line(self, *, marker: bool = True) -> str:
        condition = f" ; {self.marker}" if marker and self.marker else ""
        return f"{self.name}=={self.version}{condition} \\\n" + " \\\n".join(
            f"    --hash=sha256:{one}" for one in self.hashes
        )


def requirements(python: str, root: Path = ROOT) -> list[Requirement]:
    """The lines of requirements.txt that are for this Python."""
    lines = [line.partition("#")[0].strip() for line in (root / "requirements.txt").read_text().splitlines()]
    found = [Requirement(line) for line in lines if line]
    return [one for one in found if one.marker is None or one.marker.evaluate({"python_version": python})]


def read(text: str) -> list[Locked]:
    found: list[Locked] = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        head, *hashes = line.split("--hash=sha256:")
        requirement = Requirement(head.strip())
        version = str(requirement.specifier).removeprefix("==")
        marker = str(requirement.marker or "")
        found.append(Locked(canonicalize_name(requirement.name), version, marker, tuple(one.strip() for one in hashes)))
    return found


def for_python(python: str, root: Path = ROOT) -> str:
    """The lock as pip takes it to install for this Python, whichever runs pip."""
    locked = read((root / LOCK.relative_to(ROOT)).read_text(encoding="utf-8"))
    return "\n".join(one.line(marker=False) for one in locked if one.is_for(python)) + "\n"


def merged(reports: Mapping[str, Mapping[str, Any]]) -> list[Locked]:
    """One lock of what pip would install for each Python."""
    pythons: dict[tuple[str, str], dict[str, str]] = {}
    for python, report in reports.items():
        for one in report["install"]:
            name = canonicalize_name(one["metadata"]["name"])
            digest = one["download_info"]["archive_info"]["hashes"]["sha256"]
            pythons.setdefault((name, one["metadata"]["version"]), {})[python] = digest
    return [
        Locked(name, version, _marker(tuple(hashes), tuple(reports)), tuple(sorted(set(hashes.values()))))
        for (name, version), hashes in sorted(pythons.items())
    ]


def _marker(some: tuple[str, ...], every: tuple[str, ...]) -> str:
    return "" if set(some) == set(every) else " or ".join(f'python_version == "{python}"' for python in some)


def problems(locked: list[Locked], python: str, installed: Mapping[str, str], needed: set[str]) -> Iterator[str]:
    """Where the lock differs from requirements.txt and from what is installed. `installed`: versions by name; `needed`:
    names of all that the requirements need, themselves included."""
    mine = {one.name: one for one in locked if one.is_for(python)}
    for one in locked:
        if not one.hashes or any(len(digest) != 64 for digest in one.hashes):
            yield f"{one.name} has no hash in the lock"
    for requirement in requirements(python):
        name = canonicalize_name(requirement.name)
        if name not in mine or str(requirement.specifier) != f"=={mine[name].version}":
            yield f"requirements.txt has {name}{requirement.specifier}, the lock has {mine.get(name)}"
    for name in sorted(needed - mine.keys()):
        yield f"{name} is needed and not in the lock"
    for name in sorted(mine.keys() - needed):
        yield f"{name} is in the lock and nothing needs it"
    for name in sorted(needed & mine.keys()):
        if installed.get(name) != mine[name].version:
            yield f"{name} {installed.get(name)} is installed, the lock has {mine[name].version}"


def needed_by(names: list[str]) -> set[str]:
    """Names of these distributions and of all that they need, as they are installed here."""
    found: set[str] = set()
    waiting = [(canonicalize_name(name), frozenset[str]()) for name in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            found.add(name)
            continue
        found.add(name)
        for text in distribution.requires or ():
            requirement = Requirement(text)
            wanted = [{"extra": extra} for extra in (extras or {""})]
            if requirement.marker is None or any(requirement.marker.evaluate(one) for one in wanted):
                waiting.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


def licences(locked: list[Locked]) -> str:
    """The page: name, versions (one for each Python that has its own) and licence, as the installed metadata says."""
    versions: dict[str, list[str]] = {}
    for one in locked:
        versions.setdefault(one.name, []).append(one.version)
    lines = [
        "# Licences",
        "",
        "Of all that the deployed package holds beside the router itself (MIT), as each says of itself."
        " Made by `.venv/bin/python -m scripts.lock`."
        " What the [console](console.md) has from npm is in `router/console/static/vendor/licences.txt`.",
        "",
        "| package | version | licence |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {name} | {', '.join(found)} | {_licence(name)} |" for name, found in versions.items()]
    return "\n".join(lines) + "\n"


def _licence(name: str) -> str:
    about: Any = metadata.metadata(name)
    said = str(about.get("License-Expression") or "")
    if not said:
        classified = [
            one.split(" :: ")[-1] for one in about.get_all("Classifier") or () if one.startswith("License ::")
        ]
        said = ", ".join(one for one in classified if one != "OSI Approved")
    if not said:
        said = (about.get("License") or "").strip().splitlines()[0][:60] if about.get("License") else "not stated"
    return said


def report(python: str, wanted: Path) -> dict[str, Any]:
    """What pip would install for this Python to meet a file of requirements."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "report.json"
        dry = ("--dry-run", "--ignore-installed", "--report", str(told), "--target", str(Path(folder) / "none"))
        subprocess.run(pip_install(python, PLATFORMS, *dry, "--requirement", str(wanted)), check=True)
        found: dict[str, Any] = json.loads(told.read_text())
        return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m scripts.lock", description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not options.check:
        locked = merged({one: report(one, ROOT / "requirements.txt") for one in PYTHONS})
        LOCK.write_text(_HEAD + "\n".join(one.line() for one in locked) + "\n", encoding="utf-8")
        LICENCES.write_text(licences(locked), encoding="utf-8")
        print(f"{LOCK.relative_to(ROOT)}: {len(locked)} packages")
        return 0
    locked = read(LOCK.read_text(encoding="utf-8"))
    found = list(problems(locked, python, _installed(), needed_by([one.name for one in requirements(python)])))
    if LICENCES.read_text(encoding="utf-8") != licences(locked):
        found.append("docs/licences.md does not name what is installed")
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


def _installed() -> dict[str, str]:
    return {canonicalize_name(one.metadata["Name"]): one.version for one in metadata.distributions()}


if __name__ == "__main__":
    sys.exit(main())
