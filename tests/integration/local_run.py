"""A `python -m local` of the sample app, for tests of the local start itself."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from local.network import choose_port
from local.options import ROOT
from local.processes import read_pid
from tests.eventually import eventually

T = TypeVar("T")
#: Who waits for the end at a terminal gives up after about as long.
ENDS_SECONDS = 15.0
SAMPLE = ROOT / "tests" / "unit" / "local" / "sample_app"


def patiently(condition: Callable[[], T | None]) -> T:
    """For processes that start and end: one that hangs is noticed after ten seconds, and then replaced."""
    return eventually(condition, seconds=60)


def http_is_up(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


class Run:
    """A `python -m local` of the sample app."""

    def __init__(self, data_dir: Path, *arguments: str, workers: int = 1, timer: str = "") -> None:
        self.data_dir = data_dir
        self.port = choose_port(None, ())
        self.https_port = choose_port(None, {self.port})
        self.workers = workers
        self.timer = timer
        self.output = data_dir.parent / "output.txt"
        self.process = self.launch(*arguments)

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PORT": str(self.port),
            "HTTPS_PORT": str(self.https_port),
            "DATA_DIR": str(self.data_dir),
            "WORKERS": str(self.workers),
            "TIMER": self.timer,
            "SAMPLE_RECORDS": str(self.data_dir.parent / "records"),
        }
        environment.pop("ROUTER_ACCESS_KEYS", None)
        with self.output.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "local", "--app-dir", str(SAMPLE), *arguments],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=output,
            )

    def pid(self, name: str) -> int:
        pid = read_pid(self.data_dir / f"{name}.pid")
        assert pid is not None, f"{name} does not run"
        return pid

    def said(self, words: str) -> bool:
        return words in self.output.read_text()

    def wait_until_ready(self) -> None:
        patiently(lambda: self.said("Ctrl-C ends") or self.process.poll() is not None)
        assert self.said("Ctrl-C ends"), self.output.read_text()

    def end(self, number: signal.Signals = signal.SIGINT) -> None:
        """A third of a second usually; what does not listen is killed within five."""
        self.process.send_signal(number)
        self.process.wait(ENDS_SECONDS)


def runs(folder: Path) -> Iterator[Callable[..., Run]]:
    """For a fixture: starts runs, each after the end of the one before, and ends what still runs."""
    started: list[Run] = []

    def start(workers: int = 1, timer: str = "") -> Run:
        started.append(Run(folder / "data", workers=workers, timer=timer))
        started[-1].wait_until_ready()
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.end()
