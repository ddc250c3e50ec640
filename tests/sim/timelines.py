"""What must hold of histories when everything rests: each committed change is told once, wherever it is told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from router.commit.parts import Parts
from router.engine import history
from router.storage.documents import read_document
from router.storage.history import of_job, of_worker
from router.storage.keys import key, time_key
from router.storage.port import Entity
from router.storage.truth_rows import read_entries
from router.upkeep.facts import FactCounter
from router.usecases import reports
from router.usecases.reports import Asked
from tests.sim.world import START, World

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
    "assigned": "RouterWorkerOfferAccepted",
    "cancelled": "RouterJobCancelled",
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
    """What reports say is what was committed, counted here by the jobs themselves; counting again changes nothing."""
    process = world.alive()[0]

    async def until_counted(count: Callable[[FactCounter], Awaitable[bool]], parts: Parts) -> bool:
        for _ in range(5):
            if await count(FactCounter(parts)):
                return True
            await asyncio.sleep(1)  # another process counts as well
        return False

    # As a timer does that begins now: nobody tells it which minutes the others have counted.
    async def begin(parts: Parts) -> bool:
        counter = FactCounter(parts)
        for _ in range(5):
            await counter.count(parts.clock.now())
            if not counter._again:
                return True
            await asyncio.sleep(1)
        return False

    if not await process.call(begin):
        world.history.fault("minutes could not be counted")
    before = _counted(world)
    asked = Asked(START - timedelta(days=1), world.now() + timedelta(days=1), "1d", UTC)

    async def told(parts: Parts) -> list[dict[str, Any]]:
        return reports.documents(await reports.of_queues(parts, asked, None), asked)

    found: Counter[tuple[str, str, str]] = Counter()
    handled = 0.0
    for row in await process.call(told):
        for column in _COUNTED:
            if row[column]:
                found[row["queueId"], row["channelId"], column] += row[column]
        handled += row["handleSum"]
    if is_young(world):
        return  # an offer has expired while this was counted, say
    committed = Counter(
        {
            (queue_id, channel_id, column): number
            for (queue_id, channel_id, of), number in world.history.happened.items()
            for column, type in _COUNTED.items()
            if type == of
        }
    )
    if found != committed:
        world.history.fault(f"reports say {found - committed} too much and {committed - found} too little")
    for minute in sorted({entity.row[2:17] for entity in world.rows("deadlines").all() if entity.row.startswith("h~")}):
        if not await process.call(
            lambda parts, minute=minute: until_counted(lambda one: one.count_minute(minute), parts)
        ):
            world.history.fault(f"minute {minute} could not be counted")
    if _counted(world) != before:
        world.history.fault("counting every minute again has changed what is counted")
    spent = sum(seconds for job in world.history.past_jobs for seconds in _handled(world, job))
    if abs(handled - spent) > 0.01 * max(len(world.history.past_jobs), 1):
        world.history.fault(f"jobs were handled for {spent} s, and {handled} s are counted")


def _counted(world: World) -> dict[tuple[str, str], dict[str, Any]]:
    """What is counted of queues and workers. How long a line was is seen, not counted."""
    return {
        (one.partition, one.row): {name: text for name, text in one.columns.items() if name != "Line"}
        for one in world.rows("facts").all()
        if one.partition[0] in "qw"
    }


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
    # Processes whose clocks differ may tell of an end before its beginning: that took no time.
    return [max(seconds, 0.0) for seconds in done.values()]


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
