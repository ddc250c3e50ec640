"""The language worker as the Functions host sees it: it finds the functions of an app and calls them.

There are two (`workers.py` chooses): Microsoft's own (`microsoft.py`), and a thin loader (`thin.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from local.host.index import HostedFunction

log = logging.getLogger("local.host")


@dataclass(frozen=True, slots=True)
class HttpCall:
    """A request as the host hands it to a worker."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    route: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a worker hands back. Names of headers are spelled as the function has them."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Values of `Set-Cookie`.
    cookies: Sequence[str] = ()
    body: bytes = b""


class FunctionFailed(Exception):
    """A function has raised, or returned what its binding cannot take; the message is the worker's."""

    def __init__(self, message: str, trace: str = "", *, passes: bool = False) -> None:
        """`passes`: it is no fault of the code and succeeds when it is tried again, if the worker can know."""
        super().__init__(message)
        self.trace = trace
        self.passes = passes


class Worker(Protocol):
    """Calls may run at the same time. A caller that goes away does not end one."""

    @property
    def name(self) -> str: ...

    @property
    def functions(self) -> Sequence[HostedFunction]: ...

    async def call_http(self, function: HostedFunction, call: HttpCall) -> HttpAnswer:
        """Raises FunctionFailed."""

    async def call_json(self, function: HostedFunction, text: str) -> None:
        """For triggers whose data is JSON: events and timers. Raises FunctionFailed."""

    async def finish(self, seconds: float) -> None:
        """Waits for what is under way, then cancels the rest."""


class Invocations:
    """Calls that are under way, each a task of its own, as in the platform's worker."""

    def __init__(self) -> None:
        self._running: Final[set[asyncio.Task[Any]]] = set()

    async def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Any] = loop.create_future()
        task = loop.create_task(self._to_its_end(call, outcome))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await outcome

    async def _to_its_end(self, call: Coroutine[Any, Any, Any], outcome: asyncio.Future[Any]) -> None:
        """Who waits is told at once, not some turns of the loop later, as with a task that is shielded."""
        try:
            result = await call
        except asyncio.CancelledError:
            outcome.cancel()
            raise
        except BaseException as error:
            if outcome.done():
                log.error("A call failed that nobody waits for any more", exc_info=error)
            else:
                outcome.set_exception(error)
        else:
            if not outcome.done():
                outcome.set_result(result)

    async def finish(self, seconds: float) -> None:
        """Waits for what is under way, then cancels the rest."""
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            log.warning("%d invocations were still running after %.0f s and were cancelled", len(late), seconds)
            await asyncio.wait(late, timeout=1)
