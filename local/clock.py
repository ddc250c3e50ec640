"""The router's clock put forward by hand: routes of a local run with CLOCK=movable, for tests of applications.

`POST /admin/clock` with `{"advanceSeconds": 60}` answers when what has come due by then has been started, and mostly
done. `GET /admin/clock` tells the time. Both want the header `x-functions-key` with the local run's system key.
There are no such routes on the platform, nor in a run without that setting."""

from __future__ import annotations

import hmac
import os
from datetime import timedelta
from typing import Final

from aiohttp import web

from local.host.mounts import FIRE_TIMERS
from router.clock import PROCESS_CLOCK
from router.models.types import format_time

PATH: Final = "/admin/clock"
_MOST_SECONDS: Final = 10 * 365 * 86400


def mount(app: web.Application, _: str) -> None:
    """For `python -m local.host --mount local.clock:mount`."""
    app.router.add_get(PATH, _tell)
    app.router.add_post(PATH, _advance)


async def _tell(request: web.Request) -> web.Response:
    _authorize(request)
    return web.json_response({"now": format_time(PROCESS_CLOCK.now())})


async def _advance(request: web.Request) -> web.Response:
    _authorize(request)
    try:
        seconds = (await request.json())["advanceSeconds"]
    except (ValueError, TypeError, KeyError):
        seconds = None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= _MOST_SECONDS:
        raise web.HTTPBadRequest(text=f"advanceSeconds must be a number from 0 to {_MOST_SECONDS}.")
    try:
        PROCESS_CLOCK.advance(timedelta(seconds=seconds))
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"That would be {error}.") from None
    await request.app[FIRE_TIMERS]()
    return web.json_response({"now": format_time(PROCESS_CLOCK.now())})


def _authorize(request: web.Request) -> None:
    key = os.environ.get("LOCAL_HOST_SYSTEM_KEY", "")
    given = request.headers.get("x-functions-key", "")
    if not key or not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), key.encode()):
        raise web.HTTPUnauthorized
