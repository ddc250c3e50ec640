"""What a process remembers of the head of a queue's line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from router.models.jobs import JobRecord, JobRouting, JobStatus, RouterJob
from router.storage.backlog import BacklogStore, order_key
from tests.sim.memory_tables import MemoryTable, Rows

START = datetime(2024, 3, 4, 8, tzinfo=UTC)


def _job(number: int, priority: int = 1) -> JobRecord:
    enqueued = START + timedelta(seconds=number)
    job = RouterJob(
        id=f"j{number}",
        channel_id="voice",
        queue_id="q",
        status=JobStatus.QUEUED,
        priority=priority,
        enqueued_at=enqueued,
    )
    return JobRecord(job=job, routing=JobRouting(created_at=enqueued), etag="e", modified=enqueued)


async def _line(jobs: int) -> BacklogStore:
    backlog = BacklogStore(MemoryTable(Rows("backlog")))
    for number in range(jobs):
        await backlog.put(_job(number), "q")
    return backlog


async def _read(backlog: BacklogStore, before: str | None = None) -> list[str]:
    return [waiting.job_id async for waiting in backlog.open_jobs("q", before=before)]


def _remembered(backlog: BacklogStore) -> list[str]:
    return [waiting.job_id for waiting in backlog.remembered("q")]


async def test_nothing_is_remembered_of_a_line_that_has_not_been_read() -> None:
    assert _remembered(await _line(3)) == []


async def test_the_first_page_is_remembered_as_soon_as_its_first_job_is_taken() -> None:
    backlog = await _line(30)
    first = await anext(backlog.open_jobs("q"))
    assert first.job_id == "j0"
    assert _remembered(backlog) == [f"j{number}" for number in range(20)]


async def test_a_look_at_who_stands_before_a_job_is_not_the_whole_line() -> None:
    backlog = await _line(3)
    assert await _read(backlog, before=order_key(_job(2))) == ["j0", "j1"]
    assert _remembered(backlog) == []


async def test_who_leaves_is_forgotten() -> None:
    backlog = await _line(4)
    await _read(backlog)
    await backlog.remove("q", order_key(_job(0)))
    await backlog.close(_job(1), "q", backlog.version("q", order_key(_job(1))) or "")
    backlog.forget("q", order_key(_job(2)))
    assert _remembered(backlog) == ["j3"]


async def test_who_comes_in_front_takes_its_place() -> None:
    backlog = await _line(3)
    await _read(backlog)
    await backlog.put(_job(7, priority=5), "q")
    assert _remembered(backlog) == ["j7", "j0", "j1", "j2"]
    assert await _read(backlog) == ["j7", "j0", "j1", "j2"]


async def test_who_comes_behind_all_that_is_known_is_found_by_reading() -> None:
    backlog = await _line(3)
    await _read(backlog)
    await backlog.put(_job(9), "q")
    assert _remembered(backlog) == ["j0", "j1", "j2"]
    assert await _read(backlog) == ["j0", "j1", "j2", "j9"]
