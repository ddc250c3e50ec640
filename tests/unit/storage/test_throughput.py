"""How assignments are counted, written, joined over processes, and forgotten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.storage.counted import ENOUGH
from router.storage.port import Entity, StorageUnavailable
from router.storage.throughput import LATELY, ThroughputStore
from tests.sim.memory_tables import MemoryTable, Rows

START = datetime(2024, 3, 4, 8, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment

    def at(self, seconds: float) -> datetime:
        self.moment = START + timedelta(seconds=seconds)
        return self.moment


class Table(MemoryTable):
    writes = 0
    away = False

    async def upsert(self, entity: Entity) -> str:
        if self.away:
            raise StorageUnavailable("away")
        self.writes += 1
        return await super().upsert(entity)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rows() -> Rows:
    return Rows("throughput")


def waited(store: ThroughputStore, clock: Clock, since: float, until: float, queue: str = "q") -> bool:
    """A job that waited from one second to another is assigned."""
    now = clock.at(until)
    return store.assigned(queue, START + timedelta(seconds=since), now, now)


def seconds(busy: list[tuple[datetime, datetime]]) -> list[tuple[float, float]]:
    return [((start - START).total_seconds(), (end - START).total_seconds()) for start, end in busy]


async def test_waits_that_overlap_count_once(rows: Rows, clock: Clock) -> None:
    store = ThroughputStore(MemoryTable(rows), clock, "one")
    for since, until in ((0, 50), (20, 60), (100, 130)):
        waited(store, clock, since, until)
    recent = await store.recent("q")
    assert (recent.assigned, seconds(recent.busy)) == (3, [(0, 60), (100, 130)])
    assert (await store.recent("other")).assigned == 0


async def test_a_job_that_is_offered_at_once_tells_nothing(rows: Rows, clock: Clock) -> None:
    store = ThroughputStore(MemoryTable(rows), clock, "one")
    offered = START + timedelta(seconds=1)
    assert not store.assigned("q", START, offered, clock.at(30))
    recent = await store.recent("q")
    assert (recent.assigned, recent.busy, recent.classes, recent.pools) == (0, [], {}, [])


async def test_processes_add_up_and_no_time_counts_twice(rows: Rows, clock: Clock) -> None:
    one, two = (ThroughputStore(MemoryTable(rows), clock, name) for name in ("one", "two"))
    waited(one, clock, 0, 50)
    await one.write()
    waited(two, clock, 10, 70)
    await two.write()
    for store in (one, two, ThroughputStore(MemoryTable(rows), clock, "three")):
        recent = await store.recent("q")
        assert (recent.assigned, seconds(recent.busy)) == (2, [(0, 70)])
    waited(one, clock, 20, 80)
    assert (await one.recent("q")).assigned == 3, "not yet written, but known here"
    assert (await two.recent("q")).assigned == 2


async def test_one_write_a_queue_in_ten_seconds(rows: Rows, clock: Clock) -> None:
    table = Table(rows)
    store = ThroughputStore(table, clock, "one")
    for number in range(600):  # ten a second, for a minute, in two queues
        if waited(store, clock, number / 10 - 5, number / 10, f"q{number % 2}"):
            await store.write()
    assert table.writes <= 2 * 7
    await store.write()
    other = ThroughputStore(table, clock, "two")
    assert [(await other.recent(f"q{number}")).assigned for number in range(2)] == [300, 300]
    written = table.writes
    await store.write()
    assert table.writes == written, "nothing new, nothing written"


async def test_what_could_not_be_written_is_written_later(rows: Rows, clock: Clock) -> None:
    table = Table(rows)
    store, reader = ThroughputStore(table, clock, "one"), ThroughputStore(table, clock, "two")
    table.away = True
    assert waited(store, clock, 0, 5)
    with pytest.raises(StorageUnavailable):
        await store.write()
    table.away = False
    assert not waited(store, clock, 5, 14)
    assert waited(store, clock, 5, 15)
    await store.write()
    assert (await reader.recent("q")).assigned == 3


async def test_the_latest_are_enough(rows: Rows, clock: Clock) -> None:
    """A team that has become faster is known by its latest assignments: a slow hour, then a fast one."""
    store = ThroughputStore(MemoryTable(rows), clock, "one")
    for number in range(6):
        waited(store, clock, number * 600, (number + 1) * 600)
        await store.write()
    for number in range(2 * ENOUGH):
        waited(store, clock, 3600 + number * 15, 3600 + (number + 1) * 15)
        await store.write()
    recent = await store.recent("q")
    busy = sum((end - start).total_seconds() for start, end in recent.busy)
    assert ENOUGH <= recent.assigned < 2 * ENOUGH
    assert busy / recent.assigned == pytest.approx(15, rel=0.1)


async def test_old_rows_go(rows: Rows, clock: Clock) -> None:
    store = ThroughputStore(MemoryTable(rows), clock, "one")
    day = LATELY.total_seconds()
    for number in range(30):
        waited(store, clock, number * 3600, number * 3600 + 60)
        await store.write()
    recent = await store.recent("q")
    assert recent.assigned == 12 + 1
    assert min(start for start, _ in recent.busy) >= START + timedelta(seconds=29 * 3600 - day - 300)
    assert len(rows) <= 24 + 2
    clock.at(10 * 86400)
    assert (await store.recent("q")).assigned == 0
