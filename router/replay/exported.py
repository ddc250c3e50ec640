"""The history of a span as a file has it that is played again (docs/whatif.md, "Files")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from router.models.types import parse_time
from router.models.workers import RouterWorkerInput

Document = dict[str, Any]
#: Settings, and what a line of them is called.
KINDS: Final[Mapping[str, str]] = {
    "DistributionPolicy": "distributionPolicy",
    "ClassificationPolicy": "classificationPolicy",
    "ExceptionPolicy": "exceptionPolicy",
    "Queue": "queue",
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
#: What is not known of a job that came before the span.
_OF_EARLIER: Final = ("createdAt", "priority", "requestedWorkerSelectors", "attachedWorkerSelectors", "labels")
_OF_A_WORKER: Final = tuple(
    field.serialization_alias or field.alias or name for name, field in RouterWorkerInput.model_fields.items()
)


def lines(
    since: str,
    until: str,
    entries: Sequence[Document],
    changes: Sequence[Document],
    settings: Mapping[str, Sequence[Document]],
    workers: Sequence[Document],
) -> Iterator[Document]:
    """The header, each setting, worker and job. `entries` and `changes` are in the order of time, and go on up to now;
    `settings` and `workers` are as they are now. `notKnown` of a line names what the history does not tell."""
    yield {"kind": "header", "version": 1, "from": since, "to": until}
    for name, kind in KINDS.items():
        yield from _settings(name, kind, since, until, changes, settings.get(name, ()))
    end = parse_time(until)
    by_owner: dict[str, list[Document]] = {}
    later: dict[str, list[Document]] = {}
    for entry in entries:
        (by_owner if parse_time(entry["at"]) < end else later).setdefault(str(entry["owner"]), []).append(entry)
    now = {str(one["id"]): one for one in workers}
    owners = [owner for owner in (*by_owner, *later) if owner.startswith("worker/")]
    for id in dict.fromkeys([*now, *(owner[7:] for owner in owners)]):
        yield from _worker(id, by_owner.get(f"worker/{id}", []), later.get(f"worker/{id}", []), now.get(id))
    for owner, some in by_owner.items():
        if owner.startswith("job/"):
            yield _job(owner[4:], some)


def _settings(
    name: str, kind: str, since: str, until: str, changes: Sequence[Document], now: Sequence[Document]
) -> Iterator[Document]:
    start, end = parse_time(since), parse_time(until)
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
        told = [one for one in some if parse_time(one["at"]) < end]
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


def _worker(
    id: str, entries: Sequence[Document], later: Sequence[Document], now: Document | None
) -> Iterator[Document]:
    """None for one that came after the span. A field that no entry changes has been as it is now; one that was
    changed was, before that, something that no entry tells: then it stands as it became, and `notKnown` names it."""
    known = [*entries, *later]
    if known and _begins(known[0]):
        if not entries:
            return
        state: Document = {"id": id}
        first: Document | None = None
        not_known: list[str] = []
    else:
        state, not_known = _before(id, known, now)
        first = dict(state)
    told: list[Document] = []
    for entry in entries:
        what = {name: value for name, value in entry["what"].items() if name in _OF_A_WORKER}
        not_known += [name for name in entry["what"].get("tooLong", ()) if name in _OF_A_WORKER]
        state = {**state, **what}
        first = first or dict(state)
        named = [_WORKER_EVENTS[one] for one in _types(entry) if one in _WORKER_EVENTS]
        if not named and "availableForOffers" in what:
            named = ["available" if what["availableForOffers"] else "unavailable"]
        if not named and not what:
            continue  # a state that follows from its offers
        one: Document = {"at": entry["at"], "what": named[0] if named else "updated"}
        if what:
            one["resource"] = dict(state)
        told.append(one)
    line = {"kind": "worker", "id": id, "resource": first, "entries": told}
    yield line | ({"notKnown": sorted(set(not_known))} if not_known else {})


def _begins(entry: Document) -> bool:
    return {"capacity", "channels", "state"} <= set(entry["what"])


def _before(id: str, entries: Sequence[Document], now: Document | None) -> tuple[Document, list[str]]:
    """A worker as of the span's begin, and what of that is not known."""
    end = next((at for at, one in enumerate(entries) if "RouterWorkerDeleted" in _types(one) or _begins(one)), None)
    state: Document = {} if end is not None or now is None else {n: now[n] for n in _OF_A_WORKER if n in now}
    first: Document = {}
    for entry in entries[:end]:
        first = {name: value for name, value in entry["what"].items() if name in _OF_A_WORKER} | first
        first |= {name: None for name in entry["what"].get("tooLong", ()) if name in _OF_A_WORKER and name not in first}
    not_known = sorted({*first, *(() if state else _OF_A_WORKER)} - {"availableForOffers"})
    for name, value in first.items():
        if name == "availableForOffers":
            state[name] = not value  # it was changed to what the entry tells
        elif value is not None:
            state[name] = value
        else:
            state.pop(name, None)
    return {"id": id, **state}, not_known


def _job(id: str, entries: Sequence[Document]) -> Document:
    created = entries[0] if "RouterJobReceived" in _types(entries[0]) else None
    job: Document = {"kind": "job", "id": id}
    resource: Document = {"id": id}
    if created is not None:
        resource |= {name: created["what"][name] for name in _OF_A_JOB if name in created["what"]}
        resource["createdAt"] = created["at"]
        not_known = [name for name in created["what"].get("tooLong", ()) if name in _OF_A_JOB]
    else:
        resource |= {name: entries[0][name] for name in ("channelId", "queueId") if name in entries[0]}
        not_known = list(_OF_EARLIER)
    job["resource"] = resource
    state: Document = dict(created["what"]) if created is not None else {}
    told: list[Document] = []
    for entry in entries:
        what, before = entry["what"], dict(state)
        state |= what
        types = _types(entry)
        classified = created is not None and "RouterJobClassified" in types and "classified" not in job
        if classified:
            job["classified"] = {
                "at": entry["at"],
                "queueId": state.get("queueId") or entry.get("queueId"),
                "priority": state.get("priority", 1),
                "attachedWorkerSelectors": state.get("attachedWorkerSelectors", []),
            }
            not_known += [one for one in what.get("tooLong", ()) if one == "attachedWorkerSelectors"]
        told += _of_entry(entry, types, before, state, first=entry is created or classified)
    job["entries"] = told
    if not_known:
        job["notKnown"] = not_known
    return job


def _of_entry(
    entry: Document, types: Sequence[str], before: Document, state: Document, *, first: bool
) -> list[Document]:
    common = {"at": entry["at"], **({"decidedBy": entry["decidedBy"]} if "decidedBy" in entry else {})}
    found: list[Document] = []
    if not first:
        if "queueId" in entry["what"] and before.get("queueId") and before["queueId"] != state["queueId"]:
            found.append({**common, "what": "moved", "queueId": state["queueId"]})
        if "priority" in entry["what"]:
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
