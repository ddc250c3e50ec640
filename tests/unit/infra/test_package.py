"""What is deployed: the app, whole, and nothing else."""

from __future__ import annotations

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
