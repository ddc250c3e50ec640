"""What must hold of histories when everything rests: each committed change is told once, wherever it is told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from router.engine import history
from router.storage.aggregates import read_entries
from router.storage.documents import read_document
from router.storage.history import of_job, of_worker
from router.storage.keys import key, time_key
from router.storage.port import Entity
from router.upkeep.facts import FactCounter
from tests.sim.world import World

#: Settle deadlines, what they set going, and the second after which they are removed.
_SETTLES_WITHIN = timedelta(seconds=20)
_COUNTED = {
    "offered": "RouterWorkerOfferIssued",
    "accepted": "RouterWorkerOfferAccepted",
    "declined": "RouterWorkerOfferDeclined",
    "expired": "RouterWorkerOfferExpired",
    "revoked": "RouterWorkerOfferRevoked",
    "completed": "RouterJobCompleted",
    "closed": "RouterJobClosed",
    "unassigned": "RouterJobUnassigned",
}


def is_young(world: World) -> bool:
    """Whether something was committed so lately that its settle deadline may still stand: then not all is told yet."""
    since = time_key(world.now() - _SETTLES_WITHIN)
    return any(one >= since for some in world.history.entries.values() for one in some)


def check_timelines(world: World) -> None:
    fault = world.history.fault
    copies: dict[str, set[str]] = {}
    for entity in world.rows("history").all():
        copies.setdefault(entity.partition, set()).add(entity.row)
    logged = {
        (str(entity.columns["Owner"]), entity.row[2:]): entity
        for entity in world.rows("deadlines").all()
        if entity.row.startswith("h~")
    }
    forgotten = world.history.deleted_workers
    made = {(owner, one) for owner, some in world.history.entries.items() for one in some}
    for owner, one in sorted(made - logged.keys()):
        if owner in forgotten:
            continue
        fault(f"{owner}: the entry {one} is not in the log")
    for owner, one in sorted(logged.keys() - made):
        fault(f"{owner}: the log has an entry that no commit made: {one}")
    twice = [one for one, number in Counter(entry for _, entry in made).items() if number > 1]
    if twice:
        fault(f"entries have the same key: {twice}")
    for owner, some in world.history.entries.items():
        kind, _, id = owner.partition("/")
        row = world.rows(f"{kind}s").get(key(id), key(id))
        own = {entry.key for entry in read_entries(read_document("Hist", row.columns))} if row is not None else set()
        apart = copies.get(of_job(id) if kind == "job" else of_worker(id), set())
        missing = [one for one in some if one not in own | apart]
        if missing and owner not in forgotten:
            fault(f"{owner}: its timeline lacks {missing}")
        if kind == "job" and (own | apart) - set(some):
            fault(f"{owner}: its timeline has {sorted((own | apart) - set(some))}, which no commit made")
        if kind == "job":
            _check_workers(world, id, row, [logged[owner, one] for one in some if (owner, one) in logged], copies)


async def check_facts(world: World) -> None:
    """What is counted is what was committed, counted here from the events alone; counting again changes nothing."""
    minutes = {entity.row[2:17] for entity in world.rows("deadlines").all() if entity.row.startswith("h~")}
    process = world.alive()[0]
    for _ in range(2):
        count = FactCounter(process.parts).count_minute
        for minute in sorted(minutes):

            async def counted_again(parts: Any, minute: str = minute, count: Any = count) -> bool:
                return bool(await count(minute))

            for _ in range(5):
                if await process.call(counted_again):
                    break
                await asyncio.sleep(1)  # another process counts as well
            else:
                world.history.fault(f"minute {minute} could not be counted")
    found: Counter[str] = Counter()
    handled = 0.0
    for entity in world.rows("facts").all():
        if not entity.partition.startswith("q~"):
            continue
        for name, text in entity.columns.items():
            if name[0] == "M" and len(name) == 3:
                counted = json.loads(text)
                found.update({one: number for one, number in counted.items() if isinstance(number, int)})
                handled += counted.get("handle", {}).get("sum", 0.0)
    events = [event for some in world.history.events.values() for event in some if event.data.get("queueId")]
    by_type = Counter(event.type for event in events)
    for one, type in _COUNTED.items():
        # An event of a job with a classification policy may not tell its queue.
        if found[one] < by_type[type] or found[one] > sum(
            event.type == type for some in world.history.events.values() for event in some
        ):
            world.history.fault(f"{found[one]} are counted as {one}, and {by_type[type]} were committed")
    spent = sum(seconds for job in world.history.past_jobs for seconds in _handled(world, job))
    if abs(handled - spent) > 0.01 * max(len(world.history.past_jobs), 1):
        world.history.fault(f"jobs were handled for {spent} s, and {handled} s are counted")


def _handled(world: World, job_id: str) -> list[float]:
    """How long each assignment of the job was worked at, by the job's own past."""
    began: dict[str, datetime] = {}
    done: dict[str, float] = {}
    for record in world.history.past_jobs[job_id]:
        open_ones = {id: one for id, one in record.job.assignments.items() if one.closed_at is None}
        for id, one in record.job.assignments.items():
            began.setdefault(id, one.assigned_at)
            if one.completed_at is not None:
                done.setdefault(id, (one.completed_at - began[id]).total_seconds())
            elif one.closed_at is not None:
                done.setdefault(id, (one.closed_at - began[id]).total_seconds())
        for id in began.keys() - open_ones.keys() - done.keys():
            if id not in record.job.assignments:  # it was unassigned
                done[id] = (record.modified - began[id]).total_seconds()
    return list(done.values())


def _check_workers(
    world: World, job_id: str, row: Entity | None, entries: list[Entity], copies: dict[str, set[str]]
) -> None:
    """Who is concerned by a job has it in their timeline, unless they have it in hand still."""
    job = world.history.jobs.get(job_id)
    in_hand = history.holders(job)
    ended = job is None or job.job.status in ("closed", "cancelled")
    for entity in entries:
        told: dict[str, Any] = json.loads(read_document("Doc", entity.columns))
        for worker_id in history.concerned(told):
            if worker_id == history.DELETED or f"worker/{worker_id}" in world.history.deleted_workers:
                continue
            if entity.row[2:] in copies.get(of_worker(worker_id), set()):
                continue
            if ended or (row is not None and not in_hand):
                world.history.fault(f"worker {worker_id} does not know of {entity.row} of job {job_id}")
