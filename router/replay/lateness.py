"""Offers that came late: what the router itself took stands in no history, and no replay takes it."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from router.replay.figures import Doubt
from router.replay.history import Day, Entry

#: Sooner, an offer has come at once: what it follows from and the offer itself are written one after the other.
_AT_ONCE_SECONDS: Final = 2.0


def refusal(day: Day, off: Sequence[Doubt]) -> list[str]:
    """Why a replay is not believed: where it is off, and what may be the reason."""
    late = lateness(day)
    return [*map(str, off), *([late] if late is not None else [])]


def lateness(day: Day) -> str | None:
    """Of the offers that followed from nothing just before them, in a sentence; None where there are none. An offer
    follows from what happened to its job or its worker, or from a setting."""
    happened: defaultdict[tuple[str, str], list[tuple[datetime, str]]] = defaultdict(list)
    for whose, moment, offer_id in _happened(day):
        happened[whose].append((moment, offer_id))
    for some in happened.values():
        some.sort()
    offers, late = 0, list[float]()
    for job in day.jobs:
        for entry in job.entries:
            if entry.what == "offered":
                offers += 1
                owners = (("job", job.id), ("worker", str(entry.fields.get("workerId"))), ("setting", ""))
                before = [one for owner in owners if (one := _last(happened[owner], entry)) is not None]
                seconds = (entry.at - max(before)).total_seconds() if before else 0.0
                if seconds > _AT_ONCE_SECONDS:
                    late.append(seconds)
    if not late:
        return None
    return (
        f"{len(late)} of {offers} offers were made {sum(late) / len(late):.1f} s on average after the last thing that"
        " happened to their job or worker: the router was slow then, or its clock was put forward, and the replay"
        " makes offers at once"
    )


def _last(happened: Sequence[tuple[datetime, str]], offer: Entry) -> datetime | None:
    """Before the offer, or at the same time, if it is not what became of it."""
    at = bisect.bisect_right(happened, offer.at, key=lambda one: one[0])
    own = str(offer.fields.get("offerId"))
    return next((happened[one][0] for one in range(at - 1, -1, -1) if happened[one][1] != own), None)


def _happened(day: Day) -> Iterator[tuple[tuple[str, str], datetime, str]]:
    """Whose it was, when, and to which offer."""
    for setting in day.settings.values():
        for moment, _ in setting.changes:
            yield ("setting", ""), moment, ""
    for worker in day.workers.values():
        for entry in worker.entries:
            yield ("worker", worker.id), entry.at, ""
    for held in day.held:
        if held.ends is not None:
            yield ("worker", held.worker_id), held.ends, ""
    for job in day.jobs:
        at_work: str | None = None
        for entry in job.entries:
            if entry.what == "offered":
                continue
            offer_id, worker_id = str(entry.fields.get("offerId", "")), entry.fields.get("workerId") or at_work
            yield ("job", job.id), entry.at, offer_id
            if worker_id is not None:
                yield ("worker", str(worker_id)), entry.at, offer_id
            if entry.what == "accepted":
                at_work = str(worker_id)
