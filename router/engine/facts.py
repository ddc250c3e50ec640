"""Facts for reports, made of the entries of histories: an entry is counted by itself, so counting it again counts the
same.

Facts are plain dictionaries, as they are stored: counts by name, and `wait`, `abandon`, `handle`, `wrapUp` as spreads:
count, sum, max (seconds), and `h`: how many by the bucket that they fall into."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from router.models.event_catalogue import EVENT_TYPE_PREFIX, EventName
from router.models.types import parse_time

Facts = dict[str, Any]
#: A service level is told for so many minutes.
LEVEL_MINUTES: Final = 15
#: Queue labels that say otherwise than the settings.
_LABELS: Final = ("serviceLevelSeconds", "shortAbandonSeconds")
#: Upper bounds of the buckets, in seconds; what is longer falls into one more.
BOUNDS: Final = (
    0.5, 1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1200, 1800, 2700, 3600,
    5400, 7200, 10800, 14400, 28800, 86400,
)  # fmt: skip
SPREADS: Final = ("wait", "abandon", "handle", "wrapUp")
_SPREADS: Final = frozenset(SPREADS)
#: Seconds of a worker's hour.
TIMES: Final = ("available", "offered", "busy", "wrapUp")
COUNTS: Final = (
    "offered", "accepted", "declined", "expired", "revoked", "assigned", "completed", "closed", "unassigned",
    "cancelled", "cancelledWhileWaiting", "servedWithinThreshold", "abandonedWithinThreshold", "shortAbandoned",
)  # fmt: skip
_E: Final = EventName
_COUNTED: Final = {
    _E.WORKER_OFFER_ISSUED: ("offered",),
    _E.WORKER_OFFER_ACCEPTED: ("accepted", "assigned"),
    _E.WORKER_OFFER_DECLINED: ("declined",),
    _E.WORKER_OFFER_EXPIRED: ("expired",),
    _E.WORKER_OFFER_REVOKED: ("revoked",),
    _E.JOB_COMPLETED: ("completed",),
    _E.JOB_CLOSED: ("closed",),
    _E.JOB_UNASSIGNED: ("unassigned",),
    _E.JOB_CANCELLED: ("cancelled",),
}
_HOUR: Final = timedelta(hours=1)
#: Of one interval: longer than an assignment may last.
_MOST_HOURS: Final = 24 * 100


@dataclass(frozen=True)
class Thresholds:
    """In seconds: who is served within `service` is served well, who gives up within `short` has not really waited."""

    service: float = 20.0
    short: float = 5.0

    def of_queue(self, labels: Mapping[str, Any] | None) -> Thresholds:
        """Those of a queue with these labels."""
        found = [
            float(value) if isinstance(value := (labels or {}).get(name), int | float) and not isinstance(value, bool)
            else default
            for name, default in zip(_LABELS, (self.service, self.short), strict=True)
        ]  # fmt: skip
        return Thresholds(*found)


class Level(NamedTuple):
    """What a queue's service level is made of: how many were served, gave up, and were served within the threshold."""

    served: int = 0
    gone: int = 0
    within: int = 0

    @property
    def percent(self) -> float | None:
        """Of all who were served or gave up; None if nobody was and nobody did."""
        return percent_of(self.within, self.served + self.gone)


def level_of(facts: Mapping[str, Any]) -> Level:
    served, gone = (int(facts.get(name, {}).get("count", 0)) for name in ("wait", "abandon"))
    return Level(served, gone, int(facts.get("servedWithinThreshold", 0)))


def of_queues(
    told: Mapping[str, Any], at: datetime, thresholds: Mapping[str, Thresholds]
) -> dict[tuple[str, str], Facts]:
    """What an entry counts for its queue and channel."""
    queue_id, channel_id = told.get("queueId"), told.get("channelId")
    if not queue_id or not channel_id:
        return {}
    facts: Facts = {}
    limits = thresholds.get(queue_id, Thresholds())
    for event in told.get("events", ()):
        name = str(event["eventType"]).removeprefix(EVENT_TYPE_PREFIX)
        for counted in _COUNTED.get(EventName(name), ()):
            _add(facts, counted)
        waited = event.get("waitSeconds")
        if name == _E.WORKER_OFFER_ACCEPTED and waited is not None:
            _spread(facts, "wait", waited)
            if waited <= limits.service:
                _add(facts, "servedWithinThreshold")
            if "toldWaitHeld" in event:
                _add(facts, "waitsTold")
                if event["toldWaitHeld"]:
                    _add(facts, "waitsHeld")
        if name == _E.JOB_CANCELLED and waited is not None:
            _add(facts, "cancelledWhileWaiting")
            _spread(facts, "abandon", waited)
            if waited <= limits.service:
                _add(facts, "abandonedWithinThreshold")
            if waited <= limits.short:
                _add(facts, "shortAbandoned")
    for _, what, start, end in _spans({**told, "at": at}):
        if what == "busy":
            _spread(facts, "handle", (end - start).total_seconds())
        elif what == "wrapUp":
            _spread(facts, "wrapUp", (end - start).total_seconds())
    return {(queue_id, channel_id): facts} if facts else {}


