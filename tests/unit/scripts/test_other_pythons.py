"""Which Pythons the tests run under besides the one of .venv."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scripts import other_pythons

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_a_python_is_found_on_path_or_under_pyenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert other_pythons.find_python(OWN) is None
    for patch in ("2", "10"):
        folder = tmp_path / "pyenv" / "versions" / f"{OWN}.{patch}" / "bin"
        folder.mkdir(parents=True)
        (folder / "python").symlink_to(sys.executable)
    found = other_pythons.find_python(OWN)
    assert found is not None
    assert found.parts[-3] == f"{OWN}.10", "the newest"
    (tmp_path / f"python{OWN}").symlink_to(sys.executable)
    assert other_pythons.find_python(OWN) == tmp_path / f"python{OWN}"
    (tmp_path / "python3.99").symlink_to(sys.executable)
    assert other_pythons.find_python("3.99") is None, "it is another one"


def test_a_python_that_is_missing_is_said_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert other_pythons.run("3.13", other_pythons.WORKER_TESTS) == 0
    said = capsys.readouterr().out
    assert "Python 3.13 is not on PATH nor under pyenv: Microsoft's worker was NOT in the loop." in said


def test_the_failure_of_the_tests_is_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With this Python for the other one: an environment is made once, and its tests' result is passed on."""
    made: list[Path] = []

    def make(python: Path, environment: Path) -> None:
        made.append(environment)
        (environment / "bin").mkdir(parents=True)
        (environment / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (environment / "bin" / "python").chmod(0o755)
        (environment / ".stamp").write_text(other_pythons._fingerprint())

    for name in ("requirements.txt", "requirements-local.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text((other_pythons.ROOT / name).read_text())
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert __import__('os').path.exists('fine')\n")
    monkeypatch.setattr(other_pythons, "ROOT", tmp_path)
    monkeypatch.setattr(other_pythons, "find_python", lambda version: Path(sys.executable))
    monkeypatch.setattr(other_pythons, "make_environment", make)
    assert other_pythons.run("3.13", ["test_it.py"]) == 1
    (tmp_path / "fine").touch()
    assert other_pythons.run("3.13", ["test_it.py"]) == 0
    assert len(made) == 1


def test_what_the_tests_need_is_pinned_and_there() -> None:
    names = {need.partition("==")[0] for need in other_pythons.tests_need()}
    assert {"pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "psutil"} <= names
    for test in (*other_pythons.WORKER_TESTS, other_pythons.UNIT_TESTS[0], other_pythons.TIMED_TESTS[0]):
        assert (other_pythons.ROOT / test).exists(), test
