"""Reports of queues and workers: facts by time, in any time zone (docs/history.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final, Literal

from router.commit.parts import Parts
from router.engine import facts
from router.engine.facts import COUNTS, SPREADS, TIMES, Facts, Level
from router.models.types import format_time
from router.models.workers import WorkerRecord, WorkerState
from router.storage.facts import Counted

Grain = Literal["15m", "1h", "1d"]
#: A span of so many days at most is read quarter by quarter.
MOST_DAYS: Final[Mapping[Grain, int]] = {"15m": 31, "1h": 93, "1d": 400}
_DAYS_AT_ONCE: Final = 16
_MOST_WORKERS: Final = 1000


@dataclass(frozen=True)
class Asked:
    """What a report is asked for: from, to (not included), the grain and the zone of its days and hours."""

    since: datetime
    until: datetime
    grain: Grain
    zone: tzinfo


async def of_queues(parts: Parts, asked: Asked, queue_id: str | None) -> list[dict[str, Any]]:
    """A row for each slot, queue and channel that has something to tell, in that order."""
    slots: dict[tuple[datetime, str, str], list[Mapping[str, Any]]] = {}

    def add(start: datetime, one: Counted) -> None:
        slots.setdefault((start, one.of["queueId"], one.of["channelId"]), []).extend(one.facts)

    since, done = asked.since, await _days_counted(parts, asked)
    if done is not None:
        since = _midnight(done + timedelta(days=1), asked.zone)
        for day, one in await _whole_days(parts, asked, done, queue_id):
            add(_midnight(day, asked.zone), one)
    days = list(_utc_days(since, asked.until))
    for found in await _each(days, lambda day: parts.facts.quarters(day, queue_id)):
        for one in found:
            if since <= one.start < asked.until:
                add(slot_of(one.start, asked), one)
    return [
        {
            "from": format_time(start),
            "to": format_time(end_of(start, asked)),
            "queueId": queue,
            "channelId": channel,
            **queue_row(facts.merged(some)),
        }
        for (start, queue, channel), some in sorted(slots.items(), key=lambda item: item[0])
    ]


async def of_workers(parts: Parts, asked: Asked, worker_id: str | None) -> list[dict[str, Any]]:
    """A row for each slot and worker that has something to tell. Hours are the finest grain: quarters are not kept."""
    slots: dict[tuple[datetime, str], list[Mapping[str, Any]]] = {}
    asked = Asked(asked.since, asked.until, "1h" if asked.grain == "15m" else asked.grain, asked.zone)
    days = list(_utc_days(asked.since, asked.until))
    for found in await _each(days, lambda day: parts.facts.hours(day, worker_id)):
        for one in found:
            if asked.since <= one.start < asked.until:
                slots.setdefault((slot_of(one.start, asked), one.of["workerId"]), []).extend(one.facts)
    for worker, start, some in await _under_way(parts, asked, worker_id):
        slots.setdefault((slot_of(start, asked), worker), []).append(some)
    return [
        {
            "from": format_time(start),
            "to": format_time(end_of(start, asked)),
            "workerId": worker,
            **worker_row(facts.merged(some)),
        }
        for (start, worker), some in sorted(slots.items(), key=lambda item: item[0])
    ]


async def service_levels(parts: Parts, now: datetime) -> tuple[dict[str, Level], int]:
    """By queue what its service level of the last quarter of an hour is made of, and how many reads of storage that
    took: a query, whatever the number of queues. Queues in which nobody was served and nobody gave up are not there."""
    until = now.astimezone(UTC)
    return await parts.facts.levels(until - timedelta(minutes=facts.LEVEL_MINUTES), until)


def queue_row(found: Facts) -> dict[str, Any]:
    """The columns of a queue's row."""
    row: dict[str, Any] = {name: found.get(name, 0) for name in COUNTS}
    for name in SPREADS:
        spread = found.get(name)
        row[f"{name}Count"] = spread["count"] if spread else 0
        row[f"{name}Sum"] = spread["sum"] if spread else 0
        row[f"{name}Max"] = spread["max"] if spread else 0
        for part in (50, 90, 95):
            row[f"{name}P{part}"] = facts.percentile(spread, part / 100)
    row["longestLine"] = found.get("longestLine", 0)
    row |= facts.service_levels(found)
    row["waitHistogram"] = [
        {"upTo": facts.BOUNDS[int(bucket)] if int(bucket) < len(facts.BOUNDS) else None, "count": count}
        for bucket, count in sorted((found.get("wait") or {"h": {}})["h"].items(), key=lambda item: int(item[0]))
    ]
    return row


