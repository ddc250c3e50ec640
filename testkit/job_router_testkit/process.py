"""The router as a process: started on free ports in a folder of its own, and spoken to over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

_COMMAND: Final = "JOB_ROUTER_COMMAND"
_START_SECONDS: Final = 120.0
_END_SECONDS: Final = 20.0
_EMPTY_SECONDS: Final = 60.0
_SUBSCRIBED_SECONDS: Final = 3600
#: Settings of the developer's own router must not reach this one.
_NOT_INHERITED: Final = (
    "ROUTER_", "APPLICATIONINSIGHTS_", "OTEL_", "PORT", "HTTPS_PORT", "DATA_DIR", "WORKERS", "TIMER", "CLOCK", "LISTEN"
)  # fmt: skip


class JobRouterError(Exception):
    """The router does not do what a test asks of it; the message has its words."""


class JobRouter:
    """A running router. `with JobRouter(folder) as router:` starts and ends it."""

    def __init__(self, folder: Path, command: str | None = None) -> None:
        """`command` is the router's `jobrouter`; by default that of JOB_ROUTER_COMMAND, or the one on PATH."""
        self._folder = folder
        self._command = command or os.environ.get(_COMMAND) or "jobrouter"
        self._process: subprocess.Popen[bytes] | None = None
        self._parts: dict[str, Any] = {}
        self._clean = True
        self._subscriptions = 0
        port, https_port = _free_ports(2)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)},
            "PORT": str(port),
            "HTTPS_PORT": str(https_port),
            "DATA_DIR": str(folder / "data"),
            "CLOCK": "movable",
        }
        self.endpoint: Final = f"http://localhost:{port}"
        self.https_endpoint: Final = f"https://localhost:{https_port}"

    @property
    def access_key(self) -> str:
        return str(self._parts["access_key"])

    @property
    def connection_string(self) -> str:
        """For SDKs that take one. They speak https: `certificates` is what they must trust."""
        return f"endpoint={self.https_endpoint}/;accesskey={self.access_key}"

    @property
    def certificates(self) -> Path:
        """PEM: the roots of this machine, and the router's own certificate."""
        return self._folder / "data" / "tls" / "trusted.pem"

    def now(self) -> datetime:
        """The router's time."""
        return datetime.fromisoformat(self._clock("GET")["now"])

    def advance(self, seconds: float) -> datetime:
        """Puts the router's clock forward, and never back: offers expire, rules fire, jobs become due. Returns when
        that has been started; what follows from it is there soon after. The router's new time."""
        return datetime.fromisoformat(self._clock("POST", {"advanceSeconds": seconds})["now"])

    def empty(self) -> None:
        """Deletes all jobs, workers, queues and policies. Nothing is done before the first use."""
        if not self._clean:
            done = subprocess.run(
                [self._command, "purge", "--all", "--yes"],
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=_EMPTY_SECONDS,
            )
            if done.returncode != 0:
                raise JobRouterError(f"The router could not be emptied: {done.stdout}{done.stderr}")
        self._clean = False

    def subscribe(self, webhook: str, types: Sequence[str] = ()) -> None:
        """Events go to a webhook of the application, without a handshake, until the test ends. `types` are whole
        names, such as `Microsoft.Communication.RouterJobQueued`; without any all events come."""
        body = {"endpoint": webhook, "includedEventTypes": list(types), "trusted": True}
        self._topic("PUT", self._subscriptions + 1, body)
        self._subscriptions += 1

    def unsubscribe_all(self) -> None:
        """Undelivered events go with their subscriptions."""
        while self._subscriptions:
            self._topic("DELETE", self._subscriptions)
            self._subscriptions -= 1

    def __enter__(self) -> JobRouter:
        if shutil.which(self._command) is None:
            raise JobRouterError(
                f"{self._command} is not there. Set {_COMMAND} to the router's .venv/bin/jobrouter, which "
                "`make setup` writes."
            )
        log = self._folder / "router.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [self._command, "start"], env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            self._wait_until_ready(log)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait_until_ready(self, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while b"Ctrl-C ends" not in log.read_bytes():
            if self._process.poll() is not None:
                raise JobRouterError(f"The router ended at its start:\n{log.read_text(errors='replace')}")
            if time.monotonic() > deadline:
                raise JobRouterError(f"The router is not ready after {_START_SECONDS:.0f} s:\n{log.read_text()}")
            time.sleep(0.05)
        self._parts = json.loads((self._folder / "data" / "parts.json").read_text())

    def _clock(self, method: str, body: Any = None) -> dict[str, Any]:
        url = f"{self.endpoint}/admin/clock"
        found: dict[str, Any] = json.loads(_request(method, url, {"x-functions-key": self._parts["system_key"]}, body))
        return found

    def _topic(self, method: str, number: int, body: Any = None) -> None:
        url = f"http://127.0.0.1:{self._parts['topic_port']}/admin/subscriptions/test-{number}"
        _request(method, f"{url}?seconds={_SUBSCRIBED_SECONDS}", {"aeg-sas-key": self._parts["topic_key"]}, body)


def _request(method: str, url: str, headers: dict[str, str], body: Any) -> bytes:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {**headers, "Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise JobRouterError(f"{method} {url}: {error.code} {error.read().decode(errors='replace')}") from None
    except OSError as error:
        raise JobRouterError(f"The router does not answer: {error}") from None


def _free_ports(count: int) -> list[int]:
    """All are held until the last is found, so that no two are the same."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
