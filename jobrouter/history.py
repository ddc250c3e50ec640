"""`export history`: what happened in a span, as the what-if simulation replays it (NDJSON), or as a table (CSV)."""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jobrouter import output
from jobrouter.connect import connect
from jobrouter.failure import DONE, CommandError
from router.migrate.client import Client
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, QUEUE, WORKER, Kind
from router.models.types import parse_time

Document = dict[str, Any]
_KINDS: Final[Mapping[str, tuple[Kind, str]]] = {
    "DistributionPolicy": (DISTRIBUTION, "distributionPolicy"),
    "ClassificationPolicy": (CLASSIFICATION, "classificationPolicy"),
    "ExceptionPolicy": (EXCEPTION, "exceptionPolicy"),
    "Queue": (QUEUE, "queue"),
}
_JOB_EVENTS: Final[Mapping[str, str]] = {
    "RouterJobQueued": "queued",
    "RouterWorkerOfferIssued": "offered",
    "RouterWorkerOfferDeclined": "declined",
    "RouterWorkerOfferExpired": "expired",
    "RouterWorkerOfferRevoked": "revoked",
    "RouterWorkerOfferAccepted": "accepted",
    "RouterJobUnassigned": "unassigned",
    "RouterJobCompleted": "completed",
    "RouterJobClosed": "closed",
    "RouterJobCancelled": "cancelled",
    "RouterJobClassificationFailed": "failed",
    "RouterJobSchedulingFailed": "failed",
}
_WORKER_EVENTS: Final[Mapping[str, str]] = {
    "RouterWorkerRegistered": "registered",
    "RouterWorkerDeregistered": "deregistered",
    "RouterWorkerDeleted": "deregistered",
}
#: What is written of a job at its creation.
_OF_A_JOB: Final = (
    "channelReference", "channelId", "classificationPolicyId", "queueId", "priority", "requestedWorkerSelectors",
    "labels", "tags", "matchingMode",
)  # fmt: skip
_COLUMNS: Final = (
    "at", "owner", "eventType", "eventId", "actorKind", "actorName", "jobId", "workerId", "queueId", "channelId",
    "offerId", "assignmentId", "decidedBy", "what",
)  # fmt: skip


async def export(options: argparse.Namespace) -> int:
    """Writes the history of a span into a file."""
    span = {"from": _time(options.since, "--from"), **({"to": _time(options.until, "--to")} if options.until else {})}
    async with connect(options.trust) as client:
        entries = await _all(client, "/routing/history", span)
        if options.format == "csv":
            text = table(entries)
        else:
            changes = await _all(client, "/routing/changes", {})
            settings = {name: [one async for one in client.list(kind)] for name, (kind, _) in _KINDS.items()}
            workers = [one async for one in client.list(WORKER)]
            documents = lines(span["from"], span.get("to"), entries, changes, settings, workers)
            text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in documents)
    path = options.file or Path(f"history.{'csv' if options.format == 'csv' else 'ndjson'}")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
    output.say(f"{path}: {len(entries)} entries")
    return DONE


def lines(
    since: str,
    until: str | None,
    entries: Sequence[Document],
    changes: Sequence[Document],
    settings: Mapping[str, Sequence[Document]],
    workers: Sequence[Document],
) -> Iterator[Document]:
    """The header, each setting, worker and job. `entries` and `changes` are in the order of time; `settings` and
    `workers` are as they are now."""
    yield {"kind": "header", "version": 1, "from": since, "to": until}
    for name, (_, kind) in _KINDS.items():
        yield from _settings(name, kind, since, until, changes, settings.get(name, ()))
    by_owner: dict[str, list[Document]] = {}
    for entry in entries:
        by_owner.setdefault(str(entry["owner"]), []).append(entry)
    now = {str(one["id"]): one for one in workers}
    ids = dict.fromkeys([*now, *(owner[7:] for owner in by_owner if owner.startswith("worker/"))])
    for id in ids:
        yield _worker(id, by_owner.get(f"worker/{id}", []), now.get(id))
    for owner, some in by_owner.items():
        if owner.startswith("job/"):
            yield _job(owner[4:], some)


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


