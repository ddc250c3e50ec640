"""Counting and adding up over times in which nobody counted, late entries and days of 23 and 25 hours: reports always
say what is in the log."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from router.api.history import _queue_csv
from router.engine import facts
from router.engine.columns import csv_of, queue_row, row_of, text_of
from router.engine.facts import COUNTS, SPREADS, of_queues
from router.models.event_catalogue import EVENT_TYPE_PREFIX
from router.models.history import Entry, entry_key
from router.models.types import format_time
from router.storage.days import months
from router.storage.deadlines import LATE, LogRow
from router.upkeep import days as adding
from router.upkeep.facts import FactCounter
from router.usecases.reports import Asked, QueueSlot, documents, end_of, slot_of
from router.usecases.reports import of_queues as report
from tests.memory_router import START, Call, Process, Tables, in_virtual_time
from tests.unit.api.api_caller import Caller

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
_EVENTS = ("WorkerOfferIssued", "WorkerOfferDeclined", "JobCompleted", "JobClosed")


class Log:
    """Entries that are put into the log of a process, as commits would; and what they count, by themselves."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.told: list[tuple[datetime, dict[str, Any]]] = []

    async def put(
        self, at: datetime, *, queue: str = "q", waited: float | None = None, now: datetime | None = None
    ) -> None:
        number = len(self.told)
        name = _EVENTS[number % len(_EVENTS)] if waited is None else "WorkerOfferAccepted"
        event = {"eventType": f"{EVENT_TYPE_PREFIX}Router{name}", "eventId": f"{number}", "workerId": "w"}
        if waited is not None:
            event["waitSeconds"] = waited  # type: ignore[assignment]
        told = {"jobId": f"j{number}", "queueId": queue, "channelId": "voice", "events": [event]}
        self.told.append((at, told))
        entry = Entry(entry_key(at, f"{number}"), json.dumps(told))
        await self.process.parts.deadlines.log(
            [LogRow("job", f"j{number}", entry)], now or self.process.parts.clock.now()
        )

    def rows(self, asked: Asked, queue: str | None = None) -> list[dict[str, Any]]:
        """What a report must say."""
        found: dict[tuple[datetime, str, str], list[facts.Facts]] = {}
        for at, told in self.told:
            if asked.since <= at < asked.until and queue in (None, told["queueId"]):
                quarter = at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)
                for of, one in of_queues(told, at, {}).items():
                    found.setdefault((slot_of(quarter, asked), *of), []).append(one)
        return documents(
            [QueueSlot(*place, None, some) for place, some in sorted(found.items(), key=lambda item: item[0])], asked
        )


async def said(process: Process, asked: Asked, queue: str | None = None) -> list[dict[str, Any]]:
    return documents(await report(process.parts, asked, queue), asked)


async def counted(process: Process, *times: datetime) -> FactCounter:
    """By a process that has just begun, at these times."""
    counter = FactCounter(process.parts)
    for at in times:
        await counter.count(at)
    return counter


def without_quarters(process: Process, until: datetime) -> None:
    """What days were made of is taken away: whoever reads it fails."""
    rows = process.tables.of("facts")
    for row in rows.all():
        if row.partition.startswith("q~"):
            _, time, _ = row.row.rsplit("~", 2)
            if datetime.strptime(f"{row.partition[2:]}{time}", "%Y%m%d%H%M").replace(tzinfo=UTC) < until:
                rows.delete(row.partition, row.row)


