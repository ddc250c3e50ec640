"""The live picture of a process: made for whoever asks, at most once a second, and shared by all who look
(docs/behaviour.md, "Live")."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from router.commit.parts import Parts
from router.engine import live, live_view, waiting
from router.engine.facts import Level
from router.engine.live import Picture, Seen
from router.engine.live_lines import InLine, Pace
from router.engine.live_view import Asked, View
from router.engine.ownership import Own
from router.models.types import parse_time
from router.offload import off_loop_if
from router.recent import Recent
from router.storage.keys import key
from router.storage.throughput import Held
from router.usecases import reports
from router.usecases.live_rows import LiveRows, all_pages
from router.usecases.outlook import LiveOutlook, Outlook, class_of, last_of_each

#: A picture is at least so old when the next one is begun.
_LEAST_SECONDS: Final = 1.0
#: Reads of storage in a second: a picture that takes more of them is made less often.
_READS_A_SECOND: Final = 12
#: Of this process's time it takes at most a twentieth.
_SHARE: Final = 20
#: What a queue's rate may cost (storage/throughput.py), and how long it is good for. One is read with a picture, and
#: where one is known already, with each third.
_READS_OF_A_RATE: Final = 5
_RATE_GOOD_FOR: Final = timedelta(seconds=30)
_RATES_EVERY: Final = timedelta(seconds=3)
_MOST_RATES: Final = 5_000
#: Service levels are counted every 15 seconds: they are read no oftener.
_LEVELS_GOOD_FOR: Final = 15.0
#: Answers of one picture that are kept for others who ask the same.
_MOST_VIEWS: Final = 64
#: Characters of all of them, with the forms in which each is sent.
_LARGEST_VIEWS: Final = 24_000_000
_FORMS_OF_ONE: Final = 3
#: And forms of one answer: packed or not, with the link of whoever asked.
_MOST_FORMS: Final = 4
#: `since` is taken for the full two seconds before it: so those who have looked at about the same time share an answer.
_SINCE_SECONDS: Final = 2
#: So many take a millisecond or two.
_FEW_ROWS: Final = 150
#: Bytes of JSON.
_OF_A_ROW: Final = 300
#: A smaller answer is not worth packing.
_ZIPPED_FROM: Final = 4_000


@dataclass(frozen=True)
class Answer:
    """A view as all who ask for it are answered: its bytes are made once, by whoever wants them first."""

    view: View
    #: By the link to the next page, packed or not.
    made: Recent[tuple[str | None, bool], asyncio.Future[bytes]] = field(default_factory=lambda: Recent(_MOST_FORMS))


class Live:
    """The pictures of one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._picture: Picture | None = None
        self._good_until = 0.0
        self._making: asyncio.Task[Picture] | None = None
        self._failed: Exception | None = None
        #: By queue, and when it was read.
        self._paces: Recent[str, tuple[Pace, datetime]] = Recent(_MOST_RATES)
        self._rate_at = datetime.min.replace(tzinfo=UTC)
        self._levels: Mapping[str, Level] | None = None
        self._levels_until = 0.0
        self._views: Recent[tuple[Any, ...], Answer] = Recent(
            _MOST_VIEWS, size=lambda kept: _FORMS_OF_ONE * len(kept.view.content), most_size=_LARGEST_VIEWS
        )
        self._in_making: dict[tuple[Any, ...], asyncio.Future[Answer]] = {}
        self._rows = LiveRows(parts)
        #: What the picture was made of, and a number that it has in common with those that show the same.
        self._made_of: tuple[Any, ...] = ()
        self._number = 0
        self._etags: Recent[tuple[Any, ...], str] = Recent(_MOST_VIEWS)
        #: Pictures that were made, and what they read.
        self.made = 0
        self.reads = 0

    async def answer(
        self, *, queue_id: str | None, own: Own | None, since: datetime | None, after: tuple[str, str] | None
    ) -> Answer:
        """What is asked for, of a picture that is a second old at most, or as old as it takes. Raises
        StorageUnavailable."""
        picture = await self.picture()
        if since is not None:
            since = since.replace(second=since.second - since.second % _SINCE_SECONDS, microsecond=0)
        what = (picture.at, queue_id, own, since, after)
        answer = self._views.get(what)
        if answer is None:
            making = self._in_making.get(what)
            if making is None:
                asked = Asked(queue_id, own.owns if own is not None else None, since, after)
                self._in_making[what] = making = asyncio.ensure_future(self._view(picture, asked))
                making.add_done_callback(partial(self._viewed, what))
            answer = await asyncio.shield(making)
        if picture is self._picture:
            self._etags[self._number, queue_id, own, after] = answer.view.etag
        return answer

    def _viewed(self, what: tuple[Any, ...], done: asyncio.Future[Answer]) -> None:
        del self._in_making[what]
        if not done.cancelled() and done.exception() is None:
            self._views[what] = done.result()

    async def etag(self, *, queue_id: str | None, own: Own | None, after: tuple[str, str] | None) -> str | None:
        """That of the answer, where it is known without making one: nothing has changed since the last was made."""
        await self.picture()
        return self._etags.get((self._number, queue_id, own, after))

    async def content(self, answer: Answer, link: str | None, *, zipped: bool) -> tuple[bytes, bool]:
        """The bytes of an answer, and whether they are packed: only where that is worth it."""
        view = answer.view
        zipped = zipped and len(view.content) >= _ZIPPED_FROM
        if link is None and not zipped:
            return view.content, False
        form = (link, zipped)
        made = answer.made.get(form)
        if made is None:
            large = len(view.content) // _OF_A_ROW > _FEW_ROWS
            made = asyncio.ensure_future(off_loop_if(large, _form, view.content, link, zipped))
            made.add_done_callback(lambda done: done.exception())
            answer.made[form] = made
        return await asyncio.shield(made), zipped

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
        resources, rows = self._parts.resources, self._rows
        at = self._parts.clock.now()
        reads = await rows.refresh()
        lines = rows.lines()
        queues, pages = await all_pages(lambda after: resources.everyone("Queue", after))
        keys = {id: key(id) for id, _ in queues}
        reads += pages + await self._refresh_rate(keys, lines, at) + await self._refresh_levels(at)
        paces = {id: kept[0] for id in keys if (kept := self._paces.get(id)) is not None}
        made_of = (rows.revision, queues, paces, self._levels)
        if self._picture is not None and self._picture.is_settled and made_of == self._made_of:
            picture, seconds = replace(self._picture, at=at), 0.0
        else:
            seen = Seen(
                at,
                self._parts.clock.now(),
                [(id, keys[id], text) for id, text in queues],
                lines,
                [text for _, text in sorted(rows.workers.items())],
                paces,
                self._levels,
                self._parts.thresholds,
            )
            size = sum(map(len, lines.values())) + len(rows.workers)
            picture, seconds = await off_loop_if(size > _FEW_ROWS, _timed, seen, self._picture, self._parts.attached)
            rows.took(picture.taken())
            self._made_of = made_of
            self._number += 1
        self._picture = picture
        self.made += 1
        self.reads += reads
        self._good_until = started + max(_LEAST_SECONDS, reads / _READS_A_SECOND, seconds * _SHARE)
        return picture

    async def _refresh_rate(self, keys: Mapping[str, str], lines: Mapping[str, Sequence[InLine]], at: datetime) -> int:
        """Reads the rate of the queue whose jobs have waited longest for it, if it is old. Returns the reads. `keys`:
        of the queues."""
        old = [
            (kept[1].timestamp() if (kept := self._paces.get(id)) is not None else 0.0, id)
            for id, queue_key in keys.items()
            if queue_key in lines
        ]
        read, queue_id = min(old, default=(at.timestamp(), ""))
        now = at.timestamp()
        if now - read < _RATE_GOOD_FOR.total_seconds() or (read and at - self._rate_at < _RATES_EVERY):
            return 0
        self._rate_at = at
        line = lines[keys[queue_id]]
        asked = [class_of(line[place]) for place in last_of_each(line).values()]
        counted = await self._parts.throughput.counted(queue_id, asked)
        recent = counted.of()
        rate = waiting.rate(recent.assigned, recent.busy, parse_time(min(one.enqueued_at for one in line)), at)
        # How often what was told held is for those who ask for one job or queue.
        self._paces[queue_id] = (Pace(rate, LiveOutlook(Outlook(counted, Held(0, 0), at))), at)
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
        return Answer(await off_loop_if(rows > _FEW_ROWS, live_view.view, picture, asked, key))


def _form(content: bytes, link: str | None, zipped: bool) -> bytes:
    content = content if link is None else live_view.with_link(content, link)
    return gzip.compress(content, 1, mtime=0) if zipped else content


def _timed(seen: Seen, before: Picture | None, attached: Any) -> tuple[Picture, float]:
    """The picture, and the processor's seconds that it took."""
    started = time.thread_time()
    return live.picture(seen, before, attached), time.thread_time() - started
