"""Running what has come due: taken shard by shard, at its time, concurrently and bounded.

Rows due within the next second are waited for, so the error is milliseconds. A row that fails stays, as a copy with
back-off; it never stops the others. Several instances may do this at once: every handler is idempotent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from router.commit.acting import acting
from router.commit.parts import Parts
from router.models.history import ROUTER, Actor
from router.outages import is_told, passes, trace
from router.storage.deadlines import MOST_ATTEMPTS, SHARDS, Deadline, put_off_until
from router.storage.port import StorageUnavailable
from router.storage.turns import URGENCY, Urgency
from router.telemetry import routing as metrics
from router.telemetry import tracing
from router.upkeep import changes, forget, rules, settings, settle
from router.upkeep import job as job_upkeep
from router.upkeep import worker as worker_upkeep
from router.upkeep.facts import FactCounter
from router.upkeep.gauges import QueueFigures
from router.upkeep.shadows import ShadowReplayer

_log = logging.getLogger(__name__)

Handler = Callable[[Parts, Deadline], Awaitable[None]]

#: How far a tick looks ahead; the next tick comes after it.
_AHEAD: Final = timedelta(seconds=1)
#: How long after its start a tick waits for what it has started. A timer that still runs when it is due again skips
#: that time, and what was armed meanwhile would be a second late.
_WAITS_SECONDS: Final = 0.85
_TAKEN_AT_ONCE: Final = 1000
_CONCURRENT: Final = 128
#: So many offers that expire together are worth preparing for.
_MANY: Final = 50

HANDLERS: Final[Mapping[str, Handler]] = {
    "settle-job": lambda parts, it: settle.settle_job(parts, it.target, it.due, it.attempt),
    "settle-worker": lambda parts, it: settle.settle_worker(parts, it.target, it.due, it.attempt),
    "settle-jobs": settle.settle_jobs,
    "settle-workers": settle.settle_workers,
    "offer": lambda parts, it: job_upkeep.expire_offers(parts, it.target),
    "selectors": lambda parts, it: job_upkeep.expire_selectors(parts, it.target),
    "schedule": lambda parts, it: job_upkeep.drive_job(parts, it.target),
    "retry": lambda parts, it: job_upkeep.match_again(parts, it.target),
    "close": lambda parts, it: job_upkeep.close_due(parts, it.target),
    "wait": lambda parts, it: rules.fire_wait_rules(parts, it.target),
    "life": lambda parts, it: job_upkeep.end_life(parts, it.target),
    "queue": lambda parts, it: settings.follow(parts, it.kind, it.target),
    "distribution-policy": lambda parts, it: settings.follow(parts, it.kind, it.target),
    "exception-policy": lambda parts, it: settings.follow(parts, it.kind, it.target),
    "change": lambda parts, it: changes.follow(parts, it.target),
    "forget-worker": lambda parts, it: forget.forget(parts, it.target, it.due),
    "idle": lambda parts, it: worker_upkeep.deregister_idle(parts, it.target),
}


class _Unknown(Exception):
    """Armed by a later version, during its deployment: left to its instances."""

    passes = True


_OF_SETTINGS: Final = frozenset({"queue", "distribution-policy", "exception-policy", "idle", "change"})


def _actor(deadline: Deadline) -> Actor:
    """Whose what a deadline does is: what is settled is the router's own."""
    return ROUTER if deadline.kind.startswith("settle-") else Actor("deadline", deadline.kind)


