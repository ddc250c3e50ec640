"""Pages for the developer alone: whoever asks must have come by a loopback name, and not from another site.

A page of a foreign site can make the browser ask here, under a name of its own that leads to loopback (DNS rebinding).
The names in `Host` and `Origin` give it away."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

_LOOPBACK: Final = re.compile(
    r"(?:localhost|127(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}|\[::1\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE
)


def is_local(request: web.BaseRequest) -> bool:
    """Whether the request names loopback as its host, and as its origin where it has one. A target in absolute form
    names a host too: no browser sends one but to a proxy."""
    if not request.raw_path.startswith("/"):
        return False
    hosts, origins = request.headers.getall("Host", []), request.headers.getall("Origin", [])
    if len(hosts) != 1 or not _LOOPBACK.fullmatch(hosts[0]):
        return False
    return all(
        origin.partition("://")[0] in ("http", "https") and _LOOPBACK.fullmatch(origin.partition("://")[2])
        for origin in origins
    )


@web.middleware
async def loopback_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """For an application all of whose pages are local: 403 for everybody else."""
    return await handler(request) if is_local(request) else refused()


def refused() -> web.Response:
    return web.Response(status=403, text="This page is for this machine alone: open it by a loopback name.")
