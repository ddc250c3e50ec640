"""`python -m bench lists`: 100,000 jobs, listed page by page. `python -m bench.lists JOBS` takes another number.

Azurite looks at its whole table for each query, then sorts what is left of it from the page's start on; Azure's tables
read a range. So a page's time is Azurite's, and what is to be seen is that it does not grow, beside the same page
without the router."""

from __future__ import annotations

import asyncio
import base64
import random
import statistics
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.data.tables.aio import TableClient

from bench.arguments import count, topology
from bench.figures import Figure, heading, line, title
from bench.stage import Stage, stage
from router.clock import SystemClock
from router.models.jobs import JobRecord, JobRouting, JobStatus, RouterJob
from router.storage.azure import AzureTables
from router.storage.jobs import job_store
from router.storage.listing import ListingStore
from router.storage.truth_rows import Row

_JOBS = 100_000
_PAGE = 100
#: Pages at the start, in the middle and at the end that are timed beside the raw ones.
_SAMPLE = 100
_WRITERS = 40
#: Every so many jobs one stands in the small queue, half of those queued.
_FEW = 200


async def run(jobs: int = _JOBS) -> None:
    async with stage() as scene:
        heading(f"GetJobs over {jobs:,} jobs, {_PAGE} a page")
        written = time.perf_counter()
        ids, few = await _fill(scene, jobs)
        line("written", f"{jobs:,} jobs in {time.perf_counter() - written:.0f} s")
        async with scene.tables.get_table_client("jobs") as raw:
            await _everything(scene, raw, ids)
            await _filtered(scene, raw, few)


async def _fill(scene: Stage, jobs: int) -> tuple[set[str], set[str]]:
    """Rows of jobs as the services write them, in no order. All ids, and those that the filtered list must find."""
    tables = AzureTables.from_connection_string(scene.parts.tables_connection_string)
    store, listing = job_store(tables.table("jobs")), ListingStore(tables.table("listing"), SystemClock())
    since = datetime.now(UTC) - timedelta(days=1)
    dice = random.Random(1)
    numbers = iter(range(jobs))
    ids: set[str] = set()
    few: set[str] = set()

    async def write() -> None:
        for number in numbers:
            id = str(uuid.UUID(int=dice.getrandbits(128)))
            queue = "few" if number % _FEW == 0 else f"queue{number % 7}"
            status = JobStatus.QUEUED if number // _FEW % 2 == 0 else JobStatus.CLOSED
            at = since + timedelta(milliseconds=number)
            labels = {"skill": number % 10, "language": "en", "urgent": number % 3 == 0}
            job = RouterJob(
                id=id, channel_id="voice", queue_id=queue, status=status, priority=5, enqueued_at=at, labels=labels
            )
            record = JobRecord(job=job, routing=JobRouting(created_at=at), etag="e", modified=at)
            await store.save(Row(id, record), id)
            await listing.add("job", id, at)
            ids.add(id)
            if queue == "few" and status == JobStatus.QUEUED:
                few.add(id)

    try:
        await asyncio.gather(*(write() for _ in range(_WRITERS)))
    finally:
        await tables.close()
    return ids, few


@dataclass
class _Sample:
    name: str
    first: int
    raw: list[float] = field(default_factory=list)
    wire: list[float] = field(default_factory=list)

    def has(self, number: int) -> bool:
        return self.first <= number < self.first + _SAMPLE


