"""What a round looks at: the first of a queue's line and the workers that may take something, then their rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from router.commit import policies
from router.commit.parts import Parts
from router.engine.candidates import Candidate, available, candidate
from router.engine.matching import no_room, still_declined
from router.engine.plan import Rival, Scores
from router.engine.selectors import all_selectors, first_failing
from router.engine.service_order import Place, Standing, standing
from router.models.jobs import JobRecord
from router.models.policies import BestWorkerMode, DistributionPolicy, RoundRobinMode
from router.models.selectors import RouterWorkerSelector
from router.models.workers import WorkerRecord
from router.rules.failure import RuleFailure
from router.storage.aggregates import Row
from router.storage.availability import Available, Move, Order, Turn, row_keys
from router.storage.backlog import Line, Waiting, row_key

#: Jobs of the line that a round reads first, and further on while it finds nobody for them.
_HEAD: Final = 30
_FURTHER: Final = 300
#: Jobs that a round looks at, at most: the next one goes on where it has ended.
MOST_LOOKED_AT: Final = 1_000
#: Workers that are read whatever they can take. A larger team is asked for what the jobs need.
_TEAM: Final = 64
#: After so many rounds it is looked whether the team is large still.
_LOOKED_AT_AGAIN: Final = 32
#: Different needs that a round asks a large team for.
_MOST_NEEDS: Final = 8
_SPARE_WORKERS: Final = 10
_LARGEST_PAGE: Final = 1_000
#: Needs that nobody can meet, as a process remembers them of a queue: a query names no more.
_MOST_HOPELESS: Final = 8
#: Jobs whose rows a round reads.
_MOST_JOBS: Final = 100
#: A row that its job does not know is removed after this long: a younger one may have come before its job.
LEFT_BEHIND: Final = timedelta(seconds=10)
_RIVALS: Final = 20
#: After this long a worker's change has moved its index rows, or never will.
_MOVED_BY: Final = timedelta(seconds=2)


@dataclass
class Notes:
    """What a process remembers of a queue: only ever to save work."""

    #: Needs that nobody who is available can meet: an example of who has them.
    hopeless: dict[str, Waiting] = field(default_factory=dict)
    #: More workers are available than are read at once.
    is_large: bool = False
    rounds: int = 0
    #: How far the line has been looked at in vain; the next round goes on there.
    reach: str | None = None


@dataclass(frozen=True)
class Scene:
    """A queue as a round sees it; everything that was written before `now` is in it."""

    queue_id: str
    now: datetime
    policy: DistributionPolicy | None
    line: Sequence[Waiting]
    #: There may be more of the line.
    more: bool
    workers: Mapping[str, Available]
    candidates: Sequence[Candidate]
    #: All that is available is among them; else only who can meet these needs.
    all_workers: bool
    turn: Turn | None

    def is_in_order(self, waiting: Waiting) -> bool:
        """Whether everybody who stands before the job has been read. Who enters is read first, wherever that is."""
        if not self.more or not waiting.entering:
            return True
        return bool(self.line) and not self.line[-1].entering and waiting.place < self.line[-1].place

    def fits(self, waiting: Waiting) -> bool:
        """Whether somebody can take the job, as far as the index tells."""
        return any(_could_take(waiting, one, self._bypass, self.now) for one in self.candidates)

    def is_hopeless(self, waiting: Waiting) -> bool:
        """Whether nobody who is available is what the job asks for."""
        return self.all_workers and not any(_meets(waiting, one, self._bypass) for one in self.candidates)

    @property
    def _bypass(self) -> bool:
        return self.policy is not None and self.policy.mode.bypass_selectors

    @property
    def room(self) -> int:
        """How many jobs could be taken at most."""
        return sum(_slots(one) for one in self.candidates)

    @property
    def fingerprint(self) -> frozenset[str]:
        return frozenset(
            [*(f"{one.row} {one.version}" for one in self.line), *(one.row for one in self.workers.values())]
        )


async def scene(parts: Parts, queue_id: str, notes: Notes) -> Scene:
    now = parts.clock.now()
    policy = await policies.distribution_policy(parts, queue_id)
    line, (workers, all_workers), turn = await asyncio.gather(
        _head(parts, queue_id, notes),
        _workers(parts, queue_id, policy, notes),
        _turn(parts, queue_id, policy),
    )
    if await _forget_hope(parts, queue_id, policy, notes, workers, all_workers, now):
        line = await _head(parts, queue_id, notes)
    if not all_workers:
        workers = await _team_for(parts, queue_id, policy, line.jobs, turn)
    newest = await _newest(parts, queue_id, workers)
    candidates = await _candidates(parts, list(newest.values()))
    return Scene(queue_id, now, policy, line.jobs, line.more, newest, candidates, all_workers, turn)


async def _head(parts: Parts, queue_id: str, notes: Notes) -> Line:
    """The first of the line, who enters and who waits."""
    line = await parts.backlog.line(queue_id, _HEAD, without=list(notes.hopeless))
    while line.more and len(line.jobs) < _FURTHER and (not line.jobs or line.jobs[-1].entering):
        after = line.jobs[-1].row if line.jobs else None
        next = await parts.backlog.line(queue_id, _HEAD, without=list(notes.hopeless), after=after)
        if not next.jobs and next.more:
            break
        line = Line([*line.jobs, *next.jobs], next.more)
    return line


async def further(parts: Parts, before: Scene, notes: Notes) -> Scene:
    """The next ones of the line, for the same workers."""
    after = max(before.line[-1].row if before.line else "", notes.reach or "")
    line: Line = await parts.backlog.line(before.queue_id, _FURTHER, without=list(notes.hopeless), after=after)
    workers: Mapping[str, Available] = before.workers
    candidates = before.candidates
    if not before.all_workers:
        found = await _team_for(parts, before.queue_id, before.policy, line.jobs, before.turn)
        workers = await _newest(parts, before.queue_id, found)
        candidates = await _candidates(parts, list(workers.values()))
    return Scene(
        before.queue_id, before.now, before.policy, line.jobs, line.more, workers, candidates, before.all_workers,
        before.turn,
    )  # fmt: skip


def note_hopeless(seen: Scene, notes: Notes) -> None:
    """Remembers needs that nobody can meet, so that those who have them are not read again and again."""
    for waiting in seen.line:
        if len(notes.hopeless) >= _MOST_HOPELESS:
            return
        if waiting.needs and waiting.needs not in notes.hopeless and seen.is_hopeless(waiting):
            notes.hopeless[waiting.needs] = waiting


async def jobs(parts: Parts, seen: Scene, left: int) -> dict[str, tuple[Waiting, Row[JobRecord]]]:
    """The rows of jobs that somebody may take, at most as many as can be taken, and of all that enter."""
    most = min(seen.room + 5, left, _MOST_JOBS)
    wanted: list[Waiting] = []
    entering: list[Waiting] = []
    for waiting in seen.line:
        if waiting.entering:
            entering.append(waiting)
        elif len(wanted) < most and seen.policy is not None and seen.fits(waiting):
            wanted.append(waiting)
    some = [*entering[:_MOST_JOBS], *wanted]
    rows = await asyncio.gather(*(_job(parts, waiting) for waiting in some))
    found: dict[str, tuple[Waiting, Row[JobRecord]]] = {}
    stale: list[Waiting] = []
    for waiting, row in zip(some, rows, strict=True):
        where = standing(row.record)
        if where is not None and (where.queue_id, row_key(where)) == (waiting.queue_id, waiting.row):
            found[waiting.job_id] = (waiting, row)
        elif waiting.entering and where is not None and where == Standing(waiting.queue_id, waiting.place):
            found[waiting.job_id] = (waiting, row)  # it has been queued, and whoever did that got no further
        elif waiting.written is None or seen.now - waiting.written > LEFT_BEHIND:
            stale.append(waiting)
    await asyncio.gather(*(parts.backlog.remove_row(one.queue_id, one.row) for one in stale))
    return found


async def again(parts: Parts, found: dict[str, tuple[Waiting, Row[JobRecord]]], ids: Sequence[str]) -> bool:
    """Reads those of the jobs that were remembered and not read: what this process wrote last may be old, and is never
    a reason to leave a job waiting. Whether one of them has changed; one that has gone is left out."""
    remembered = [id for id in ids if found[id][1] is parts.jobs.store.as_written(id)]
    rows = await asyncio.gather(*(parts.jobs.store.load(id) for id in remembered))
    changed = False
    for id, row in zip(remembered, rows, strict=True):
        waiting, before = found[id]
        if row.version == before.version:
            continue
        changed = True
        where = standing(row.record)
        if where is not None and row_key(where) == waiting.row:
            found[id] = (waiting, row)
        else:
            del found[id]
    return changed


async def scores(parts: Parts, seen: Scene, records: Iterable[JobRecord]) -> Scores | None:
    """What the policy's scoring rule says of each job's workers; None if it has none. Jobs for which it fails are left
    out."""
    mode = seen.policy.mode if seen.policy else None
    if not isinstance(mode, BestWorkerMode) or mode.scoring_rule is None:
        return None
    queue = await parts.resources.cached("Queue", seen.queue_id)
    context = f"DistributionPolicy/{queue.model.distribution_policy_id if queue else ''}"
    options = mode.scoring_rule_options

    async def of(record: JobRecord) -> tuple[str, dict[str, float] | RuleFailure]:
        selectors = [one for one in all_selectors(record.job) if one.active]
        fitting = [
            one
            for one in seen.candidates
            if record.job.channel_id in one.channels
            and no_room(one, record.job.channel_id) is None
            and (mode.bypass_selectors or first_failing(selectors, one.labels) is None)
        ]
        if not fitting:
            return record.id, {}
        try:
            found = await parts.rules.scores(
                mode.scoring_rule, record.job.labels, selectors, [one.labels for one in fitting], options, context
            )
        except RuleFailure as error:
            return record.id, error
        return record.id, {one.worker_id: score for one, score in zip(fitting, found, strict=True)}

    found = await asyncio.gather(*(of(record) for record in records))
    return {job_id: what for job_id, what in found if not isinstance(what, RuleFailure)}


async def workers(parts: Parts, seen: Scene, ids: Sequence[str]) -> dict[str, Row[WorkerRecord]]:
    """The rows of workers: as this process wrote them last, if that is what the index tells of."""

    async def of(worker_id: str) -> Row[WorkerRecord]:
        known = parts.workers.store.as_written(worker_id)
        if known is not None and _is_told(seen, worker_id, known.record):
            return known
        return await parts.workers.store.load(worker_id)

    return dict(zip(ids, await asyncio.gather(*(of(id) for id in ids)), strict=True))


async def without_outdated(parts: Parts, seen: Scene, ids: Sequence[str]) -> Scene:
    """The scene without those of the workers of which the index tells what is no longer true."""
    rows = await workers(parts, seen, ids)
    outdated = {id for id, row in rows.items() if not _is_told(seen, id, row.record)}
    if not outdated:
        return seen
    await asyncio.gather(*(heal(parts, seen, id, rows[id].record) for id in sorted(outdated)))
    return replace(seen, candidates=[one for one in seen.candidates if one.worker_id not in outdated])


async def heal(parts: Parts, seen: Scene, worker_id: str, record: WorkerRecord | None) -> None:
    """The index tells of an old version of the worker. If nobody is about to put that right, it is done here."""
    if record is not None and seen.now - record.modified < _MOVED_BY:
        return
    await parts.availability.remove(seen.queue_id, _rows_of(seen.workers[worker_id]))
    now = available(record)
    if now is not None:
        await parts.availability.move([Move(None, now)])


def _rows_of(worker: Available) -> Sequence[str]:
    return row_keys(worker.candidate) if worker.candidate is not None else [worker.row]


def _is_told(seen: Scene, worker_id: str, record: WorkerRecord | None) -> bool:
    return record is not None and record.routing.version == seen.workers[worker_id].version


async def rivals(parts: Parts, queue_id: str, workers: Sequence[Candidate], last: Place) -> list[Rival]:
    """Jobs of the workers' other queues that stand before `last` and that one of them can take."""
    others = sorted({other for one in workers for other in one.queues if other != queue_id})
    found = await asyncio.gather(*(_rivals_in(parts, other, workers, last) for other in others))
    return [rival for some in found for rival in some]


