"""Publish the router's own dead letters again: what its functions could not take in time wakes them once more.

    python -m scripts.replay_dead_letters FOLDER --endpoint https://.../api/events [--newer-than HOURS]

FOLDER holds the blobs of the container `dead-letters`, as `az storage blob download-batch` leaves them. The events go
to the topic as they were first published, with their ids: each of its subscribers gets them again, at least once.
Needs the role "EventGrid Data Sender" on the topic, or the topic's key in ROUTER_EVENTGRID_KEY.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from router.events.envelope import EventSchema
from router.events.topic import Topic, TopicRefused

_BATCH: Final = 50
#: What Event Grid adds to an event that it could not deliver (Azure documentation, "Dead letter and retry policies").
_ADDED: Final = {
    "deadLetterReason", "deliveryAttempts", "lastDeliveryOutcome", "publishTime", "lastDeliveryAttemptTime",
    "lastHttpStatusCode", "deadletterreason", "deliveryattempts", "lastdeliveryoutcome", "publishtime",
    "lastdeliveryattempttime", "lasthttpstatuscode",
}  # fmt: skip
#: Set by the topic; it refuses an event that brings another one, and takes one without.
_OF_THE_TOPIC: Final = {"topic", "metadataVersion"}


class Unreadable(Exception):
    """A file is no dead letter."""


def letters(folder: Path, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """The events of all files below, each once, oldest first; only those that were published since."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.json*")):
        for event in _events(path):
            if since is None or _published(event, path) >= since:
                found.setdefault(str(event["id"]), event)
    yield from sorted(found.values(), key=lambda event: str(event.get("eventTime") or event.get("time")))


def _events(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        content = json.loads(text)
    except ValueError:
        try:
            content = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise Unreadable(f"{path} is no JSON.") from None
    events = content if isinstance(content, list) else [content]
    for event in events:
        if not isinstance(event, dict) or "id" not in event or not ("eventType" in event or "type" in event):
            raise Unreadable(f"{path} holds something that is no event.")
    return events


def _published(event: dict[str, Any], path: Path) -> datetime:
    text = str(event.get("eventTime") or event.get("time"))
    try:
        return datetime.fromisoformat(text).replace(tzinfo=datetime.fromisoformat(text).tzinfo or UTC)
    except ValueError:
        raise Unreadable(f"{path} holds an event without a time.") from None


def as_published(event: dict[str, Any]) -> dict[str, Any]:
    """The event without what Event Grid has added."""
    dropped = _ADDED if "specversion" in event else _ADDED | _OF_THE_TOPIC
    return {name: value for name, value in event.items() if name not in dropped}


async def replay(topic: Topic, events: Sequence[dict[str, Any]]) -> int:
    """Publish them, those of each schema together; returns how many. Raises TopicRefused."""
    sent = 0
    for schema in EventSchema:
        mine = [one for one in events if ("specversion" in one) == (schema is EventSchema.CLOUD_EVENTS)]
        for start in range(0, len(mine), _BATCH):
            batch = [json.dumps(as_published(event)) for event in mine[start : start + _BATCH]]
            await topic.send(batch, schema)
            sent += len(batch)
    return sent


async def _run(endpoint: str, events: Sequence[dict[str, Any]]) -> int:
    topic = Topic(endpoint, key=os.environ.get("ROUTER_EVENTGRID_KEY") or None)
    try:
        return await replay(topic, events)
    finally:
        await topic.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m scripts.replay_dead_letters", description="Publish the router's own dead letters again."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--endpoint", required=True, help="endpoint of the topic")
    parser.add_argument("--newer-than", type=float, metavar="HOURS", help="leave out what was published before")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is no folder")
    since = datetime.now(UTC) - timedelta(hours=options.newer_than) if options.newer_than is not None else None
    try:
        events = list(letters(options.folder, since))
        sent = asyncio.run(_run(options.endpoint, events)) if events else 0
    except (Unreadable, TopicRefused, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(f"{sent} events published again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
