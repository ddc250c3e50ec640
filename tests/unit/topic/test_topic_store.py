"""The store: one commit for what comes together, and nothing told before it is there."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from local.topic import store as module
from local.topic.store import Row, Store


def a_row(subscription: str = "s", body: str = "{}") -> Row:
    return Row(0, subscription, 1.0, 0, "lane", "1.0", body)


def on_disk(path: Path) -> list[tuple[int, str, int]]:
    """What another process would find, were this one killed now."""
    with sqlite3.connect(path) as db:
        return db.execute("SELECT id, subscription, attempts FROM pending ORDER BY id").fetchall()


class Fixture:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.commits: list[list[Row]] = []
        self.seen_at_commit: list[int] = []
        self.store = Store(path, self._committed)

    def _committed(self, rows: Sequence[Row]) -> None:
        if rows:
            self.commits.append(list(rows))
            self.seen_at_commit.append(len(on_disk(self.path)))


@pytest.fixture
async def fixture(tmp_path: Path) -> AsyncIterator[Fixture]:
    one = Fixture(tmp_path / "events.sqlite3")
    yield one
    await one.store.close()


async def test_what_comes_together_shares_a_commit_and_is_on_disk_when_told(fixture: Fixture) -> None:
    await asyncio.gather(*(fixture.store.add([a_row(), a_row("t")]) for _ in range(10)))
    assert len(fixture.commits) == 1
    assert fixture.seen_at_commit == [20]
    assert [row.id for row in fixture.commits[0]] == list(range(1, 21))
    assert fixture.store.counts() == {"s": 10, "t": 10}


async def test_ids_go_on_after_a_restart(fixture: Fixture, tmp_path: Path) -> None:
    await fixture.store.add([a_row(), a_row()])
    again = Fixture(fixture.path)
    await again.store.add([a_row()])
    assert [row.id for row in again.commits[0]] == [3]
    await again.store.close()


async def test_removals_and_attempts_reach_the_disk(fixture: Fixture) -> None:
    await fixture.store.add([a_row(), a_row(), a_row()])
    fixture.store.remove(2)
    fixture.store.attempted(3, 7)
    async with asyncio.timeout(5):
        while on_disk(fixture.path) != [(1, "s", 0), (3, "s", 7)]:  # noqa: ASYNC110 - the disk has no events
            await asyncio.sleep(0.01)


async def test_closing_writes_all_that_waits(fixture: Fixture) -> None:
    await fixture.store.add([a_row() for _ in range(1200)])
    for number in range(1, 1200):
        fixture.store.remove(number)
    fixture.store.attempted(1200, 3)
    await fixture.store.close()
    assert on_disk(fixture.path) == [(1200, "s", 3)]
    fixture.store = Store(fixture.path, lambda rows: None)


async def test_rows_come_back_in_order_and_in_pages(fixture: Fixture) -> None:
    await fixture.store.add([a_row(body=str(n)) for n in range(5)] + [a_row("t")])
    assert [row.body for row in fixture.store.load("s", 0, 3)] == ["0", "1", "2"]
    assert [row.body for row in fixture.store.load("s", 3, 3)] == ["3", "4"]
    assert fixture.store.body(2) == "1"


async def test_a_failed_commit_is_told_and_the_next_one_works(fixture: Fixture) -> None:
    bad = a_row()
    bad.subscription = None  # type: ignore[assignment]
    with pytest.raises(sqlite3.IntegrityError):
        await fixture.store.add([bad])
    await fixture.store.add([a_row()])
    assert len(on_disk(fixture.path)) == 1


async def test_the_log_is_emptied_under_load(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHECKPOINT_BYTES", 200_000)
    wal = fixture.path.with_name(fixture.path.name + "-wal")
    added = shrunk = largest = 0
    async with asyncio.timeout(20):
        while shrunk < 3:
            await fixture.store.add([a_row(body="x" * 5000)])
            added += 1
            size = wal.stat().st_size
            shrunk, largest = (shrunk + 1, size) if size < largest else (shrunk, max(size, largest))
    assert fixture.store.counts() == {"s": added}


async def test_validation_counts_for_one_endpoint_and_schema(fixture: Fixture) -> None:
    fixture.store.set_validated("s", "http://a", "x")
    assert fixture.store.is_validated("s", "http://a", "x")
    assert not fixture.store.is_validated("s", "http://b", "x")
    fixture.store.keep_only(["s"])
    assert fixture.store.is_validated("s", "http://a", "x")
    fixture.store.keep_only(["t"])
    assert not fixture.store.is_validated("s", "http://a", "x")


async def test_events_of_a_subscription_that_is_no_more_are_forgotten(fixture: Fixture) -> None:
    await fixture.store.add([a_row("s"), a_row("t")])
    fixture.store.keep_only(["t", "u"])
    assert fixture.store.counts() == {"t": 1}


async def test_the_input_schema_binds_only_while_events_wait(fixture: Fixture) -> None:
    fixture.store.set_input_schema("A")
    assert fixture.store.input_schema() is None
    await fixture.store.add([a_row()])
    assert fixture.store.input_schema() == "A"
