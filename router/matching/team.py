"""Who of a queue's workers a round looks at: all of a small team; of a large one, who can meet what the jobs need."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from router.commit.parts import Parts
from router.engine.candidates import Candidate, candidate
from router.matching.fit import needs_of
from router.matching.notes import Notes
from router.models.policies import BestWorkerMode, DistributionPolicy, RoundRobinMode
from router.models.selectors import RouterWorkerSelector
from router.storage.availability import Available, Order, Turn
from router.storage.backlog import Waiting

#: Workers that are read whatever they can take. A larger team is asked for what the jobs need.
_TEAM: Final = 64
#: After so many rounds it is looked whether the team is large still.
_LOOKED_AT_AGAIN: Final = 32
#: Different needs that a round asks a large team for at a time, of those who enter and of those who wait.
_MOST_NEEDS: Final = 8
_SPARE_WORKERS: Final = 10
_LARGEST_PAGE: Final = 1_000
_READ_AT_ONCE: Final = 16


def order_of(policy: DistributionPolicy | None) -> Order:
    return "n" if policy is not None and isinstance(policy.mode, RoundRobinMode) else "i"


async def turn_of(parts: Parts, queue_id: str, policy: DistributionPolicy | None) -> Turn | None:
    return await parts.availability.turn(queue_id) if order_of(policy) == "n" else None


async def team(
    parts: Parts, queue_id: str, policy: DistributionPolicy | None, notes: Notes
) -> tuple[list[Available], bool]:
    """The workers that are available, and whether these are all."""
    if policy is None:
        return [], True
    notes.rounds += 1
    if notes.is_large and notes.rounds % _LOOKED_AT_AGAIN:
        return [], False
    found, more = await parts.availability.available(queue_id, order_of(policy), _TEAM)
    notes.is_large = more is not None
    return found, not notes.is_large


@dataclass(frozen=True)
class Sought:
    """Who of a large team can meet what some jobs need."""

    workers: list[Available] = field(default_factory=list)
    #: The needs that were asked for, and of these those for which all are among the workers who may meet them.
    asked: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()


async def team_for(
    parts: Parts, queue_id: str, policy: DistributionPolicy | None, line: Sequence[Waiting], turn: Turn | None
) -> Sought:
    """For the first of these jobs: where they need much that differs, not for all."""
    if policy is None:
        return Sought(asked=frozenset(map(needs_of, line)))
    needs: dict[str, tuple[Waiting, int]] = {}
    room = {True: _MOST_NEEDS, False: _MOST_NEEDS}
    for waiting in line:
        asked = needs_of(waiting)
        if asked not in needs:
            if not room[waiting.entering]:
                continue
            room[waiting.entering] -= 1
        example, count = needs.get(asked, (waiting, 0))
        needs[asked] = (example, count + policy.mode.max_concurrent_offers)
    found = await asyncio.gather(
        *(_who_meets(parts, queue_id, policy, waiting, count, turn) for waiting, count in needs.values())
    )
    workers = {one.row: one for some, _ in found for one in some}
    whole = frozenset(asked for asked, (_, is_all) in zip(needs, found, strict=True) if is_all)
    return Sought(list(workers.values()), frozenset(needs), whole)


async def _who_meets(
    parts: Parts, queue_id: str, policy: DistributionPolicy, waiting: Waiting, count: int, turn: Turn | None
) -> tuple[list[Available], bool]:
    """About as many as are needed, and whether these are all."""
    selectors: Sequence[RouterWorkerSelector] = [] if policy.mode.bypass_selectors else waiting.selectors
    order, limit = order_of(policy), min(count + _SPARE_WORKERS, _LARGEST_PAGE)
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
                return found, True
    if turn is None:
        found, more = await ask(queue_id, order, limit, channel_id=waiting.channel_id, selectors=selectors)
        return found, more is None
    behind, more = await ask(
        queue_id, order, limit, channel_id=waiting.channel_id, selectors=selectors, after=turn.behind
    )
    if len(behind) >= limit:
        return behind, False
    some, others = await ask(
        queue_id, order, limit, channel_id=waiting.channel_id, selectors=selectors, until=turn.behind
    )
    return [*behind, *some], more is None and others is None


async def candidates_of(parts: Parts, workers: Sequence[Available]) -> list[Candidate]:
    """What the index tells of them, or their rows where it does not."""
    missing = [one for one in workers if one.candidate is None]
    read: dict[str, Candidate | None] = {}
    for start in range(0, len(missing), _READ_AT_ONCE):  # they are large: of each no more is kept than is needed
        some = missing[start : start + _READ_AT_ONCE]
        rows = await asyncio.gather(*(parts.workers.store.load(one.worker_id) for one in some))
        for one, row in zip(some, rows, strict=True):
            if row.record is not None and row.record.routing.version == one.version:
                read[one.row] = candidate(row.record)
    known = [one.candidate or read.get(one.row) for one in workers]
    return [one for one in known if one is not None]


async def newest_of(parts: Parts, queue_id: str, workers: Sequence[Available]) -> Mapping[str, Available]:
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
