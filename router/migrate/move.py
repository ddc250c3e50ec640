"""Carrying out the plan: kind by kind, bounded, each job's queue in order; what is refused is remembered, not fatal."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from router.migrate.client import Client
from router.migrate.documents import MATCHING, SUSPENDED
from router.migrate.failure import Refused
from router.migrate.journal import Journal
from router.migrate.kinds import EXCEPTION, JOB, QUEUE, WORKER, Document, Kind
from router.migrate.plan import LATER, ORDER, Action, Plan, Step
from router.migrate.progress import Progress

T = TypeVar("T")

_TO_WRITE: Final = (Action.CREATE, Action.UPDATE)


@dataclass
class Outcome:
    """What came of it."""

    written: dict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    queued: int = 0
    activated: int = 0
    #: `kind id` to the reason of its refusal.
    refused: dict[str, str] = field(default_factory=dict)


class Move:
    def __init__(self, target: Client, plan: Plan, journal: Journal, concurrency: int) -> None:
        self._target = target
        self._plan = plan
        self._journal = journal
        self._slots = concurrency
        self.outcome = Outcome()

    async def run(self, *, activate: bool) -> Outcome:
        for kind in ORDER:
            if kind is not JOB:
                await self._write_all(
                    kind.plural, [step for step in self._plan.steps[kind] if step.action in _TO_WRITE]
                )
            if kind is EXCEPTION:
                await self._give_exception_policies()
        jobs = self._plan.steps[JOB]
        await self._write_all(JOB.plural, [step for step in jobs if step.action is Action.CREATE])
        await self._queue_all([step for step in jobs if step.action in (Action.CREATE, Action.QUEUE) and step.lane])
        if activate:
            await self._activate()
        return self.outcome

    async def _give_exception_policies(self) -> None:
        """The queues that were written get theirs, now that these are there."""
        steps = [
            Step(QUEUE, step.id, Action.UPDATE, {LATER: step.body[LATER]})
            for step in self._plan.steps[QUEUE]
            if step.action in _TO_WRITE
            and step.body.get(LATER)
            and f"{QUEUE.name} {step.id}" not in self.outcome.refused
        ]

        async def give(step: Step) -> None:
            await self._upsert(step, step.body)

        await _each(steps, give, self._slots)

    async def _write_all(self, label: str, steps: list[Step]) -> None:
        if not steps:
            return
        with Progress(label, len(steps)) as progress:

            async def write(step: Step) -> None:
                await self._write(step)
                progress.step()

            await _each(steps, write, self._slots)

    async def _write(self, step: Step) -> None:
        body = step.body
        if step.kind is QUEUE and body.get(LATER):
            body = {name: value for name, value in body.items() if name != LATER}
        if step.lane is not None:
            # First written, then queued in order: a job that is created is queued a little later, in any order.
            body = {**body, "matchingMode": SUSPENDED}
        if not await self._upsert(step, body, new=step.kind is JOB):
            return
        self.outcome.written[step.kind] += 1
        if step.kind is JOB:
            self._journal.add("job" if step.lane is None else "written", step.id)

    async def _queue_all(self, steps: list[Step]) -> None:
        """One after the other in each lane, the lanes beside each other: the order is that of the answers."""
        lanes: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            if f"{JOB.name} {step.id}" not in self.outcome.refused:
                lanes[str(step.lane)].append(step)
        if not lanes:
            return
        with Progress("jobs into their queues", sum(map(len, lanes.values()))) as progress:

            async def queue(lane: list[Step]) -> None:
                for step in lane:
                    if await self._upsert(step, {"matchingMode": MATCHING}):
                        self.outcome.queued += 1
                        self._journal.add("job", step.id)
                    progress.step()

            await _each(lanes.values(), queue, self._slots)

    async def _activate(self) -> None:
        """Workers that are available on the source become available here, now that the jobs stand in order."""
        left = {step.id for step in self._plan.steps[WORKER] if step.action is Action.LEAVE}
        ready = [
            Step(WORKER, id, Action.UPDATE, {"availableForOffers": True})
            for id in self._plan.available
            if id not in left | self._journal.activated and f"{WORKER.name} {id}" not in self.outcome.refused
        ]
        if not ready:
            return
        with Progress("workers available", len(ready)) as progress:

            async def activate(step: Step) -> None:
                if await self._upsert(step, step.body):
                    self.outcome.activated += 1
                    self._journal.add("worker", step.id)
                progress.step()

            await _each(ready, activate, self._slots)

    async def _upsert(self, step: Step, body: Document, *, new: bool = False) -> bool:
        try:
            await self._target.upsert(step.kind, step.id, body, new=new)
        except Refused as refusal:
            if new and refusal.status == 412:
                # Our own write, whose answer was lost and which was sent again; or it has ended there meanwhile.
                return True
            self.outcome.refused[f"{step.kind.name} {step.id}"] = str(refusal)
            return False
        return True


async def _each(items: Iterable[T], work: Callable[[T], Awaitable[None]], slots: int) -> None:
    """Works on all items, so many at a time; the first failure ends it."""
    waiting = iter(list(items))

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(slots):
                group.create_task(worker())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
