"""The Metrics page at the local host's own address: requests for it are handed on to the one collector."""

from __future__ import annotations

import os
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from local.host.extras import Extra
from local.metrics.api import PREFIX

COLLECTOR_VARIABLE: Final = "LOCAL_METRICS_URL"
"""Where a host process finds the collector; the starter sets it."""

_HANDED_BACK: Final = ("Content-Type", "Content-Security-Policy", "X-Content-Type-Options", "Cache-Control")


class Page:
    """Hands GET requests on to the collector and its answers back."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None

    async def start(self) -> None:
        self._session = ClientSession(timeout=ClientTimeout(total=10))

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        collector = os.environ.get(COLLECTOR_VARIABLE)
        if not collector or self._session is None:
            return web.Response(status=404, text="No metrics collector runs beside this host.")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        try:
            async with self._session.get(f"{collector}{request.path_qs}") as answer:
                headers = {name: answer.headers[name] for name in _HANDED_BACK if name in answer.headers}
                return web.Response(status=answer.status, headers=headers, body=await answer.read())
        except (ClientError, TimeoutError):
            return web.Response(status=503, text="The metrics collector does not answer.")


def _extra() -> Extra:
    page = Page()
    return Extra(prefix=PREFIX, handle=page.handle, start=page.start, stop=page.stop)


EXTRA: Final = _extra()
