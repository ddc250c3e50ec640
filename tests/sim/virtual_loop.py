"""An event loop without a clock of its own: time stands still while there is something to do, then jumps.

Nothing here depends on the machine: callbacks run in the order in which they were asked for, timers by their time and
then by that order. A process of the simulation that has died is never run again, not even its `finally` blocks; one
that is frozen runs when it wakes up."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import sys
import warnings
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, Protocol, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Context = contextvars.Context
#: Tasks that are remembered before those that are done are let go.
_MANY = 1_000


class Mortal(Protocol):
    """Whose code a callback runs."""

    alive: bool
    #: While it is frozen: the callbacks whose time has come, in their order.
    held: list[asyncio.Handle] | None


#: The simulated process that a task belongs to; none for clients and the scheduler itself.
PROCESS: contextvars.ContextVar[Mortal | None] = contextvars.ContextVar("process", default=None)


class Stuck(Exception):
    """Nothing is left to do, and what was waited for has not happened."""


class VirtualLoop(asyncio.AbstractEventLoop):
    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._look_again = _MANY
        self.faults: list[dict[str, Any]] = []

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + max(delay, 0.0), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """The heap forgets it when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_: Any,
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        self._tasks.append(task)
        if len(self._tasks) > self._look_again:
            self._tasks = [one for one in self._tasks if not _is_over(one)]
            self._look_again = max(_MANY, 2 * len(self._tasks))
        return task

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Done at once, in no other thread: the same each time."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.faults.append(context)

    # What the simulation asks.

    def run(self, until: asyncio.Future[Any]) -> Any:
        """Runs until the future is done; its result. Raises Stuck when there is nothing left to do."""
        before = events._get_running_loop()
        events._set_running_loop(self)
        try:
            while not until.done():
                if not self._ready and not self._advance():
                    raise Stuck
                handle = self._ready.popleft()
                if handle._cancelled:
                    continue
                process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
                if process is not None and process.held is not None:
                    process.held.append(handle)
                elif process is None or process.alive:
                    handle._run()
        finally:
            events._set_running_loop(before)
        return until.result()

    def under_way(self) -> int:
        """How many tasks are not done."""
        return sum(1 for task in self._tasks if not task.done())

    def go_on(self, held: Sequence[asyncio.Handle]) -> None:
        """Next come the callbacks that a frozen process has not run."""
        self._ready.extendleft(reversed(held))

    def bury(self) -> None:
        """Ends what is left of all tasks, without a word. To be called when every process is dead."""
        before, hook = events._get_running_loop(), sys.unraisablehook
        events._set_running_loop(self)
        sys.unraisablehook = lambda _: None  # handlers that wait once more on their way out
        try:
            for task in self._tasks:
                if not _is_over(task):
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    contextvars.copy_context().run(_close, task.get_coro())  # what it sets on its way out stays its own
            self._tasks.clear()
        finally:
            sys.unraisablehook = hook
            events._set_running_loop(before)
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()

    def _advance(self) -> bool:
        while self._timers:
            when, _, handle = heapq.heappop(self._timers)
            if not handle._cancelled:
                self._now = max(self._now, when)
                self._ready.append(handle)
                return True
        return False


def _is_over(task: asyncio.Task[Any]) -> bool:
    """Whether it is done. What it raised is nobody's concern any more."""
    if task.done() and not task.cancelled():
        task.exception()
    return task.done()


def _close(coroutine: Any) -> None:
    """Closes it, even where a handler on its way out waits for something once more. What it had not begun yet is not
    worth a warning: its process is dead."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
        for _ in range(10):
            try:
                coroutine.close()
                return
            except RuntimeError:
                continue
