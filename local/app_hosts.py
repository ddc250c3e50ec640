"""The app's host processes, as the topology says: those that serve are on the same ports, as the platform scales out.

A process that ends while others serve is started again, as the platform replaces an instance. When the last one that
serves ends, the app is down until somebody starts it; the timer's process ends then too, so that a start starts both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from local.certificate import Certificate
from local.commands import host_command
from local.network import answer_text, wait_until_it_answers
from local.options import ROOT, LocalError
from local.parts import Parts
from local.processes import Part, start_part
from local.topology import AppProcess, Topology

_PAUSE_SECONDS: Final = 1.0
READY_SECONDS: Final = 60.0
#: A little more than a host takes to let what is under way end.
END_SECONDS: Final = 3.5


class AppHosts:
    def __init__(
        self,
        parts: Parts,
        certificate: Certificate,
        *,
        app_dir: Path,
        data_dir: Path,
        topology: Topology,
        environment: Mapping[str, str],
        mounts: Sequence[str],
        listen: str,
        tell: Callable[[str], None],
    ) -> None:
        self._parts = parts
        self._certificate = certificate
        self._app_dir = app_dir
        self._data_dir = data_dir
        self._topology = topology
        self._environment = environment
        self._mounts = mounts
        self._listen = listen
        self._tell = tell
        self._running: Final[dict[AppProcess, Part]] = {}
        self._watchers: Final[set[asyncio.Task[None]]] = set()
        self._ending = False
        self._last_words = ""
        self.down: Final = asyncio.Event()

    @property
    def last_words(self) -> str:
        """How the last process that served ended."""
        return self._last_words

    async def start(self) -> None:
        for process in self._topology.processes:
            await self._start(process)

    async def wait_until_ready(self) -> None:
        """Until GET /health answers 200; the app's end meanwhile is an error."""
        url = f"{self._parts.app_url}/health"
        ready = asyncio.create_task(wait_until_it_answers(url, status=200, seconds=READY_SECONDS))
        down = asyncio.create_task(self.down.wait())
        try:
            await asyncio.wait((ready, down), return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                raise LocalError(f"The app {self._last_words} before it was ready; its messages are above.")
            if not ready.result():
                answer = await answer_text(url)
                raise LocalError(f"The app is not ready after {READY_SECONDS:.0f} s: {url} answers {answer}")
        finally:
            ready.cancel()
            down.cancel()

    async def end(self) -> None:
        self._ending = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await self._end_running()

    async def _start(self, process: AppProcess) -> None:
        command = host_command(
            self._parts,
            self._certificate,
            self._app_dir,
            self._mounts,
            process,
            share_ports=self._topology.workers > 1,
            listen=self._listen,
        )
        pid_file = self._data_dir / process.pid_file
        part = await start_part(process.name, command, pid_file, cwd=ROOT, environment=self._environment)
        if self._ending:  # the last of the others has ended meanwhile
            await part.end(END_SECONDS)
            return
        self._running[process] = part
        watcher = asyncio.create_task(self._watch(process, part))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, process: AppProcess, part: Part) -> None:
        how = await part.ended()
        self._running.pop(process, None)
        if process.serves and not self._any_serves():
            await self._go_down(how)
            return
        await asyncio.sleep(_PAUSE_SECONDS)
        if self._ending:
            return
        self._tell(f"{process.title} {how}; the others serve on, and it is started again.")
        await self._start(process)

    async def _go_down(self, how: str) -> None:
        if self._ending:
            return
        self._ending = True
        await self._end_running()
        self._last_words = how
        self.down.set()

    def _any_serves(self) -> bool:
        return any(process.serves for process in self._running)

    async def _end_running(self) -> None:
        await asyncio.gather(*(part.end(END_SECONDS) for part in list(self._running.values())))
