"""The seeds run beside all other tests, on what processor time those leave; `test_seeds` waits for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SEEDS: Final = int(os.environ.get("SEEDS", "2000"))
#: Whatever else wants the processor has it first.
_LAST_IN_LINE: Final = 19
_running: subprocess.Popen[str] | None = None


def pytest_collection_finish(session: pytest.Session) -> None:
    global _running
    if session.config.option.collectonly or not any(item.name == "test_seeds" for item in session.items):
        return
    command = [sys.executable, "-m", "tests.sim", "--seeds", str(SEEDS), "--stop-after", "3"]
    _running = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    os.setpriority(os.PRIO_PROCESS, _running.pid, _LAST_IN_LINE)


def pytest_sessionfinish() -> None:
    if _running is not None and _running.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(_running.pid, signal.SIGKILL)
        _running.wait()


@pytest.fixture
def seeds() -> tuple[int, str]:
    """How the run of the seeds has ended: its exit code and what it printed."""
    assert _running is not None
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, _running.pid, 0)  # from here on it is waited for
    output, _ = _running.communicate()
    return _running.returncode, output
