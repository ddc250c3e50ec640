"""Tests under the Pythons that this machine has beside the one of .venv.

python -m scripts.other_pythons worker   # wire and event tests under 3.13, where Microsoft's own worker calls the app
python -m scripts.other_pythons unit     # the unit tests under each that is found

A Python is found on PATH (`python3.13`) or where pyenv puts it. Each gets an environment in .pythons, made anew when
the requirements change. A Python that is not there is said, and is no failure."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PYTHONS: Final = ("3.11", "3.12", "3.13")
#: The first Python on which the platform loads azure-functions-runtime.
MICROSOFT: Final = "3.13"
#: Of the development requirements, what the tests import.
_TESTS_NEED: Final = re.compile(
    r"(?:pytest|pytest-asyncio|pytest-xdist|pytest-timeout|hypothesis|psutil|PyYAML|ruff|import-linter|schemathesis)==\S+"
)
#: Indexing, requests, answers, events and timers, over the wire and as a client sees them.
WORKER_TESTS: Final = (
    "tests/unit/local/test_local_index.py",
    "tests/unit/events",
    "tests/unit/topic/test_topic_delivery.py",
    "tests/integration/test_wire_answers.py",
    "tests/integration/test_wire_ids.py",
    "tests/integration/test_wire_routes.py",
    "tests/acceptance/test_events.py",
)
UNIT_TESTS: Final = ("tests/unit", "-m", "not timed")
#: Have the machine to themselves.
TIMED_TESTS: Final = ("tests/unit", "-m", "timed")


def main(arguments: Sequence[str]) -> int:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if list(arguments) == ["worker"]:
        if own == MICROSOFT:
            print(f"Microsoft's worker: .venv is Python {own}, so every test runs under it.")
            return 0
        return run(MICROSOFT, WORKER_TESTS)
    if list(arguments) == ["unit"]:
        others = [version for version in PYTHONS if version != own]
        return max(run(version, tests) for version in others for tests in (UNIT_TESTS, TIMED_TESTS))
    print(__doc__, file=sys.stderr)
    return 2


def run(version: str, tests: Sequence[str]) -> int:
    python = find_python(version)
    if python is None:
        what = "Microsoft's worker was NOT in the loop" if version == MICROSOFT else "nothing was run under it"
        print(f"Python {version} is not on PATH nor under pyenv: {what}.")
        return 0
    environment = ROOT / ".pythons" / version
    if not _is_ready(environment):
        print(
            f"Installing what the tests need for Python {version} into {environment.relative_to(ROOT)} ...", flush=True
        )
        make_environment(python, environment)
    began = time.monotonic()
    at_a_time = "0" if tests == TIMED_TESTS else "2"
    options = ["-q", "-p", "no:cacheprovider", "-n", at_a_time, "--dist", "loadgroup"]
    command = [str(environment / "bin" / "python"), "-m", "pytest", *options, *tests]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    print(f"Python {version}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s.", flush=True)
    return code


def find_python(version: str) -> Path | None:
    """A Python of this version that starts: on PATH, or the newest that pyenv has."""
    for path in _candidates(version):
        probe = [str(path), "-c", "import sys, venv, ssl; print('%d.%d' % sys.version_info[:2])"]
        try:
            said = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            continue
        if said == version:
            return path
    return None


def _candidates(version: str) -> Iterator[Path]:
    found = shutil.which(f"python{version}")
    if found is not None:
        yield Path(found)
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    newest = sorted(root.glob(f"{version}.*"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
    for path in reversed(newest):
        yield path / "bin" / "python"


def make_environment(python: Path, environment: Path) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([str(python), "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "-r", "requirements-local.txt", *tests_need()], cwd=ROOT, check=True)
    (environment / ".stamp").write_text(_fingerprint())


def tests_need() -> list[str]:
    text = (ROOT / "requirements-dev.txt").read_text()
    return [found[0] for line in text.splitlines() if (found := _TESTS_NEED.match(line))]


def _is_ready(environment: Path) -> bool:
    stamp = environment / ".stamp"
    return stamp.is_file() and stamp.read_text() == _fingerprint()


def _fingerprint() -> str:
    files = ("requirements.txt", "requirements-local.txt", "requirements-dev.txt")
    text = "".join((ROOT / name).read_text() for name in files) + _TESTS_NEED.pattern
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
