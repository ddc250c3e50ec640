"""What the tables and the subscriber say after a fault, held against what was answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local.parts import Parts
from router.models.types import parse_time
from router.storage.aggregates import AggregateStore
from router.storage.azure import AzureTables
from router.storage.deadlines import SHARDS, DeadlineStore
from router.storage.jobs import job_store
from router.storage.keys import key
from router.storage.workers import WorkerStore
from tests.chaos.shift import Round

#: Told once in a job's life, or once of an offer.
_ONCE = (
    "RouterJobReceived",
    "RouterJobQueued",
    "RouterWorkerOfferAccepted",
    "RouterJobCompleted",
    "RouterJobClosed",
)
#: A deadline that is later than this is not being handled.
_OVERDUE = timedelta(seconds=20)


@dataclass
class Count:
    """What is not as it was answered, in words."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)


async def recount(parts: Parts, round: Round, workers: Iterable[str], events: list[dict[str, Any]]) -> Count:
    """From the tables of a local run, whatever the app says."""
    tables = AzureTables.from_connection_string(parts.tables_connection_string)
    try:
        return await _recount(tables, round, workers, events)
    finally:
        await tables.close()


async def _recount(tables: AzureTables, round: Round, workers: Iterable[str], events: list[dict[str, Any]]) -> Count:
    count = Count()
    jobs = job_store(tables.table("jobs"))
    told = _told(events)
    for job in list(round.jobs):
        row = await jobs.load(job)
        if row.record is None:
            count.lost.append(f"job {job} was answered and is not there")
            continue
        found = row.record.job
        opened = [one for one in found.assignments.values() if one.closed_at is None]
        if len(opened) > 1 or len(found.assignments) > 1:
            count.twice.append(f"job {job} has {len(found.assignments)} assignments")
        if job in round.accepted and round.accepted[job][0] not in found.assignments:
            count.lost.append(f"the assignment of job {job} was answered and is not there")
        if found.status != "closed":
            (count.lost if job in round.closed else count.stuck).append(f"job {job} is {found.status}")
            continue
        if row.outbox or row.overflow:
            count.stuck.append(f"events of job {job} still wait")
        for name in _ONCE:
            ids = told[job].get(name, set())
            if not ids:
                count.lost.append(f"{name} of job {job} was never told")
            elif len(ids) > 1:
                count.twice.append(f"{name} of job {job} was told under {len(ids)} ids")
    await _look_at_workers(WorkerStore(tables.table("workers")), workers, count)
    await _look_at_deadlines(tables, count)
    return count


async def _look_at_workers(store: AggregateStore[Any], workers: Iterable[str], count: Count) -> None:
    for worker in workers:
        record = (await store.load(worker)).record
        if record is None:
            count.lost.append(f"worker {worker} is not there")
            continue
        held = [*record.worker.offers, *record.worker.assigned_jobs]
        if len(held) > record.worker.capacity:
            count.twice.append(f"worker {worker} holds {len(held)}")
        if held:
            count.stuck.append(f"worker {worker} still holds {len(held)}")


async def _look_at_deadlines(tables: AzureTables, count: Count) -> None:
    store = DeadlineStore(tables.table("deadlines"))
    before = datetime.now(UTC) - _OVERDUE
    for shard in range(SHARDS):
        late = await store.due(shard, before, 1000)
        count.stuck += [f"deadline {one.kind} of {key(one.target)} is late" for one in late]


def _told(events: list[dict[str, Any]]) -> dict[str, dict[str, set[str]]]:
    """Per job and kind the ids of events."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for event in events:
        name = str(event["eventType"]).rpartition(".")[2]
        if (job := event["data"].get("jobId")) is not None:
            found[job][name].add(event["id"])
    return found


def expired_offers(events: list[dict[str, Any]]) -> int:
    """Offers that ended before their time."""
    early = 0
    issued = {
        event["data"]["offerId"]: event["data"]
        for event in events
        if str(event["eventType"]).endswith("RouterWorkerOfferIssued")
    }
    for event in events:
        if not str(event["eventType"]).endswith("RouterWorkerOfferExpired"):
            continue
        data = issued.get(event["data"]["offerId"])
        if data is not None and parse_time(data["expiresOn"]) > datetime.now(UTC):
            early += 1
    return early
