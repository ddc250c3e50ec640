"""A queue's workers in the order in which a job would be offered to them, page by page: first those that can take
something, as the distribution policy ranks them, then all others by id.

Best worker's scores are not computed (a scoring rule may be somebody's web service): those workers come in the order of
its ties, longest idle first. Who changes between two pages may be named twice."""

from __future__ import annotations

import asyncio
from typing import Final

from router.commit.parts import Parts
from router.engine.candidates import available
from router.models.policies import DistributionPolicy, RoundRobinMode
from router.models.workers import WorkerRecord
from router.storage.aggregates import Position

#: Workers of other queues are passed over: so many reads a page at most, and then it is a short one.
_LIST_CALLS: Final = 5
#: Where a page begins: among those that can take something (of round robin: behind whose turn was last, or before), or
#: among the others. The second half of such a position is storage's token of the page, none for the first.
_AVAILABLE, _BEHIND_THE_TURN, _BEFORE_THE_TURN, _OTHERS = "available", "behind", "before", "others"


async def page(
    parts: Parts, queue_id: str, policy: DistributionPolicy, size: int, after: Position | None
) -> tuple[list[WorkerRecord], Position | None]:
    """At most `size` workers, and where the next page begins. A page may be short, even empty."""
    found: list[WorkerRecord] = []
    position = after if after is not None else await _start(parts, queue_id, policy)
    for _ in range(_LIST_CALLS):
        step = _others if position[0] == _OTHERS else _available
        some, then = await step(parts, queue_id, size - len(found), position)
        found += some
        if then is None or len(found) >= size:
            return found, then
        position = then
    return found, position


async def _start(parts: Parts, queue_id: str, policy: DistributionPolicy) -> Position:
    if not isinstance(policy.mode, RoundRobinMode):
        return (_AVAILABLE, "")
    turn = await parts.availability.turn(queue_id)
    return (f"{_BEHIND_THE_TURN} {turn.behind}", "") if turn else (f"{_BEFORE_THE_TURN} ", "")


async def _available(
    parts: Parts, queue_id: str, size: int, position: Position
) -> tuple[list[WorkerRecord], Position | None]:
    phase, token = position
    kind, _, turn = phase.partition(" ")
    rows, then = await parts.availability.available(
        queue_id,
        "i" if kind == _AVAILABLE else "n",
        size,
        after=turn if kind == _BEHIND_THE_TURN else None,
        until=turn if kind == _BEFORE_THE_TURN and turn else None,
        token=_key(token),
    )
    workers = await asyncio.gather(*(parts.workers.store.load(row.worker_id) for row in rows))
    found = [
        worker.record
        for row, worker in zip(rows, workers, strict=True)
        # A row that is left over from before a change: the worker stands elsewhere.
        if worker.record is not None and worker.record.routing.version == row.version
    ]
    if then is not None:
        return found, (phase, " ".join(then))
    return found, (f"{_BEFORE_THE_TURN} {turn}", "") if kind == _BEHIND_THE_TURN else (_OTHERS, "")


async def _others(
    parts: Parts, queue_id: str, size: int, position: Position
) -> tuple[list[WorkerRecord], Position | None]:
    page = await parts.workers.store.page([], size, _key(position[1]))
    found = [
        worker
        for worker in page.records
        if queue_id in worker.worker.queues and not worker.routing.deleting and available(worker) is None
    ]
    return found, (_OTHERS, " ".join(page.next)) if page.next else None


def _key(token: str) -> tuple[str, str] | None:
    partition, _, row = token.partition(" ")
    return (partition, row) if token else None
