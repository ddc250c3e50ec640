"""A router of its own on this machine, with a webhook that takes every event: for the catalogue and its tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, TypeVar

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.core.credentials import AzureKeyCredential

from local.options import DEVELOPMENT_KEY, ROOT

T = TypeVar("T")

READY_SECONDS: Final = 60.0
WAIT_SECONDS: Final = 20.0


def wait_for(look: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS) -> T:
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.02)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in sockets]


class Subscriber:
    """A webhook as the documentation shows one: it answers the handshake and keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        subscriber = self

        class Hook(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer: dict[str, str] = {}
                if self.headers["aeg-event-type"] == "SubscriptionValidation":
                    answer = {"validationResponse": events[0]["data"]["validationCode"]}
                else:
                    subscriber.events.extend(events)
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/events"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def find(self, name: str, **data: Any) -> dict[str, Any] | None:
        """The first event of that name whose data says so."""
        for event in list(self.events):
            if event["eventType"] == f"Microsoft.Communication.{name}" and all(
                event["data"].get(field) == value for field, value in data.items()
            ):
                return event
        return None

    def wait(self, name: str, seconds: float = WAIT_SECONDS, **data: Any) -> dict[str, Any]:
        return wait_for(lambda: self.find(name, **data), f"{name} with {data}", seconds)


class EventRun:
    """The running router, the official clients on it, and its subscriber."""

    def __init__(self, endpoint: str, key: str, subscriber: Subscriber) -> None:
        self.endpoint = endpoint
        credential = AzureKeyCredential(key)
        self.client = JobRouterClient(endpoint, credential)
        self.admin = JobRouterAdministrationClient(endpoint, credential)
        self.subscriber = subscriber

    @staticmethod
    def name(kind: str) -> str:
        """An id that nobody has had."""
        return f"{kind}-{uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def running_router(data_dir: Path, **settings: str) -> Iterator[EventRun]:
    """Starts everything, waits until it is ready, and ends it."""
    subscriber = Subscriber()
    port, https_port = free_ports(2)
    environment = {
        **os.environ,
        "PORT": str(port),
        "HTTPS_PORT": str(https_port),
        "DATA_DIR": str(data_dir),
        "WORKERS": "1",
        "ROUTER_EVENT_SUBSCRIBERS": subscriber.url,
        "ROUTER_ACCESS_KEYS": DEVELOPMENT_KEY,
        **settings,
    }
    log_path = data_dir / "run.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "local"], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    endpoint = f"http://127.0.0.1:{port}"
    try:

        def ready() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"The router ended before it was ready:\n{log_path.read_text()[-4000:]}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{endpoint}/health", timeout=2) as answer:
                return bool(answer.status == 200)
            return False

        wait_for(ready, "the router", READY_SECONDS)
        yield EventRun(endpoint, DEVELOPMENT_KEY, subscriber)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        subscriber.close()
