"""The live picture of a process: made for whoever asks, at most once a second, and shared by all who look
(docs/behaviour.md, "Live")."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, ParamSpec, TypeVar

from router.commit.parts import Parts
from router.engine import live, waiting
from router.engine.facts import Level
from router.engine.live import Asked, InLine, Picture, Seen, View
from router.engine.ownership import Own
from router.models.types import parse_time
from router.offload import off_loop
from router.recent import Recent
from router.storage.keys import key
from router.usecases import reports

P = ParamSpec("P")
T = TypeVar("T")
#: A picture is at least so old when the next one is begun.
_LEAST_SECONDS: Final = 1.0
#: Reads of storage in a second: a picture that takes more of them is made less often.
_READS_A_SECOND: Final = 12
#: Of this process's time it takes at most a twentieth.
_SHARE: Final = 20
#: What a queue's rate may cost (storage/throughput.py), and how long it is good for. One is read with a picture.
_READS_OF_A_RATE: Final = 5
_RATE_GOOD_FOR: Final = timedelta(seconds=30)
_MOST_RATES: Final = 5_000
#: Service levels are counted every 15 seconds: they are read no oftener.
_LEVELS_GOOD_FOR: Final = 15.0
#: Answers of one picture that are kept for others who ask the same.
_MOST_VIEWS: Final = 64
#: So many take a millisecond or two.
_FEW_ROWS: Final = 150
#: Bytes of JSON.
_OF_A_ROW: Final = 300
#: A smaller answer is not worth packing.
_ZIPPED_FROM: Final = 4_000


@dataclass
class Answer:
    """A view, and its content packed once somebody wants that."""

    view: View
    zipped: bytes | None = None


class Live:
    """The pictures of one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._picture: Picture | None = None
        self._good_until = 0.0
        self._making: asyncio.Task[Picture] | None = None
        self._failed: Exception | None = None
        self._rates: Recent[str, tuple[float, datetime]] = Recent(_MOST_RATES)
        self._levels: Mapping[str, Level] | None = None
        self._levels_until = 0.0
        self._views: Recent[tuple[Any, ...], asyncio.Future[Answer]] = Recent(_MOST_VIEWS)
        #: Pictures that were made, and what they read.
        self.made = 0
        self.reads = 0

    async def answer(
        self, *, queue_id: str | None, own: Own | None, since: datetime | None, after: tuple[str, str] | None
    ) -> Answer:
        """What is asked for, of a picture that is a second old at most, or as old as it takes. Raises
        StorageUnavailable."""
        picture = await self.picture()
        what = (picture.at, queue_id, own, since, after)
        kept = self._views.get(what)
        if kept is None:
            asked = Asked(queue_id, own.owns if own is not None else None, since, after)
            kept = asyncio.ensure_future(self._view(picture, asked))
            self._views[what] = kept
            kept.add_done_callback(lambda done: done.exception())
        return await asyncio.shield(kept)

    async def zipped(self, answer: Answer, content: bytes) -> bytes | None:
        """The content packed; None where that is not worth it."""
        if len(content) < _ZIPPED_FROM:
            return None
        if answer.zipped is None:
            answer.zipped = await _done(len(content) // _OF_A_ROW, gzip.compress, content, 1, mtime=0)
        return answer.zipped

    async def own_worker(self, own: Own) -> str | None:
        """The id of the caller's worker: the one of the caller's own id, or the first that has its tag."""
        workers = (await self.picture()).workers
        if own.object_id in workers:
            return own.object_id
        return next((id for id, piece in workers.items() if own.owns(id, piece.document["tags"])), None)

    async def picture(self) -> Picture:
        """One that is good still, or the one that is being made. Raises StorageUnavailable."""
        now = asyncio.get_running_loop().time()
        if now < self._good_until:
            if self._failed is not None:
                raise self._failed
            assert self._picture is not None
            return self._picture
        if self._making is None:
            self._making = asyncio.ensure_future(self._make())
            self._making.add_done_callback(self._made)
        return await asyncio.shield(self._making)

    def _made(self, task: asyncio.Task[Picture]) -> None:
        self._making = None
        failed = None if task.cancelled() else task.exception()
        self._failed = failed if isinstance(failed, Exception) else None
        if self._failed is not None:
            self._good_until = asyncio.get_running_loop().time() + _LEAST_SECONDS

    async def _make(self) -> Picture:
        started = asyncio.get_running_loop().time()
        resources, backlog, workers = self._parts.resources, self._parts.backlog, self._parts.worker_rows
        at = self._parts.clock.now()
        (queues, first), (waits, second), (records, third) = await asyncio.gather(
            _all(lambda after: resources.everyone("Queue", after)), _all(backlog.everyone), _all(workers.everyone)
        )
        reads = first + second + third + await self._refresh_rate(queues, waits, at) + await self._refresh_levels(at)
        rates = {id: kept[0] for id, _ in queues if (kept := self._rates.get(id)) is not None}
        seen = Seen(
            at,
            self._parts.clock.now(),
            [(id, key(id), text) for id, text in queues],
            waits,
            records,
            rates,
            self._levels,
            self._parts.thresholds,
        )
        picture, seconds = await _done(len(waits) + len(records), _timed, seen, self._picture, self._parts.attached)
        self._picture = picture
        self.made += 1
        self.reads += reads
        self._good_until = started + max(_LEAST_SECONDS, reads / _READS_A_SECOND, seconds * _SHARE)
        return picture

    async def _refresh_rate(self, queues: list[tuple[str, str]], waits: list[InLine], at: datetime) -> int:
        """Reads the rate of the queue whose jobs have waited longest for it, if it is old. Returns the reads."""
        first: dict[str, str] = {}
        for one in waits:
            if one.enqueued_at < first.get(one.queue_key, "~"):
                first[one.queue_key] = one.enqueued_at
        old = [
            (kept[1] if (kept := self._rates.get(id)) is not None else None, id) for id, _ in queues if key(id) in first
        ]
        due = min(((read.timestamp() if read is not None else 0.0, id) for read, id in old), default=None)
        if due is None or at.timestamp() - due[0] < _RATE_GOOD_FOR.total_seconds():
            return 0
        queue_id = due[1]
        recent = await self._parts.throughput.recent(queue_id)
        rate = waiting.rate(recent.assigned, recent.busy, parse_time(first[key(queue_id)]), at)
        self._rates[queue_id] = (rate, at)
        return _READS_OF_A_RATE

    async def _refresh_levels(self, at: datetime) -> int:
        """Reads the queues' service levels if they are old and there is a history. Returns the reads."""
        now = asyncio.get_running_loop().time()
        if not self._parts.chronicle.keeps or now < self._levels_until:
            return 0
        self._levels, reads = await reports.service_levels(self._parts, at)
        self._levels_until = now + _LEVELS_GOOD_FOR
        return reads

    async def _view(self, picture: Picture, asked: Asked) -> Answer:
        rows = len(picture.workers) + sum(one["waiting"] for one in picture.queues)
        return Answer(await _done(rows, live.view, picture, asked, key))


Position = tuple[str, str]


async def _done(rows: int, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """What `work` returns, beside the event loop if it would hold it for more than a moment."""
    return work(*args, **options) if rows <= _FEW_ROWS else await off_loop(work, *args, **options)


async def _all(page: Callable[[Position | None], Awaitable[tuple[list[T], Position | None]]]) -> tuple[list[T], int]:
    """All pages, and how many they were."""
    found: list[T] = []
    after: Position | None = None
    number = 0
    while True:
        rows, after = await page(after)
        found += rows
        number += 1
        if after is None:
            return found, number


def _timed(seen: Seen, before: Picture | None, attached: Any) -> tuple[Picture, float]:
    """The picture, and the processor's seconds that it took."""
    started = time.thread_time()
    return live.picture(seen, before, attached), time.thread_time() - started
