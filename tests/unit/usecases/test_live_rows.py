"""What a process knows of the rows of live pictures, beside another process that writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from router.engine.service_order import standing
from router.models.types import format_time
from router.storage.departures import LINES
from router.storage.port import Scan, StorageUnavailable
from router.usecases.live_rows import LiveRows
from tests.memory_router import Call, in_virtual_time
from tests.unit.api.api_caller import Caller

#: With that much between two pictures, the keys are not looked over for a while yet.
SOON = 1.0
#: After that they are: first those of lines, with the next picture those of workers.
LOOKED_OVER = 3.0


async def floor() -> tuple[Caller, LiveRows]:
    """Queue `q` with two who wait for what the worker `w` does not take; and what a second process sees of it."""
    call = Caller()
    await call.settings()
    await call.worker("w")
    for id in ("one", "two"):
        await call.job(id, channelId="chat")
    await asyncio.sleep(20)
    rows = LiveRows(Caller(call.process.tables).parts)
    await rows.refresh()
    assert waiting(rows) == ["one", "two"]
    return call, rows


def waiting(rows: LiveRows) -> list[str]:
    lines = rows.lines()
    return [one.job_id for queue in sorted(lines) for one in lines[queue]]


async def looked(rows: LiveRows, after: float = SOON, *, times: int = 1) -> LiveRows:
    for number in range(times):
        await asyncio.sleep(after if number == 0 else SOON)
        await rows.refresh()
    return rows


def untold(call: Caller) -> None:
    """As if the process died each time before it tells what it has taken away."""

    async def says_nothing(*_: object) -> None:
        pass

    call.parts.departures.tell = says_nothing  # type: ignore[method-assign,assignment]


async def comes_back(call: Caller, job: str) -> None:
    """To its place in the line, a moment later."""
    await asyncio.sleep(0.1)
    record = await call.process.read_job(job)
    where = standing(record)
    assert where is not None
    await call.parts.backlog.put(record, where, call.parts.clock.now())


@in_virtual_time
async def test_what_another_process_writes_is_seen_at_the_next_look() -> None:
    call, rows = await floor()
    await call.job("three", channelId="chat")
    await call.worker("v")
    assert waiting(await looked(rows)) == ["one", "two", "three"]
    assert sorted(rows.workers) == ["v", "w"]
    await call("UpsertWorker", "v", body={"tags": {"team": "new"}})
    assert '"team":"new"' in (await looked(rows)).workers["v"]
    untold(call)
    await call("DeleteWorker", "v")
    assert sorted((await looked(rows, LOOKED_OVER, times=2)).workers) == ["w"]


@in_virtual_time
async def test_what_another_process_takes_away_is_gone_at_the_next_look() -> None:
    call, rows = await floor()
    await call.worker("v")
    await looked(rows, LOOKED_OVER)
    await call("CancelJob", "one")
    await call("DeleteWorker", "v")
    assert waiting(await looked(rows)) == ["two"]
    assert sorted(rows.workers) == ["w"]
    # What has come back is not taken for gone, as long as that is told.
    await call("UpsertJob", "two", body={"queueId": "q", "labels": {"asked": "again"}})
    await call.worker("v")
    for _ in range(3):
        assert waiting(await looked(rows)) == ["two"]
        assert sorted(rows.workers) == ["v", "w"]


@in_virtual_time
async def test_a_job_that_leaves_its_line_and_comes_back_to_its_place_waits_there() -> None:
    call, rows = await floor()
    place = rows.lines()["q"][0]
    await call.parts.departures.tell(LINES, [(place.queue_key, place.row)])
    await comes_back(call, "one")
    for _ in range(3):
        assert waiting(await looked(rows)) == ["one", "two"]


@in_virtual_time
async def test_a_job_that_was_taken_does_not_wait_again_when_it_is_done() -> None:
    """Its row goes unseen: no more is told of it than that a worker has it, and that for a short time."""
    call, rows = await floor()
    untold(call)
    now = call.parts.clock.now()
    rows.took({"one": format_time(now), "nobody's": format_time(now)})
    assert waiting(rows) == ["two"]
    # Its row is late: not for that it is read again.
    assert waiting(await looked(rows)) == ["two"]
    # One that lasts is no row of a job that was taken.
    await looked(rows, LOOKED_OVER, times=3)
    assert waiting(rows) == ["one", "two"]
    # It has come back since then.
    rows.took({"two": format_time(now - timedelta(hours=1))})
    assert waiting(rows) == ["one", "two"]
    rows.took({"one": format_time(call.parts.clock.now())})
    await comes_back(call, "one")
    assert waiting(await looked(rows)) == ["one", "two"]


@in_virtual_time
async def test_after_a_long_pause_all_is_read_again() -> None:
    """What has gone meanwhile is not told any more."""
    call, rows = await floor()
    await call("CancelJob", "one")
    assert waiting(await looked(rows, 70)) == ["two"]


@in_virtual_time
async def test_a_job_that_another_process_moves_stands_at_one_place() -> None:
    call, rows = await floor()
    await call("UpsertJob", "two", body={"priority": 9})
    assert waiting(await looked(rows)) == ["two", "one"]
    await call("UpsertQueue", "r", body={"distributionPolicyId": "q"})
    await call("UpsertJob", "two", body={"queueId": "r"})
    await looked(rows)
    assert {queue: [one.job_id for one in line] for queue, line in rows.lines().items()} == {"q": ["one"], "r": ["two"]}


@in_virtual_time
async def test_a_job_of_which_nobody_tells_is_gone_when_the_keys_have_been_looked_over() -> None:
    call, rows = await floor()
    untold(call)
    before = rows.lines()
    await call("CancelJob", "one")
    assert waiting(await looked(rows, LOOKED_OVER)) == ["two"]
    await call("CancelJob", "two")
    await looked(rows, LOOKED_OVER, times=2)
    assert rows.lines() == {}
    assert [one.job_id for one in before["q"]] == ["one", "two"]  # a picture may be made of it yet


@in_virtual_time
async def test_a_line_that_has_not_changed_is_the_same_object() -> None:
    call, rows = await floor()
    await call("UpsertQueue", "r", body={"distributionPolicyId": "q"})
    before = rows.lines()["q"]
    await call.job("elsewhere", channelId="chat", queueId="r")
    after = (await looked(rows)).lines()
    assert after["q"] is before
    assert [one.job_id for one in after["r"]] == ["elsewhere"]
    assert (await looked(rows, LOOKED_OVER, times=3)).lines()["q"] is before


@in_virtual_time
async def test_what_was_written_and_not_read_in_time_is_read_with_everything() -> None:
    """By a process whose clock is far behind, say."""
    call, rows = await floor()
    await call.job("late", channelId="chat")
    await call("UpsertWorker", "w", body={"tags": {"team": "late"}})
    await asyncio.sleep(20)
    long_ago = format_time(call.parts.clock.now() - timedelta(hours=1))
    for table in ("backlog", "workers"):
        stored = call.process.tables.of(table)
        for entity in stored.all():
            stored.upsert(replace(entity, columns={**entity.columns, "Written": long_ago}))
    assert waiting(await looked(rows)) == ["one", "two"]
    await looked(rows, LOOKED_OVER, times=3)
    assert waiting(rows) == ["one", "two", "late"]
    assert '"team":"late"' in rows.workers["w"]


@in_virtual_time
async def test_a_look_that_fails_goes_on_where_it_was() -> None:
    call, rows = await floor()
    untold(call)
    await call("CancelJob", "one")
    await call("DeleteWorker", "w")
    await asyncio.sleep(LOOKED_OVER)
    failed = 0

    async def silent(one: Call) -> None:
        nonlocal failed
        if one.table == "workers":
            failed += 1
            raise StorageUnavailable("silent")

    call.process.tables.before = silent
    with pytest.raises(StorageUnavailable):
        await rows.refresh()
    call.process.tables.before = None
    await looked(rows, times=2)
    assert (failed, waiting(rows), rows.workers) == (1, ["two"], {})


@in_virtual_time
async def test_a_line_of_many_pages_is_looked_over_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    call, rows = await floor()
    untold(call)
    for number in range(8):
        await call.job(f"more-{number}", channelId="chat")
    page = rows._parts.backlog.when_written

    async def short(after: tuple[str, str] | None) -> object:
        found, _ = await page(None)
        first = 0 if after is None else int(after[1])
        return found[first : first + 3], (("", str(first + 3)) if first + 3 < len(found) else None)

    monkeypatch.setattr(rows._parts.backlog, "when_written", short)
    await looked(rows)
    known = waiting(rows)
    assert len(known) == 10
    await call("CancelJob", "more-7")
    assert waiting(await looked(rows, LOOKED_OVER)) == known
    # It comes on a page that has been read: that it was not on another one does not count.
    await call.job("new", channelId="chat", priority=9)
    assert waiting(await looked(rows)) == ["new", *known]
    left = ["new", *(id for id in known if id != "more-7")]
    assert waiting(await looked(rows, times=3)) == left
    assert waiting(await looked(rows, LOOKED_OVER, times=6)) == left


@in_virtual_time
async def test_what_this_process_takes_away_is_gone_at_the_next_look() -> None:
    call, _ = await floor()
    rows = LiveRows(call.parts)
    await rows.refresh()
    await call("CancelJob", "one")
    await call("DeleteWorker", "w")
    assert waiting(await looked(rows)) == ["two"]
    assert rows.workers == {}
    await call("UpsertJob", "two", body={"priority": 3})
    assert waiting(await looked(rows)) == ["two"]


@in_virtual_time
async def test_what_is_taken_away_while_it_is_read_does_not_stay() -> None:
    call, _ = await floor()
    rows = LiveRows(call.parts)
    found = call.parts.backlog.everyone

    async def late(*args: object, **options: object) -> object:
        page = await found(*args, **options)  # type: ignore[arg-type]
        await call("CancelJob", "one")
        return page

    call.parts.backlog.everyone = late  # type: ignore[method-assign,assignment]
    await rows.refresh()
    assert waiting(rows) == ["two"]


@in_virtual_time
async def test_no_more_is_read_than_was_written_and_now_and_then_the_keys() -> None:
    call, rows = await floor()
    table = rows._parts.tables.table("backlog")
    sizes: list[int] = []
    columns: list[Sequence[str]] = []
    scan: Callable[..., Awaitable[Scan]] = table.scan

    async def counted(*args: object, **options: Any) -> Scan:
        page = await scan(*args, **options)
        sizes.append(len(page.rows))
        columns.append(options["columns"])
        return page

    rows._parts.backlog._table.scan = counted  # type: ignore[method-assign]
    before = rows.revision
    assert await rows.refresh() == 3
    assert (sizes, rows.revision) == ([0], before)
    await call.job("three", channelId="chat")
    await looked(rows)
    assert (sizes, rows.revision) == ([0, 1], before + 1)
    await looked(rows, 0.5)
    assert (sizes[-1], rows.revision) == (1, before + 1)  # written lately, and known
    await looked(rows, LOOKED_OVER)
    assert (sizes[-2:], rows.revision) == ([1, 3], before + 1)
    assert columns[-1] == ["Written"]


@in_virtual_time
async def test_what_was_known_stays_while_storage_does_not_answer() -> None:
    call, _ = await floor()
    rows = LiveRows(call.parts)
    await rows.refresh()
    await call("CancelJob", "one")

    async def silent(_: Call) -> None:
        raise StorageUnavailable("silent")

    call.process.tables.before = silent
    with pytest.raises(StorageUnavailable):
        await looked(rows)
    call.process.tables.before = None
    assert waiting(rows) == ["two"]
    assert waiting(await looked(rows)) == ["two"]
