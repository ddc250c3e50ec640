"""Lists: newest first, full pages whatever the filter, stable while items come and go, by each way of reading."""

from __future__ import annotations

import asyncio

import pytest

from router.models.filters import JobFilter, WorkerFilter
from router.models.jobs import CancelJobOptions, JobStatus
from router.storage.record_pages import Position
from router.usecases import jobs as job_usecases
from router.usecases import lists
from router.usecases import settings as setting_usecases
from router.usecases import workers as worker_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time

ALL = JobFilter()
CANCELLED = JobFilter(statuses=frozenset({JobStatus.CANCELLED}))


async def job_pages(process: Process, size: int, wanted: JobFilter = ALL) -> list[list[str]]:
    found: list[list[str]] = []
    after: Position | None = None
    while True:
        page, after = await job_usecases.page(process.parts, wanted, size, after)
        found.append([record.id for record in page])
        if after is None:
            return found


async def with_jobs(count: int, *, cancelled_every: int = 1_000_000) -> tuple[Process, list[str]]:
    """A process with so many jobs, and their ids, newest first. The ids sort in another order."""
    process = Process(Tables())
    await process.queue()
    ids = [f"{number * 7 % 10}-{number}" for number in range(count)]
    for number, id in enumerate(ids):
        await process.job(id)
        await asyncio.sleep(0.001)
        if number % cancelled_every == 0:
            await job_usecases.cancel(process.parts, id, CancelJobOptions())
    return process, ids[::-1]


