"""Invocations: each runs as a task of its own, as in the platform's worker, and is waited for at shutdown."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from azure.functions import Context

from local.host.index import HostedFunction

log = logging.getLogger("local.host")


@dataclass(slots=True)
class TraceContext:
    """The W3C trace context that came with the trigger."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class RetryContext:
    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


class InvocationContext(Context):
    """What the platform passes as `context`."""

    def __init__(self, function: HostedFunction, trace: TraceContext) -> None:
        self._function = function
        self._trace = trace
        self._id = str(uuid.uuid4())
        self._local = threading.local()

    @property
    def invocation_id(self) -> str:
        return self._id

    @property
    def thread_local_storage(self) -> Any:
        return self._local

    @property
    def function_name(self) -> str:
        return self._function.name

    @property
    def function_directory(self) -> str:
        return self._function.directory

    @property
    def trace_context(self) -> Any:
        return self._trace

    @property
    def retry_context(self) -> Any:
        return RetryContext()


class Invoker:
    """Runs functions and knows which are under way."""

    def __init__(self) -> None:
        self._running: Final[set[asyncio.Task[Any]]] = set()
        self._threads: ThreadPoolExecutor | None = None

    async def invoke(self, function: HostedFunction, value: object, headers: Mapping[str, str]) -> Any:
        """Calls the function; a caller that goes away does not end it."""
        arguments: dict[str, object] = {function.parameter: value}
        if function.wants_context:
            trace = TraceContext(headers.get("traceparent", ""), headers.get("tracestate", ""))
            arguments["context"] = InvocationContext(function, trace)
        task = asyncio.get_running_loop().create_task(self._call(function, arguments))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _call(self, function: HostedFunction, arguments: dict[str, object]) -> Any:
        if function.is_async:
            return await function.call(**arguments)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(thread_name_prefix="function")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function.call(**arguments))

    async def finish(self, seconds: float) -> None:
        """Waits for what is under way, then cancels the rest."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                log.warning("%d invocations were still running after %.0f s and were cancelled", len(late), seconds)
                await asyncio.wait(late, timeout=1)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