async def _rivals_in(parts: Parts, queue_id: str, workers: Sequence[Candidate], last: Place) -> list[Rival]:
    policy = await policies.distribution_policy(parts, queue_id)
    if policy is None:
        return []
    bypass, now = policy.mode.bypass_selectors, parts.clock.now()
    mine = [one for one in workers if queue_id in one.queues]
    wanted: list[Waiting] = []
    after: str | None = None
    looked_at, size = 0, _RIVALS
    while looked_at < MOST_LOOKED_AT and len(wanted) < len(mine):
        line = await parts.backlog.line(queue_id, size, before=row_key(Standing(queue_id, last)), after=after)
        wanted += [
            waiting
            for waiting in line.jobs
            if waiting.place < last and any(_could_take(waiting, one, bypass, now) for one in mine)
        ]
        if not line.more or not line.jobs:
            break
        looked_at, after, size = looked_at + len(line.jobs), line.jobs[-1].row, _FURTHER
    rows = await asyncio.gather(*(_job(parts, waiting, from_memory=False) for waiting in wanted))
    found: list[Rival] = []
    for waiting, row in zip(wanted, rows, strict=True):
        where = standing(row.record)
        if row.record is not None and where is not None and row_key(where) == waiting.row:
            found.append(Rival(row.record, policy))
        elif waiting.written is None or now - waiting.written > LEFT_BEHIND:
            await parts.backlog.remove_row(queue_id, waiting.row)
    return found


