"""An ingestion endpoint for tests: it keeps every batch that an exporter posts, and may refuse some."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Sink:
    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.envelopes: list[dict[str, Any]] = []
        self.paths: set[str] = set()

    @property
    def connection_string(self) -> str:
        return f"InstrumentationKey=7f3f3a5e-58cf-4a2b-9a39-9b9c6a1c0001;IngestionEndpoint={self.url}/"

    def metrics(self, name: str) -> list[dict[str, Any]]:
        """Each point of a metric: its namespace, value, count, dimensions and instance."""
        return [
            {
                **metric,
                "dimensions": envelope["data"]["baseData"]["properties"],
                "instance": envelope["tags"]["ai.cloud.roleInstance"],
            }
            for envelope in self.of_type("MetricData")
            for metric in envelope["data"]["baseData"]["metrics"]
            if metric["name"] == name
        ]

    def of_type(self, base_type: str) -> list[dict[str, Any]]:
        return [envelope for envelope in self.envelopes if envelope["data"]["baseType"] == base_type]


@contextmanager
def sink() -> Iterator[Sink]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            text = body.decode()
            batch = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
            with lock:
                received.envelopes.extend(batch)
                received.paths.add(self.path)
            answer = json.dumps({"itemsReceived": len(batch), "itemsAccepted": len(batch), "errors": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Sink(server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
