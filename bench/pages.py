"""Pages of lists beside the fewest storage calls that can give them: one query of so many rows, on the same tables."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from azure.data.tables.aio import TableClient

from bench.figures import Figure, heading, timed
from bench.stage import Stage, stage
from router.clock import SystemClock
from router.models.jobs import JobRecord, JobRouting, JobStatus, RouterJob
from router.models.workers import RouterChannel, RouterWorker, WorkerRecord, WorkerRouting, WorkerState
from router.storage.azure import AzureTables
from router.storage.jobs import job_store
from router.storage.listing import ListingStore
from router.storage.truth_rows import Row
from router.storage.workers import WorkerStore

#: Of each kind: lists that fit no single query.
_STORED = 1_001
_TIMES = 30
_WRITERS = 6
_LABELS = {"skill": 1, "language": "en", "urgent": True}
_START = datetime.now(UTC) - timedelta(days=1)


async def run() -> None:
    async with stage() as scene:
        await fill(scene, _STORED)
        heading(
            f"Pages of lists of {_STORED:,}, as a client sees them (wanted: at most 2.0 times the same page read raw)"
        )
        async with scene.tables.get_table_client("jobs") as jobs, scene.tables.get_table_client("workers") as workers:
            print("| what | n | p50 ms | p95 ms | raw p50 ms | x raw |\n|---|---:|---:|---:|---:|---:|")
            for size in (20, 100, 1000):
                await _beside(scene, f"GetJobs, {size}", f"jobs?maxpagesize={size}", jobs, "Kind eq 'job'", size)
            queued = "Kind eq 'job' and Active eq true and QueueId eq 'pages0'"
            path = "jobs?maxpagesize=100&status=active&queueId=pages0"
            await _beside(scene, "GetJobs, 100 of one queue, active", path, jobs, queued, 100)
            rare = "Kind eq 'job' and Status eq 'cancelled'"
            await _beside(scene, "GetJobs, 20 of 51 cancelled", "jobs?maxpagesize=20&status=cancelled", jobs, rare, 20)
            for size in (20, 100):
                path = f"workers?maxpagesize={size}"
                await _beside(scene, f"GetWorkers, {size}", path, workers, "Kind eq 'worker'", size)


async def fill(scene: Stage, count: int) -> None:
    """Rows of jobs and workers as the services write them."""
    tables = AzureTables.from_connection_string(scene.parts.tables_connection_string)
    jobs, workers = job_store(tables.table("jobs")), WorkerStore(tables.table("workers"))
    listing = ListingStore(tables.table("listing"), SystemClock())
    numbers = iter(range(count))

    async def write() -> None:
        for number in numbers:
            job, worker = _job(number), _worker(number)
            await jobs.save(Row(job.id, job), job.id)
            await listing.add("job", job.id, job.created_at)
            await workers.save(Row(worker.id, worker), worker.id)
            await listing.add("worker", worker.id, worker.created_at)

    try:
        await asyncio.gather(*(write() for _ in range(_WRITERS)))
    finally:
        await tables.close()


def _job(number: int) -> JobRecord:
    at = _START + timedelta(milliseconds=number)
    status = JobStatus.CANCELLED if number % 20 == 0 else JobStatus.QUEUED
    job = RouterJob(
        id=f"page{number * 7919 % _STORED}-{number}",
        channel_id="voice",
        queue_id=f"pages{number % 3}",
        status=status,
        priority=5,
        enqueued_at=at,
        labels=_LABELS,
    )
    return JobRecord(job=job, routing=JobRouting(created_at=at), etag="e", modified=at)


def _worker(number: int) -> WorkerRecord:
    at = _START + timedelta(milliseconds=number)
    worker = RouterWorker(
        id=f"page{number * 7919 % _STORED}-{number}",
        capacity=5,
        queues=["pages0"],
        channels=[RouterChannel(channel_id="voice", capacity_cost_per_job=1)],
        state=WorkerState.INACTIVE,
        labels=_LABELS,
    )
    return WorkerRecord(
        worker=worker, routing=WorkerRouting(created_at=at, available_since=at, active_at=at), etag="e", modified=at
    )


async def _beside(scene: Stage, name: str, path: str, table: TableClient, where: str, size: int) -> None:
    """The raw page and the router's by turns, so that both meet the machine as it is."""

    async def raw(_: int) -> None:
        async for page in table.query_entities(where, results_per_page=size).by_page():
            assert len([row async for row in page]) == size
            return

    async def page(_: int) -> None:
        assert len((await scene.wire.get(f"/routing/{path}")).expect(200)["value"]) == size

    taken: tuple[list[float], list[float]] = ([], [])
    for action in (page, raw):
        await timed("", action, 1)
    for _ in range(_TIMES):
        for action, into in zip((raw, page), taken, strict=True):
            into.extend((await timed("", action, 1, warm_up=0)).milliseconds)
    floor, figure = Figure("raw", taken[0]), Figure(name, taken[1])
    print(
        f"| {name} | {_TIMES} | {figure.p50:.2f} | {figure.p95:.2f} | {floor.p50:.2f} | {figure.p50 / floor.p50:.2f} |",
        flush=True,
    )