async def _job(parts: Parts, waiting: Waiting, *, from_memory: bool = True) -> Row[JobRecord]:
    """The job's row; as this process wrote it last, if it stands there: whoever changes it reads it if that is old."""
    known = parts.jobs.store.as_written(waiting.job_id) if from_memory else None
    where = standing(known.record) if known is not None else None
    if known is not None and where is not None and row_key(where) == waiting.row:
        return known
    return await parts.jobs.store.load(waiting.job_id)


def _order(policy: DistributionPolicy | None) -> Order:
    return "n" if policy is not None and isinstance(policy.mode, RoundRobinMode) else "i"


async def _turn(parts: Parts, queue_id: str, policy: DistributionPolicy | None) -> Turn | None:
    return await parts.availability.turn(queue_id) if _order(policy) == "n" else None


async def _workers(
    parts: Parts, queue_id: str, policy: DistributionPolicy | None, notes: Notes
) -> tuple[list[Available], bool]:
    """The workers that are available, and whether these are all."""
    if policy is None:
        return [], True
    notes.rounds += 1
    if notes.is_large and notes.rounds % _LOOKED_AT_AGAIN:
        return [], False
    found, more = await parts.availability.available(queue_id, _order(policy), _TEAM)
    notes.is_large = more is not None
    return found, not notes.is_large


