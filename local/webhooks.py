"""Tells the developer which webhook does not answer the handshake, and why: no event comes to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from local.parts import Parts

_LOOK_SECONDS: Final = 1.0


class Webhooks:
    """What has been told of each, so that it is told once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: dict[str, str] = {}

    def look(self, subscriptions: Mapping[str, Any]) -> None:
        """`subscriptions` as the topic's state has them."""
        for name, one in subscriptions.items():
            address = str(one["endpoint"]).partition("?")[0]  # the query is often a key
            problem = one.get("problem")
            if problem is not None and self._told.get(name) != problem:
                self._told[name] = problem
                self._tell(
                    f"No events go to {address} yet: {problem}. It is asked again and again; "
                    "docs/events.md tells how a webhook answers the handshake."
                )
            elif one["validated"] and self._told.pop(name, None) is not None:
                self._tell(f"Events go to {address} now.")


async def watch_webhooks(parts: Parts, tell: Callable[[str], None]) -> None:
    """Looks until it is cancelled."""
    webhooks = Webhooks(tell)
    headers = {"aeg-sas-key": parts.topic_key}
    async with ClientSession(headers=headers, timeout=ClientTimeout(total=5)) as session:
        while True:
            try:
                async with session.get(f"{parts.topic_endpoint}/admin/state") as answer:
                    webhooks.look((await answer.json())["subscriptions"])
            except (ClientError, TimeoutError, OSError):
                pass  # its end is told by whoever started it
            await asyncio.sleep(_LOOK_SECONDS)