_OF_WORKER: Final = (
    "offered", "accepted", "declined", "expired", "revoked", "completed", "closed", "unassigned", "cancelled",
)  # fmt: skip


def worker_row(found: Facts) -> dict[str, Any]:
    """The columns of a worker's row."""
    row: dict[str, Any] = {name: found.get(name, 0) for name in _OF_WORKER}
    seconds = found.get("seconds", {})
    row |= {f"{name}Seconds": round(seconds.get(name, 0.0), 3) for name in TIMES}
    row["dispositions"] = dict(sorted(found.get("dispositions", {}).items()))
    return row


def slot_of(start: datetime, asked: Asked) -> datetime:
    """The beginning of the slot that a quarter of an hour belongs to, in UTC."""
    if asked.grain == "15m":
        return start
    local = start.astimezone(asked.zone)
    if asked.grain == "1h":
        return start - timedelta(minutes=local.minute, seconds=local.second)
    return _midnight(local.date(), asked.zone)


def end_of(start: datetime, asked: Asked) -> datetime:
    """The end of the slot, in UTC: a day may have 23 or 25 hours."""
    if asked.grain == "15m":
        return start + timedelta(minutes=15)
    if asked.grain == "1h":
        return start + timedelta(hours=1)
    # A day may begin after midnight, where that is left out.
    return _midnight((start + timedelta(hours=2)).astimezone(asked.zone).date() + timedelta(days=1), asked.zone)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _utc_days(since: datetime, until: datetime) -> Iterable[datetime]:
    day = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while day < until:
        yield day
        day += timedelta(days=1)


async def _each(days: Sequence[datetime], read: Any) -> list[list[Counted]]:
    slots = asyncio.Semaphore(_DAYS_AT_ONCE)

    async def one(day: datetime) -> list[Counted]:
        async with slots:
            found: list[Counted] = await read(day)
            return found

    return list(await asyncio.gather(*map(one, days)))


async def _days_counted(parts: Parts, asked: Asked) -> date | None:
    """The last day that has been added up, if such days serve the report: days of the reports' own zone, whole."""
    if asked.grain != "1d" or str(asked.zone) != str(parts.report_zone):
        return None
    if asked.since != _midnight(asked.since.astimezone(asked.zone).date(), asked.zone):
        return None
    known = await parts.facts.mark("day")
    last = (asked.until - timedelta(microseconds=1)).astimezone(asked.zone).date()
    if asked.until != _midnight(last + timedelta(days=1), asked.zone):
        last -= timedelta(days=1)
    done = min(date.fromisoformat(known), last) if known else None
    return done if done is not None and done >= asked.since.astimezone(asked.zone).date() else None


async def _whole_days(parts: Parts, asked: Asked, last: date, queue_id: str | None) -> list[tuple[date, Counted]]:
    first = asked.since.astimezone(asked.zone).date()
    months = dict.fromkeys(f"{first + timedelta(days=number):%Y%m}" for number in range((last - first).days + 1))
    found = await asyncio.gather(*(parts.facts.days(month, queue_id) for month in months))
    days = [(date.fromisoformat(day), one) for some in found for day, one in some]
    return [(day, one) for day, one in days if first <= day <= last]


async def _under_way(
    parts: Parts, asked: Asked, worker_id: str | None
) -> list[tuple[str, datetime, Mapping[str, Any]]]:
    """What goes on still: who is available, and has offers and jobs in hand. It is counted when it ends."""
    now = parts.clock.now()
    if not asked.since <= now < asked.until + timedelta(days=1):
        return []
    if worker_id is not None:
        row = await parts.workers.store.load(worker_id)
        records: Sequence[WorkerRecord] = [row.record] if row.record is not None else []
    else:
        records = (await parts.workers.store.page([], _MOST_WORKERS, None)).records
    found: list[tuple[str, datetime, Mapping[str, Any]]] = []
    for record in records:
        for what, start in _open_spans(record):
            for hour, seconds in facts.by_hour(max(start, asked.since), min(now, asked.until)):
                found.append((record.id, hour, {"seconds": {what: seconds}}))
    return found


def _open_spans(record: WorkerRecord) -> list[tuple[str, datetime]]:
    worker = record.worker
    spans = [("offered", offer.offered_at) for offer in worker.offers]
    spans += [("busy", one.assigned_at) for one in worker.assigned_jobs]
    if worker.state is not WorkerState.INACTIVE and record.routing.registered_at is not None:
        spans.append(("available", record.routing.registered_at))
    return spans
