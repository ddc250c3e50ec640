"""A whole router as a developer starts it (`python -m local`), on free ports with a data folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from local.certificate import ensure_certificate
from local.network import choose_port
from local.options import DEVELOPMENT_KEY, ROOT, read_topology
from local.processes import read_pid
from tests.eventually import eventually

_START_SECONDS = 90.0
_END_SECONDS = 15.0
_NOT_INHERITED = (
    "ROUTER_",
    "OTEL_",
    "APPLICATIONINSIGHTS_",
    "PORT",
    "HTTPS_PORT",
    "DATA_DIR",
    "WORKERS",
    "TIMER",
    "CLOCK",
    "LISTEN",
)


def clean_environment() -> dict[str, str]:
    """This process's, without what a developer may have set for a router."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}


class LocalRouter:
    """Started by its constructor and ready when that returns."""

    def __init__(
        self, folder: Path, *, workers: int = 1, timer_apart: bool = False, environment: dict[str, str] | None = None
    ) -> None:
        """With several workers the timer is apart anyway."""
        self.data_dir = folder / "data"
        self.port = choose_port(None, ())
        self.https_port = choose_port(None, {self.port})
        self._folder = folder
        self._environment = {
            **clean_environment(),
            "PORT": str(self.port),
            "HTTPS_PORT": str(self.https_port),
            "DATA_DIR": str(self.data_dir),
            "WORKERS": str(workers),
            "TIMER": "apart" if timer_apart else "",
            **(environment or {}),
        }
        self.topology = read_topology(self._environment)
        keys = (environment or {}).get("ROUTER_ACCESS_KEYS", DEVELOPMENT_KEY).split(",")
        self.key = keys[0]
        #: Of another caller, where there are two.
        self.other_key = keys[-1]
        self._logs = 0
        self._whole: subprocess.Popen[bytes] | None = None
        self._whole_log = self._folder
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def https_endpoint(self) -> str:
        return f"https://localhost:{self.https_port}"

    @property
    def connection_string(self) -> str:
        return f"endpoint={self.https_endpoint}/;accesskey={self.key}"

    @property
    def certificate(self) -> Path:
        """What a client must trust to use https."""
        return ensure_certificate(self.data_dir).certificate

    def start(self) -> None:
        """Everything. Data of an earlier start is still there."""
        self._whole, self._whole_log = self._launch()
        self._wait_until_ready(self._whole, self._whole_log)

    def app_pids(self) -> list[int]:
        return [int(path.read_text()) for path in self.data_dir.glob("app*.pid")]

    def pid(self, name: str) -> int:
        """Of one process: `azurite`, `eventgrid`, or one of the app's (local/topology.py)."""
        return int((self.data_dir / f"{name}.pid").read_text())

    def kill_process(self, name: str) -> None:
        """kill -9 of one process of the app; returns when the starter has another in its place."""
        killed = self.pid(name)
        os.kill(killed, signal.SIGKILL)
        pid_file = self.data_dir / f"{name}.pid"
        eventually(lambda: read_pid(pid_file) not in (None, killed), f"{name} is started again")

    def kill_app(self) -> None:
        """kill -9 of all processes of the app; Azurite and the topic run on. The starter starts them again."""
        killed = {path: read_pid(path) for path in self.data_dir.glob("app*.pid")}
        for pid in killed.values():
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        eventually(
            lambda: all(read_pid(path) not in (None, pid) for path, pid in killed.items()), "the app is started again"
        )

    def start_app(self) -> None:
        """Returns when the app that was killed answers again."""
        eventually(self._is_healthy, "the app is ready again", _START_SECONDS)

    def advance(self, seconds: float) -> None:
        """Puts the clock forward, of a router with CLOCK=movable: what has come due by then is begun."""
        key = json.loads((self.data_dir / "parts.json").read_text())["system_key"]
        body = json.dumps({"advanceSeconds": seconds}).encode()
        headers = {"x-functions-key": key, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.endpoint}/admin/clock", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    def end(self) -> None:
        """What Ctrl-C does."""
        starter = self._whole
        if starter is not None and starter.poll() is None:
            starter.send_signal(signal.SIGINT)
            try:
                starter.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                for path in self.data_dir.glob("*.pid"):
                    os.kill(int(path.read_text()), signal.SIGKILL)
                starter.kill()
                starter.wait()
        self._whole = None

    def output(self) -> str:
        """What the starters and the app have said so far."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("output.*.txt")))

    def _launch(self, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        self._logs += 1
        path = self._folder / f"output.{self._logs:04}.txt"
        with path.open("wb") as output:
            command = [sys.executable, "-m", "local", *arguments]
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=output, stderr=output)
        return process, path

    def _wait_until_ready(self, process: subprocess.Popen[bytes], log: Path) -> None:
        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"The router ended at its start:\n{log.read_text()}")
            return b"Ctrl-C ends" in log.read_bytes() and self._is_healthy()

        try:
            eventually(ready, "the router is ready", _START_SECONDS)
        except BaseException:
            self.end()
            raise

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
