"""What follows a commit: events at once, the row cleared when all is done, and what fails left to the settle deadline."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from router.commit import job as job_commits
from router.commit.loop import Committed
from router.engine.change import Change, JobChange
from router.engine.evolve import evolve
from router.models.events import EventDraft
from router.models.jobs import CancelJobOptions, JobRecord
from router.storage.truth_rows import Row
from router.storage.turns import AT_ONCE, Urgency
from router.upkeep import settle
from router.upkeep.deadlines import DeadlineRunner
from router.usecases import jobs as job_usecases
from tests.memory_router import Process, Tables, in_virtual_time


async def _process() -> Process:
    process = Process(Tables())
    await process.queue()
    await process.job("j")
    await asyncio.sleep(1)
    process.topic.events.clear()
    return process


async def _change(process: Process, until: asyncio.Future[None] | None = None, *, tag: int) -> Committed[JobRecord]:
    """A change with an event of its own."""

    def decide(record: JobRecord) -> JobChange:
        told = EventDraft(type="RouterJobClassified", subject="job/j", data={"tag": tag})
        return Change(evolve(record, job={"tags": {"tag": str(tag)}}), (told,))

    return await job_commits.change(process.parts, "j", job_commits.existing(decide), until=until)


async def _row(process: Process) -> Row[JobRecord]:
    return await process.parts.jobs.store.load("j")


def _work() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@in_virtual_time
async def test_events_leave_at_once_though_work_is_under_way() -> None:
    process, work = await _process(), _work()
    await _change(process, work, tag=1)
    await asyncio.sleep(0.01)
    assert len(process.topic.events) == 1
    await asyncio.sleep(5)
    assert not (await _row(process)).is_followed
    work.set_result(None)
    await asyncio.sleep(1)
    assert (await _row(process)).is_followed


@in_virtual_time
async def test_the_row_is_cleared_only_when_all_work_of_all_commits_is_done() -> None:
    process, first, second = await _process(), _work(), _work()
    await _change(process, first, tag=1)
    await asyncio.sleep(0.1)
    await _change(process, second, tag=2)
    second.set_result(None)
    await asyncio.sleep(2)
    assert len(process.topic.events) == 2
    assert not (await _row(process)).is_followed
    first.set_result(None)
    await asyncio.sleep(1)
    assert (await _row(process)).is_followed


@in_virtual_time
async def test_commits_that_come_quickly_are_cleared_once() -> None:
    process = await _process()
    process.tables.calls.clear()
    for number in range(5):
        await _change(process, tag=number + 1)
        await asyncio.sleep(0.05)
    await asyncio.sleep(2)
    assert len(process.topic.events) == 5
    assert process.tables.count("replace", "jobs") == 6


@in_virtual_time
async def test_work_that_fails_leaves_the_row_to_its_settle_deadline() -> None:
    process, work = await _process(), _work()
    await _change(process, work, tag=1)
    work.set_exception(RuntimeError("failed"))
    await asyncio.sleep(30)
    row = await _row(process)
    assert not row.is_followed
    assert [one.due for one in await process.deadlines("settle-job")] == [row.settle_at]


@in_virtual_time
async def test_a_topic_that_does_not_answer_is_waited_for_under_watch() -> None:
    process = await _process()
    process.topic.answers = False
    await _change(process, tag=1)
    for _ in range(12):
        await asyncio.sleep(10)
        row = await _row(process)
        assert row.outbox
        assert row.settle_at is not None
        assert row.settle_at > process.parts.clock.now()
        assert row.settle_at in [one.due for one in await process.deadlines("settle-job")]
    process.topic.answers = True
    await asyncio.sleep(30)
    assert len(process.topic.events) == 1
    assert (await _row(process)).is_followed


@in_virtual_time
async def test_who_writes_a_row_takes_over_its_outbox() -> None:
    process = await _process()
    process.topic.answers = False
    await _change(process, tag=1)
    other = Process(process.tables, seed=2, drives=False)
    await _change(other, tag=2)
    await asyncio.sleep(1)
    assert [event.id for event in other.topic.events] == list(dict.fromkeys(event.id for event in other.topic.events))
    assert [event.data["tag"] for event in other.topic.events if event.type == "RouterJobClassified"] == [1, 2]


@in_virtual_time
async def test_an_event_that_has_come_back_is_known_to_be_out() -> None:
    process = await _process()
    outbox = process.parts.outbox
    process.topic.answers = False
    committed = await _change(process, tag=1)
    (event,) = committed.after.outbox
    assert not outbox.seen(event.id)
    assert outbox.seen(event.id)
    assert outbox.unsent([event]) == ()
    committed = await _change(process, tag=2)
    assert event.id not in [one.id for one in committed.after.outbox]


@in_virtual_time
async def test_the_row_of_a_deleted_job_goes_when_its_events_are_out() -> None:
    process = await _process()
    await job_usecases.cancel(process.parts, "j", CancelJobOptions())
    process.topic.answers = False
    await job_usecases.delete(process.parts, "j")
    row = await _row(process)
    assert row.record is None
    assert row.version
    process.topic.answers = True
    await asyncio.sleep(10)
    assert not (await _row(process)).version
    assert "RouterJobDeleted" in process.topic.names
    assert await process.deadlines("settle-job") == []


@in_virtual_time
async def test_what_another_process_left_is_told_from_what_is_under_way_here() -> None:
    process, work = await _process(), _work()
    committed = await _change(process, work, tag=1)
    other = Process(process.tables, seed=2, drives=False)
    store = process.parts.jobs.store
    assert not process.parts.outbox.is_left(store, committed.after)
    assert other.parts.outbox.is_left(other.parts.jobs.store, committed.after)
    work.set_result(None)
    await asyncio.sleep(1)
    assert not other.parts.outbox.is_left(other.parts.jobs.store, await _row(process))


async def _timer(process: Process, seconds: int) -> None:
    """The timer of another process, each second."""
    runner = DeadlineRunner(Process(process.tables, process.topic, seed=7).parts)
    for _ in range(seconds):
        ticks = asyncio.create_task(runner.tick())
        await asyncio.sleep(1)
        await ticks
    await runner.drain()


def _reconciled(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the timer reconciles a job."""
    times: list[float] = []

    async def reconcile(*_: object) -> None:
        times.append(asyncio.get_running_loop().time())

    monkeypatch.setattr(settle, "reconcile_job", reconcile)
    return times


