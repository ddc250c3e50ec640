"""What the line tells of a job is what the job says, whoever wrote it and however late. Rounds believe it: a job that
seems to ask for what nobody present has is not looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from router.storage.port import StorageUnavailable
from router.upkeep.classify import classify
from router.upkeep.job import reconcile_job
from router.usecases import settings as setting_usecases
from tests.memory_router import Call, Process, Tables, in_virtual_time


async def _channels(process: Process) -> list[str]:
    """Of the jobs in the line, first one first."""
    return [waiting.channel_id for waiting in (await process.parts.backlog.line("q", 10)).jobs]


def _once_before(process: Process, kind: str, table: str, act: Callable[[], Awaitable[None]]) -> asyncio.Event:
    """Before the first such call of storage something happens: then the event is set."""
    happens = asyncio.Event()

    async def before(call: Call) -> None:
        if (call.kind, call.table) == (kind, table) and not happens.is_set():
            happens.set()
            await act()

    process.tables.before = before
    return happens


async def _waiting(process: Process) -> None:
    """A job that waits, and about which nothing is left to do."""
    await process.queue()
    await process.job("j")
    await asyncio.sleep(20)


async def _unclassified(process: Process) -> None:
    await process.queue()
    policy = {"fallbackQueueId": "q"}
    await setting_usecases.upsert(process.parts, "ClassificationPolicy", "c", lambda _: policy, lambda *_: None)
    await process.job("j", queue_id=None, classification_policy_id="c")


@in_virtual_time
async def test_a_commit_that_fails_leaves_nothing_in_the_place_of_another() -> None:
    """Two classify the job at the same moment: it stands in the same place after both."""
    process = Process(Tables(), drives=False)
    await _unclassified(process)
    before = await process.parts.jobs.store.load("j")
    await process.job("j", queue_id=None, classification_policy_id="c", channel_id="chat")
    await classify(process.parts, await process.parts.jobs.store.load("j"))
    await classify(process.parts, before)
    assert (await process.read_job("j")).job.channel_id == "chat"
    assert await _channels(process) == ["chat"]


@in_virtual_time
async def test_a_commit_that_storage_refuses_leaves_nothing_in_the_place_of_another() -> None:
    process = Process(Tables(), drives=False)
    await _unclassified(process)
    before = await process.parts.jobs.store.load("j")
    await process.job("j", queue_id=None, classification_policy_id="c", channel_id="chat")
    await classify(process.parts, await process.parts.jobs.store.load("j"))

    async def refuse() -> None:
        raise StorageUnavailable("It does not answer.")

    refused = _once_before(process, "replace", "jobs", refuse)
    await asyncio.gather(classify(process.parts, before), return_exceptions=True)
    await asyncio.sleep(0.1)
    assert refused.is_set()
    assert await _channels(process) == ["chat"]


@in_virtual_time
async def test_who_puts_a_job_into_its_place_sees_that_it_changes_meanwhile() -> None:
    process = Process(Tables())
    await _waiting(process)
    other = Process(process.tables, process.topic, seed=2)

    async def change() -> None:
        await other.job("j", channel_id="chat")
        await asyncio.sleep(1)

    changed = _once_before(process, "upsert", "backlog", change)
    await reconcile_job(process.parts, "j")
    assert changed.is_set()
    assert await _channels(process) == ["chat"]


@in_virtual_time
async def test_who_changes_a_job_writes_its_row_in_the_line_after_who_has_found_it_as_it_was() -> None:
    process = Process(Tables())
    await _waiting(process)
    other = Process(process.tables, process.topic, seed=2)

    async def look() -> None:
        await asyncio.sleep(0.1)
        await reconcile_job(other.parts, "j")

    looked_at = _once_before(process, "replace", "jobs", look)
    await process.job("j", channel_id="chat")
    assert looked_at.is_set()
    assert await _channels(process) == ["chat"]


@in_virtual_time
async def test_a_row_of_the_line_that_comes_later_than_that_of_the_next_change_is_written_anew() -> None:
    process = Process(Tables())
    await _waiting(process)
    other = Process(process.tables, process.topic, seed=2)

    async def change() -> None:
        await other.job("j", channel_id="sms")
        await asyncio.sleep(1)

    changed = _once_before(process, "upsert", "backlog", change)
    await process.job("j", channel_id="chat")
    await asyncio.sleep(1)
    assert changed.is_set()
    assert (await process.read_job("j")).job.channel_id == "sms"
    assert await _channels(process) == ["sms"]


@in_virtual_time
async def test_who_goes_on_from_the_change_of_another_puts_its_own_late_row_right() -> None:
    """Its next commit comes before it has cleared the row, so it would not see that it was overtaken."""
    process = Process(Tables())
    await _waiting(process)
    other = Process(process.tables, process.topic, seed=2)

    async def change() -> None:
        await other.job("j", channel_id="sms")
        await asyncio.sleep(1)

    changed = _once_before(process, "upsert", "backlog", change)
    await process.job("j", channel_id="chat")
    await process.job("j", channel_id="sms", tags={"a": 1})
    await asyncio.sleep(1)
    assert changed.is_set()
    assert await _channels(process) == ["sms"]


@pytest.mark.parametrize("by_another", [True, False])
@in_virtual_time
async def test_a_removal_that_comes_late_does_not_take_a_job_away_that_is_there_again(by_another: bool) -> None:
    process = Process(Tables())
    other = Process(process.tables, process.topic, seed=2) if by_another else process
    await _waiting(process)
    is_late = False

    async def late(call: Call) -> None:
        nonlocal is_late
        if (call.kind, call.table) == ("delete", "backlog") and not is_late:
            is_late = True
            await asyncio.sleep(1)

    process.tables.before = late
    moving = asyncio.create_task(process.job("j", priority=7))
    await asyncio.sleep(0.1)
    assert is_late
    await other.job("j", priority=1)
    await moving
    await asyncio.sleep(0.1)
    assert [waiting.priority for waiting in (await process.parts.backlog.line("q", 10)).jobs] == [1]


@in_virtual_time
async def test_a_removal_does_not_take_away_what_the_next_commit_has_put_there_ahead() -> None:
    """Its row in the line is written beside the job, and the job comes later."""
    process = Process(Tables())
    await _waiting(process)
    writes = removals = 0

    async def late(call: Call) -> None:
        nonlocal writes, removals
        if (call.kind, call.table) == ("delete", "backlog"):
            removals += 1
            await asyncio.sleep(0.1)
        elif (call.kind, call.table) == ("replace", "jobs"):
            writes += 1
            await asyncio.sleep(0.2 if writes == 2 else 0)

    process.tables.before = late
    moving = asyncio.create_task(process.job("j", priority=7))
    await asyncio.sleep(0.05)
    assert (writes, removals) == (1, 1)
    await process.job("j", priority=1)
    await moving
    await asyncio.sleep(1)
    assert [waiting.priority for waiting in (await process.parts.backlog.line("q", 10)).jobs] == [1]
