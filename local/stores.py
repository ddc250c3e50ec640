"""Azurite and the local topic: started, started again when they end, and ended so that their data is saved."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.disk import could_not_save, forget_drafts, full_disk, is_full
from local.options import ROOT, LocalError
from local.processes import Part, Pauses, last_words, start_part

_END_SECONDS: Final = 1.2
#: Of Azurite's file, written at its end.
_SAVED_A_SECOND: Final = 10_000_000


@dataclass(frozen=True)
class Store:
    """A part that keeps data. `lost` says what its unforeseen end costs."""

    name: str
    command: Sequence[str]
    gently: signal.Signals
    environment: Mapping[str, str]
    lost: str = ""


class Stores:
    """`async with` them: what has happened at their end is told by `end`."""

    def __init__(self, stores: Sequence[Store], data_dir: Path, tell: Callable[[str], None]) -> None:
        self._stores = stores
        self._data_dir = data_dir
        self._tell = tell
        self._running: Final[dict[str, Part]] = {}
        self._keepers: Final[list[asyncio.Task[None]]] = []
        self._failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ready = False

    async def start(self) -> None:
        for store in self._stores:
            await self._start(store)
            self._keepers.append(asyncio.create_task(self._keep(store)))

    async def failed(self) -> str:
        """Waits for the end of one before all are ready, and tells of it."""
        return await asyncio.shield(self._failed)

    def ready(self) -> None:
        """From now on one that ends is started again: it has shown that it can run."""
        self._ready = True

    async def end(self) -> None:
        """Raises LocalError if Azurite could not save."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        size = sum(path.stat().st_size for path in (self._data_dir / "azurite").glob("*.json"))
        seconds = _END_SECONDS + size / _SAVED_A_SECOND
        await asyncio.gather(*(part.end(seconds) for part in self._running.values()))
        if (problem := could_not_save(self._data_dir)) is not None:
            raise LocalError(problem)

    async def _start(self, store: Store) -> None:
        if store.name == "azurite":
            forget_drafts(self._data_dir)
        with self._log(store).open("ab") as log:
            self._running[store.name] = await start_part(
                store.name,
                store.command,
                self._data_dir / f"{store.name}.pid",
                cwd=ROOT,
                environment=store.environment,
                output=log,
                gently=store.gently,
            )

    async def _keep(self, store: Store) -> None:
        pauses = Pauses()
        while True:
            how = await self._running[store.name].ended()
            if not self._ready:
                log = self._log(store)
                if not self._failed.done():
                    # On a full disk it could not even say why.
                    why = full_disk(self._data_dir) if is_full(self._data_dir) else last_words(log)
                    self._failed.set_result(f"{store.name} {how}; see {log}. {why}")
                return
            await asyncio.sleep(pauses.next())
            self._tell(f"{store.name} {how} and is started again. {store.lost}".strip())
            try:
                await self._start(store)
            except OSError as error:
                self._tell(f"{store.name} cannot be started: {error.strerror or error}.")

    def _log(self, store: Store) -> Path:
        return self._data_dir / "logs" / f"{store.name}.log"
