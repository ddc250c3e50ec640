"""A list takes from storage what its page needs, however large the table is and wherever storage ends its pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from router.models.jobs import JobRecord, JobRouting, JobStatus, RouterJob
from router.storage.aggregates import AggregateStore
from router.storage.jobs import job_store
from router.storage.port import Condition, Entity, Page
from router.storage.truth_rows import Row
from tests.sim.memory_tables import MemoryTable, Rows

START = datetime(2024, 3, 4, 8, tzinfo=UTC)
JOBS = 600


class Table(MemoryTable):
    """Ends a page after it has looked at so many rows, as Azure's tables do after some seconds or at a partition
    server's border: such a page is short or empty and has a next one."""

    looks_at = 1_000_000

    def __init__(self) -> None:
        super().__init__(Rows("jobs"))
        self.queries = 0
        self.given = 0

    async def query(self, where: Any, *, limit: int = 1000, after: Any = None, columns: Any = None) -> Page:
        keys = [
            (entity.partition, entity.row)
            for entity in self._rows.all()
            if (entity.partition, entity.row) >= (after or ("", ""))
        ]
        found = await super().query(where, limit=limit, after=after, columns=columns)
        if len(keys) > self.looks_at:
            border = keys[self.looks_at]
            if found.next is None or found.next > border:
                found = Page([one for one in found.entities if (one.partition, one.row) < border], border)
        self.queries += 1
        self.given += len(found.entities)
        return found


@pytest.fixture
async def table() -> Table:
    table = Table()
    store = job_store(table)
    for number in range(JOBS):
        status = JobStatus.QUEUED if number % 100 == 0 else JobStatus.CLOSED
        job = RouterJob(id=f"job{number * 7919 % JOBS:05}", channel_id="voice", queue_id="q", status=status)
        record = JobRecord(job=job, routing=JobRouting(created_at=START), etag="e", modified=START)
        await store.save(Row(job.id, record), job.id)
    # What is no job: one that was deleted, and an outbox beside its row.
    await table.upsert(Entity("job00003x", "job00003x", {"Kind": "deleted"}))
    await table.upsert(Entity("job00003", "job00003~out~1", {"Kind": "outbox"}))
    return table


async def pages(store: AggregateStore[JobRecord], size: int, *where: Condition) -> list[list[str]]:
    found: list[list[str]] = []
    after = None
    while True:
        page = await store.pages.page(where, size, after)
        found.append([record.job.id for record in page.records])
        after = page.next
        if after is None:
            return found
        assert len(found) < 5_000


@pytest.mark.parametrize("size", [1, 100, 500])
async def test_a_page_takes_no_more_rows_than_it_shows(table: Table, size: int) -> None:
    page = await job_store(table).pages.page([], size, None)
    assert (len(page.records), table.given, table.queries) == (size, size, 1)


async def test_all_pages_take_each_row_once(table: Table) -> None:
    found = await pages(job_store(table), 100)
    assert [job for page in found for job in page] == sorted(f"job{number:05}" for number in range(JOBS))
    assert {len(page) for page in found} == {100}
    assert (table.given, table.queries) == (JOBS, JOBS // 100)


@pytest.mark.parametrize("looks_at", [1, 7, 64, 599])
async def test_pages_that_storage_ends_early_miss_nothing(table: Table, looks_at: int) -> None:
    """Each page of ours looks at a few of storage's; it may be short or empty and still has a next one."""
    table.looks_at = looks_at
    found = await pages(job_store(table), 5, ("Status", "eq", "queued"))
    assert [job for page in found for job in page] == sorted(
        f"job{number * 7919 % JOBS:05}" for number in range(0, JOBS, 100)
    )
    assert max(len(page) for page in found) <= 5
    assert table.given == JOBS // 100
    assert table.queries <= 4 * len(found)
