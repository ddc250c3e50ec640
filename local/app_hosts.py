"""The app's host processes: one, or WORKERS of them on the same ports, as the platform scales out.

Worker 0 runs the timers, as on the platform one instance does. A worker that ends while others serve is started again,
as the platform replaces an instance; when the last one ends, the app is down until somebody starts it.
Pid files: app.pid for worker 0, app.1.pid, app.2.pid and so on for the others.
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

_PAUSE_SECONDS: Final = 1.0
READY_SECONDS: Final = 60.0


class AppHosts:
    def __init__(
        self,
        parts: Parts,
        certificate: Certificate,
        *,
        app_dir: Path,
        data_dir: Path,
        workers: int,
        environment: Mapping[str, str],
        mounts: Sequence[str],
        tell: Callable[[str], None],
    ) -> None:
        self._parts = parts
        self._certificate = certificate
        self._app_dir = app_dir
        self._data_dir = data_dir
        self._workers = workers
        self._environment = environment
        self._mounts = mounts
        self._tell = tell
        self._running: Final[dict[int, Part]] = {}
        self._watchers: Final[set[asyncio.Task[None]]] = set()
        self._ending = False
        self._last_words = ""
        self.down: Final = asyncio.Event()

    @property
    def last_words(self) -> str:
        """How the last worker ended."""
        return self._last_words

    async def start(self) -> None:
        for number in range(self._workers):
            await self._start_worker(number)

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

    async def end(self, seconds: float) -> None:
        self._ending = True
        await asyncio.gather(*(part.end(seconds) for part in self._running.values()))
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)

    async def _start_worker(self, number: int) -> None:
        command = host_command(
            self._parts,
            self._certificate,
            self._app_dir,
            self._mounts,
            share_ports=self._workers > 1,
            timers=number == 0,
        )
        pid_file = self._data_dir / worker_pid_file(number)
        part = await start_part("app", command, pid_file, cwd=ROOT, environment=self._environment)
        self._running[number] = part
        watcher = asyncio.create_task(self._watch(number, part))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, number: int, part: Part) -> None:
        how = await part.ended()
        self._running.pop(number, None)
        if self._ending:
            return
        if not self._running:
            self._last_words = how
            self.down.set()
            return
        self._tell(f"Worker {number} of the app {how}; the others serve on, and it is started again.")
        await asyncio.sleep(_PAUSE_SECONDS)
        if self._running and not self._ending:
            await self._start_worker(number)


def worker_pid_file(number: int) -> str:
    return "app.pid" if number == 0 else f"app.{number}.pid"
