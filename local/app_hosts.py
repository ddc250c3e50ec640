"""The app's host processes, as the topology says: those that serve are on the same ports, as the platform scales out.

A process that dies or hangs is started again, as the platform replaces an instance: at once, and after growing pauses
while it dies soon. Who ends the last one that serves gently (SIGTERM) wants the app down: it stays so until somebody
starts it, and the timer's process ends too, so that a start starts both. One that dies before the app was ready the
first time ends the start.
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
from local.processes import ENDED_GENTLY, Part, Pauses, start_part
from local.questions import Questions
from local.topology import AppProcess, Topology

#: Questions without an answer, one a second, after which a process is taken for hung.
_SILENT_SECONDS: Final = 10
READY_SECONDS: Final = 60.0
#: A little more than a host takes to let what is under way end.
END_SECONDS: Final = 3.5
#: Before one that was ended gently is started again: the others may be meant as well, and take as long as that to end.
_PAUSE_SECONDS: Final = END_SECONDS + 1.0


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
        self._pauses: Final[dict[AppProcess, Pauses]] = {}
        self._ending = False
        self._ready = False
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
            self._ready = True
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
        questions = Questions()
        command = host_command(
            self._parts,
            self._certificate,
            self._app_dir,
            self._mounts,
            process,
            share_ports=self._topology.workers > 1,
            listen=self._listen,
            asked_on=questions.theirs,
        )
        pid_file = self._data_dir / process.pid_file
        try:
            part = await start_part(
                process.name,
                command,
                pid_file,
                cwd=ROOT,
                environment=self._environment,
                inherits=(questions.theirs,),
            )
        finally:
            questions.close_theirs()
        if self._ending:  # the last of the others has ended meanwhile
            questions.close()
            await part.end(END_SECONDS)
            return
        self._running[process] = part
        watcher = asyncio.create_task(self._watch(process, part, questions))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, process: AppProcess, part: Part, questions: Questions) -> None:
        how = await self._end_of(part, questions)
        self._running.pop(process, None)
        gently = how in ENDED_GENTLY
        if process.serves and not self._any_serves() and (gently or not self._ready):
            await self._go_down(how)
            return
        pause = self._pauses.setdefault(process, Pauses()).next()
        await asyncio.sleep(max(pause, _PAUSE_SECONDS) if gently else pause)
        if self._ending:
            return
        others = "the others serve on, and it" if self._any_serves() else "it"
        self._tell(f"{process.title} {how}; {others} is started again.")
        await self._start(process)

    async def _end_of(self, part: Part, questions: Questions) -> str:
        """How it came to its end; one that hangs is brought to it."""
        ended = asyncio.create_task(part.ended())
        silent = asyncio.create_task(questions.until_silent(_SILENT_SECONDS))
        try:
            await asyncio.wait((ended, silent), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result()
            part.kill()
            await ended
            return f"has not answered for {_SILENT_SECONDS} s and was ended"
        finally:
            ended.cancel()
            silent.cancel()
            questions.close()

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
