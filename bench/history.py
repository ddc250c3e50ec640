"""`python -m bench history`: what histories cost on the way to an offer, and how long reading them takes.

Two routers, one that keeps histories and one that does not, take jobs in turn, one at a time: so both have the same
machine. Then timelines are read, and a year's report of 50 queues."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from bench.call_centre import CallCentre, call_centre
from bench.figures import Figure, heading, line, table, timed
from bench.stage import Stage
from local.topology import Topology
from router.engine.columns import text_of
from router.engine.facts import COUNTS, SPREADS
from router.models.types import format_time
from router.storage.azure import AzureTables
from router.storage.days import DayStore
from router.storage.facts import QUARTER, FactStore, of_quarter
from router.storage.port import Entity, Table, Write
from tests.raw_wire import PREVIEW

_JOBS: Final = 120
_BETWEEN: Final = 0.25
_READS: Final = 100
_QUEUES: Final = 50
_DAYS: Final = 365
_REPORTS: Final = 10
#: Rows of a transaction: together no larger than it may be.
_AT_ONCE: Final = 20


async def run() -> None:
    alone = Topology()
    async with (
        call_centre(alone, answering=True) as kept,
        call_centre(alone, answering=True, environment={"ROUTER_HISTORY_DAYS": "0"}) as none,
    ):
        heading("From submission to the event that tells of the offer, with histories and without, in turn")
        for centre in (kept, none):
            await centre.open("history", team=20)
        await _in_turn(kept, none, 10)  # to warm up
        with_history, without = await _in_turn(kept, none, _JOBS)
        table([with_history, without])
        line("ratio of the medians", f"{with_history.p50 / without.p50:.3f}", "at most 1.05")
        heading("Reading (wanted: timelines under 100 ms at p95, a year by day under 1 s)")
        rows = [
            await timed("timeline of a job", _reading(kept.scene, sorted(kept.closed)), _READS),
            await timed("timeline of a worker", _reading_worker(kept.scene), _READS),
        ]
        await _write_a_year(kept.scene)
        rows.append(await timed(f"a year of {_QUEUES} queues by day, as CSV", _reporting(kept.scene), _REPORTS))
        rows.append(await timed("its first page of 1,000 rows", _reporting(kept.scene, "json"), _REPORTS))
        rows.append(await timed("the year and today, as CSV", _reporting(kept.scene, today=True), _REPORTS))
        table(rows)


async def _in_turn(kept: CallCentre, none: CallCentre, count: int) -> tuple[Figure, Figure]:
    """One job after the other, each at a router that rests; who is first changes."""
    jobs: dict[CallCentre, list[str]] = {kept: [], none: []}
    for number in range(count):
        for centre in (kept, none) if number % 2 else (none, kept):
            submitted = await centre.submit("history", 1000, 1)
            jobs[centre] += submitted
            await centre.until(centre.closed, submitted)
            await asyncio.sleep(_BETWEEN)
    with_history = Figure("with", kept.waits(jobs[kept], kept.told))
    return with_history, Figure("without", none.waits(jobs[none], none.told))


def _reading(scene: Stage, jobs: Sequence[str]) -> Callable[[int], Awaitable[object]]:
    async def read(number: int) -> None:
        path = f"/routing/jobs/{jobs[number % len(jobs)]}/timeline"
        found = (await scene.wire.get(path, version=PREVIEW)).expect(200)
        assert len(found["value"]) >= 4, found

    return read


def _reading_worker(scene: Stage) -> Callable[[int], Awaitable[object]]:
    async def read(number: int) -> None:
        path = f"/routing/workers/history-agent{number % 20}/timeline"
        found = (await scene.wire.get(path, version=PREVIEW)).expect(200)
        assert found["value"]

    return read


def _reporting(scene: Stage, format: str = "csv", *, today: bool = False) -> Callable[[int], Awaitable[object]]:
    since = _midnight() - timedelta(days=_DAYS)
    until = _midnight() + timedelta(days=1) if today else _midnight()
    query = {"from": format_time(since), "to": format_time(until), "grain": "1d", "format": format}
    # Today the queue of the jobs above is there as well.
    lines = _QUEUES * (_DAYS + today) + 1 + today

    async def read(_: int) -> None:
        answer = await scene.wire.get(
            "/routing/reports/queues", query={**query, "maxpagesize": "1000"}, version=PREVIEW
        )
        assert answer.status == 200, answer.content[:300]
        if format == "csv":
            assert answer.content.count(b"\n") == lines, answer.content.count(b"\n")
        else:
            assert len(answer.body["value"]) == 1000

    return read


class _Gathered:
    """A table that keeps what is written to it, to be written many at a time."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Entity] = {}

    async def get(self, partition: str, row: str) -> Entity | None:
        return None

    async def insert(self, entity: Entity) -> str:
        before = self.rows.get((entity.partition, entity.row))
        columns = {**(before.columns if before is not None else {}), **entity.columns}
        self.rows[entity.partition, entity.row] = replace(entity, columns=columns)
        return ""

    async def write_to(self, table: Table) -> None:
        by_partition: dict[str, list[Write]] = {}
        for one in self.rows.values():
            by_partition.setdefault(one.partition, []).append(Write("upsert", one))
        for writes in by_partition.values():
            for start in range(0, len(writes), _AT_ONCE):
                await table.transact(writes[start : start + _AT_ONCE])


def _busy(jobs: int) -> dict[str, Any]:
    """Facts of a time, with histograms of waits and of handle times in many buckets."""
    spread = {"count": jobs, "sum": 30.0 * jobs, "max": 290.0, "h": {str(bucket): jobs // 20 for bucket in range(20)}}
    return {**dict.fromkeys((*COUNTS, "longestLine"), jobs), **dict.fromkeys(SPREADS, spread)}


async def _write_a_year(scene: Stage) -> None:
    """Days as the timer adds them up, and today in quarters of an hour."""
    tables = AzureTables.from_connection_string(scene.parts.tables_connection_string)
    table, gathered = tables.table("facts"), _Gathered()
    days, store = DayStore(cast(Table, gathered), "UTC"), FactStore(cast(Table, gathered))
    queues = [f"queue-{number:02d}" for number in range(_QUEUES)]
    text = text_of(_busy(200))
    minute = json.dumps(_busy(20), separators=(",", ":"))
    quarters = {f"M{number:02d}": minute for number in range(15)}
    try:
        for number in range(_DAYS):
            day = (_midnight() - timedelta(days=number + 1)).date()
            await days.write(day, {(queue, "voice"): text for queue in queues}, {})
        start = _midnight()
        while start < datetime.now(UTC):
            places = [of_quarter(queue, "voice", start) for queue in queues]
            await store.known(places)
            await store.write(dict.fromkeys(places, quarters))
            start += QUARTER
        await gathered.write_to(table)
        await DayStore(table, "UTC").finish((_midnight() - timedelta(days=1)).date())
    finally:
        await tables.close()


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
