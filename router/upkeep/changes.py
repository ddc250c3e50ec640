"""Changes of policies and queues, as `GET /routing/changes` tells them: each once, whatever dies.

What has changed stands in the row of the policy or queue, written with it, until it is in the table of histories. A
deletion has no row to stand in: it is announced before, and told when it is sure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json, to_json

from router.commit import acting
from router.commit.parts import Parts
from router.models.history import Entry, entry_key
from router.models.sizes import units
from router.rules.secrets import redact_secrets
from router.storage.deadlines import Deadline
from router.storage.history import CHANGES, PENDING_CHANGES

#: Whoever makes the change tells it at once; if it dies, somebody does so then.
_TOLD_AFTER: Final = timedelta(seconds=15)
#: Of both documents in one row.
_LARGEST: Final = 320_000
_MOST_PENDING: Final = 1000

Document = Mapping[str, Any]


def entry_of(
    parts: Parts, kind: str, id: str, before: Document | None, after: Document | None, at: datetime
) -> Entry | None:
    """The entry of a change; None if no history is kept. Secrets are masked; that one has changed is seen."""
    if not parts.chronicle.keeps:
        return None
    who = acting.actor()
    told: dict[str, Any] = {
        "kind": kind,
        "id": id,
        "what": "deleted" if after is None else "created" if before is None else "updated",
        "actor": {"kind": who.kind, "name": who.name},
        "before": None if before is None else redact_secrets(before),
        "after": None if after is None else redact_secrets(after),
    }
    if before is not None and after is not None and told["before"] == told["after"]:
        told["secretsChanged"] = True
    text = to_json(told).decode("utf-8", "surrogatepass")
    if units(text) > _LARGEST:
        told |= {"before": None, "tooLong": ["before"]}
        text = to_json(told).decode("utf-8", "surrogatepass")
    return Entry(entry_key(at, parts.ids.guid()), text)


async def arm(parts: Parts, kind: str, id: str) -> None:
    """To be called before the change is written."""
    await parts.deadlines.arm(Deadline("change", f"{kind}/{id}", parts.clock.now() + _TOLD_AFTER))


async def tell(parts: Parts, entry: Entry | None) -> None:
    """Puts the entry of a change that has been made where it is kept, unless this process has done so."""
    if entry is not None and entry.key not in parts.told_changes:
        await parts.history.put({CHANGES: [entry]})
        parts.told_changes.add([entry.key])


async def announce_deletion(parts: Parts, entry: Entry | None) -> None:
    if entry is not None:
        await parts.history.put({PENDING_CHANGES: [entry]})


async def end_deletion(parts: Parts, entry: Entry | None, *, done: bool) -> None:
    """What was announced has happened, or has not."""
    if entry is None:
        return
    if done:
        await parts.history.put({CHANGES: [entry]})
    await parts.history.remove(PENDING_CHANGES, [entry.key])


async def follow(parts: Parts, target: str) -> None:
    """What a deadline of kind `change` does: tells what somebody has left untold."""
    kind, _, id = target.partition("/")
    resource = await parts.resources.load(kind, id)
    if resource is not None:
        await tell(parts, resource.change)
    behind, more = "", True
    while more:
        pending, more = await parts.history.page(PENDING_CHANGES, behind, "", _MOST_PENDING)
        for entry in pending:
            told = from_json(entry.text)
            if (told["kind"], told["id"]) == (kind, id) and parts.clock.now() - entry.at >= _TOLD_AFTER:
                await end_deletion(parts, entry, done=resource is None or resource.created > entry.at)
        if pending:
            behind = pending[-1].key