@pytest.mark.parametrize(
    ("zone", "around"),
    [
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
        ("America/St_Johns", date(2026, 11, 1)),
        ("Africa/Cairo", date(2026, 4, 24)),
        ("Asia/Kathmandu", date(2026, 1, 1)),
        ("UTC", date(2026, 2, 28)),
    ],
)
def test_finished_days_say_what_the_log_says_however_much_comes_late(zone: str, around: date) -> None:
    chance = random.Random(f"{zone}{around}")

    @in_virtual_time
    async def story() -> None:
        process = Process(Tables())
        parts, log = process.parts, Log(process)
        parts.report_zone = ZoneInfo(zone)
        begin = adding.midnight(around - 2 * DAY, parts.report_zone)
        end = adding.midnight(around + 2 * DAY, parts.report_zone)
        edges = [adding.midnight(around + number * DAY, parts.report_zone) for number in range(-2, 3)]
        for edge in edges[:-1]:  # right on the border of days, and right before it
            await log.put(edge, now=edge)
            await log.put(edge - timedelta(microseconds=1), now=edge)
        for _ in range(40):
            at = begin + (end - begin) * chance.random()
            await log.put(at, queue=chance.choice("qr"), waited=chance.choice([None, 3.0, 3000.5]), now=at)
        now = end + timedelta(minutes=10)
        counter = await counted(process)
        for minute in sorted({at.replace(second=0, microsecond=0) for at, _ in log.told}):
            await counter.count(minute + timedelta(seconds=150))
        await counter.count(now)
        assert await parts.days.done() == around + DAY
        asked = Asked(begin, end, "1d", parts.report_zone)
        assert await said(process, asked) == log.rows(asked)
        for _ in range(10):  # the mark brings them in
            await log.put(begin + (end - begin) * chance.random(), queue=chance.choice("qrs"), now=now)
        await counter.count(now + timedelta(seconds=15))
        without_quarters(process, end)
        rows = await said(process, asked)
        assert rows == log.rows(asked)
        lengths = {(datetime.fromisoformat(row["to"]) - datetime.fromisoformat(row["from"])) for row in rows}
        assert lengths == {end_of(edge, asked) - edge for edge in edges[:-1]}
        assert await said(process, asked, "s") == log.rows(asked, "s")

    story()


@in_virtual_time
async def test_what_happened_before_a_time_without_a_timer_is_counted_and_added_up() -> None:
    """The last seconds before a router is stopped, and days between which none ran."""
    process = Process(Tables())
    parts, log = process.parts, Log(process)
    friday = START.replace(hour=17, minute=0)
    await log.put(friday)
    await counted(process, friday + timedelta(seconds=20))
    for seconds in (1, 30, 70):  # logged in time, and nobody counts any more
        await log.put(friday + timedelta(seconds=20 + seconds))
    sunday = friday + 2 * DAY
    await counted(process, sunday)
    asked = Asked(friday - DAY, sunday, "1h", UTC)
    assert await said(process, asked) == log.rows(asked) != []
    assert await parts.days.done() == (sunday - DAY).date()
    by_day = Asked(friday.replace(hour=0), sunday, "1d", UTC)
    without_quarters(process, sunday - DAY)
    assert await said(process, by_day) == log.rows(by_day)


@in_virtual_time
async def test_much_is_made_up_for_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.upkeep.facts._MOST_LEFT", 7)
    monkeypatch.setattr("router.upkeep.days._AT_ONCE", 2)
    process = Process(Tables())
    log = Log(process)
    await log.put(START)
    await counted(process, START + timedelta(seconds=20))
    for number in range(30):
        at = START + timedelta(hours=7 * number, minutes=number)
        await log.put(at, now=at)
    now = START + 10 * DAY
    asked = Asked(START - DAY, now, "1h", UTC)
    counter = await counted(process, now)
    assert len(await said(process, asked)) < 30
    # Seven minutes are there, the last of them on the 6th: no day is added up before its minutes are there.
    assert await process.parts.days.done() == date(2024, 3, 5)
    for _ in range(8):
        await counter.count(now)
    assert await said(process, asked) == log.rows(asked)
    assert await process.parts.days.done() == now.date() - DAY


@in_virtual_time
async def test_who_takes_over_from_another_process_begins_where_that_one_was() -> None:
    process = Process(Tables())
    log, mine = Log(process), FactCounter(process.parts)
    await mine.count(START)
    theirs = FactCounter(Process(process.tables, seed=2).parts)
    for number in range(60):
        await theirs.count(START + timedelta(minutes=number))
    at = START + timedelta(minutes=59, seconds=10)
    await log.put(at)
    process.tables.calls.clear()
    await mine.count(START + timedelta(hours=1, minutes=2))
    asked = Asked(START, START + timedelta(hours=2), "1h", UTC)
    assert await said(process, asked) == log.rows(asked) != []
    assert process.tables.count("query", "deadlines") < 60  # not minute by minute since it was here


async def late_for_a_day() -> tuple[Process, Log]:
    """A day that is added up, for which something has come since."""
    process = Process(Tables())
    log = Log(process)
    await log.put(START)
    await counted(process, START + timedelta(seconds=20), START + DAY)
    await log.put(START + timedelta(seconds=5), now=START + DAY)
    return process, log


