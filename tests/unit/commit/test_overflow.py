"""While the topic is away a row keeps the same size, however many events wait, and all of them leave in order after it."""

from __future__ import annotations

import asyncio

import pytest

from router.commit import job as job_commits
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve
from router.models.events import EventDraft
from router.models.jobs import JobRecord
from router.upkeep.deadlines import DeadlineRunner
from tests.memory_router import Process, Tables, in_virtual_time

CHANGES = 120


async def _change(process: Process, tag: int) -> None:
    def decide(record: JobRecord) -> JobChange:
        told = EventDraft(type="RouterJobClassified", subject="job/j", data={"tag": tag, "text": "x" * 300})
        return Change(evolve(record, job={"tags": {"tag": str(tag)}}), (told,))

    await job_commits.change(process.parts, "j", job_commits.existing(decide))


async def _away() -> Process:
    process = Process(Tables())
    await process.queue()
    await process.job("j")
    await asyncio.sleep(1)
    process.topic.events.clear()
    process.topic.answers = False
    store = process.parts.jobs.store
    store.outbox_limit, store.most_named = 500, 4
    return process


def _overflow_rows(process: Process) -> int:
    return sum("~out~" in row for row in (one.row for one in process.tables.of("jobs").all()))


@in_virtual_time
async def test_a_row_names_a_few_of_its_overflow_rows_and_all_events_leave() -> None:
    process = await _away()
    longest = 0
    for tag in range(CHANGES):
        await _change(process, tag)
        row = await process.parts.jobs.store.load("j")
        longest = max(longest, len(row.overflow))
    assert longest <= 5
    assert _overflow_rows(process) > CHANGES / 3
    process.topic.answers = True
    runner = DeadlineRunner(process.parts)
    for _ in range(90):
        await runner.tick()
        await asyncio.sleep(1)
    assert [event.data["tag"] for event in process.topic.events] == list(range(CHANGES))
    row = await process.parts.jobs.store.load("j")
    assert row.is_followed
    assert not row.has_earlier
    assert _overflow_rows(process) == 0


@in_virtual_time
async def test_what_was_sent_before_a_death_is_not_read_again_and_nothing_is_missing() -> None:
    process = await _away()
    for tag in range(CHANGES):
        await _change(process, tag)
    store = process.parts.jobs.store
    row = await store.load("j")
    sent: list[object] = []
    async for events, names in store.overflow.parts(row):
        sent += [event.data["tag"] for event in events]
        if len(sent) > CHANGES / 2:
            break  # dies before it has dropped these
        await store.overflow.drop_part(row, names)
    again = [event.data["tag"] async for events, _ in store.overflow.parts(row) for event in events]
    assert again[0] in (sent[-1], sent[-2])
    assert sorted({*sent, *again}) == list(range(len({*sent, *again})))
    assert again[-1] >= CHANGES - 3


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.storage.overflow._PIECE", 150)


@pytest.mark.usefixtures("small_pieces")
@in_virtual_time
async def test_half_of_what_was_sent_is_never_read() -> None:
    process = await _away()
    store = process.parts.jobs.store
    for tag in range(9):
        await _change(process, tag)
    row = await store.load("j")
    parts = [(len(events), names) async for events, names in store.overflow.parts(row)]
    assert len(parts) > 2
    assert all(len(names) > 2 for _, names in parts)
    await store.overflow.drop_part(row, parts[0][1][1:])  # dies in the middle of it
    assert [len(events) async for events, _ in store.overflow.parts(row)] == [size for size, _ in parts[1:]]


@in_virtual_time
async def test_a_deleted_rows_overflow_goes_with_it() -> None:
    process = await _away()
    for tag in range(CHANGES):
        await _change(process, tag)
    store = process.parts.jobs.store
    await store.overflow.drop(await store.load("j"))
    assert _overflow_rows(process) == 0