class DeadlineRunner:
    """The due deadlines of all shards, as one process sees them."""

    def __init__(self, parts: Parts, concurrent: int = _CONCURRENT, many: int = _MANY) -> None:
        """`many` offers that come due in one tick are worth preparing for."""
        self._parts = parts
        self._many = many
        # What waits for the topic, or for what a dead process has left, must not keep the others from their time.
        self._slots = asyncio.Semaphore(concurrent)
        self._settle_slots = asyncio.Semaphore(max(concurrent // 2, 1))
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        #: Done, and not removed yet.
        self._done: dict[tuple[str, str], Deadline] = {}
        self._figures = QueueFigures(parts)
        self._facts = FactCounter(parts)
        self._shadows = ShadowReplayer(parts)

    async def tick(self) -> None:
        """Starts everything that is due within the next second and returns when it is done, or shortly before the
        next tick: what takes longer goes on. Raises WrongClock: then nothing has been started."""
        URGENCY.set(Urgency.FOLLOW)
        await self._parts.on_time()
        loop = asyncio.get_running_loop()
        ends = loop.time() + _WAITS_SECONDS
        await asyncio.gather(self._start_due(), self._take_over())
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=max(ends - loop.time(), 0))
        await self._sweep()
        await self._figures.refresh()
        self._facts.refresh()
        self._shadows.refresh()

    async def _start_due(self) -> None:
        until = self._parts.clock.now() + _AHEAD
        found = await asyncio.gather(
            *(self._parts.deadlines.due(shard, until, _TAKEN_AT_ONCE) for shard in range(SHARDS))
        )
        self._parts.around.clock.check()  # storage has told its time beside
        new: list[Deadline] = []
        for deadline in sorted((one for shard in found for one in shard), key=lambda one: one.due):
            place = (deadline.partition, deadline.row)
            done = self._done.get(place)
            if done is not None and done.version == deadline.version:
                continue
            if place not in self._running:
                self._running[place] = asyncio.create_task(self._run(deadline, place))
                new.append(deadline)
        await self._watch([one.target for one in new if one.kind == "offer"])

    async def _take_over(self) -> None:
        """Queues whose holder stands still or is gone are matched by somebody else."""
        overdue = await self._parts.round_store.overdue(self._parts.clock.now())
        if overdue:
            self._parts.rounds.take_over([hold.queue_id for hold in overdue])

    async def _watch(self, job_ids: Sequence[str]) -> None:
        """Puts the settle deadlines there of what many expiring offers are about to change: together they are a few
        rows, one by one two an offer."""
        if len(job_ids) < self._many:
            return
        jobs, workers = self._parts.jobs, self._parts.workers
        rows = [row for job_id in dict.fromkeys(job_ids) if (row := jobs.store.as_written(job_id)) is not None]
        worker_ids = dict.fromkeys(
            offer.worker_id for row in rows if row.record for offer in row.record.routing.offers.values()
        )
        holders = [held for worker_id in worker_ids if (held := workers.store.as_written(worker_id)) is not None]
        with suppress(StorageUnavailable):  # then each is watched by its own commit
            await asyncio.gather(jobs.watch.early_all(rows), workers.watch.early_all(holders))

    async def drain(self) -> None:
        """Waits for everything that has been started."""
        while self._running:
            await asyncio.wait(list(self._running.values()))
        await self._sweep()

    async def _run(self, deadline: Deadline, place: tuple[str, str]) -> None:
        try:
            wait = (deadline.due - self._parts.clock.now()).total_seconds()
            if wait > 0:
                await asyncio.sleep(wait)
            slots = self._settle_slots if deadline.kind.startswith("settle-") else self._slots
            self._parts.overdue.came()
            try:
                await slots.acquire()
            finally:
                self._parts.overdue.begun()
            try:
                await self._handle(deadline)
            finally:
                slots.release()
        finally:
            self._running.pop(place, None)

    async def _handle(self, deadline: Deadline) -> None:
        metrics.record_deadline_lag(max((self._parts.clock.now() - deadline.due).total_seconds(), 0.0))
        try:
            with tracing.span(f"deadline {deadline.kind}"):
                handler = HANDLERS.get(deadline.kind)
                if handler is None:
                    raise _Unknown(f"No handler for deadlines of kind '{deadline.kind}'")
                with acting(_actor(deadline)):
                    await handler(self._parts, deadline)
            self._done[deadline.partition, deadline.row] = deadline
        except Exception as error:
            if deadline.kind.startswith("settle-"):
                metrics.record_reconciliation(deadline.kind.removeprefix("settle-").rstrip("s"), "failed")  # type: ignore[arg-type]
            if deadline.attempt + 1 >= MOST_ATTEMPTS and not passes(error):
                await self._give_up(deadline, error)
                return
            told = is_told(error)
            _log.log(
                logging.DEBUG if told else logging.WARNING if passes(error) else logging.ERROR,
                "A deadline failed and is tried again: %r",
                error,
                exc_info=None if told else trace(error),
                extra={"deadline": deadline.kind, "target": deadline.target, "attempt": deadline.attempt},
            )
            await self._put_off(deadline)

    async def _give_up(self, deadline: Deadline, error: Exception) -> None:
        """It has failed for more than an hour, and not for want of storage or the topic: it is told, and not tried
        again. Whatever is written of its target next sees to it anew."""
        _log.error(
            "A deadline has failed %d times and is given up: %s",
            deadline.attempt + 1,
            error,
            extra={"deadline": deadline.kind, "target": deadline.target, "attempt": deadline.attempt},
        )
        self._done[deadline.partition, deadline.row] = deadline
        if HANDLERS.get(deadline.kind) is None or "worker" in deadline.kind or deadline.kind in _OF_SETTINGS:
            return
        text = f"'{deadline.kind}' failed {deadline.attempt + 1} times and is not tried again: {error}"
        for job_id in (deadline.target, *deadline.others):
            with suppress(Exception):  # the row itself may be what cannot be written
                await job_upkeep.gave_up(self._parts, job_id, text)

    async def _put_off(self, deadline: Deadline) -> None:
        try:
            later = put_off_until(deadline, self._parts.clock.now())
            await self._parts.deadlines.put_off(deadline, later)
        except Exception as error:
            if not is_told(error):
                _log.warning(
                    "A deadline could not be put off; the next tick takes it again: %r", error, exc_info=trace(error)
                )

    async def _sweep(self) -> None:
        """Removes what is done, many rows a transaction."""
        done = dict(self._done)
        if not done:
            return
        try:
            await self._parts.deadlines.remove(list(done.values()))
        except Exception as error:
            if not is_told(error):
                _log.warning("Done deadlines could not be removed yet: %r", error, exc_info=trace(error))
            return
        for place, deadline in done.items():
            if self._done.get(place) is deadline:
                del self._done[place]
