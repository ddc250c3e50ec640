"""The rows of the jobs and workers of a scene; what the indexes tell untruly of them is put right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from router.commit.parts import Parts
from router.engine.candidates import available
from router.engine.service_order import Place, Standing, standing
from router.matching.notes import Notes
from router.matching.scene import Scene
from router.models.jobs import JobRecord
from router.models.workers import WorkerRecord
from router.storage.availability import Available, Move, row_keys
from router.storage.backlog import Waiting, row_key
from router.storage.truth_rows import Row

#: Rows of jobs that a round reads before it is sure to have the queue: what another process reads too is in vain.
_UNCLAIMED: Final = 4
#: Jobs that a round takes on beyond those for which there is room.
_SPARE: Final = 5
#: A row that its job does not know is removed after this long: a younger one may have come before its job.
LEFT_BEHIND: Final = timedelta(seconds=10)
#: After this long a worker's change has moved its index rows, or never will.
_MOVED_BY_SECONDS: Final = 2.0

#: Makes sure that the queue is this process's still. Raises HoldLost (matching/rounds.py).
Claim = Callable[[], Awaitable[None]]


#: By their ids: what the line tells of them, and their rows.
Jobs = dict[str, tuple[Waiting, Row[JobRecord]]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a round takes on."""

    found: Jobs
    #: Of these, the jobs whose rows were remembered and not read.
    remembered: set[str]
    #: Rows of those who wait and may be taken, as far as the index tells; those who enter are not among them. Not their
    #: jobs: of one that has moved there may be an old row before the one that counts.
    looked_at: frozenset[str]
    #: Some were left for the next round.
    some_left: bool
    #: Somebody was left since there is hardly room for these. There may be some: one of them may be too large for it.
    hardly_room: bool
    #: The first who waits and was left so: nobody who enters behind it may be offered before it is looked at.
    left_from: Place | None = None

    def is_in_order(self, waiting: Waiting) -> bool:
        """Whether nobody who was left stands before the job."""
        return not waiting.entering or self.left_from is None or waiting.place < self.left_from


async def jobs(parts: Parts, seen: Scene, most: int, claim: Claim, passed: Collection[str] = ()) -> Taken:
    """The rows of jobs that somebody may take, about as many as can be taken, and of those that enter: at most so
    many of each. Where more enter, nobody is looked at who may stand behind one of these. Much is read only where the
    queue is this process's. `passed`: rows that were looked at in vain."""
    entering = [waiting for waiting in seen.line if waiting.entering]
    more_enter = seen.more_enter or len(entering) > most
    entering = entering[:most]
    last = entering[-1].place if entering else None
    wanted: list[Waiting] = []
    left_from: Place | None = None
    some_left, hardly_room = more_enter, False
    for waiting in seen.line:
        if waiting.entering or waiting.row in passed or (more_enter and (last is None or waiting.place > last)):
            continue
        if seen.policy is not None and seen.fits(waiting):
            if len(wanted) >= seen.room + _SPARE:
                hardly_room, left_from = True, waiting.place
                break
            if len(wanted) >= most:
                some_left, left_from = True, waiting.place
                break
            wanted.append(waiting)
    some = [*entering, *wanted]
    if sum(_known(parts, waiting) is None for waiting in some) > _UNCLAIMED:
        await claim()
    known = [_known(parts, waiting) for waiting in some]
    rows = await asyncio.gather(*(_row(parts, *both) for both in zip(some, known, strict=True)))
    found: Jobs = {}
    stale: list[Waiting] = []
    for waiting, row in zip(some, rows, strict=True):
        if is_there(waiting, row.record):
            found[waiting.job_id] = (waiting, row)
        elif waiting.written is None or seen.now - waiting.written > LEFT_BEHIND:
            stale.append(waiting)
    await asyncio.gather(*(parts.backlog.remove_as_seen(one) for one in stale))
    remembered = {one.job_id for one, row in zip(some, known, strict=True) if row is not None and one.job_id in found}
    looked_at = frozenset(waiting.row for waiting in wanted)
    return Taken(found, remembered, looked_at, some_left, hardly_room, left_from)


def is_there(waiting: Waiting, record: JobRecord | None) -> bool:
    """Whether the job stands where the line says. One that enters may have been queued there, by somebody who got no
    further, or is about to write that."""
    where = standing(record)
    if where is None or where.queue_id != waiting.queue_id:
        return False
    return row_key(where) == waiting.row or (waiting.entering and where == Standing(waiting.queue_id, waiting.place))


