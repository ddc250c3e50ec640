"""Pages of the local run that are not the app's: each serves its own path prefix, before the app's routes.

A page is named as `module:attribute`; the attribute is an `Extra`. The platform has none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Extra:
    """`prefix` begins with a slash and is matched by whole segments; `start` and `stop` run with the host."""

    prefix: str
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
    start: Callable[[], Awaitable[None]] | None = None
    stop: Callable[[], Awaitable[None]] | None = None


def load_extras(names: Iterable[str]) -> list[Extra]:
    extras = []
    for name in names:
        module, _, attribute = name.partition(":")
        extra = getattr(importlib.import_module(module), attribute)
        if not isinstance(extra, Extra):
            raise TypeError(f"{name} is not an Extra")
        extras.append(extra)
    return extras
