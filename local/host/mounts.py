"""Pages of the local run that are not the app's, added to the host's web application before the app's routes.

A mount is given on the command line as `module:function=argument`; the function is called with the web application
and the argument, and adds routes of its own prefix. The platform has none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

#: Runs the timer functions of this process at once.
FIRE_TIMERS: Final[web.AppKey[Callable[[], Awaitable[None]]]] = web.AppKey("fire_timers")


def load_mount(text: str) -> Callable[[web.Application], None]:
    name, _, argument = text.partition("=")
    module, _, attribute = name.partition(":")
    function: Callable[[web.Application, str], None] = getattr(importlib.import_module(module), attribute)
    return lambda app: function(app, argument)
