"""What the gauges of queues are told, and how often somebody looks (docs/metrics.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest

from router.engine.facts import Level
from router.storage.facts import minute_columns, of_minute
from router.storage.port import StorageUnavailable
from router.telemetry import routing as metrics
from router.upkeep.gauges import QueueFigures
from tests.memory_router import Call, Process, Tables, in_virtual_time

Told = list[dict[str, tuple[int, float]]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Each look: lengths and longest waits by queue."""
    found: Told = []

    def keep(figures: Iterable[metrics.QueueFigures]) -> None:
        found.append({one.queue_id: (one.length, round(one.longest_wait_seconds, 1)) for one in figures})

    monkeypatch.setattr(metrics, "active", lambda: True)
    monkeypatch.setattr(metrics, "set_queue_figures", keep)
    return found


@in_virtual_time
async def test_length_and_longest_wait_of_each_queue(told: Told) -> None:
    process = Process(Tables())
    await process.queue()
    await process.queue("empty")
    await process.job("j", priority=1)
    await asyncio.sleep(10)
    await process.job("k", priority=9)
    await asyncio.sleep(5)
    await QueueFigures(process.parts).refresh()
    assert told == [{"q": (2, 15.0), "empty": (0, 0.0)}]


@pytest.mark.parametrize(("days", "level"), [(30, 75.0), (0, None)])
def test_the_service_level_of_the_last_minutes(monkeypatch: pytest.MonkeyPatch, days: int, level: float | None) -> None:
    found: list[dict[str, float | None]] = []
    monkeypatch.setattr(metrics, "active", lambda: True)
    monkeypatch.setattr(
        metrics,
        "set_queue_figures",
        lambda figures: found.append({one.queue_id: one.service_level for one in figures}),
    )

    @in_virtual_time
    async def look() -> None:
        process = Process(Tables())
        process.parts.chronicle._days = days
        await process.queue()
        await process.queue("idle")
        facts, now = process.parts.facts, process.parts.clock.now()
        for minutes, counts in ((20, Level(9, 0, 0)), (14, Level(2, 1, 2)), (0, Level(1, 0, 1))):
            place = of_minute(now - timedelta(minutes=minutes))
            await facts.known([place])
            await facts.write({place: minute_columns({"q": counts})})
        await QueueFigures(process.parts).refresh()

    look()
    assert found == [{"q": level, "idle": None}]


@in_virtual_time
async def test_nobody_looks_more_often_than_every_twenty_seconds(told: Told) -> None:
    process = Process(Tables())
    await process.queue()
    figures = QueueFigures(process.parts)
    for _ in range(60):
        await figures.refresh()
        await asyncio.sleep(1)
    assert len(told) == 3


@in_virtual_time
async def test_nothing_is_read_where_nobody_records(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "active", lambda: False)
    process = Process(Tables())
    await process.queue()
    queries = process.tables.count("query", "queues")
    await QueueFigures(process.parts).refresh()
    assert (told, process.tables.count("query", "queues")) == ([], queries)


@in_virtual_time
async def test_a_look_that_fails_costs_that_look_alone(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    process = Process(Tables())
    await process.queue()
    figures = QueueFigures(process.parts)

    async def before(call: Call) -> None:
        raise StorageUnavailable("no answer")

    process.tables.before = before
    await figures.refresh()
    assert told == []
    assert "could not be read" in caplog.text
    process.tables.before = None
    await asyncio.sleep(21)
    await figures.refresh()
    assert told == [{"q": (0, 0.0)}]
