"""What must hold of histories when everything rests: each committed change is told once, wherever it is told."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from router.engine import history
from router.storage.aggregates import read_entries
from router.storage.documents import read_document
from router.storage.history import of_job, of_worker
from router.storage.keys import key
from router.storage.port import Entity
from tests.sim.world import World


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
    made = {(owner, one) for owner, some in world.history.entries.items() for one in some}
    for owner, one in sorted(made - logged.keys()):
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
        if missing:
            fault(f"{owner}: its timeline lacks {missing}")
        if kind == "job" and (own | apart) - set(some):
            fault(f"{owner}: its timeline has {sorted((own | apart) - set(some))}, which no commit made")
        if kind == "job":
            _check_workers(world, id, row, [logged[owner, one] for one in some if (owner, one) in logged], copies)


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
            if entity.row[2:] in copies.get(of_worker(worker_id), set()):
                continue
            if ended or (row is not None and not in_hand):
                world.history.fault(f"worker {worker_id} does not know of {entity.row} of job {job_id}")
