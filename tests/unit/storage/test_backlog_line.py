"""A queue's line: who is read first, who is left out, and what a round makes of the rows that it has read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from router.engine.service_order import Standing, standing
from router.models.jobs import Decline, JobRecord, JobStatus
from router.storage.backlog import BacklogStore, Waiting, row_key
from router.storage.port import Entity
from tests.memory_router import START, Tables
from tests.unit.engine.engine_records import job, later, selector

NOW: datetime = later(100)


def _job(id: str, at: float = 0, status: JobStatus = JobStatus.QUEUED, **fields: Any) -> JobRecord:
    record = job(status, enqueued_at=later(at), **fields)
    return record.model_copy(update={"job": record.job.model_copy(update={"id": id})})


def _where(record: JobRecord) -> Standing:
    where = standing(record)
    assert where is not None
    return where


async def _line(*records: JobRecord) -> tuple[BacklogStore, Tables]:
    tables = Tables()
    store = BacklogStore(tables.table("backlog"))
    for record in records:
        await store.put(record, _where(record), NOW)
    return store, tables


async def _ids(store: BacklogStore, limit: int = 100, **bounds: Any) -> list[str]:
    return [waiting.job_id for waiting in (await store.line("q", limit, **bounds)).jobs]


async def _first(store: BacklogStore) -> Waiting:
    return (await store.line("q", 1)).jobs[0]


async def test_who_enters_then_expedited_then_priority_then_age() -> None:
    expedite = [selector("a", "equal", 1, expedite=True)]
    store, _ = await _line(
        _job("old", -9),
        _job("young", 9),
        _job("urgent", 9, priority=5),
        _job("expedited", 9, priority=-5, requested_worker_selectors=expedite),
        _job("new", 20, JobStatus.CREATED),
    )
    assert await _ids(store) == ["new", "expedited", "urgent", "old", "young"]


async def test_a_row_tells_what_matching_needs() -> None:
    record = _job(
        "j",
        requested_worker_selectors=[selector("a", "equal", 1), selector("b", "equal", 2, status="expired")],
        attached_worker_selectors=[selector("c", "greaterThan", 3)],
        routing={"declined": {"w": Decline(declined_at=START)}},
    )
    store, _ = await _line(record)
    found = await _first(store)
    assert [one.key for one in found.selectors] == ["a", "c"]
    assert found.declined == record.routing.declined
    assert (found.place, found.entering, found.written, found.open) == (_where(record).place, False, NOW, True)
    assert found.row == row_key(_where(record))


async def test_what_is_too_long_for_a_column_is_left_out() -> None:
    many = [selector(f"label{n}", "equal", "x" * 200) for n in range(80)]
    declined = {f"worker{n}": Decline(declined_at=START) for n in range(500)}
    store, _ = await _line(_job("j", requested_worker_selectors=many, routing={"declined": declined}))
    found = await _first(store)
    assert (list(found.selectors), found.declined) == ([], None)


async def test_bounds_and_pages() -> None:
    records = [_job(f"j{n}", n) for n in range(5)]
    store, _ = await _line(*records)
    page = await store.line("q", 2)
    assert ([one.job_id for one in page.jobs], page.more) == (["j0", "j1"], True)
    assert await _ids(store, after=page.jobs[-1].row) == ["j2", "j3", "j4"]
    assert await _ids(store, before=row_key(_where(records[3]))) == ["j0", "j1", "j2"]
    assert not (await store.line("q", 5)).more


async def test_who_takes_no_offers_is_not_read() -> None:
    store, _ = await _line(_job("j0"))
    await store.put_closed(_job("j1", 1), _where(_job("j1", 1)), NOW)
    assert await _ids(store) == ["j0"]
    assert [one.job_id async for one in store.all("q")] == ["j0", "j1"]


async def test_needs_are_left_out_but_for_who_enters() -> None:
    asks: dict[str, Any] = {"requested_worker_selectors": [selector("a", "equal", 1)]}
    store, _ = await _line(
        _job("j0", **asks), _job("j1", 1, **asks), _job("j2"), _job("j3", 5, JobStatus.CREATED, **asks)
    )
    needs = next(one.needs for one in (await store.line("q", 9)).jobs if one.job_id == "j0")
    assert needs
    assert await _ids(store, without=[needs]) == ["j3", "j2"]


async def test_who_enters_is_not_counted() -> None:
    records = [_job(f"j{n}", n) for n in range(4)]
    store, _ = await _line(*records, _job("new", 9, JobStatus.CREATED))
    assert await store.count("q") == 4
    assert await store.count("q", before=_where(records[2]).place) == 2
    assert await store.count("q", most=3) == 3
    assert await store.count("other") == 0
    assert [one.job_id async for one in store.all("q")] == ["j0", "j1", "j2", "j3"]


async def test_a_long_line_is_counted_page_by_page() -> None:
    store, tables = await _line(*(_job(f"j{n:04}", n) for n in range(1_005)))
    tables.calls.clear()
    assert await store.count("q") == 1_005
    assert await store.count("q", most=10) == 10
    assert tables.count("query", "backlog") == 3
    assert len([one async for one in store.all("q")]) == 1_005


async def _move(store: BacklogStore, record: JobRecord, *, open: bool) -> None:
    found = {one.job_id: one for one in (await store.line("q", 100)).jobs}
    await store.update([(found[record.id], record, _where(record), open)], NOW)


async def test_a_job_that_has_entered_stands_at_its_place() -> None:
    entering = _job("j", 3, JobStatus.CREATED)
    store, tables = await _line(entering)
    seen = await _first(store)
    assert seen.entering
    queued = _job("j", 3)
    await store.update([(seen, queued, _where(queued), True)], NOW)
    assert tables.count("transact", "backlog") == 1
    assert [one.row for one in (await store.line("q", 9)).jobs] == [row_key(_where(queued))]


async def test_a_row_that_was_written_since_stays_open() -> None:
    """A row that wrongly says "closed" would keep its job from its worker."""
    record = _job("j")
    store, _ = await _line(record)
    seen = await _first(store)
    await store.put(record, _where(record), NOW)
    await store.update([(seen, record, _where(record), False)], NOW)
    assert await _ids(store) == ["j"]
    await store.update([(await _first(store), record, _where(record), False)], NOW)
    assert await _ids(store) == []


async def test_a_row_that_has_gone_stays_away() -> None:
    record = _job("j")
    store, _ = await _line(record)
    seen = await _first(store)
    await store.remove(_where(record))
    await store.update([(seen, record, _where(record), True)], NOW)
    assert await _ids(store) == []


async def test_one_that_has_changed_does_not_hold_up_the_others() -> None:
    records = [_job(f"j{n}", n) for n in range(3)]
    store, _ = await _line(*records)
    seen = (await store.line("q", 9)).jobs
    await store.put(records[1], _where(records[1]), NOW)
    await store.update([(one, record, _where(record), False) for one, record in zip(seen, records, strict=True)], NOW)
    assert await _ids(store) == ["j1"]


async def test_many_moves_are_few_transactions() -> None:
    entering = [_job(f"j{n:03}", n, JobStatus.CREATED) for n in range(120)]
    store, tables = await _line(*entering)
    seen = (await store.line("q", 200)).jobs
    queued = [_job(one.job_id, n) for n, one in enumerate(seen)]
    tables.calls.clear()
    await store.update([(one, record, _where(record), True) for one, record in zip(seen, queued, strict=True)], NOW)
    assert [call.kind for call in tables.calls] == ["transact"] * 3
    assert await store.count("q") == 120


async def test_an_entry_that_somebody_else_has_made_is_not_made_twice() -> None:
    entering, queued = _job("j", 3, JobStatus.CREATED), _job("j", 3)
    store, _ = await _line(entering)
    seen = await _first(store)
    await store.put(queued, _where(queued), NOW)
    await store.update([(seen, queued, _where(queued), False)], NOW)
    assert [one.entering for one in (await store.line("q", 9)).jobs] == [False]


@pytest.mark.parametrize("missing", ["Needs", "Written", "Declined"])
async def test_rows_of_an_earlier_version_are_read(missing: str) -> None:
    store, tables = await _line(_job("j", routing={"declined": {"w": Decline(declined_at=START)}}))
    (entity,) = tables.of("backlog").all()
    columns = {name: value for name, value in entity.columns.items() if name != missing}
    tables.of("backlog").upsert(Entity(entity.partition, entity.row, columns))
    found = await _first(store)
    assert (found.job_id, bool(getattr(found, missing.lower()))) == ("j", False)
