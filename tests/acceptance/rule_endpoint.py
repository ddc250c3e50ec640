"""An endpoint for function and webhook rules: a small HTTP server on loopback that remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: What is answered to a body: a JSON value, or a status with one.
Answer = Callable[[Any], Any]


class RuleEndpoint:
    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.answer: Answer = lambda _: None
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        """Path, headers by lower-case name, and body of each request."""

    def url(self, path: str = "/api/rule") -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, body in self.requests]


@contextmanager
def rule_endpoint() -> Iterator[RuleEndpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = self.rfile.read(int(self.headers["Content-Length"]))
            form = self.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
            body = given.decode() if form else json.loads(given)
            endpoint.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            answer = endpoint.answer(body)
            status, value = answer if isinstance(answer, tuple) else (200, answer)
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint = RuleEndpoint(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield endpoint
        finally:
            server.shutdown()