async def _team_for(
    parts: Parts, queue_id: str, policy: DistributionPolicy | None, line: Sequence[Waiting], turn: Turn | None
) -> list[Available]:
    """Who of a large team can meet what these jobs need."""
    if policy is None:
        return []
    needs: dict[str, tuple[Waiting, int]] = {}
    for waiting in line:
        asked = _needs(waiting)
        example, count = needs.get(asked, (waiting, 0))
        if asked in needs or len(needs) < _MOST_NEEDS:
            needs[asked] = (example, count + policy.mode.max_concurrent_offers)
    found = await asyncio.gather(
        *(_who_meets(parts, queue_id, policy, waiting, count, turn) for waiting, count in needs.values())
    )
    return list({one.row: one for some in found for one in some}.values())


async def _who_meets(
    parts: Parts, queue_id: str, policy: DistributionPolicy, waiting: Waiting, count: int, turn: Turn | None
) -> list[Available]:
    selectors: Sequence[RouterWorkerSelector] = [] if policy.mode.bypass_selectors else waiting.selectors
    order, limit = _order(policy), min(count + _SPARE_WORKERS, _LARGEST_PAGE)
    ask = parts.availability.available
    if isinstance(policy.mode, BestWorkerMode):  # all must be scored
        found: list[Available] = []
        token: tuple[str, str] | None = None
        while True:
            some, token = await ask(
                queue_id, order, _LARGEST_PAGE, channel_id=waiting.channel_id, selectors=selectors, token=token
            )
            found += some
            if token is None:
                return found
    if turn is None:
        return (await ask(queue_id, order, limit, channel_id=waiting.channel_id, selectors=selectors))[0]
    behind, _ = await ask(queue_id, order, limit, channel_id=waiting.channel_id, selectors=selectors, after=turn.behind)
    if len(behind) >= limit:
        return behind
    some, _ = await ask(queue_id, order, limit, channel_id=waiting.channel_id, selectors=selectors, until=turn.behind)
    return [*behind, *some]


