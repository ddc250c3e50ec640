"""The collector process: takes what every app process exports, and answers the Metrics page's questions.

It listens on loopback only. One collector serves all app processes, so that the page shows their sum.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from local.loopback import loopback_only
from local.metrics.api import HISTORY, routes
from local.metrics.envelopes import decode, points
from local.metrics.history import History

EXPORT_INTERVAL_MILLISECONDS: Final = 1000
"""How often app processes export on a developer's machine, so that the page is live."""

_INSTRUMENTATION_KEY: Final = "00000000-0000-0000-0000-000000000001"
_MAX_BODY_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Collector:
    """A running collector."""

    url: str
    history: History
    _runner: web.AppRunner

    @property
    def connection_string(self) -> str:
        # No slash at the end: the exporter adds its path to this as it stands.
        return f"InstrumentationKey={_INSTRUMENTATION_KEY};IngestionEndpoint={self.url}"

    @property
    def environment(self) -> dict[str, str]:
        """What a host process needs in its environment to export its metrics, and only those, to here."""
        return {
            "APPLICATIONINSIGHTS_CONNECTION_STRING": self.connection_string,
            "OTEL_METRIC_EXPORT_INTERVAL": str(EXPORT_INTERVAL_MILLISECONDS),
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }

    @property
    def mount_option(self) -> str:
        """What `python -m local.host --mount` takes so that the page is at the host's own address."""
        return f"local.metrics:mount={self.url}"

    async def close(self) -> None:
        """Stop listening; app processes must be gone before, or their last metrics find nobody."""
        await self._runner.cleanup()


async def start(port: int = 0) -> Collector:
    """Start a collector in the running event loop, on the port or on a free one."""
    history = History(time.time)
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[loopback_only])
    app[HISTORY] = history
    app.router.add_post("/v2.1/track", _track)
    app.router.add_routes(routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    bound = runner.addresses[0][1]
    return Collector(f"http://127.0.0.1:{bound}", history, runner)


async def _track(request: web.Request) -> web.Response:
    body = await request.read()  # aiohttp has unpacked a body that says it is gzip
    try:
        envelopes = decode(body, "gzip" if body[:2] == b"\x1f\x8b" else None)
        found = [point for envelope in envelopes for point in points(envelope)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        refusal = {"itemsReceived": 0, "itemsAccepted": 0, "errors": [{"index": 0, "message": str(error)}]}
        return web.json_response(refusal, status=400)
    request.app[HISTORY].add(found)
    return web.json_response({"itemsReceived": len(envelopes), "itemsAccepted": len(envelopes), "errors": []})
