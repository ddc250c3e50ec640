"""Requests exactly as they arrive (target, headers, body, undecoded), and what a platform makes of the target."""

from __future__ import annotations

import base64
import hashlib
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

KEY = base64.b64encode(hashlib.sha256(b"a key for tests").digest()).decode()
OTHER_KEY = base64.b64encode(hashlib.sha256(b"another key for tests").digest()).decode()


@dataclass(frozen=True)
class Received:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Wire:
    port: int
    received: list[Received] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)  # given in turn; then an empty list for ever


@contextmanager
def listening() -> Iterator[Wire]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                method, target, _ = line.decode("latin-1").split(" ")
                headers: dict[str, str] = {}
                while (header := self.rfile.readline().decode("utf-8").rstrip("\r\n")) != "":
                    name, _, value = header.partition(":")
                    headers[name.strip().lower()] = value.strip()
                body = self.rfile.read(int(headers.get("content-length", "0")))
                wire.received.append(Received(method, target, headers, body))
                if method == "DELETE":
                    self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                    continue
                answer = wire.answers.pop(0) if wire.answers else b'{"value": []}'
                self.wfile.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(answer), answer)
                )

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        wire = Wire(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            server.shutdown()
            thread.join(5)


def rebuilt(target: str) -> str:
    """`target` as the Functions host hands it on: the path decoded (but for `%2F`), then encoded as ASP.NET Core
    does, which keeps what looks like an escape; the query untouched."""
    path, mark, query = target.partition("?")
    decoded = "%2F".join(unquote(part) for part in re.split("%2[Ff]", path))
    pieces = re.split("(%[0-9A-Fa-f]{2})", decoded)
    encoded = "".join(
        piece if number % 2 else quote(piece, safe="/!$&'()*+,;=:@") for number, piece in enumerate(pieces)
    )
    return f"{encoded}{mark}{query}"