async def _forget_hope(
    parts: Parts,
    queue_id: str,
    policy: DistributionPolicy | None,
    notes: Notes,
    workers: Sequence[Available],
    all_workers: bool,
    now: datetime,
) -> bool:
    """Needs that somebody can meet now are not hopeless any more. Whether there were some."""
    if not notes.hopeless or policy is None:
        return False
    bypass = policy.mode.bypass_selectors
    met: list[str] = []
    if all_workers:
        candidates = await _candidates(parts, workers)
        met = [
            needs
            for needs, example in notes.hopeless.items()
            if any(_meets(example, one, bypass) for one in candidates)
        ]
    else:

        async def is_met(example: Waiting) -> bool:
            selectors: Sequence[RouterWorkerSelector] = [] if bypass else example.selectors
            found, more = await parts.availability.available(
                queue_id, _order(policy), 1, channel_id=example.channel_id, selectors=selectors
            )
            return bool(found) or more is not None

        examples = list(notes.hopeless.items())
        answers = await asyncio.gather(*(is_met(example) for _, example in examples))
        met = [needs for (needs, _), is_so in zip(examples, answers, strict=True) if is_so]
    for needs in met:
        del notes.hopeless[needs]
    return bool(met)


async def _candidates(parts: Parts, workers: Sequence[Available]) -> list[Candidate]:
    """What the index tells of them, or their rows where it does not."""
    missing = [one for one in workers if one.candidate is None]
    rows = await asyncio.gather(*(parts.workers.store.load(one.worker_id) for one in missing))
    read = {
        one.row: candidate(row.record)
        for one, row in zip(missing, rows, strict=True)
        if row.record is not None and row.record.routing.version == one.version
    }
    known = [one.candidate or read.get(one.row) for one in workers]
    return [one for one in known if one is not None]


async def _newest(parts: Parts, queue_id: str, workers: Sequence[Available]) -> Mapping[str, Available]:
    """Each worker as its newest row tells of it. Older ones are writes that came late."""
    newest: dict[str, Available] = {}
    late: list[str] = []
    for one in workers:
        known = newest.get(one.worker_id)
        if known is None or known.version < one.version:
            newest[one.worker_id] = one
        if known is not None and known.version != one.version:
            late.append(min(known, one, key=lambda each: each.version).row)
    if late:
        await parts.availability.remove(queue_id, late)
    return newest


def _needs(waiting: Waiting) -> str:
    return waiting.needs or f"{waiting.channel_id}\n{[one.model_dump_json() for one in waiting.selectors]}"


def _meets(waiting: Waiting, worker: Candidate, bypass: bool) -> bool:
    return waiting.channel_id in worker.channels and (bypass or first_failing(waiting.selectors, worker.labels) is None)


def _could_take(waiting: Waiting, worker: Candidate, bypass: bool, now: datetime) -> bool:
    if not _meets(waiting, worker, bypass) or no_room(worker, waiting.channel_id) is not None:
        return False
    decline = (waiting.declined or {}).get(worker.worker_id)
    return decline is None or not still_declined(decline, worker.registered_at, now)


def _slots(worker: Candidate) -> int:
    """How many more jobs the worker could take."""
    cheapest = min((one.cost for one in worker.channels.values()), default=worker.capacity)
    slots = (worker.capacity - worker.used) // max(cheapest, 1)
    if worker.most_offers is not None:
        slots = min(slots, worker.most_offers - worker.offers)
    return max(slots, 0)
