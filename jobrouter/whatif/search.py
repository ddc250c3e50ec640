"""Bounded sets of changes to try."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from jobrouter.whatif.changes import asked_for
from router.replay.history import Day

#: Of each set at most so many are tried.
MOST: Final = 24
_RELAX_AFTER: Final = (20, 40, 60)
_BLOCK_HOURS: Final = 2


def team(day: Day) -> list[tuple[dict[str, Any], float]]:
    """One worker more, of each sort that the day has, for two hours; with the hours that it costs."""
    found: list[tuple[dict[str, Any], float]] = []
    sorts: dict[str, Any] = {}
    for worker in day.workers.values():
        document = worker.resource.model_dump(mode="json", by_alias=True, exclude_none=True)
        document.pop("availableForOffers", None)
        document.pop("tags", None)
        sorts.setdefault(json.dumps(document, sort_keys=True), document)
    blocks = list(_blocks(day))
    for begin, end, first, last, hours in blocks:
        for document in sorts.values():
            labels = ", ".join(f"{name}={value}" for name, value in sorted(document.get("labels", {}).items()))
            of = labels or ", ".join(document.get("queues", []))
            one = {"id": "one more", "resource": document, "from": begin, "to": end}
            name = f"one worker more ({of}) from {first} to {last}"
            found.append(({"name": name, "workers": {"add": [one]}}, hours))
    if len(found) > MOST:  # spread over the day
        found = [found[int(at * len(found) / MOST)] for at in range(MOST)]
    return found


def _blocks(day: Day) -> Iterator[tuple[str, str, str, str, float]]:
    begin = day.begins
    while begin < day.ends:
        end = min(begin + timedelta(hours=_BLOCK_HOURS), day.ends)
        hours = (end - begin).total_seconds() / 3600
        yield begin.isoformat(), end.isoformat(), begin.strftime("%H:%M"), end.strftime("%H:%M"), hours
        begin = end


def policy(day: Day) -> list[tuple[dict[str, Any], float]]:
    """Each mode for all queues, and each label that jobs ask for no longer asked for after a while; all free."""
    found: list[tuple[dict[str, Any], float]] = []
    policies = [id for kind, id in day.settings if kind == "distributionPolicy"]
    for kind in ("longestIdle", "roundRobin", "bestWorker"):
        patch = {id: {"mode": {"kind": kind}} for id in policies}
        found.append(({"name": f"mode {kind}", "distributionPolicies": patch}, 0.0))
    for key in sorted(asked_for(day)):
        for seconds in _RELAX_AFTER:
            relaxed = {"selectors": [{"key": key, "expiresAfterSeconds": seconds}]}
            found.append(({"name": f"'{key}' no longer asked for after {seconds} s", "jobs": relaxed}, 0.0))
    return found[:MOST]
