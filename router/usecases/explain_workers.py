"""A queue's workers in the order in which a job would be offered to them, page by page: first those that can take
something, as the distribution policy ranks them, then all others by id.

Best worker's scores are not computed (a scoring rule may be somebody's web service): those workers come in the order of
its ties, longest idle first. Who changes between two pages may be named twice.

A worker may be large, and a page may name a thousand: they are read some at a time, judged and forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from router.commit.parts import Parts
from router.engine.candidates import available
from router.models.policies import DistributionPolicy, RoundRobinMode
from router.models.sizes import LARGEST_PAGE
from router.models.workers import WorkerRecord
from router.storage.record_pages import Position

J = TypeVar("J")

#: Workers of other queues are passed over: a page looks at so many for each that it has room for, and is a short one
#: then, as after so many characters of workers (LARGEST_PAGE).
_LOOKS: Final = 5
#: Workers that are read at one time: the first of them before it is known how large they are, and then as many as have
#: about so many characters.
_FIRST: Final = 32
_MOST: Final = 250
_LARGEST_AT_ONCE: Final = 1_000_000
#: Workers that are judged before others have their turn.
_JUDGED_AT_ONCE: Final = 20
#: Where a page begins: among those that can take something (of round robin: behind whose turn was last, or before), or
#: among the others. The second half of such a position is storage's token of the page, none for the first.
_AVAILABLE, _BEHIND_THE_TURN, _BEFORE_THE_TURN, _OTHERS = "available", "behind", "before", "others"


@dataclass
class _Read:
    """What one page has read."""

    most: int
    workers: int = 0
    characters: int = 0
    #: Those of the last read.
    last: list[WorkerRecord] = field(default_factory=list)

    def saw(self, workers: list[WorkerRecord], looked: int, characters: int) -> None:
        self.last = workers
        self.workers += max(looked, 1)
        self.characters += characters

    @property
    def is_enough(self) -> bool:
        return self.workers >= self.most or self.characters >= LARGEST_PAGE

    @property
    def at_once(self) -> int:
        if not self.workers:
            return _FIRST
        average = max(1, self.characters // self.workers)
        return max(1, min(_MOST, _LARGEST_AT_ONCE // average))


async def page(
    parts: Parts,
    queue_id: str,
    policy: DistributionPolicy,
    size: int,
    after: Position | None,
    judge: Callable[[WorkerRecord], J],
) -> tuple[list[J], Position | None]:
    """What is judged of at most `size` workers, and where the next page begins. A page may be short, even empty."""
    found: list[J] = []
    position = after if after is not None else await _start(parts, queue_id, policy)
    read = _Read(_LOOKS * size)
    while True:
        step = _others if position[0] == _OTHERS else _available
        then = await step(parts, queue_id, min(size - len(found), read.at_once), position, read)
        for number, worker in enumerate(read.last, 1):
            found.append(judge(worker))
            if number % _JUDGED_AT_ONCE == 0:
                await asyncio.sleep(0)
        read.last = []
        if then is None or len(found) >= size or read.is_enough:
            return found, then
        position = then


async def _start(parts: Parts, queue_id: str, policy: DistributionPolicy) -> Position:
    if not isinstance(policy.mode, RoundRobinMode):
        return (_AVAILABLE, "")
    turn = await parts.availability.turn(queue_id)
    return (f"{_BEHIND_THE_TURN} {turn.behind}", "") if turn else (f"{_BEFORE_THE_TURN} ", "")


async def _available(parts: Parts, queue_id: str, size: int, position: Position, read: _Read) -> Position | None:
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
    read.saw(found, len(rows), sum(worker.size for worker in workers))
    if then is not None:
        return (phase, " ".join(then))
    return (f"{_BEFORE_THE_TURN} {turn}", "") if kind == _BEHIND_THE_TURN else (_OTHERS, "")


async def _others(parts: Parts, queue_id: str, size: int, position: Position, read: _Read) -> Position | None:
    page = await parts.workers.store.pages.page([], size, _key(position[1]))
    found = [
        worker
        for worker in page.records
        if queue_id in worker.worker.queues and not worker.routing.deleting and available(worker) is None
    ]
    read.saw(found, len(page.found), sum(one.size for one in page.found))
    return (_OTHERS, " ".join(page.next)) if page.next else None


def _key(token: str) -> tuple[str, str] | None:
    partition, _, row = token.partition(" ")
    return (partition, row) if token else None
