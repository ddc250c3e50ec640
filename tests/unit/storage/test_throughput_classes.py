"""What a queue's figures tell by class of jobs, over processes; and how often told waits held."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from router.models.selectors import RouterWorkerSelector
from router.storage.counted import ENOUGH, ENOUGH_FOR_CLASS, ENOUGH_OF_CLASS
from router.storage.job_classes import MOST_CLASSES, REST, JobClass, JobClasses, job_class
from router.storage.throughput import Held, Taken, ThroughputStore
from tests.sim.memory_tables import MemoryTable, Rows
from tests.unit.storage.test_throughput import START, Clock

RANK = (1, -1)


def speaks(language: str, **more: Any) -> RouterWorkerSelector:
    asked = {"key": language, "labelOperator": "equal", "value": True, **more}
    return RouterWorkerSelector.model_validate(asked)


PLAIN, FRENCH = job_class("chat", []), job_class("chat", [speaks("french")])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rows() -> Rows:
    return Rows("throughput")


def take(
    store: ThroughputStore, clock: Clock, until: float, asked: JobClass, *languages: str, waited: float = 10
) -> bool:
    """A job that waited for so long is taken by a worker who speaks these."""
    now = clock.at(until)
    taken = Taken(asked, RANK, frozenset({"chat"}), dict.fromkeys(languages, True))
    return store.assigned("q", now - timedelta(seconds=waited), now, now, taken)


async def test_the_time_until_an_answer_is_told_apart(rows: Rows, clock: Clock) -> None:
    one, two = (ThroughputStore(MemoryTable(rows), clock, name) for name in ("one", "two"))
    for until, answer in ((100.0, 10), (300.0, 30)):
        now = clock.at(until)
        offered = now - timedelta(seconds=answer)
        taken = Taken(PLAIN, RANK, frozenset({"chat"}), {})
        one.assigned("q", offered - timedelta(seconds=20), offered, now, taken)
    await one.write()
    for store in (one, two):
        recent = await store.recent("q", PLAIN)
        assert recent.answer == 20
        waited = [(end - start).total_seconds() for start, end in recent.classes[PLAIN.name].busy]
        assert waited == [20, 20], "until the offer"
        assert sum((end - start).total_seconds() for start, end in recent.busy) == 80, "until the assignment"


async def test_who_could_take_what_is_joined_over_processes(rows: Rows, clock: Clock) -> None:
    one, two = (ThroughputStore(MemoryTable(rows), clock, name) for name in ("one", "two"))
    take(one, clock, 20, FRENCH, "french")
    take(one, clock, 50, PLAIN, "french")
    await one.write()
    assert (await two.recent("q", FRENCH)).assigned == 2, "and so the other has learnt of both classes"
    take(two, clock, 80, PLAIN, "french")
    take(two, clock, 110, PLAIN)
    await two.write()
    for store in (one, two, ThroughputStore(MemoryTable(rows), clock, "three")):
        recent = await store.recent("q", FRENCH)
        assert {one.serves: one.taken for one in recent.pools} == {
            frozenset({PLAIN.name, FRENCH.name}): 2,
            frozenset({FRENCH.name}): 1,  # it had not met the other class then
            frozenset({PLAIN.name}): 1,
        }
        assert recent.classes[PLAIN.name].assigned == {RANK: 3}
        spans = recent.classes[FRENCH.name].busy
        assert [(start - START, end - START) for start, end in spans] == [
            (timedelta(seconds=10), timedelta(seconds=20))
        ]


async def test_a_rare_class_is_looked_for_further_back(rows: Rows, clock: Clock) -> None:
    store, period = ThroughputStore(MemoryTable(rows), clock, "one"), 300
    for number in range(140):
        take(store, clock, number * period + 20, FRENCH, "french")
        take(store, clock, number * period + 40, FRENCH, "french")
        for more in range(10):
            take(store, clock, number * period + 60 + more * 20, PLAIN)
        await store.write()
    recent = await store.recent("q", FRENCH)
    of_french = sum(one.taken for one in recent.pools if FRENCH.name in one.serves)
    assert ENOUGH <= recent.assigned < ENOUGH + 20, "the queue's own rate is of the latest"
    assert 2 * ENOUGH_OF_CLASS <= of_french < 2 * ENOUGH_OF_CLASS + 4
    of_all = sum(one.taken for one in (await store.recent("q", PLAIN)).pools)
    assert 2 * ENOUGH_FOR_CLASS <= of_all < 2 * ENOUGH_FOR_CLASS + 20, "of all that can be taken less is enough"


@pytest.mark.parametrize(("waited", "twice"), [(10, True), (11, True), (15, False), (7, False)])
async def test_what_was_before_the_team_changed_does_not_count(
    rows: Rows, clock: Clock, waited: float, twice: bool
) -> None:
    """Ten jobs in five minutes, always one at a time: how long each waits is how fast they are taken."""
    store, reader, period = *(ThroughputStore(MemoryTable(rows), clock, name) for name in ("one", "two")), 300
    long, lately = 2 * ENOUGH_FOR_CLASS // 10 + 5, ENOUGH_FOR_CLASS // 10
    for number in range(long):
        late = number >= long - lately
        for more in range(10):
            take(store, clock, number * period + 20 + more * 20, PLAIN, waited=waited if late else 10)
        await store.write()
    for one in (store, reader):
        for asked in (PLAIN, None):
            found = sum(one.taken for one in (await one.recent("q", asked)).pools)
            assert found == ENOUGH_FOR_CLASS * (2 if twice else 1)


@pytest.mark.parametrize(("waited", "hours"), [(10, 24), (20, 12)])
async def test_where_jobs_are_few_a_day_tells_their_rate_if_nothing_has_changed(
    rows: Rows, clock: Clock, waited: float, hours: int
) -> None:
    store = ThroughputStore(MemoryTable(rows), clock, "one")
    for number in range(240):  # a job in six minutes
        take(store, clock, number * 360 + 20, PLAIN, waited=waited if number >= 120 else 10)
        await store.write()
    recent = await store.recent("q", PLAIN)
    assert sum(one.taken for one in recent.pools) == pytest.approx(hours * 10, abs=1)
    assert recent.assigned == pytest.approx(120, abs=1), "the line for all is of the latest"


async def test_a_change_of_others_is_none(rows: Rows, clock: Clock) -> None:
    store, period, german = ThroughputStore(MemoryTable(rows), clock, "one"), 300, job_class("chat", [speaks("german")])
    for number in range(65):
        for more in range(5):
            take(store, clock, number * period + 20 + more * 40, german, "german")
            take(store, clock, number * period + 40 + more * 40, FRENCH, "french", waited=10 if number < 35 else 18)
        await store.write()
    reach = {asked: (await store.recent("q", asked)).since for asked in (german, FRENCH)}
    assert reach[german] == START + 17 * timedelta(seconds=period)
    assert reach[FRENCH] == START + 41 * timedelta(seconds=period)


async def test_more_classes_than_are_kept_are_one(rows: Rows, clock: Clock) -> None:
    store, reader = (ThroughputStore(MemoryTable(rows), clock, name) for name in ("one", "two"))
    for number in range(MOST_CLASSES + 20):
        take(store, clock, 20 + number, job_class("chat", [speaks(f"l{number}" * 20)]), f"l{number}" * 20)
    await store.write()
    recent = await reader.recent("q", PLAIN)
    assert len(recent.classes) == MOST_CLASSES + 1
    assert recent.classes[REST].total == 20
    assert sum(one.taken for one in recent.pools if REST in one.serves) == 20
    assert all(len(str(row.columns["Classes"])) < 32_000 for row in rows.all())


async def test_a_class_that_comes_no_more_makes_room(clock: Clock) -> None:
    known = JobClasses()
    for number in range(MOST_CLASSES):
        known.name(job_class("chat", [speaks(f"l{number}")]), clock.at(0))
    late = job_class("chat", [speaks("late")])
    assert known.name(late, clock.at(60)) == REST
    assert known.name(late, clock.at(7200)) == late.name


def test_when_a_selector_ends_makes_no_class_of_its_own() -> None:
    ends = speaks("french", expiresAfterSeconds=40, expiresAt="2024-03-04T12:00:00Z")
    assert job_class("chat", [ends]).name == FRENCH.name
    assert job_class("chat", [speaks("french", status="expired")]).name == PLAIN.name
    assert job_class("voice", []).name != PLAIN.name
    assert job_class("chat", [speaks("a"), speaks("b")]).name == job_class("chat", [speaks("b"), speaks("a")]).name
    assert job_class("chat", [speaks("french")], bypass=True).name == PLAIN.name


async def test_how_often_it_held_over_a_day_and_processes(rows: Rows, clock: Clock) -> None:
    one, two = (ThroughputStore(MemoryTable(rows), clock, name) for name in ("one", "two"))
    for hour in range(30):
        now = clock.at(hour * 3600)
        one.judged("q", hour % 2 == 0, now)
        take(one, clock, hour * 3600 + 30, PLAIN)
        await one.write()
        two.judged("q", True, now)
        await two.write()
    assert await two.held("q") == Held(told=48 + 2, held=24 + 1 + 12)
    two.judged("q", False, clock.at(30 * 3600))
    assert (await two.held("other")) == Held(0, 0)
    assert (await two.recent("q")).assigned == 12, "rates are of half a day"
