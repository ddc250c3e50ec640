"""Work that goes on after an answer: tracked, bounded at shutdown, its failures logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from router.commit.acting import own_context
from router.outages import is_told, passes, trace
from router.storage.turns import URGENCY, Urgency

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Background:
    """Starts coroutines and remembers them until they end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, T], name: str, urgency: Urgency | None = None) -> asyncio.Task[T]:
        """Like `start`, for work that somebody awaits: its failure is theirs. As urgent as what begins it, unless it is
        said otherwise."""
        context = own_context()
        if urgency is not None:
            context.run(URGENCY.set, urgency)
        task = asyncio.create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    def start(self, work: Coroutine[Any, Any, Any], name: str, urgency: Urgency = Urgency.FOLLOW) -> asyncio.Task[Any]:
        context = own_context()
        context.run(URGENCY.set, urgency)
        task = asyncio.create_task(self._guarded(work, name), name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def drain(self, seconds: float) -> None:
        """Waits for what is under way, at most so long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def __len__(self) -> int:
        return len(self._tasks)

    @staticmethod
    async def _guarded(work: Coroutine[Any, Any, Any], name: str) -> None:
        try:
            await work
        except Exception as error:
            # A settle deadline stands behind it: it is done again.
            if is_told(error):
                return
            level = logging.WARNING if passes(error) else logging.ERROR
            _log.log(level, "Background work failed: %r", error, exc_info=trace(error), extra={"work": name})


class Undone(Exception):
    """What hangs on a commit has failed. Who has begun it has the failure itself: that holds the frames of its
    traceback, and one of them the future that says so."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__(str(failure) or type(failure).__name__)
        self.told = is_told(failure)
        self.passes = passes(failure)


@contextmanager
def follows() -> Iterator[asyncio.Future[None]]:
    """What hangs on a commit and is done here: the future is done with the block, or has its failure."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.add_done_callback(lambda it: it.exception())  # nobody may be waiting for it
    try:
        yield done
    except BaseException as error:
        done.set_exception(Undone(error))
        raise
    done.set_result(None)