async def told_by_days(process: Process, log: Log) -> None:
    """The report has all that is logged, though the quarters of an hour are gone."""
    asked = Asked(START.replace(hour=0), START.replace(hour=0) + DAY, "1d", UTC)
    without_quarters(process, asked.until)
    assert await said(process, asked) == log.rows(asked)


@in_virtual_time
async def test_nobody_who_has_seen_less_replaces_a_day() -> None:
    """Two processes add up the same day; something comes between the reading and the writing of one of them."""
    process, log = await late_for_a_day()
    other = Process(process.tables, seed=2)
    stopped = False

    async def between(call: Call) -> None:
        nonlocal stopped
        if not stopped and call.kind == "replace" and call.row == "q~voice":
            stopped = True  # the first has read its quarters and is about to write
            await log.put(START + timedelta(seconds=9), now=START + DAY)
            await FactCounter(other.parts).count(START + DAY + timedelta(seconds=1))

    process.tables.before = between
    await counted(process, START + DAY)
    process.tables.before = None
    assert stopped
    await told_by_days(process, log)


@in_virtual_time
async def test_a_mark_stands_until_its_day_is_added_up_again() -> None:
    process, log = await late_for_a_day()

    async def dies(call: Call) -> None:
        if call.kind == "replace" and call.row == "q~voice":
            raise RuntimeError("the process dies")

    process.tables.before = dies
    with pytest.raises(RuntimeError):
        await counted(process, START + DAY)
    process.tables.before = None
    await counted(process, START + DAY + timedelta(minutes=1))
    await told_by_days(process, log)


@in_virtual_time
async def test_days_of_another_zone_are_made_anew_when_the_setting_changes() -> None:
    process = Process(Tables())
    parts, log = process.parts, Log(process)
    for number in range(6):
        at = START.replace(hour=23, minute=30) + number * DAY
        await log.put(at, now=at)
        await counted(process, at + timedelta(seconds=20))
    now = START + 8 * DAY
    await counted(process, now)
    parts.report_zone = BERLIN
    asked = Asked(adding.midnight(START.date(), BERLIN), adding.midnight(now.date(), BERLIN), "1d", BERLIN)
    assert await said(process, asked) == log.rows(asked)  # not the days that were added up in UTC
    await counted(process, now, now)
    assert await parts.days.done() == (now - DAY).date()
    without_quarters(process, asked.until)
    assert await said(process, asked) == log.rows(asked)


@in_virtual_time
async def test_entries_of_a_long_outage_are_there_before_their_marks() -> None:
    """More than one transaction: whoever sees the mark must find what it stands for."""
    process = Process(Tables())
    rows = process.tables.of("deadlines")
    some = [
        LogRow("job", "j", Entry(entry_key(START + timedelta(seconds=number), f"{number}"), "{}"))
        for number in range(250)
    ]
    marks: list[int] = []

    async def look(call: Call) -> None:
        if any(row.row.startswith(LATE) for row in rows.all()):
            marks.append(sum(row.row.startswith("h~") for row in rows.all()))

    process.tables.before = look
    await process.parts.deadlines.log(some, START + timedelta(hours=1))
    assert any(row.row.startswith(LATE) for row in rows.all())
    assert all(number == 250 for number in marks), marks


def some_facts() -> st.SearchStrategy[dict[str, Any]]:
    seconds = st.floats(0, 100_000, allow_nan=False)
    waits = st.lists(seconds, max_size=5)

    def made(counts: dict[str, int], spreads: list[Sequence[float]]) -> dict[str, Any]:
        found: dict[str, Any] = {name: number for name, number in counts.items() if number}
        for name, values in zip(SPREADS, spreads, strict=True):
            for value in values:
                facts._spread(found, name, value)
        return found

    counts = st.dictionaries(st.sampled_from([*COUNTS, "longestLine", "waitsTold", "waitsHeld"]), st.integers(0, 10**6))
    return st.builds(made, counts, st.tuples(*[waits] * len(SPREADS)).map(list))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["q", "=1+1", 'a,"b"', "é ü"]), some_facts()), max_size=4))
