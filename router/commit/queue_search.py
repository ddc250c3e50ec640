"""The queue that some selectors ask for. One reading of the queues serves all who ask before it begins: each by itself,
many that ask at once would hold all queues many times over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from router.engine.classification import pick_queue
from router.models.selectors import RouterQueueSelector
from router.models.types import with_id_label
from router.offload import off_loop_if
from router.storage.port import StorageUnavailable
from router.storage.resources import ResourceStore

#: Labels of queues that are held against selectors at once: each takes a microsecond or more.
_FEW: Final = 1_000


@dataclass
class _Reading:
    """Those whom one reading of the queues serves, and the queue of each."""

    done: asyncio.Future[None]
    asked: list[Sequence[RouterQueueSelector]] = field(default_factory=list)
    found: list[str | None] = field(default_factory=list)

    def add(self, selectors: Sequence[RouterQueueSelector]) -> int:
        self.asked.append(selectors)
        self.found.append(None)
        return len(self.asked) - 1


class QueueSearch:
    """Of all queues."""

    def __init__(self, resources: ResourceStore) -> None:
        self._resources = resources
        self._turn = asyncio.Lock()
        #: Not begun yet: who asks now is served by it.
        self._next: _Reading | None = None

    async def find(self, selectors: Sequence[RouterQueueSelector]) -> str | None:
        """The queue whose labels satisfy all selectors; of several the lowest id. Raises StorageUnavailable."""
        reading = self._next
        if reading is not None:
            mine = reading.add(selectors)
            await asyncio.shield(reading.done)
            return reading.found[mine]
        reading = self._next = _Reading(asyncio.get_running_loop().create_future())
        reading.done.add_done_callback(lambda it: it.exception())  # nobody else may be waiting
        mine = reading.add(selectors)
        try:
            async with self._turn:
                self._begins(reading)
                await self._read(reading)
        except BaseException as error:
            self._begins(reading)
            failure = error if isinstance(error, Exception) else StorageUnavailable("Whoever read this was stopped.")
            reading.done.set_exception(failure)
            raise
        reading.done.set_result(None)
        return reading.found[mine]

    def _begins(self, reading: _Reading) -> None:
        if self._next is reading:
            self._next = None

    async def _read(self, reading: _Reading) -> None:
        async for some in self._resources.some("Queue"):
            labels = {queue.id: with_id_label(queue.document.get("labels", {}), queue.id) for queue in some}
            for number, selectors in enumerate(reading.asked):
                large = len(some) * len(selectors) > _FEW
                picked = await off_loop_if(large, pick_queue, selectors, labels)
                both = [id for id in (picked, reading.found[number]) if id is not None]
                reading.found[number] = min(both, default=None)
                if not large:
                    await asyncio.sleep(0)
