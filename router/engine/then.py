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


#: The offers that are told, the last ones: a job may have any number.
MOST_OFFERS_TOLD: Final = 1_000


class Told:
    """What the entries say that were added, in their order. Keeps of them what an answer needs."""

    def __init__(self) -> None:
        self.last: Mapping[str, Any] | None = None
        self._known: dict[str, Any] = {}
        self._offers: dict[str, dict[str, Any]] = {}
        self._assigned: dict[str, Any] | None = None
        self._left_out: set[str] = set()

    def add(self, entry: Mapping[str, Any]) -> None:
        self.last = entry
        what = dict(entry.get("what") or {})
        self._left_out |= set(what.pop("tooLong", ()))
        self._known |= what
        for event in entry.get("events", ()):
            name = str(event["eventType"]).removeprefix(EVENT_TYPE_PREFIX)
            offer = self._offer(event["offerId"]) if "offerId" in event else {}
            if name == _E.WORKER_OFFER_ISSUED:
                offer |= {"workerId": event.get("workerId"), "offeredAt": entry["at"], "outcome": "open"}
                if entry.get("decidedBy"):
                    offer["decidedBy"] = entry["decidedBy"]
            elif name == _E.WORKER_OFFER_ACCEPTED:
                offer |= {"workerId": event.get("workerId"), "outcome": "accepted"}
                assigned = {"workerId": event.get("workerId"), "assignedAt": entry["at"], "by": entry.get("actor")}
                if offer.get("decidedBy"):
                    assigned["decidedBy"] = offer["decidedBy"]
                self._assigned = assigned
            elif name in _ENDS:
                offer |= {"workerId": event.get("workerId"), "outcome": _ENDS[EventName(name)]}
            elif name == _E.JOB_UNASSIGNED:
                self._assigned = None

    def _offer(self, offer_id: str) -> dict[str, Any]:
        found = self._offers.setdefault(offer_id, {"offerId": offer_id})
        if len(self._offers) > MOST_OFFERS_TOLD:
            del self._offers[next(iter(self._offers))]
        return found

    def explained(self) -> dict[str, Any]:
        """Status, summary, the offers so far, what was known of the job, and what is not known."""
        assert self.last is not None
        known, offers = self._known, list(self._offers.values())
        deleted = str(self.last.get("eventType") or "").endswith(_E.JOB_DELETED)
        status = "deleted" if deleted else str(known.get("status", "unknown"))
        fields = ("queueId", "priority", "requestedWorkerSelectors", "attachedWorkerSelectors", "labels", "channelId")
        return {
            "status": status,
            "summary": _summary(status, known, offers, self._assigned),
            "assigned": self._assigned,
            "offers": offers,
            "knownThen": {name: known[name] for name in fields if name in known},
            "notKnown": [*_NOT_KNOWN, *(f"{name}: it was too long to be kept" for name in sorted(self._left_out))],
            "last": self.last,
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