def _settings(
    name: str, kind: str, since: str, until: str | None, changes: Sequence[Document], now: Sequence[Document]
) -> Iterator[Document]:
    start, end = parse_time(since), parse_time(until) if until else None
    current = {str(one["id"]): {key: value for key, value in one.items() if key != "etag"} for one in now}
    later: dict[str, list[Document]] = {}
    for change in changes:
        if change["kind"] == name and parse_time(change["at"]) >= start:
            later.setdefault(str(change["id"]), []).append(change)
    for id in dict.fromkeys([*current, *later]):
        some = later.get(id, [])
        before = some[0]["before"] if some else current.get(id)
        if before is None and some and some[0]["what"] == "updated":
            before = some[0]["after"]  # what was before was too long to be kept
        told = [one for one in some if end is None or parse_time(one["at"]) < end]
        if before is None and not told:
            continue
        yield {
            "kind": kind,
            "id": id,
            "resource": None if before is None else {"id": id, **before},
            "changes": [
                {"at": one["at"], "resource": None if one["after"] is None else {"id": id, **one["after"]}}
                for one in told
            ],
        }


def _worker(id: str, entries: Sequence[Document], now: Document | None) -> Document:
    """Of a worker that was there before the span, what it is now stands for what it was, as far as no entry says
    otherwise."""
    new = bool(entries) and "capacity" in entries[0]["what"] and "channels" in entries[0]["what"]
    state: Document = {} if new else {name: value for name, value in (now or {}).items() if name != "etag"}
    first: Document | None = None if new or not state else dict(state)
    told: list[Document] = []
    for entry in entries:
        what = {name: value for name, value in entry["what"].items() if name != "tooLong"}
        state = {"id": id, **state, **what}
        first = first or dict(state)
        named = [_WORKER_EVENTS[one] for one in _types(entry) if one in _WORKER_EVENTS]
        if not named and set(what) & {"availableForOffers"}:
            named = ["available" if what["availableForOffers"] else "unavailable"]
        one: Document = {"at": entry["at"], "what": named[0] if named else "updated"}
        if what:
            one["resource"] = dict(state)
        told.append(one)
    return {"kind": "worker", "id": id, "resource": first or {"id": id}, "entries": told}


def _job(id: str, entries: Sequence[Document]) -> Document:
    created = entries[0] if "RouterJobReceived" in _types(entries[0]) else None
    job: Document = {"kind": "job", "id": id}
    resource: Document = {"id": id}
    if created is not None:
        resource |= {name: created["what"][name] for name in _OF_A_JOB if name in created["what"]}
        resource["createdAt"] = created["at"]
    else:
        resource |= {name: entries[0][name] for name in ("channelId", "queueId") if name in entries[0]}
    job["resource"] = resource
    state: Document = dict(created["what"]) if created is not None else {}
    told: list[Document] = []
    for entry in entries:
        what, before = entry["what"], dict(state)
        state |= what
        types = _types(entry)
        if "RouterJobClassified" in types and "classified" not in job:
            job["classified"] = {
                "at": entry["at"],
                "queueId": state.get("queueId"),
                "priority": state.get("priority", 1),
                "attachedWorkerSelectors": state.get("attachedWorkerSelectors", []),
            }
        told += _of_entry(entry, types, before, state, first=entry is created)
    job["entries"] = told
    return job


def _of_entry(
    entry: Document, types: Sequence[str], before: Document, state: Document, *, first: bool
) -> list[Document]:
    common = {"at": entry["at"], **({"decidedBy": entry["decidedBy"]} if "decidedBy" in entry else {})}
    found: list[Document] = []
    if not first:
        if "queueId" in entry["what"] and before.get("queueId") and before["queueId"] != state["queueId"]:
            found.append({**common, "what": "moved", "queueId": state["queueId"]})
        if "priority" in entry["what"] and "RouterJobClassified" not in types:
            found.append({**common, "what": "reprioritised", "priority": state["priority"]})
    for event in entry.get("events", ()):
        what = _JOB_EVENTS.get(str(event["eventType"]).rpartition(".")[2])
        if what is None:
            continue
        one = {**common, "what": what, **{name: event[name] for name in ("workerId", "offerId") if name in event}}
        if what == "queued":
            one |= {"queueId": state.get("queueId") or entry.get("queueId"), "priority": state.get("priority", 1)}
        found.append(one)
    if not found and not first and entry["what"]:
        found.append({**common, "what": "updated"})
    return found


def _types(entry: Document) -> list[str]:
    return [str(event["eventType"]).rpartition(".")[2] for event in entry.get("events", ())]


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
