"""What `make start` says before it installs anything, on a machine that lacks what it needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from local.options import ROOT

#: What the Makefile itself calls.
_TOOLS = ("sh", "make", "rm", "touch")
_NEW = {"python3": "Python 3.12.1", "node": "v22.1.0", "npm": "10.0.0"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The Makefile in a folder of its own, with a PATH that has its tools and no more."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in _TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def stub(folder: Path, name: str, version: str, *, new: bool) -> None:
    """A program that tells its version, and says yes or no to the question whether it is new enough."""
    path = folder / "bin" / name
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit\nexit {0 if new else 1}\n')
    path.chmod(0o755)


def start(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(folder / "bin"), "HOME": str(folder)}
    return subprocess.run(["make", "start"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("lacking", "version", "told"),
    [
        ("python3", None, "Python 3.11, 3.12 or 3.13 is needed; on PATH is none."),
        ("python3", "Python 3.9.2", "Python 3.11, 3.12 or 3.13 is needed; on PATH is Python 3.9.2."),
        ("node", None, "Node.js 20 or later is needed, for the storage emulator; on PATH is none."),
        ("node", "v18.20.1", "Node.js 20 or later is needed, for the storage emulator; on PATH is v18.20.1."),
        ("npm", None, "npm is needed, to install the storage emulator; on PATH is none."),
    ],
)
def test_what_is_lacking_is_told_before_anything_is_installed(
    folder: Path, lacking: str, version: str | None, told: str
) -> None:
    for name, good in _NEW.items():
        if name != lacking:
            stub(folder, name, good, new=True)
        elif version is not None:
            stub(folder, name, version, new=False)
    done = start(folder)
    assert done.returncode != 0
    assert done.stdout.splitlines() == ["Job router: looking for Python and Node.js, then installing into this folder."]
    assert told in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["Makefile", "bin"]


def test_an_environment_that_was_made_by_half_is_taken_away(folder: Path) -> None:
    """Debian's Python without python3-venv makes a folder and fails: the next start must not take it for one."""
    for name, good in _NEW.items():
        stub(folder, name, good, new=True)
    python = folder / "bin" / "python3"
    python.write_text(
        '#!/bin/sh\n[ "$1" = -m ] || exit 0\n'
        f'{shutil.which("mkdir")} -p .venv/bin && : > .venv/bin/python && echo "ensurepip is not available" >&2\nexit 1\n'
    )
    for name in ("requirements.txt", "requirements-local.txt", "requirements-dev.txt", "package.json"):
        shutil.copy(ROOT / name, folder)
    environment = {"PATH": str(folder / "bin"), "HOME": str(folder)}
    command = ["make", ".venv/.run"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "ensurepip is not available" in done.stderr
    assert not (folder / ".venv").exists()
