"""`make debug`: the app in one process that has the terminal, started again when a file of it changes.

`breakpoint()` stops it with a prompt. The other parts run as always, apart from the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from local.options import ROOT
from local.processes import Part

_LOOK_SECONDS: Final = 0.4


class Files:
    """The Python files of an app and of the host that serves it."""

    def __init__(self, app_dir: Path) -> None:
        self._app_dir = app_dir
        self._seen = self._now()

    async def changed(self) -> Path:
        """Waits until one is new, gone or written, since the last time that this said so."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            seen, self._seen = self._seen, self._now()
            if found := sorted(dict(seen.items() ^ self._seen.items())):
                return found[0]

    def _now(self) -> dict[Path, int]:
        found: dict[Path, int] = {}
        for path in self._paths():
            try:
                found[path] = path.stat().st_mtime_ns
            except OSError:  # gone since it was listed
                continue
        return found

    def _paths(self) -> Iterable[Path]:
        yield self._app_dir / "host.json"
        yield from self._app_dir.glob("*.py")
        yield from (self._app_dir / "router").rglob("*.py")
        yield from (ROOT / "local" / "host").rglob("*.py")


async def serve_reloading(
    start: Callable[[], Awaitable[Part]],
    ready: Callable[[], Awaitable[object]],
    files: Files,
    stop: asyncio.Event,
    tell: Callable[[str], None],
    greeting: str,
    end_seconds: float,
) -> None:
    """Serves until `stop`. `ready` returns when the app answers; the greeting is told then, the first time."""
    words = greeting
    stopped = asyncio.create_task(stop.wait())
    change = asyncio.create_task(files.changed())
    try:
        while not stop.is_set():
            part = await start()
            up, ended = asyncio.ensure_future(ready()), asyncio.create_task(part.ended())
            try:
                await asyncio.wait((up, ended, change, stopped), return_when=asyncio.FIRST_COMPLETED)
                if up.done() and not up.exception():
                    tell(words)
                    words = "The app is there again."
                    await asyncio.wait((ended, change, stopped), return_when=asyncio.FIRST_COMPLETED)
                if ended.done() and not stopped.done() and not change.done():
                    tell(f"The app {ended.result()}. It starts again when a file changes; Ctrl-C ends everything.")
                    await asyncio.wait((change, stopped), return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                await part.end(end_seconds)
                await asyncio.gather(up, ended, return_exceptions=True)
            if change.done() and not stopped.done():
                tell(f"{change.result().name} has changed: the app starts again.")
                change = asyncio.create_task(files.changed())
    finally:
        for task in (stopped, change):
            task.cancel()
        await asyncio.gather(stopped, change, return_exceptions=True)