async def again(parts: Parts, seen: Scene, taken: Taken, ids: Sequence[str]) -> bool:
    """Reads those of the jobs that were remembered and not read: what this process wrote last may be old, and is never
    a reason to leave a job waiting. Whether one of them has changed; one that has gone is left out, and one that stands
    in another row of the scene is taken as that tells."""
    found = taken.found
    remembered = [id for id in ids if id in taken.remembered]
    taken.remembered.difference_update(remembered)
    rows = await asyncio.gather(*(parts.jobs.store.load(id) for id in remembered))
    changed = False
    for id, row in zip(remembered, rows, strict=True):
        before = found[id][1]
        if row.version == before.version:
            continue
        changed = True
        where = standing(row.record)
        stands = [one for one in seen.line if one.job_id == id and where is not None and one.row == row_key(where)]
        if stands:
            found[id] = (stands[0], row)
        else:
            del found[id]
    return changed


async def job(parts: Parts, waiting: Waiting, *, from_memory: bool = True) -> Row[JobRecord]:
    """The job's row; as this process wrote it last, if it stands there: whoever changes it reads it if that is old."""
    return await _row(parts, waiting, _known(parts, waiting) if from_memory else None)


async def _row(parts: Parts, waiting: Waiting, known: Row[JobRecord] | None) -> Row[JobRecord]:
    return known if known is not None else await parts.jobs.store.load(waiting.job_id)


def _known(parts: Parts, waiting: Waiting) -> Row[JobRecord] | None:
    """The job's row as this process wrote it last, if it stands there."""
    known = parts.jobs.store.as_written(waiting.job_id)
    where = standing(known.record) if known is not None else None
    return known if where is not None and row_key(where) == waiting.row else None


async def workers(parts: Parts, seen: Scene, ids: Sequence[str]) -> dict[str, Row[WorkerRecord]]:
    """The rows of workers: as this process wrote them last, if that is what the index tells of."""

    async def of(worker_id: str) -> Row[WorkerRecord]:
        for known in (seen.rows.get(worker_id), parts.workers.store.as_written(worker_id)):
            if known is not None and _is_told(seen, worker_id, known.record):
                return known
        seen.rows[worker_id] = row = await parts.workers.store.load(worker_id)
        return row

    return dict(zip(ids, await asyncio.gather(*(of(id) for id in ids)), strict=True))


async def without_outdated(parts: Parts, notes: Notes, seen: Scene, ids: Sequence[str]) -> Scene:
    """The scene without those of the workers of which the index tells what is no longer true."""
    rows = await workers(parts, seen, ids)
    outdated = [id for id, row in rows.items() if not _is_told(seen, id, row.record)]
    for id in outdated:
        distrust(parts, seen, notes, id)
    return replace(seen, candidates=[one for one in seen.candidates if one.worker_id not in outdated])


def distrust(parts: Parts, seen: Scene, notes: Notes, worker_id: str) -> None:
    """The index tells of the worker as it was: it is not asked again by that row. Whoever has changed the worker is
    about to put the index right, most likely; if not, it is done here after a while."""
    told = seen.workers[worker_id]
    if told.row not in notes.outdated:
        notes.outdated.update(_rows_of(told))
        parts.background.start(_put_right(parts, seen.queue_id, notes, told), f"put the index of {worker_id} right")


async def _put_right(parts: Parts, queue_id: str, notes: Notes, told: Available) -> None:
    try:
        await asyncio.sleep(_MOVED_BY_SECONDS)
        record = (await parts.workers.store.load(told.worker_id)).record
        if record is None or record.routing.version != told.version:
            await parts.availability.remove(queue_id, _rows_of(told))
            if (now := available(record)) is not None:
                await parts.availability.move([Move(None, now)])
    finally:
        notes.outdated.difference_update(_rows_of(told))
        parts.rounds.ask([queue_id])


def _rows_of(worker: Available) -> Sequence[str]:
    return row_keys(worker.candidate) if worker.candidate is not None else [worker.row]


def _is_told(seen: Scene, worker_id: str, record: WorkerRecord | None) -> bool:
    return record is not None and record.routing.version == seen.workers[worker_id].version
