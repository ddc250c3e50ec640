"""Reports: slots of any time zone, days that are added up ahead, and what is too old."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobrouter.history import table
from router.engine.facts import Level
from router.models.history import entry_key
from router.models.jobs import CancelJobOptions
from router.replay.exported import lines
from router.storage.facts import minute_columns, of_hour, of_minute, of_quarter
from router.storage.history import of_job
from router.upkeep.facts import FactCounter
from router.usecases import jobs as job_usecases
from router.usecases import timelines
from router.usecases.reports import Asked, Grain, end_of, of_workers, slot_of
from router.usecases.timelines import Span
from tests.memory_router import START, Process, Tables, in_virtual_time

BERLIN = ZoneInfo("Europe/Berlin")


def asked(grain: Grain, zone: str, since: datetime = START, until: datetime = START) -> Asked:
    return Asked(since, until, grain, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 7, 1), 24),
        ("America/New_York", date(2026, 3, 8), 23),
        ("Asia/Kolkata", date(2026, 10, 25), 24),
        ("Africa/Cairo", date(2026, 4, 24), 23),  # at midnight itself
    ],
)
def test_a_day_is_as_long_as_it_is(zone: str, day: date, hours: int) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    start = slot_of(noon, asked("1d", zone))
    end = end_of(start, asked("1d", zone))
    assert (end - start) / timedelta(hours=1) == hours
    assert slot_of(end, asked("1d", zone)) == end
    assert slot_of(end - timedelta(minutes=15), asked("1d", zone)) == start


def test_hours_of_a_zone_with_half_an_hour_and_those_that_come_twice() -> None:
    at = datetime(2026, 11, 29, 10, 15, tzinfo=UTC)
    assert slot_of(at, asked("1h", "Asia/Kolkata")) == datetime(2026, 11, 29, 9, 30, tzinfo=UTC)
    assert slot_of(at, asked("15m", "Asia/Kolkata")) == at
    twice = [datetime(2026, 10, 25, hour, 15, tzinfo=UTC) for hour in (0, 1)]  # both are a quarter past two in Berlin
    assert len({slot_of(one, asked("1h", "Europe/Berlin")) for one in twice}) == 2


def test_zones_are_known_where_the_system_knows_none() -> None:
    """On Windows, and in images without a zone database."""
    code = "import router.wire.query as query; print(query._zone('Europe/Berlin'), query._zone('America/New_York'))"
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONTZPATH": ""}, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["Europe/Berlin", "America/New_York"]


async def counted(process: Process, queue: str, at: datetime, number: int) -> None:
    place = of_quarter(queue, "voice", at)
    await process.parts.facts.known([place])
    await process.parts.facts.write({place: {f"M{at.minute % 15:02d}": json.dumps({"offered": number})}})


@in_virtual_time
async def test_what_is_too_old_is_removed() -> None:
    process = Process(Tables())
    parts = process.parts
    await process.queue()
    await process.job("j")
    await asyncio.sleep(60)
    await counted(process, "q", parts.clock.now(), 1)
    await parts.facts.known([of_hour("w", parts.clock.now(), parts.clock.now())])
    await parts.facts.write({of_hour("w", parts.clock.now(), parts.clock.now()): {"M00": '{"offered":1}'}})
    later = parts.clock.now() + timedelta(days=29)
    counter = FactCounter(parts)
    await counter.tidy(later)
    assert (await parts.history.page(of_job("j"), "", "", 10))[0] == []  # it stands in its row
    told, _ = await timelines.of_all(parts, Span(), 100, None)
    assert len([one for one in told if one["owner"] == "job/j"]) == 2
    await counter.tidy(later + timedelta(days=2))
    assert (await timelines.of_all(parts, Span(), 100, None))[0] == []
    assert process.tables.of("history").all() == []
    assert len(process.tables.of("facts").all()) == 2
    await counter.tidy(later + timedelta(days=400))
    assert process.tables.of("facts").all() == []


@in_virtual_time
async def test_without_a_history_nothing_is_kept() -> None:
    process = Process(Tables())
    process.parts.chronicle._days = 0
    await process.queue()
    await process.worker("w")
    await process.job("j")
    await asyncio.sleep(60)
    assert (await process.parts.jobs.store.load("j")).history == ()
    assert process.tables.of("history").all() == []
    assert not [row for row in process.tables.of("deadlines").all() if row.row > "a"]


@in_virtual_time
async def test_what_a_row_has_no_room_for_is_kept_elsewhere_and_told_in_order() -> None:
    process = Process(Tables())
    parts = process.parts
    await process.queue()
    await process.job("j")
    for number in range(30):
        await asyncio.sleep(1)
        await process.job("j", tags={"text": f"{number}" + "x" * 1200})
    row = await parts.jobs.store.load("j")
    assert sum(len(entry.text) for entry in row.history) < 16_000
    told, after = await timelines.of_a_job(parts, "j", 100, None)
    assert after is None
    assert [one["what"]["tags"]["text"][:2].rstrip("x") for one in told[2:]] == [f"{number}" for number in range(30)]
    pages = []
    while True:
        page, after = await timelines.of_a_job(parts, "j", 7, after)
        pages += page
        if after is None:
            break
    assert pages == told


@in_virtual_time
async def test_workers_are_counted_up_to_now() -> None:
    process = Process(Tables())
    await process.queue()
    await process.worker("w")
    await asyncio.sleep(1800)
    now = process.parts.clock.now()
    span = Asked(now - timedelta(hours=1), now + timedelta(seconds=1), "1h", ZoneInfo("UTC"))
    (row,) = await of_workers(process.parts, span, None)
    assert (row["workerId"], round(row["availableSeconds"])) == ("w", 1800)


@in_virtual_time
async def test_an_export_has_a_line_for_each_job_worker_and_setting() -> None:
    process = Process(Tables())
    parts = process.parts
    await process.queue()
    await process.worker("w")
    await process.job("j", priority=3)
    await asyncio.sleep(1)
    await process.job("j", priority=7)
    await asyncio.sleep(60)
    await job_usecases.cancel(parts, "j", CancelJobOptions())
    await asyncio.sleep(60)
    since = entry_key(START, "")[:10]
    entries, _ = await timelines.of_all(parts, Span(), 1000, None)
    changes, _ = await timelines.of_settings(parts, Span(), None, None, 1000, None)
    found = list(lines(f"{since}T00:00:00Z", f"{since}T23:00:00Z", entries, changes, {}, []))
    assert found[0] == {"kind": "header", "version": 1, "from": f"{since}T00:00:00Z", "to": f"{since}T23:00:00Z"}
    by_kind = {one["kind"]: one for one in found[1:]}
    assert set(by_kind) == {"queue", "distributionPolicy", "worker", "job"}
    assert by_kind["queue"]["resource"] is None
    assert by_kind["queue"]["changes"][0]["resource"]["distributionPolicyId"] == "q"
    job = by_kind["job"]
    assert (job["resource"]["priority"], job["resource"]["queueId"]) == (3, "q")
    assert job["resource"]["createdAt"] == entries[0]["at"] or job["resource"]["createdAt"]
    assert [one["what"] for one in job["entries"]] == ["queued", "offered", "reprioritised", "revoked", "cancelled"]
    assert job["entries"][1]["decidedBy"] == "distributionPolicy/q"
    assert by_kind["worker"]["entries"][0]["what"] == "registered"
    assert by_kind["worker"]["resource"]["capacity"] == 1
    assert table(entries).splitlines()[0].startswith("at,owner,eventType")


@in_virtual_time
async def test_minutes_of_very_many_queues_fit_their_row() -> None:
    process = Process(Tables())
    facts, now = process.parts.facts, process.parts.clock.now()
    levels = {f"a queue with a name that is long {number}": Level(number, 1, number) for number in range(9_000)}
    place = of_minute(now)
    await facts.known([place])
    await facts.write({place: minute_columns(levels)})
    told, _ = await facts.levels(now, now)
    assert 7_000 < len(told) < 9_000
    assert all(levels[id] == level for id, level in told.items())
    assert min(level.served for level in told.values()) == 9_000 - len(told)  # the smallest are left out
    # Fewer than before: nothing of before is left.
    await facts.write({place: minute_columns({"q": Level(1, 0, 1)})})
    assert (await facts.levels(now, now))[0] == {"q": Level(1, 0, 1)}
    # Told for a day.
    await FactCounter(process.parts).tidy(now + timedelta(hours=23))
    assert process.tables.of("facts").all() != []
    await FactCounter(process.parts).tidy(now + timedelta(days=2))
    assert process.tables.of("facts").all() == []
