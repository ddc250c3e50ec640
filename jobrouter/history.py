"""`export history`: what happened in a span, as the what-if simulation replays it (NDJSON), or as a table (CSV)."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from jobrouter import output
from jobrouter.connect import connect
from jobrouter.failure import DONE, CommandError
from router.migrate.client import Client
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, QUEUE, WORKER, Kind
from router.models.types import format_time, parse_time
from router.replay.exported import lines

Document = dict[str, Any]
_KINDS: Final[Mapping[str, Kind]] = {
    "DistributionPolicy": DISTRIBUTION,
    "ClassificationPolicy": CLASSIFICATION,
    "ExceptionPolicy": EXCEPTION,
    "Queue": QUEUE,
}
_COLUMNS: Final = (
    "at", "owner", "eventType", "eventId", "actorKind", "actorName", "jobId", "workerId", "queueId", "channelId",
    "offerId", "assignmentId", "decidedBy", "what",
)  # fmt: skip


async def export(options: argparse.Namespace) -> int:
    """Writes the history of a span into a file."""
    since = _time(options.since, "--from")
    until = _time(options.until, "--to") if options.until else None
    async with connect(options.trust) as client:
        if options.format == "csv":
            entries = await _all(client, "/routing/history", {"from": since} | ({"to": until} if until else {}))
            text, what = table(entries), f"{len(entries)} entries"
        else:
            documents = await fetched(client, since, until)
            text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in documents)
            what = f"{len(documents)} lines"
    path = options.file or Path(f"history.{'csv' if options.format == 'csv' else 'ndjson'}")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
    output.say(f"{path}: {what}")
    return DONE


async def fetched(client: Client, since: str, until: str | None = None) -> list[Document]:
    """The lines of a span: None is up to the last that happened, by the router's clock. What came after it is read
    too: without that, nobody knows how workers were before."""
    entries = await _all(client, "/routing/history", {"from": since})
    changes = await _all(client, "/routing/changes", {})
    settings = {name: [one async for one in client.list(kind)] for name, kind in _KINDS.items()}
    workers = [one async for one in client.list(WORKER)]
    return list(lines(since, until or _behind([*entries, *changes]), entries, changes, settings, workers))


def _behind(entries: Iterable[Document]) -> str:
    """Just after the last of them, and not before now: the router's clock may be ahead of the one here."""
    last = [parse_time(entry["at"]) + timedelta(milliseconds=1) for entry in entries]
    return format_time(max([datetime.now(UTC), *last]))


def table(entries: Iterable[Document]) -> str:
    """One line an entry."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(_COLUMNS)
    for entry in entries:
        flat = {**entry, "actorKind": entry["actor"]["kind"], "actorName": entry["actor"]["name"]}
        flat["what"] = json.dumps(entry.get("what") or {}, ensure_ascii=False)
        writer.writerow([_cell(flat.get(name)) for name in _COLUMNS])
    return written.getvalue()


async def _all(client: Client, path: str, query: Mapping[str, str]) -> list[Document]:
    found: list[Document] = []
    page = await client.read(path, {**query, "maxpagesize": "1000"})
    while True:
        found += page["value"]
        link = page.get("nextLink")
        if not link:
            return found
        page = await client.follow(str(link))


def _time(text: str, option: str) -> str:
    try:
        return parse_time(text if "T" in text else f"{text}T00:00:00Z").isoformat().replace("+00:00", "Z")
    except ValueError:
        raise CommandError(f"{option} must be a day or a time, such as 2026-11-29 or 2026-11-29T08:00:00Z.") from None


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"  # a spreadsheet would run it
    return "" if value is None else value
