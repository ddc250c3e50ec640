"""Reports of queues and workers: facts by time, in any time zone (docs/history.md)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final, Literal, TypeVar

from pydantic_core import from_json

from router.commit.parts import Parts
from router.engine import columns, facts
from router.engine.columns import text_of, worker_row
from router.engine.facts import Level
from router.models.types import format_time
from router.models.workers import WorkerRecord, WorkerState
from router.storage.days import months
from router.storage.facts import Counted
from router.upkeep.days import midnight, utc_days

T = TypeVar("T")
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


@dataclass(frozen=True)
class QueueSlot:
    """A queue and channel in a slot of time: its columns as text, if it is a finished day, or what they are made of."""

    start: datetime
    queue_id: str
    channel_id: str
    made: str | None
    counted: Sequence[Mapping[str, Any]] = ()

    @property
    def text(self) -> str:
        return self.made if self.made is not None else text_of(facts.merged(self.counted))


async def of_queues(parts: Parts, asked: Asked, queue_id: str | None, most: int | None = None) -> list[QueueSlot]:
    """Each slot, queue and channel that has something to tell, in that order. With `most`, no more is read than it
    takes to have so many of the first; there may be some more."""
    found: list[QueueSlot] = []
    since, done = asked.since, await _days_counted(parts, asked)
    if done is not None:
        since = midnight(done + timedelta(days=1), asked.zone)
        async for days in _whole_days(parts, asked, done, queue_id, most):
            found += days
            if most is not None and len(found) >= most:
                return sorted(found, key=_order)
    slots: dict[tuple[datetime, str, str], list[Mapping[str, Any]]] = {}
    wanted: Sequence[datetime] = list(utc_days(since, asked.until))
    number = None if most is None else 2
    while wanted:
        some, wanted = _next(wanted, number)
        number = None if number is None else 2 * number
        for quarters in await _each(some, lambda day: parts.facts.quarters(day, queue_id)):
            for one in quarters:
                if since <= one.start < asked.until:
                    place = (slot_of(one.start, asked), one.of["queueId"], one.of["channelId"])
                    slots.setdefault(place, []).append(one.facts)
        # A slot may go on in the day that is read next.
        whole = [place for place in slots if not wanted or place[0] < slot_of(wanted[0], asked)]
        if most is not None and len(found) + len(whole) >= most:
            slots = {place: slots[place] for place in whole}
            break
    found += [QueueSlot(*place, None, some) for place, some in slots.items()]
    return sorted(found, key=_order)


def _order(slot: QueueSlot) -> tuple[datetime, str, str]:
    return slot.start, slot.queue_id, slot.channel_id


def _next(wanted: Sequence[T], number: int | None) -> tuple[Sequence[T], Sequence[T]]:
    """The first so many, and the rest."""
    return (wanted, ()) if number is None else (wanted[:number], wanted[number:])


def documents(slots: Iterable[QueueSlot], asked: Asked) -> list[dict[str, Any]]:
    """The rows as JSON has them."""
    return [
        {
            "from": format_time(slot.start),
            "to": format_time(end_of(slot.start, asked)),
            "queueId": slot.queue_id,
            "channelId": slot.channel_id,
            **columns.row_of(from_json(slot.text)),
        }
        for slot in slots
    ]


async def of_workers(parts: Parts, asked: Asked, worker_id: str | None) -> list[dict[str, Any]]:
    """A row for each slot and worker that has something to tell. Hours are the finest grain: quarters are not kept."""
    slots: dict[tuple[datetime, str], list[Mapping[str, Any]]] = {}
    asked = Asked(asked.since, asked.until, "1h" if asked.grain == "15m" else asked.grain, asked.zone)
    days = list(utc_days(asked.since, asked.until))
    for found in await _each(days, lambda day: parts.facts.hours(day, worker_id)):
        for one in found:
            if asked.since <= one.start < asked.until:
                slots.setdefault((slot_of(one.start, asked), one.of["workerId"]), []).append(one.facts)
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


def slot_of(start: datetime, asked: Asked) -> datetime:
    """The beginning of the slot that a quarter of an hour belongs to, in UTC."""
    if asked.grain == "15m":
        return start
    local = start.astimezone(asked.zone)
    if asked.grain == "1h":
        return start - timedelta(minutes=local.minute, seconds=local.second)
    return midnight(local.date(), asked.zone)


def end_of(start: datetime, asked: Asked) -> datetime:
    """The end of the slot, in UTC: a day may have 23 or 25 hours."""
    if asked.grain == "15m":
        return start + timedelta(minutes=15)
    if asked.grain == "1h":
        return start + timedelta(hours=1)
    # A day may begin after midnight, where that is left out.
    return midnight((start + timedelta(hours=2)).astimezone(asked.zone).date() + timedelta(days=1), asked.zone)


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
    if asked.since != midnight(asked.since.astimezone(asked.zone).date(), asked.zone):
        return None
    known = await parts.days.done()
    last = (asked.until - timedelta(microseconds=1)).astimezone(asked.zone).date()
    if asked.until != midnight(last + timedelta(days=1), asked.zone):
        last -= timedelta(days=1)
    done = min(known, last) if known is not None else None
    return done if done is not None and done >= asked.since.astimezone(asked.zone).date() else None


async def _whole_days(
    parts: Parts, asked: Asked, last: date, queue_id: str | None, most: int | None
) -> AsyncIterator[list[QueueSlot]]:
    """Finished days, some months at a time; with `most`, ever more of them."""
    first = asked.since.astimezone(asked.zone).date()
    wanted = months(first, last)
    number = None if most is None else 1
    while wanted:
        some, wanted = _next(wanted, number)
        number = None if number is None else 2 * number
        read = await asyncio.gather(*(parts.days.month(one, queue_id) for one in some))
        found: list[QueueSlot] = []
        for month, rows in zip(some, read, strict=True):
            starts = {
                day.day: midnight(day, asked.zone)
                for day in (month + timedelta(days=number) for number in range(31))
                if day.month == month.month and first <= day <= last
            }
            for row in rows:
                found += [
                    QueueSlot(starts[number], row.queue_id, row.channel_id, text)
                    for number, text in row.days.items()
                    if number in starts
                ]
        yield found


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
        records = (await parts.workers.store.pages.page([], _MOST_WORKERS, None)).records
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