def _is_behind(process: Process, until: asyncio.Future[None]) -> None:
    """What follows commits waits for its turn until then."""

    async def calls() -> None:
        await until

    for _ in range(AT_ONCE[Urgency.FOLLOW] + 1):
        process.parts.background.start(process.parts.turns.take(calls), "call")


def test_what_is_still_under_way_here_is_no_other_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    times = _reconciled(monkeypatch)

    @in_virtual_time
    async def story() -> None:
        process, work, waits = await _process(), _work(), _work()
        _is_behind(process, waits)
        await _change(process, work, tag=1)
        await _timer(process, 40)
        waits.set_result(None)
        row = await _row(process)
        assert not row.is_followed
        assert row.settle_at in [one.due for one in await process.deadlines("settle-job")]
        work.set_result(None)
        await _timer(process, 20)
        row = await _row(process)
        assert (row.is_followed, row.settle_at) == (True, None)
        assert await process.deadlines("settle-job") == []

    story()
    assert times == []


@pytest.mark.parametrize(("behind", "least", "most"), [(True, 60, 77), (False, 26, 29)])
def test_work_that_does_not_end_is_looked_at(
    behind: bool, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Soon where nothing else is in its way."""
    times = _reconciled(monkeypatch)

    @in_virtual_time
    async def story() -> None:
        process, waits = await _process(), _work()
        if behind:
            _is_behind(process, waits)
        await _change(process, _work(), tag=1)
        await _timer(process, 90)
        waits.set_result(None)

    story()
    assert least < times[0] < most


def test_what_has_died_with_its_work_under_way_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    times = _reconciled(monkeypatch)

    @in_virtual_time
    async def story() -> None:
        process, waits = await _process(), _work()
        _is_behind(process, waits)
        await _change(process, _work(), tag=1)
        await _timer(process, 30)
        for task in process.parts.background._tasks:
            task.cancel()
        await _timer(process, 20)

    story()
    assert 30 < times[0] <= 31 + 15.1


def test_rows_are_cleared_before_their_deadline_however_much_is_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    times = _reconciled(monkeypatch)

    @in_virtual_time
    async def story() -> None:
        process, others = await _process(), _work()

        async def forever() -> None:
            await others

        for number in range(40):
            await process.job(f"j{number}")
        turns = process.parts.turns
        busy = [asyncio.create_task(turns.take(forever)) for _ in range(AT_ONCE[Urgency.FOLLOW])]
        started = process.parts.clock.now()
        await asyncio.sleep(0)
        await _timer(process, 20)
        rows = [await process.parts.jobs.store.load(f"j{number}") for number in range(40)]
        assert process.parts.clock.now() - started < timedelta(seconds=25)
        assert all(row.is_followed and row.settle_at is None for row in rows)
        others.set_result(None)
        await asyncio.gather(*busy)

    story()
    assert times == []


@in_virtual_time
async def test_a_row_that_is_cleared_late_is_taken_back_with_the_same_write() -> None:
    process, work = await _process(), _work()
    await _change(process, work, tag=1)
    await asyncio.sleep(10)
    process.tables.calls.clear()
    work.set_result(None)
    await asyncio.sleep(10)
    row = await _row(process)
    assert (row.is_followed, row.settle_at) == (True, None)
    assert process.tables.count("replace", "jobs") == 1
    assert await process.deadlines("settle-job") == []


@in_virtual_time
async def test_who_is_behind_clears_a_job_that_waits_once() -> None:
    process, waits = await _process(), _work()
    _is_behind(process, waits)
    await asyncio.sleep(0.01)
    waits.set_result(None)
    await asyncio.sleep(0.01)
    assert process.parts.turns.is_behind  # it has been so just now
    process.tables.calls.clear()
    await process.job("waits")
    await asyncio.sleep(15)
    row = await process.parts.jobs.store.load("waits")
    assert (row.is_followed, row.settle_at) == (True, None)
    written = [call.kind for call in process.tables.calls if (call.table, call.row) == ("jobs", "waits")]
    assert written.count("replace") == 2  # it is queued, and cleared


@in_virtual_time
async def test_who_is_stopped_while_events_leave_stops_though_they_have_just_left() -> None:
    process = await _process()
    left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Slow:
        async def publish(self, events: object, *, key: str) -> None:
            await left

    process.parts.outbox._publisher = Slow()
    await _change(process, _work(), tag=1)
    await asyncio.sleep(0.01)
    [following] = [task for task in asyncio.all_tasks() if task.get_name() == "follow job/j"]
    left.set_result(None)
    following.cancel()
    await asyncio.wait({following}, timeout=1)
    assert following.cancelled()