def test_csv_of_texts_says_what_the_rows_say(found: list[tuple[str, dict[str, Any]]]) -> None:
    asked = Asked(START, START + DAY, "1d", UTC)
    slots = [
        QueueSlot(START, queue, f"{number}", text_of(one) if number % 2 else None, [one])
        for number, (queue, one) in enumerate(found)
    ]
    read = list(csv.DictReader(io.StringIO(_queue_csv(slots, asked), newline="")))
    rows = documents(slots, asked)
    assert len(read) == len(rows) == len(found)
    for sheet, row, (queue, one) in zip(read, rows, found, strict=True):
        assert {name: row[name] for name in queue_row(one)} == queue_row(one)
        assert sheet.pop("queueId") == ("'" + queue if queue.startswith("=") else row["queueId"])
        for name, cell in sheet.items():
            value = row[name]
            if isinstance(value, list | bool):
                assert json.loads(cell) == value
            else:
                assert cell == ("" if value is None else str(value))


@given(some_facts())
def test_a_text_is_the_row(found: dict[str, Any]) -> None:
    assert row_of(from_json(text_of(found))) == queue_row(found)
    assert csv_of(text_of(found)).count("\n") == 0


def test_months_between_days() -> None:
    assert [f"{one:%Y%m}" for one in months(date(2025, 11, 30), date(2026, 2, 1))] == [
        "202511",
        "202512",
        "202601",
        "202602",
    ]
    assert list(months(date(2026, 2, 1), date(2026, 2, 1))) == [date(2026, 2, 1)]


@in_virtual_time
async def test_days_that_are_too_old_are_removed_with_what_they_were_made_of() -> None:
    process = Process(Tables())
    log = Log(process)
    await log.put(START)
    counter = await counted(process, START + timedelta(seconds=20), START + DAY)
    assert any(row.partition.startswith("d~") for row in process.tables.of("facts").all())
    await counter.tidy(START + timedelta(days=450))
    assert [row.partition for row in process.tables.of("facts").all()] == ["n", "n"]


@in_virtual_time
async def test_an_idle_router_writes_one_row_a_minute_and_reads_no_days() -> None:
    process = Process(Tables())
    counter = await counted(process, *(START + timedelta(seconds=15 * number) for number in range(12)))
    process.tables.calls.clear()
    for number in range(12, 16):
        await counter.count(START + timedelta(seconds=15 * number))
    assert process.tables.count("upsert", "facts") == 1
    assert process.tables.count("get", "facts") == 0
    await asyncio.sleep(0)


@pytest.mark.parametrize("grain", ["15m", "1h", "1d"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_pages_together_are_the_report_and_read_little_more_than_they_show(grain: str, zone: str) -> None:
    chance = random.Random(f"{grain}{zone}")

    @in_virtual_time
    async def story() -> None:
        call = Caller()
        process = call.process
        process.parts.history_days = 400
        log = Log(process)
        begin = START - timedelta(days=70) if grain == "1d" else START - timedelta(days=20)
        for _ in range(50):
            # Some at the same time: a page ends within a slot.
            at = begin + timedelta(hours=7 * chance.randrange(int((START - begin) / timedelta(hours=7))))
            await log.put(at, queue=chance.choice("qrs"))
        await log.put(START - timedelta(minutes=2))
        counter = FactCounter(process.parts)
        for _ in range(10):
            await counter.count(START)
        span: dict[str, Any] = {"from": format_time(begin + timedelta(hours=5, minutes=20)), "to": format_time(START)}
        whole = (await call("GetQueueReport", grain=grain, tz=zone, **span)).body
        assert "nextLink" not in whole
        sheet = (await call("GetQueueReport", grain=grain, tz=zone, format="csv", **span)).raw.decode()
        assert len(sheet.splitlines()) == len(whole["value"]) + 1 > 20
        process.tables.calls.clear()
        page = await call("GetQueueReport", grain=grain, tz=zone, maxpagesize="3", **span)
        first = process.tables.count("query", "facts")
        found, sizes = list(page.body["value"]), [len(page.body["value"])]
        while "nextLink" in page.body:
            page = await call.follow("GetQueueReport", page.body["nextLink"])
            found += page.body["value"]
            sizes.append(len(page.body["value"]))
        assert found == whole["value"]
        assert set(sizes[:-1]) == {3}
        process.tables.calls.clear()
        await call("GetQueueReport", grain=grain, tz=zone, **span)
        assert first < process.tables.count("query", "facts")

    story()
