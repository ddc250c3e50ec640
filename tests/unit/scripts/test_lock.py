"""The lock is what is installed, names all that the app needs with hashes, and nothing of development."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import lock

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LOCKED = lock.read(lock.LOCK.read_text(encoding="utf-8"))


def test_the_lock_is_what_is_installed() -> None:
    assert lock.main(["--check"]) == 0


def test_every_line_of_the_requirements_is_locked_for_every_python() -> None:
    for python in lock.PYTHONS:
        locked = {one.name: one.version for one in LOCKED if one.is_for(python)}
        for requirement in lock.requirements(python):
            name = lock.canonicalize_name(requirement.name)
            assert str(requirement.specifier) == f"=={locked[name]}", (python, name)
        assert lock.for_python(python).count("--hash=sha256:") >= len(locked)
        assert ";" not in lock.for_python(python)


def test_nothing_of_development_is_deployed() -> None:
    names = {one.name for one in LOCKED}
    for tool in ("pytest", "mypy", "ruff", "hypothesis", "schemathesis", "coverage", "azure-communication-jobrouter"):
        assert tool not in names


def test_what_differs_is_said() -> None:
    needed = lock.needed_by([one.name for one in lock.requirements(PYTHON)])
    installed = {one.name: one.version for one in LOCKED if one.is_for(PYTHON)}

    def said(locked: list[lock.Locked], more: set[str] = frozenset(), **versions: str) -> str:  # type: ignore[assignment]
        return "\n".join(lock.problems(locked, PYTHON, {**installed, **versions}, needed | more))

    assert said(LOCKED) == ""
    assert "lark is needed and not in the lock" in said([one for one in LOCKED if one.name != "lark"])
    assert "idna is needed and not in the lock" in said([one for one in LOCKED if one.name != "idna"])
    assert "lark 9 is installed" in said(LOCKED, lark="9")
    assert "new is needed and not in the lock" in said(LOCKED, {"new"})
    more = [*LOCKED, replace(LOCKED[0], name="pytest")]
    assert "pytest is in the lock and nothing needs it" in said(more)
    assert "has no hash" in said([replace(LOCKED[0], hashes=()), *LOCKED[1:]])
    older = [replace(one, version="1") if one.name == "lark" else one for one in LOCKED]
    assert "requirements.txt has lark==" in said(older)


def test_a_version_that_differs_between_pythons_is_marked() -> None:
    def report(*installs: tuple[str, str, str]) -> dict[str, object]:
        return {
            "install": [
                {
                    "metadata": {"name": name, "version": version},
                    "download_info": {"archive_info": {"hashes": {"sha256": digest * 64}}},
                }
                for name, version, digest in installs
            ]
        }

    locked = lock.merged(
        {
            "3.12": report(("One", "1", "a"), ("two", "1", "b")),
            "3.13": report(("One", "1", "c"), ("two", "2", "d")),
        }
    )
    assert [(one.name, one.version, one.marker) for one in locked] == [
        ("one", "1", ""),
        ("two", "1", 'python_version == "3.12"'),
        ("two", "2", 'python_version == "3.13"'),
    ]
    assert locked[0].hashes == ("a" * 64, "c" * 64)
    assert lock.read("\n".join(one.line() for one in locked)) == locked


def wheel(folder: Path, name: str, *requires: str, python: str = ">=3.8") -> None:
    """A package of one empty module."""
    info = f"{name}-1.0.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", f"Requires-Python: {python}"]
    metadata += [f"Requires-Dist: {one}" for one in requires]
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.11", {"below", "one", "inner_below", "on_linux"}),
        ("3.12", {"below", "one", "inner_below", "on_linux"}),
        ("3.13", {"from_there", "one", "inner_from", "on_linux"}),
    ],
)
def test_markers_are_answered_for_the_apps_python_and_not_for_the_one_that_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, expected: set[str]
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "from_there", python=">=3.13")
    for name in ("below", "inner_below", "inner_from", "on_linux", "elsewhere"):
        wheel(wheels, name)
    wheel(wheels, "one", 'inner_below; python_version < "3.13"', 'inner_from; python_full_version >= "3.13"')
    (tmp_path / "requirements.txt").write_text(
        'one\nbelow; python_version < "3.13"\nfrom_there; python_version >= "3.13"\n'
        'on_linux; sys_platform == "linux"\nelsewhere; platform_system == "Windows"\n'
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    found = lock.report(version, tmp_path / "requirements.txt")
    assert {one["metadata"]["name"] for one in found["install"]} == expected
