"""The Metrics page at the local host's own address: requests for it are handed on to the collector."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from local.expectation import answer_expectation
from local.loopback import is_local, refused
from local.metrics.api import PREFIX

_SESSION: Final = web.AppKey("metrics_explorer_session", ClientSession)
_HANDED_BACK: Final = ("Content-Type", "Content-Security-Policy", "X-Content-Type-Options", "Cache-Control")


def mount(app: web.Application, collector_url: str) -> None:
    """Add the page's routes to a host's application; for `python -m local.host --mount local.metrics:mount=URL`."""

    async def session(app: web.Application) -> AsyncIterator[None]:
        app[_SESSION] = ClientSession(timeout=ClientTimeout(total=10))
        yield
        await app[_SESSION].close()

    async def hand_on(request: web.Request) -> web.Response:
        if not is_local(request):
            return refused()
        try:
            async with request.app[_SESSION].get(f"{collector_url}{request.path_qs}") as answer:
                headers = {name: answer.headers[name] for name in _HANDED_BACK if name in answer.headers}
                return web.Response(status=answer.status, headers=headers, body=await answer.read())
        except (ClientError, TimeoutError):
            return web.Response(status=503, text="The metrics collector does not answer.")

    app.cleanup_ctx.append(session)
    app.router.add_get(PREFIX, hand_on, expect_handler=answer_expectation)
    app.router.add_get(f"{PREFIX}/{{path:.*}}", hand_on, expect_handler=answer_expectation)
