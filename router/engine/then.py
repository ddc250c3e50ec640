"""Why a job was where it was at a time, by the entries of its timeline until then (docs/history.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from router.models.event_catalogue import EVENT_TYPE_PREFIX, EventName

_E: Final = EventName
_ENDS: Final = {
    _E.WORKER_OFFER_DECLINED: "declined",
    _E.WORKER_OFFER_EXPIRED: "expired",
    _E.WORKER_OFFER_REVOKED: "revoked",
}
#: What a timeline cannot tell: it has what happened, not what might have.
_NOT_KNOWN: Final = (
    "who else was available then, with which labels and load: workers that were not offered the job are not in it",
    "how long the line was, and which jobs stood before this one",
)


def explained(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Status, summary, the offers so far, what was known of the job, and what is not known."""
    known: dict[str, Any] = {}
    offers: dict[str, dict[str, Any]] = {}
    assigned: dict[str, Any] | None = None
    left_out: set[str] = set()
    for entry in entries:
        what = dict(entry.get("what") or {})
        left_out |= set(what.pop("tooLong", ()))
        known |= what
        for event in entry.get("events", ()):
            name = str(event["eventType"]).removeprefix(EVENT_TYPE_PREFIX)
            offer = offers.setdefault(event["offerId"], {"offerId": event["offerId"]}) if "offerId" in event else {}
            if name == _E.WORKER_OFFER_ISSUED:
                offer |= {"workerId": event.get("workerId"), "offeredAt": entry["at"], "outcome": "open"}
                if entry.get("decidedBy"):
                    offer["decidedBy"] = entry["decidedBy"]
            elif name == _E.WORKER_OFFER_ACCEPTED:
                offer |= {"workerId": event.get("workerId"), "outcome": "accepted"}
                assigned = {"workerId": event.get("workerId"), "assignedAt": entry["at"], "by": entry.get("actor")}
                if offer.get("decidedBy"):
                    assigned["decidedBy"] = offer["decidedBy"]
            elif name in _ENDS:
                offer |= {"workerId": event.get("workerId"), "outcome": _ENDS[EventName(name)]}
            elif name == _E.JOB_UNASSIGNED:
                assigned = None
    deleted = str(entries[-1].get("eventType") or "").endswith(_E.JOB_DELETED)
    status = "deleted" if deleted else str(known.get("status", "unknown"))
    fields = ("queueId", "priority", "requestedWorkerSelectors", "attachedWorkerSelectors", "labels", "channelId")
    return {
        "status": status,
        "summary": _summary(status, known, list(offers.values()), assigned),
        "assigned": assigned,
        "offers": list(offers.values()),
        "knownThen": {name: known[name] for name in fields if name in known},
        "notKnown": [*_NOT_KNOWN, *(f"{name}: it was too long to be kept" for name in sorted(left_out))],
        "last": entries[-1],
    }


def _summary(
    status: str, known: Mapping[str, Any], offers: Sequence[Mapping[str, Any]], assigned: Mapping[str, Any] | None
) -> str:
    before = [one for one in offers if one.get("outcome") in _ENDS.values()]
    told = "; ".join(f"'{one.get('workerId')}' {one['outcome']}" for one in before)
    if assigned is not None:
        by = f", as {assigned['decidedBy']} had it" if assigned.get("decidedBy") else ""
        text = f"The job was {status}: '{assigned['workerId']}' was offered it{by}, and accepted."
    elif (live := [one for one in offers if one.get("outcome") == "open"]) and status == "queued":
        text = "The job was offered to " + ", ".join(f"'{one.get('workerId')}'" for one in live) + "."
    elif status == "queued":
        text = f"The job waited in queue '{known.get('queueId')}'."
    else:
        text = f"The job was {status}."
    return f"{text} Before that: {told}." if told else text
