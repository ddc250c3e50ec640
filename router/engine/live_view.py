"""What of the live picture is answered: a part of it, in pages, without what has not changed (docs/behaviour.md,
"Live")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from router.engine.live import Picture
from router.engine.live_lines import LinePiece
from router.engine.live_piece import digest_of, shown_time
from router.engine.live_workers import Document, WorkerPiece
from router.models.sizes import LARGEST_PAGE, within_a_page
from router.models.types import format_time, parse_time

#: How far apart the clocks of two processes may be: what has changed is sent for so much longer.
_CLOCKS: Final = timedelta(seconds=2)
#: A time before which nothing has changed, and which has times before it.
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Of each queue so many jobs come before the next so many of any.
_BLOCK: Final = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """Which part: of one queue, the worker that is the caller's own alone, what has changed since, from where on."""

    queue_id: str | None = None
    #: None for no limit, else whether a worker is the caller's own by its id and tags.
    own: Callable[[str, Mapping[str, Any]], bool] | None = None
    since: datetime | None = None
    after: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The answer, a JSON object without its link. `etag` is that of the whole page, whatever was left out of it as
    unchanged."""

    content: bytes
    etag: str
    next: tuple[str, str] | None


#: Behind the key of every worker and every place: all of them have been on former pages.
_ALL: Final = "~"
MOST_WORKERS: Final = 500
MOST_JOBS: Final = 2_000


def view(picture: Picture, asked: Asked, key: Callable[[str], str]) -> View:
    """What was asked for. `key` of an id sorts workers as storage does."""
    after_worker, after_job = asked.after or ("", "")
    queues = [] if asked.own else [one for one in picture.queues if asked.queue_id in (None, one["id"])]
    workers = {
        id: piece
        for id, piece in picture.workers.items()
        if (asked.queue_id is None or asked.queue_id in piece.document["queues"])
        and (asked.own is None or asked.own(id, piece.document["tags"]))
    }
    lines = {} if asked.own else {one["id"]: picture.lines[one["id"]] for one in queues if one["id"] in picture.lines}
    shown, next_worker = _workers_page(workers, after_worker, key)
    parts, next_job = _jobs_page(lines, after_job, key)
    totals = _totals(queues, workers, asked)
    head = to_json({"totals": totals, "queues": queues})[1:-1]
    is_last = next_worker is None and next_job is None
    following = None if is_last else (next_worker or _ALL, next_job or _ALL)
    digests = [piece.digest for piece in shown.values()] + [part.digest for part in parts]
    etag = digest_of(b"".join((to_json(following), head, *digests))).hex()
    old_workers: list[str] = []
    old_lines: list[str] = []
    if asked.since is not None and asked.since <= picture.at and asked.after is None:
        limit = max(asked.since, _FIRST) - _CLOCKS
        old_workers = [id for id in shown if shown[id].since <= limit]
        old_lines = [part.queue_id for part in parts if lines[part.queue_id].since <= limit]
    left_workers, left_lines = frozenset(old_workers), frozenset(old_lines)
    content = b",".join(
        (
            b'{"at":' + to_json(shown_time(format_time(picture.at))),
            head.replace(b'"oldestWaitSeconds":null', b'"oldestWaitSeconds":%d' % _oldest_wait(picture.at, queues), 1),
            b'"workers":[' + b",".join(piece.content for id, piece in shown.items() if id not in left_workers) + b"]",
            b'"jobs":[' + b",".join(part.content[1:-1] for part in parts if part.queue_id not in left_lines) + b"]",
            *([b'"unchanged":' + to_json({"workers": old_workers, "queues": old_lines})] if asked.since else ()),
        )
    )
    return View(content + b"}", etag, following)


def with_link(content: bytes, link: str) -> bytes:
    """An answer that goes on at the link."""
    return content[:-1] + b',"nextLink":' + to_json(link) + b"}"


def _workers_page(
    workers: Mapping[str, WorkerPiece], after: str, key: Callable[[str], str]
) -> tuple[dict[str, WorkerPiece], str | None]:
    characters = sum(len(piece.content) for piece in workers.values())
    if not after and len(workers) <= MOST_WORKERS and characters <= LARGEST_PAGE:
        return dict(workers), None
    ahead = sorted((key(id), id) for id in workers if key(id) > after)
    sizes = [len(workers[id].content) for _, id in ahead[:MOST_WORKERS]]
    page = ahead[: within_a_page(sizes, MOST_WORKERS)]
    return {id: workers[id] for _, id in page}, page[-1][0] if len(ahead) > len(page) else None


class _Part(NamedTuple):
    """Some jobs of a queue, as a JSON list."""

    queue_id: str
    content: bytes
    digest: bytes


def _jobs_page(lines: Mapping[str, LinePiece], after: str, key: Callable[[str], str]) -> tuple[list[_Part], str | None]:
    """Of more than a page the first of each queue come first."""
    if not after and sum(len(line.jobs) for line in lines.values()) <= MOST_JOBS:
        return [_Part(id, line.content, line.digest) for id, line in lines.items()], None
    blocks = sorted(
        (f"{start:08d}{key(id)}", id, start)
        for id, line in lines.items()
        for start in range(0, len(line.jobs), _BLOCK)
        if f"{start:08d}{key(id)}" > after
    )
    parts: list[_Part] = []
    room = MOST_JOBS
    for number, (_, id, start) in enumerate(blocks):
        block = lines[id].jobs[start : start + _BLOCK]
        if len(block) > room:
            return parts, blocks[number - 1][0]
        room -= len(block)
        content = b"[" + b",".join(block) + b"]"
        parts.append(_Part(id, content, digest_of(content)))
    return parts, None


def _totals(queues: Sequence[Document], workers: Mapping[str, WorkerPiece], asked: Asked) -> Document:
    """Of what is asked for, all pages together. The oldest wait is put in later: it grows by itself."""
    shown = [piece.document for piece in workers.values()]
    whole = asked.queue_id is None
    return {
        "waiting": sum(one["waiting"] for one in queues),
        "offered": sum(len(one["offers"]) for one in shown) if whole else sum(one["offered"] for one in queues),
        "assigned": sum(len(one["assignments"]) for one in shown) if whole else sum(one["assigned"] for one in queues),
        "workersAvailable": sum(one["takesMore"] for one in shown),
        "workersBusy": sum(bool(one["offers"] or one["assignments"]) for one in shown),
        "oldestWaitSeconds": None,
    }


def _oldest_wait(at: datetime, queues: Sequence[Document]) -> int:
    oldest = min((one["oldestEnqueuedAt"] for one in queues if one["oldestEnqueuedAt"] is not None), default=None)
    return 0 if oldest is None else max(0, int((at - parse_time(oldest)).total_seconds()))
