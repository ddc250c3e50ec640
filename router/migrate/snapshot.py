"""One side as it is: everything that its lists tell, by kind and id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from router.migrate.client import Client
from router.migrate.kinds import KINDS, Document, Kind

Snapshot = dict[Kind, dict[str, Document]]


async def read(client: Client, seen: Callable[[Kind, int], None]) -> Snapshot:
    """All kinds at once; `seen` is told how many of a kind have come so far."""
    await client.settle_version()
    found = await asyncio.gather(*(_read(client, kind, seen) for kind in KINDS))
    return dict(zip(KINDS, found, strict=True))


async def _read(client: Client, kind: Kind, seen: Callable[[Kind, int], None]) -> dict[str, Document]:
    items: dict[str, Document] = {}
    async for item in client.list(kind):
        items[str(item["id"])] = item
        seen(kind, len(items))
    return items
