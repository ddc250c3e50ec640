"""What a round looks at: the first of a queue's line and the workers that may take something."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from router.commit import policies
from router.commit.parts import Parts
from router.engine.candidates import Candidate
from router.engine.matching import no_room
from router.matching.fit import could_take, meets, needs_of, slots
from router.matching.notes import Notes
from router.matching.team import Sought, candidates_of, newest_of, order_of, team, team_for, turn_of
from router.models.policies import DistributionPolicy
from router.models.selectors import RouterWorkerSelector
from router.models.workers import WorkerRecord
from router.storage.availability import Available, Turn
from router.storage.backlog import LAST_ENTERING, Line, Waiting
from router.storage.truth_rows import Row

#: Jobs of the line that a round reads first, of those that enter and of those that wait, and further on while it finds
#: nobody for them.
_HEAD: Final = 30
FURTHER: Final = 300
#: Jobs that a round looks at, at most: the next one goes on where it has ended.
MOST_LOOKED_AT: Final = 1_000
#: Needs that nobody can meet, as a process remembers them of a queue: a query names no more.
_MOST_HOPELESS: Final = 8


@dataclass(frozen=True)
class Scene:
    """A queue as a round sees it; everything that was written before `now` is in it."""

    queue_id: str
    now: datetime
    policy: DistributionPolicy | None
    #: The first who enter, then the first who wait.
    line: Sequence[Waiting]
    #: There may be more who wait.
    more: bool
    #: There may be more who enter.
    more_enter: bool
    workers: Mapping[str, Available]
    candidates: Sequence[Candidate]
    #: All that is available is among them; else only who can meet what the line needs.
    all_workers: bool
    turn: Turn | None
    #: Needs of which, where not all is among them, everybody is who may meet them.
    whole: frozenset[str] = frozenset()
    #: Rows of workers that have been read for it.
    rows: dict[str, Row[WorkerRecord]] = field(default_factory=dict, compare=False)
    #: Who stands before these and was looked at in vain.
    passed: Sequence[Waiting] = ()

    def is_in_order(self, waiting: Waiting) -> bool:
        """Whether everybody who waits before the job has been read. Who enters is read first, wherever that is."""
        if not self.more or not waiting.entering:
            return True
        return bool(self.line) and not self.line[-1].entering and waiting.place < self.line[-1].place

    def fits(self, waiting: Waiting) -> bool:
        """Whether somebody can take the job, as far as the index tells."""
        return any(could_take(waiting, one, self._bypass, self.now) for one in self.candidates)

    def without(self, worker_ids: Collection[str]) -> Scene:
        """The scene as if these workers took nothing."""
        return replace(self, candidates=[one for one in self.candidates if one.worker_id not in worker_ids])

    def takers(self, some: Iterable[Waiting]) -> set[str]:
        """Workers who could take one of these jobs, as far as the index tells."""
        return {
            one.worker_id
            for waiting in some
            for one in self.candidates
            if could_take(waiting, one, self._bypass, self.now)
        }

    def overtaken(self, worker_ids: Collection[str]) -> list[Waiting]:
        """Who has been passed, and could take one of these workers of a large team, of which each page of the line has
        others: one may have come since, or not have been asked for."""
        given = [] if self.all_workers else [one for one in self.candidates if one.worker_id in worker_ids]
        return [one for one in self.passed if any(could_take(one, worker, self._bypass, self.now) for worker in given)]

    def back_with(self, some: Sequence[Waiting]) -> Scene:
        """The scene with these, who have been passed, in the line again."""
        rows = {one.row for one in some}
        return replace(self, line=[*some, *self.line], passed=[one for one in self.passed if one.row not in rows])

    def met(self, hopeless: Mapping[str, Waiting], worker_ids: Collection[str]) -> list[str]:
        """Which of these needs one of these workers of a large team meets: he has come since they were looked at."""
        given = [] if self.all_workers else [one for one in self.candidates if one.worker_id in worker_ids]
        return [
            needs
            for needs, example in hopeless.items()
            if any(meets(example, one, self._bypass) and no_room(one, example.channel_id) is None for one in given)
        ]

    def is_hopeless(self, waiting: Waiting) -> bool:
        """Whether nobody who is available is what the job asks for."""
        is_known = self.all_workers or waiting.needs in self.whole
        return is_known and not any(meets(waiting, one, self._bypass) for one in self.candidates)

    @property
    def _bypass(self) -> bool:
        return self.policy is not None and self.policy.mode.bypass_selectors

    @property
    def room(self) -> int:
        """How many jobs could be taken at most."""
        return sum(slots(one) for one in self.candidates)

    @property
    def fingerprint(self) -> frozenset[str]:
        return frozenset([*(fingerprint(one) for one in self.line), *(one.row for one in self.workers.values())])


def fingerprint(waiting: Waiting) -> str:
    return f"{waiting.row} {waiting.version}"


async def scene(parts: Parts, queue_id: str, notes: Notes) -> Scene:
    now = parts.clock.now()
    policy = await policies.distribution_policy(parts, queue_id)
    (line, more_enter), (workers, all_workers), turn = await asyncio.gather(
        _head(parts, queue_id, notes),
        team(parts, queue_id, policy, notes),
        turn_of(parts, queue_id, policy),
    )
    if await _forget_hope(parts, queue_id, policy, notes, workers, all_workers, now):
        line, more_enter = await _head(parts, queue_id, notes)
    whole = frozenset[str]()
    if not all_workers:
        sought = await team_for(parts, queue_id, policy, line.jobs, turn)
        workers, whole, line = sought.workers, sought.whole, _asked_for(line, sought)
    newest = await newest_of(parts, queue_id, [one for one in workers if one.row not in notes.outdated])
    candidates = await candidates_of(parts, list(newest.values()))
    return Scene(queue_id, now, policy, line.jobs, line.more, more_enter, newest, candidates, all_workers, turn, whole)


async def _head(parts: Parts, queue_id: str, notes: Notes) -> tuple[Line, bool]:
    """The first of the line, who enters and who waits; and whether more may enter. However many enter, who waits is
    seen: else nobody would be offered while more enter than are read."""
    without = list(notes.hopeless)
    line = await parts.backlog.line(queue_id, _HEAD, without=without)
    if not line.more or (line.jobs and not line.jobs[-1].entering):
        return line, False
    waiting = await parts.backlog.line(queue_id, _HEAD, without=without, after=LAST_ENTERING)
    return Line([*line.jobs, *waiting.jobs], waiting.more), True


async def further(parts: Parts, before: Scene, notes: Notes) -> Scene:
    """The next ones of the line, for the same workers."""
    after = max(before.line[-1].row if before.line else "", notes.reach or "")
    line: Line = await parts.backlog.line(before.queue_id, FURTHER, without=list(notes.hopeless), after=after)
    workers: Mapping[str, Available] = before.workers
    candidates, whole = before.candidates, before.whole
    if not before.all_workers:
        sought = await team_for(parts, before.queue_id, before.policy, line.jobs, before.turn)
        whole, line = sought.whole, _asked_for(line, sought)
        workers = await newest_of(parts, before.queue_id, sought.workers)
        candidates = await candidates_of(parts, list(workers.values()))
    return replace(
        before,
        line=line.jobs,
        more=line.more,
        workers=workers,
        candidates=candidates,
        whole=whole,
        passed=[*before.passed, *before.line],
    )


def _asked_for(line: Line, sought: Sought) -> Line:
    """The first of the line, up to whom a large team has been asked for what they need. Who enters does so anyway."""
    for number, waiting in enumerate(line.jobs):
        if not waiting.entering and needs_of(waiting) not in sought.asked:
            return Line(line.jobs[:number], True)
    return line


def note_hopeless(seen: Scene, notes: Notes) -> None:
    """Remembers needs that nobody can meet, so that those who have them are not read again and again."""
    for waiting in seen.line:
        if len(notes.hopeless) >= _MOST_HOPELESS:
            return
        if waiting.needs and waiting.needs not in notes.hopeless and seen.is_hopeless(waiting):
            notes.hopeless[waiting.needs] = waiting


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
        candidates = await candidates_of(parts, workers)
        met = [
            needs for needs, example in notes.hopeless.items() if any(meets(example, one, bypass) for one in candidates)
        ]
    else:

        async def is_met(example: Waiting) -> bool:
            selectors: Sequence[RouterWorkerSelector] = [] if bypass else example.selectors
            found, more = await parts.availability.available(
                queue_id, order_of(policy), 1, channel_id=example.channel_id, selectors=selectors
            )
            return bool(found) or more is not None

        examples = list(notes.hopeless.items())
        answers = await asyncio.gather(*(is_met(example) for _, example in examples))
        met = [needs for (needs, _), is_so in zip(examples, answers, strict=True) if is_so]
    for needs in met:
        del notes.hopeless[needs]
    return bool(met)