def of_workers(told: Mapping[str, Any], at: datetime) -> dict[tuple[str, datetime], Facts]:
    """What an entry counts for workers, by worker and hour: counts in the hour in which it happened, seconds in the
    hours in which they were spent."""
    found: dict[tuple[str, datetime], Facts] = {}
    hour = hour_of(at)
    for event in told.get("events", ()):
        worker_id = event.get("workerId")
        name = str(event["eventType"]).removeprefix(EVENT_TYPE_PREFIX)
        if not worker_id:
            continue
        facts = found.setdefault((worker_id, hour), {})
        for counted in _COUNTED.get(EventName(name), ()):
            _add(facts, counted)
        code = event.get("dispositionCode")
        if code and name in (_E.JOB_CLOSED, _E.JOB_CANCELLED):
            _add(facts.setdefault("dispositions", {}), str(code))
    for worker_id, what, start, end in _spans({**told, "at": at}):
        for begin, seconds in by_hour(start, end):
            times = found.setdefault((worker_id, begin), {}).setdefault("seconds", {})
            times[what] = round(times.get(what, 0.0) + seconds, 3)
    return {place: facts for place, facts in found.items() if facts}


def hour_of(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def by_hour(start: datetime, end: datetime) -> list[tuple[datetime, float]]:
    """The seconds of an interval in each hour that it touches."""
    found: list[tuple[datetime, float]] = []
    while start < end and len(found) < _MOST_HOURS:
        following = min(hour_of(start) + _HOUR, end)
        found.append((hour_of(start), (following - start).total_seconds()))
        start = following
    return found


def _spans(told: Mapping[str, Any]) -> list[tuple[str, str, datetime, datetime]]:
    """Worker, what, from, to: the intervals that end with this entry."""
    at: datetime = told["at"]
    found: list[tuple[str, str, datetime, datetime]] = []
    for event in told.get("events", ()):
        worker_id = event.get("workerId") or told.get("workerId")
        if not worker_id:
            continue
        name = str(event["eventType"]).removeprefix(EVENT_TYPE_PREFIX)
        if "offeredAt" in event:
            found.append((worker_id, "offered", parse_time(event["offeredAt"]), at))
        if "registeredAt" in event:
            found.append((worker_id, "available", parse_time(event["registeredAt"]), at))
        if name == _E.JOB_CLOSED and "completedAt" in event:
            end = parse_time(event["closedAt"]) if "closedAt" in event else at
            found.append((worker_id, "wrapUp", parse_time(event["completedAt"]), end))
        elif "assignedAt" in event:
            ended = event.get("completedAt") or event.get("closedAt")
            found.append((worker_id, "busy", parse_time(event["assignedAt"]), parse_time(ended) if ended else at))
    return found


def merged(all_facts: Iterable[Mapping[str, Any]]) -> Facts:
    """Several facts as one."""
    found: Facts = {}
    for facts in all_facts:
        for name, value in facts.items():
            if name in _SPREADS:
                _put_together(found, name, value)
            elif isinstance(value, dict):
                one = found.setdefault(name, {})
                for key, number in value.items():
                    one[key] = round(one.get(key, 0) + number, 3)
            elif name == "longestLine":
                found[name] = max(found.get(name, 0), value)
            else:
                found[name] = found.get(name, 0) + value
    return found


def percentile(spread: Mapping[str, Any] | None, part: float) -> float | None:
    """The value that this part of all does not exceed, as far as the buckets tell."""
    if not spread or not spread["count"]:
        return None
    wanted, seen, most = part * spread["count"], 0, spread["max"]
    for bucket, count in sorted((int(bucket), count) for bucket, count in spread["h"].items()):
        if count and seen + count >= wanted:
            low = BOUNDS[bucket - 1] if bucket else 0.0
            high = min(BOUNDS[bucket], most) if bucket < len(BOUNDS) else most
            return round(float(min(low + (max(high, low) - low) * (wanted - seen) / count, most)), 3)
        seen += count
    return float(most)


def service_levels(facts: Mapping[str, Any]) -> dict[str, float | None]:
    """In percent. Those who gave up count as not served (`serviceLevel`), unless they did so at once
    (`serviceLevelWithoutShortAbandons`). Asterisk's two: of those who were served (`servicelevelPerf`), and with those
    who gave up in time (`servicelevelPerf2`)."""
    level = level_of(facts)
    served, gone, within = level
    return {
        "serviceLevel": level.percent,
        "serviceLevelWithoutShortAbandons": percent_of(within, served + gone - facts.get("shortAbandoned", 0)),
        "servicelevelPerf": percent_of(within, served),
        "servicelevelPerf2": percent_of(within + facts.get("abandonedWithinThreshold", 0), served + gone),
    }


def percent_of(part: float, whole: float) -> float | None:
    return round(100 * part / whole, 1) if whole > 0 else None


def _add(facts: Facts, name: str) -> None:
    facts[name] = facts.get(name, 0) + 1


def _spread(facts: Facts, name: str, seconds: float) -> None:
    seconds = max(round(seconds, 3), 0.0)
    bucket = str(bisect_left(BOUNDS, seconds))
    _put_together(facts, name, {"count": 1, "sum": seconds, "max": seconds, "h": {bucket: 1}})


def _put_together(facts: Facts, name: str, more: Mapping[str, Any]) -> None:
    """Adds to a spread in place; a year's report does so very often."""
    one = facts.get(name)
    if one is None:
        facts[name] = {**more, "h": dict(more["h"])}
        return
    one["count"] += more["count"]
    one["sum"] = round(one["sum"] + more["sum"], 3)
    if more["max"] > one["max"]:
        one["max"] = more["max"]
    buckets = one["h"]
    for bucket, number in more["h"].items():
        buckets[bucket] = buckets.get(bucket, 0) + number
