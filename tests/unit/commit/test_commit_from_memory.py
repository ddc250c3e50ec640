"""Changes decided on a remembered row: one write when it is still true, and never a lost change when it is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from router.commit.parts import Parts
from router.engine.change import Change
from router.engine.evolve import evolve
from router.errors import Conflict
from router.ids import Ids
from router.models.jobs import JobRecord, JobRouting, JobStatus, RouterJob
from router.storage.port import Entity
from router.storage.truth_rows import Row
from router.upkeep.procedures import PROCEDURES
from tests.sim.memory_tables import MemoryTable, Rows

START = datetime(2024, 3, 4, 8, tzinfo=UTC)


class _Tables:
    """Tables in memory, shared by processes, with a count of reads."""

    def __init__(self, rows: dict[str, Rows] | None = None) -> None:
        self.rows: dict[str, Rows] = {} if rows is None else rows
        self.reads = 0

    def table(self, name: str) -> Any:
        tables = self

        class Table(MemoryTable):
            async def get(self, partition: str, row: str) -> Entity | None:
                tables.reads += name == "jobs"
                return await super().get(partition, row)

        return Table(self.rows.setdefault(name, Rows(name)))

    async def ready(self) -> None: ...

    async def close(self) -> None: ...


class _Clock:
    def now(self) -> datetime:
        return START


class _Topic:
    async def publish(self, events: Any, *, key: str) -> None: ...


def _process(tables: _Tables) -> Parts:
    return Parts(tables, _Clock(), Ids(), _Topic(), None, PROCEDURES)  # type: ignore[arg-type]


async def _named(row: Row[JobRecord], name: str) -> Change[JobRecord] | None:
    record = row.record or JobRecord(
        job=RouterJob(id="j", channel_id="voice", queue_id="q", status=JobStatus.QUEUED),
        routing=JobRouting(created_at=START),
        etag="",
        modified=START,
    )
    return Change(evolve(record, job={"tags": {**record.job.tags, name: name}}))


async def _tag(parts: Parts, name: str, *, from_memory: bool = False) -> Row[JobRecord]:
    return (await parts.jobs.change("j", lambda row: _named(row, name), from_memory=from_memory)).after


async def _tags(parts: Parts) -> set[str]:
    row = await parts.jobs.store.load("j")
    assert row.record is not None
    return set(row.record.job.tags)


async def test_what_this_process_wrote_is_not_read_again() -> None:
    tables = _Tables()
    parts = _process(tables)
    await _tag(parts, "one")
    tables.reads = 0
    await _tag(parts, "two", from_memory=True)
    assert tables.reads == 0
    assert await _tags(parts) == {"one", "two"}


async def test_what_another_process_wrote_meanwhile_stays() -> None:
    tables = _Tables()
    here, there = _process(tables), _process(_Tables(tables.rows))
    await _tag(here, "one")
    await _tag(there, "two")
    await _tag(here, "three", from_memory=True)
    assert await _tags(here) == {"one", "two", "three"}


async def test_nothing_to_do_by_memory_is_looked_up() -> None:
    tables = _Tables()
    here, there = _process(tables), _process(_Tables(tables.rows))
    await _tag(here, "one")
    await _tag(there, "two")

    async def answer_two(row: Row[JobRecord]) -> Change[JobRecord] | None:
        assert row.record is not None
        if "two" not in row.record.job.tags:
            return None
        return Change(evolve(row.record, job={"tags": {**row.record.job.tags, "seen": "two"}}))

    committed = await here.jobs.change("j", answer_two, from_memory=True)
    assert committed.changed
    assert committed.after.version != committed.before.version
    assert await _tags(here) == {"one", "two", "seen"}


async def test_a_refusal_by_memory_is_looked_up() -> None:
    tables = _Tables()
    here, there = _process(tables), _process(_Tables(tables.rows))
    await _tag(here, "one")
    await _tag(there, "two")

    async def refuse_without_two(row: Row[JobRecord]) -> Change[JobRecord] | None:
        assert row.record is not None
        if "two" not in row.record.job.tags:
            raise Conflict("no two")
        return Change(evolve(row.record, job={"tags": {"only": "this"}}))

    await here.jobs.change("j", refuse_without_two, from_memory=True)
    assert await _tags(here) == {"only"}

    async def refuse(row: Row[JobRecord]) -> Change[JobRecord] | None:
        raise Conflict("never")

    with pytest.raises(Conflict):
        await here.jobs.change("j", refuse, from_memory=True)
