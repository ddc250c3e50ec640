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


def is_one_router(here: Snapshot, there: Snapshot) -> bool:
    """Whether both were read from one router, under two names: every resource has the same etag on both sides. Two
    routers never make the same etag; one that was restored from a copy of the other still has the other's."""
    ours, theirs = _etags(here), _etags(there)
    return bool(ours) and ours == theirs and all(ours.values())


def _etags(side: Snapshot) -> dict[tuple[Kind, str], object]:
    return {(kind, id): document.get("etag") for kind, items in side.items() for id, document in items.items()}


async def _read(client: Client, kind: Kind, seen: Callable[[Kind, int], None]) -> dict[str, Document]:
    items: dict[str, Document] = {}
    async for item in client.list(kind):
        items[str(item["id"])] = item
        seen(kind, len(items))
    return items
