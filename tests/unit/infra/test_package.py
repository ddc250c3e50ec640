"""What is deployed: the app, whole, and nothing else."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from scripts import build_package
from scripts.deployment import package
from tests.unit.infra.conftest import ROOT, replace


def test_the_app_is_deployed_whole_and_nothing_else() -> None:
    assert list(package.problems(ROOT)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tests/\n", "", "tests would be deployed"),
        ("local/\n", "", "local would be deployed"),
        ("local.settings.json\n", "", "local.settings.json would be deployed"),
        ("pyproject.toml\n", "notes.txt\n", "pyproject.toml would be deployed"),
        ("bench/\n", "models/\n", "router/models/types.py would not be deployed"),
        ("*.pyc\n", "*.txt\n", "requirements.txt would not be deployed"),
        ("bench/\n", "!bench/\n", "more than a plain pattern"),
        ("bench/\n", "/bench/\n", "more than a plain pattern"),
    ],
)
def test_a_wrong_ignore_file_is_seen(project: Path, old: str, new: str, said: str) -> None:
    for name in ("tests", "local", "bench"):
        (project / name).mkdir()
        (project / name / "some.py").touch()
    for name in ("local.settings.json", "pyproject.toml"):
        (project / name).touch()
    assert list(package.problems(project)) == []
    replace(project / ".funcignore", f"\n{old}", f"\n{new}")
    found = list(package.problems(project))
    assert any(said in problem for problem in found), found


def test_a_new_file_at_the_root_needs_a_decision(project: Path) -> None:
    (project / "passwords.txt").touch()
    assert list(package.problems(project)) == [
        ".funcignore: passwords.txt would be deployed, and nothing says that it should be"
    ]


def test_the_same_files_give_the_same_package(tmp_path: Path) -> None:
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    build_package.build(ROOT, first, None)
    build_package.build(ROOT, second, None)
    assert first.read_bytes() == second.read_bytes()


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
    wheels, target = tmp_path / "wheels", tmp_path / "target"
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
    build_package.install(tmp_path / "requirements.txt", target, version)
    assert {path.stem for path in target.glob("*.py")} == expected
