"""A webhook for the router's events with the standard library alone: both handshakes, both schemas, no event twice.

    .venv/bin/python examples/webhook_receiver.py                                        # listens on PORT, 3000
    .venv/bin/jobrouter listen --forward-to "http://localhost:3000/events?code=secret"   # in another terminal

Environment: PORT, and WEBHOOK_CODE ("secret"), without which nobody is heard."""

from __future__ import annotations

import hmac
import json
import os
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

CODE = os.environ.get("WEBHOOK_CODE", "secret")
REMEMBERED = 10_000


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as Event Grid likes it
    seen: OrderedDict[str, None] = OrderedDict()  # of one process; several need a common store

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_known():
            return self._answer(401)
        found = json.loads(body)
        for event in found if isinstance(found, list) else [found]:  # CloudEvents come one by one, unless batched
            if event.get("eventType") == "Microsoft.EventGrid.SubscriptionValidationEvent":
                return self._answer(200, {"validationResponse": event["data"]["validationCode"]})
            if event["id"] not in self.seen:
                self.handle_event(event)
                self.seen[event["id"]] = None  # after the work: one that failed comes again
                if len(self.seen) > REMEMBERED:
                    self.seen.popitem(last=False)
        return self._answer(200)

    def do_OPTIONS(self) -> None:
        """The handshake of CloudEvents."""
        if not self._is_known():
            return self._answer(401)
        origin = self.headers.get("WebHook-Request-Origin", "")
        return self._answer(200, headers={"WebHook-Allowed-Origin": origin})

    def handle_event(self, event: dict[str, Any]) -> None:
        """What the application does with it."""
        kind = event.get("eventType", event.get("type"))
        print(f"{event.get('eventTime', event.get('time'))} {kind} {event['subject']}", flush=True)

    def _is_known(self) -> bool:
        (code,) = parse_qs(urlsplit(self.path).query).get("code", [""])[:1]
        return hmac.compare_digest(code.encode(), CODE.encode())

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Receiver) as server:
        print(f"events are heard at http://localhost:{server.server_port}/events", flush=True)
        server.serve_forever()
