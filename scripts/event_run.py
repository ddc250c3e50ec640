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
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, TypeVar

from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.core.credentials import AzureKeyCredential

from local.options import DEVELOPMENT_KEY, ROOT

T = TypeVar("T")

Event = dict[str, Any]

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


def type_of(event: Event) -> str:
    """The event's type, in either schema."""
    return str(event["type"] if "specversion" in event else event["eventType"])


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in sockets]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A topic that dies closes its connections in the middle; anything else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Subscriber:
    """A webhook as the documentation shows one: it answers the handshakes and keeps what it takes.

    `answers` decides the status of a delivery; only what is answered with 200 counts as taken.
    """

    def __init__(self, answers: Callable[[list[Event]], int] = lambda events: 200) -> None:
        self.events: list[Event] = []
        self._lock = threading.Lock()
        subscriber = self

        class Hook(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                events = body if isinstance(body, list) else [body]
                if self.headers["aeg-event-type"] == "SubscriptionValidation":
                    self.answer(200, {"validationResponse": events[0]["data"]["validationCode"]})
                    return
                with subscriber._lock:
                    status = answers(events)
                    if status == 200:
                        subscriber.events.extend(events)
                self.answer(status, {})

            def do_OPTIONS(self) -> None:
                """The handshake of CloudEvents."""
                self.answer(200, {}, {"WebHook-Allowed-Origin": self.headers["WebHook-Request-Origin"]})

            def answer(self, status: int, body: Mapping[str, str], headers: Mapping[str, str] | None = None) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = _Quiet(("127.0.0.1", 0), Hook)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/events"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def find(self, name: str, **data: Any) -> Event | None:
        """The first event of that name whose data says so."""
        for event in list(self.events):
            if type_of(event) == f"Microsoft.Communication.{name}" and all(
                event["data"].get(field) == value for field, value in data.items()
            ):
                return event
        return None

    def wait(self, name: str, seconds: float = WAIT_SECONDS, **data: Any) -> Event:
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
def running_router(data_dir: Path, subscriber: Subscriber | None = None, **settings: str) -> Iterator[EventRun]:
    """Starts everything, waits until it is ready, and ends it."""
    subscriber = subscriber or Subscriber()
    port, https_port = free_ports(2)
    environment = {
        **os.environ,
        "PORT": str(port),
        "HTTPS_PORT": str(https_port),
        "DATA_DIR": str(data_dir),
        "WORKERS": "1",
        "TIMER": "",
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
