"""What a client expects before it sends its body."""

from __future__ import annotations

from aiohttp import HttpVersion11, web


async def answer_expectation(request: web.Request) -> web.StreamResponse | None:
    """`100-continue` is met; any other expectation is refused, whatever bytes it is made of."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        return web.Response(status=417)
    if request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return None