async def _everything(scene: Stage, raw: TableClient, ids: set[str]) -> None:
    pages = -(-len(ids) // _PAGE)
    samples = [
        _Sample(f"the first {_SAMPLE}", 0),
        _Sample(f"{_SAMPLE} in the middle", (pages - _SAMPLE) // 2),
        _Sample(f"the last {_SAMPLE}", pages - _SAMPLE),
    ]
    path = f"/routing/jobs?maxpagesize={_PAGE}"
    await scene.wire.get(path)
    before = most = scene.app_memory()
    seen: list[str] = []
    in_order = sorted(ids)
    number = 0
    started = time.perf_counter()
    link: str | None = path
    while link:
        sample = next((one for one in samples if one.has(number)), None)
        if sample:
            # The floor is the same page, read by the SDK alone.
            sample.raw.append(await _raw_page(raw, "Kind eq 'job'", in_order[len(seen)] if number else None))
        asked = time.perf_counter()
        answer = (await scene.wire.get(link)).expect(200)
        if sample:
            sample.wire.append((time.perf_counter() - asked) * 1000)
        assert len(answer["value"]) <= _PAGE
        seen += [job["id"] for job in answer["value"]]
        most = max(most, scene.app_memory())
        link = answer.get("nextLink")
        number += 1
    line("read", f"{number:,} pages in {time.perf_counter() - started:.0f} s")
    line("distinct jobs seen", f"{len(set(seen) & ids):,}, {len(seen) - len(set(seen))} twice", f"{len(ids):,}, 0")
    after = scene.app_memory()
    line("app memory", f"{before:.0f} MB after the first page, {most:.0f} at most, {after:.0f} at the end", "flat")
    print()
    _print(samples)


def _print(samples: list[_Sample]) -> None:
    print("| pages | raw p50 ms | raw p95 ms | p50 ms | p95 ms | x raw | more than raw, ms | x the first pages |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    first = Figure("", samples[0].wire)
    for sample in samples:
        raw, wire = Figure("", sample.raw), Figure("", sample.wire)
        more = statistics.median(one - other for one, other in zip(sample.wire, sample.raw, strict=True))
        figures = (raw.p50, raw.p95, wire.p50, wire.p95, wire.p50 / raw.p50, more, wire.p50 / first.p50)
        print(f"| {sample.name} |" + "".join(f" {one:.2f} |" for one in figures), flush=True)


async def _filtered(scene: Stage, raw: TableClient, few: set[str]) -> None:
    sample = _Sample("queued jobs of one queue, the first", 0)
    path = f"/routing/jobs?status=queued&queueId=few&maxpagesize={_PAGE}"
    for _ in range(10):
        where = "Kind eq 'job' and Status eq 'queued' and QueueId eq 'few'"
        sample.raw.append(await _raw_page(raw, where, None))
        asked = time.perf_counter()
        await scene.wire.get(path)
        sample.wire.append((time.perf_counter() - asked) * 1000)
    found: list[str] = []
    number = 0
    link: str | None = path
    while link:
        answer = (await scene.wire.get(link)).expect(200)
        found += [job["id"] for job in answer["value"]]
        link = answer.get("nextLink")
        number += 1
    heading("The same jobs, filtered by status and queue")
    line("found", f"{len(found)} (pages: {number}), {len(set(found) & few)} of them right", f"{len(few)}")
    print()
    _print([sample])


async def _raw_page(raw: TableClient, where: str, start: str | None) -> float:
    """How long the SDK alone takes for the page that starts at the job `start`, ms."""
    token: Any = None
    if start is not None:  # Azurite's own form of a continuation
        name = base64.b64encode(start.encode()).decode()
        token = {"PartitionKey": name, "RowKey": name}
    asked = time.perf_counter()
    async for page in raw.query_entities(where, results_per_page=_PAGE).by_page(continuation_token=token):
        rows = [row async for row in page]
        taken = (time.perf_counter() - asked) * 1000
        assert start is None or rows[0]["PartitionKey"] == start, (rows[0]["PartitionKey"], start)
        return taken
    raise AssertionError("no page")


if __name__ == "__main__":
    least = 3 * _SAMPLE * _PAGE  # three samples that do not overlap
    jobs_asked = count("bench.lists", __doc__, "jobs", least, _JOBS)
    title(topology(workers=1))
    asyncio.run(run(jobs_asked))