@pytest.mark.parametrize("few", [200, 0])
@pytest.mark.parametrize("size", [1, 4, 10, 11])
@in_virtual_time
async def test_pages_are_full_and_newest_first(size: int, few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", max(few, 1))
        process, ids = await with_jobs(10)
        pages = await job_pages(process, size)
    assert [id for page in pages for id in page] == ids
    assert {len(page) for page in pages[:-1]} <= {size}
    assert pages[-1], "no page is empty"


@pytest.mark.parametrize("looks", [5, 0])
@in_virtual_time
async def test_a_filter_leaves_full_pages(looks: int) -> None:
    """By the listing, and, where few pass, by what storage finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", 1)
        patch.setattr(lists, "_LOOKS", looks)
        patch.setattr(lists, "_AT_ONCE", 2)
        process, ids = await with_jobs(30, cancelled_every=4)
        pages = await job_pages(process, 3, CANCELLED)
    assert [id for page in pages for id in page] == ids[1::4]
    assert [len(page) for page in pages] == [3, 3, 2]


@pytest.mark.parametrize("few", [200, 1])
@in_virtual_time
async def test_what_comes_and_goes_moves_nothing(few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", few)
        process, ids = await with_jobs(9, cancelled_every=3)
        first, after = await job_usecases.page(process.parts, ALL, 3, None)
        await process.job("new")
        await job_usecases.delete(process.parts, ids[5])
        second, after = await job_usecases.page(process.parts, ALL, 3, after)
        third, after = await job_usecases.page(process.parts, ALL, 3, after)
    seen = [one.id for one in (*first, *second, *third)]
    assert seen == [id for id in ids if id != ids[5]]
    assert after is None


@in_virtual_time
async def test_one_that_is_made_again_is_listed_once_where_it_is_now() -> None:
    process, ids = await with_jobs(4, cancelled_every=1)
    await job_usecases.delete(process.parts, ids[-1])
    await process.job(ids[-1])
    for few in (200, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lists, "_FEW", few)
            assert await job_pages(process, 10) == [[ids[-1], *ids[:-1]]]
    assert len(process.tables.of("listing")) == 4


@in_virtual_time
async def test_a_row_without_an_item_is_passed_over_and_goes_when_it_is_old() -> None:
    process, ids = await with_jobs(3)
    now = process.parts.clock.now()
    await process.parts.listing.add("job", "never", now.replace(year=2023))
    await process.parts.listing.add("job", "coming", now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", 1)
        assert await job_pages(process, 10) == [ids]
    await process.parts.background.drain(10)
    assert sorted(str(row.columns["Id"]) for row in process.tables.of("listing").all()) == sorted([*ids, "coming"])


async def calls_of(process: Process, size: int, wanted: JobFilter = ALL) -> list[tuple[str, str]]:
    """What a page takes of storage: kind and table of each operation."""
    process.tables.calls.clear()
    await job_usecases.page(process.parts, wanted, size, None)
    return [(call.kind, call.table) for call in process.tables.calls]


@in_virtual_time
async def test_the_storage_operations_of_a_page() -> None:
    """docs/performance.md states them."""
    process, _ = await with_jobs(12)
    assert await calls_of(process, 5) == [("query", "jobs")], "few: one query"
    process = Process(process.tables)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", 1)
        assert await calls_of(process, 5) == [("query", "jobs"), ("query", "listing"), ("query", "jobs")]
        assert await calls_of(process, 5) == [("query", "jobs")], "it is known where the page ends"
        await process.job("new")
        assert await calls_of(process, 5) == [("query", "jobs")], "though others have come"
        assert await calls_of(process, 9) == [("query", "listing"), ("query", "jobs")], "many: two"
        other = Process(process.tables)
        await calls_of(other, 2)
        after: Position | None = None
        taken: list[int] = []
        while after is not None or not taken:
            process.tables.calls.clear()
            _, after = await job_usecases.page(other.parts, ALL, 2, after)
            taken.append(len(process.tables.calls))
    assert taken == [1, 2, 1, 1, 1, 1, 2], "who reads on asks the listing for many pages"


@in_virtual_time
async def test_the_storage_operations_of_a_filtered_page() -> None:
    """docs/performance.md states them."""
    process, ids = await with_jobs(40, cancelled_every=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", 1)
        assert await calls_of(process, 3, CANCELLED) == [("query", "jobs")] * 3, "if few, which pass, and the page's"
        assert await calls_of(process, 3, CANCELLED) == [("query", "jobs")], "it is known where the page ends"
        # Where more pass than one operation tells: the listing, as far as it is likely to have a page of them.
        other = Process(process.tables)
        other.parts.listing.note(1, "job", "common", CANCELLED)
        await job_usecases.page(other.parts, CANCELLED, 3, None)
        process.tables.calls.clear()
        page, _ = await job_usecases.page(other.parts, CANCELLED, 3, None)
        assert len(process.tables.calls) == 1
    assert [one.id for one in page] == ids[1::2][:3]


@in_virtual_time
async def test_where_storage_looks_long_the_items_are_read_one_by_one() -> None:
    process, ids = await with_jobs(12)
    await asyncio.sleep(60)  # nothing else is under way
    seconds = 5.0

    async def before(call: Call) -> None:
        await asyncio.sleep(seconds if (call.kind, call.table) == ("query", "jobs") else 0.001)

    now = asyncio.get_running_loop().time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", 1)
        await calls_of(process, 3)
        process.tables.before = before
        started = now()
        assert await calls_of(process, 5) == [("query", "listing"), ("query", "jobs"), *[("get", "jobs")] * 6]
        assert now() - started < 1.1, "nobody waits longer for it"
        started = now()
        assert await calls_of(process, 5) == [("query", "listing"), *[("get", "jobs")] * 6]
        page, _ = await job_usecases.page(process.parts, ALL, 12, None)
        assert [one.id for one in page] == ids
        assert now() - started < 0.1
        # It is tried again beside a page, and used again once it is quick.
        seconds = 0.001
        await asyncio.sleep(61)
        assert (await calls_of(process, 5))[:7] == [("query", "listing"), *[("get", "jobs")] * 6]
        await process.parts.background.drain(10)
        assert await calls_of(process, 5) == [("query", "jobs")]


@in_virtual_time
async def test_where_many_have_come_the_listing_is_asked_again() -> None:
    process, ids = await with_jobs(6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", 1)
        patch.setattr(lists, "_AT_ONCE", 1)
        await calls_of(process, 2)
        assert await calls_of(process, 2) == [("query", "jobs")]
        for number in range(12):
            await process.job(f"new{number}")
            await asyncio.sleep(0.001)
        await asyncio.sleep(60)  # nothing else is under way
        assert await calls_of(process, 2) == [("query", "jobs"), ("query", "listing"), ("query", "jobs")]
        page, _ = await job_usecases.page(process.parts, ALL, 2, None)
        assert [one.id for one in page] == ["new11", "new10"]
        assert [id for some in await job_pages(process, 5) for id in some][12:] == ids


@in_virtual_time
async def test_a_filter_that_storage_looks_long_for_goes_by_the_listing() -> None:
    process, ids = await with_jobs(20, cancelled_every=2)
    await asyncio.sleep(60)  # nothing else is under way

    async def before(call: Call) -> None:
        await asyncio.sleep(5 if (call.kind, call.table) == ("query", "jobs") else 0.001)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", 1)
        process.parts.listing.note(1, "job", "many", CANCELLED)
        process.tables.before = before
        started = asyncio.get_running_loop().time()
        page, _ = await job_usecases.page(process.parts, CANCELLED, 3, None)
        assert asyncio.get_running_loop().time() - started < 2.5
    assert [one.id for one in page] == ids[1::2][:3]


@in_virtual_time
async def test_a_list_is_as_new_as_the_last_answer_whichever_process_gave_it() -> None:
    process, ids = await with_jobs(12)
    other = Process(process.tables)
    for singly in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lists, "_FEW", 1)
            if singly:
                patch.setattr(lists.Lister, "_together", lambda *_: False)
            for number, id in enumerate(ids):
                await process.job(id, tags={"number": number, "singly": singly})
                page, _ = await job_usecases.page(other.parts, ALL, 12, None)
                assert page[number].job.tags == {"number": number, "singly": singly}


@in_virtual_time
async def test_a_page_whose_items_go_while_it_is_read_is_full() -> None:
    process, ids = await with_jobs(12, cancelled_every=1)
    going = ids[1:4]

    async def before(call: Call) -> None:
        while going and (call.kind, call.table) == ("query", "jobs"):
            await job_usecases.delete(process.parts, going.pop())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "_FEW", 1)
        await calls_of(process, 6)
        process.tables.before = before
        page, _ = await job_usecases.page(process.parts, ALL, 6, None)
        process.tables.before = None
    assert [one.id for one in page] == [ids[0], *ids[4:9]]


@in_virtual_time
async def test_workers_and_settings_are_listed_newest_first_too() -> None:
    process = Process(Tables())
    for id in ("b", "c", "a"):
        await process.queue(id)
        await asyncio.sleep(0.001)
    for id in ("2", "3", "1"):
        await process.worker(id, queues=["a" if id == "3" else "b"])
        await asyncio.sleep(0.001)
    for few in (200, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lists, "_FEW", few)
            found, after = await worker_usecases.page(process.parts, WorkerFilter(), 2, None)
            rest, end = await worker_usecases.page(process.parts, WorkerFilter(), 2, after)
            in_b, none = await worker_usecases.page(process.parts, WorkerFilter(queue_id="b"), 2, None)
        assert [one.id for one in (*found, *rest)] == ["1", "3", "2"]
        assert [one.id for one in in_b] == ["1", "2"]
        assert (end, none) == (None, None)
    for kind in ("Queue", "DistributionPolicy"):
        first, behind = await setting_usecases.page(process.parts, kind, 2, None)
        last, end = await setting_usecases.page(process.parts, kind, 2, behind)
        assert [one.id for one in (*first, *last)] == ["a", "c", "b"]
        assert end is None
