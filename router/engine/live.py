"""What happens now, as one picture: queues, workers and waiting jobs (docs/behaviour.md, "Live").

Made of what storage holds, without models: thousands of rows are looked at each second. Times are texts in the one form
in which they are stored, which sorts as they do."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from router.engine import waiting
from router.models.types import format_time, parse_time

Document = dict[str, Any]
#: An offer that is younger than this may be a reservation that is given back, unless it is known to be none.
_YOUNG: Final = timedelta(seconds=1)
#: How far apart the clocks of two processes may be: what has changed is sent for so much longer.
_CLOCKS: Final = timedelta(seconds=2)
#: Of each queue so many jobs come before the next so many of any.
_BLOCK: Final = 100
_OPERATORS: Final = {
    "equal": "is",
    "notEqual": "is not",
    "lessThan": "is less than",
    "lessThanOrEqual": "is at most",
    "greaterThan": "is greater than",
    "greaterThanOrEqual": "is at least",
}


class InLine(NamedTuple):
    """A waiting job as the index tells it: the keys of its queue and of its place, and its columns."""

    queue_key: str
    row: str
    job_id: str
    channel_id: str
    priority: int
    enqueued_at: str
    selectors: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the picture as JSON, and from when on every picture has it so."""

    content: bytes
    document: Any
    since: datetime


@dataclass(frozen=True)
class Picture:
    """All that is known, at one time. Workers by their id, lines by their queue's id: in the order of service."""

    at: datetime
    queues: Sequence[Document]
    workers: Mapping[str, Piece]
    lines: Mapping[str, Piece]
    #: What has been answered of it: by what was asked.
    views: dict[Any, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture is made of: what was read between `at` and `until`."""

    at: datetime
    until: datetime
    #: Id, key and stored JSON of each queue.
    queues: Sequence[tuple[str, str, str]]
    waiting: Sequence[InLine]
    #: Stored JSON of each worker.
    workers: Sequence[str]
    #: Assignments a second, of the queues of which that is known.
    rates: Mapping[str, float]


def picture(seen: Seen, before: Picture | None, attached: Container[str]) -> Picture:
    """The picture of what was read. `attached`: offers that are known to be offers."""
    queues: dict[str, _Queue] = {}
    by_key: dict[str, _Queue] = {}
    for id, key, document in seen.queues:
        queues[id] = by_key[key] = _Queue(id, from_json(document).get("name"))
    lines: dict[str, list[Document]] = {}
    for one in seen.waiting:
        queue = by_key.get(one.queue_key) or by_key.setdefault(one.queue_key, _Queue(one.queue_key, None))
        lines.setdefault(queue.id, []).append(queue.add(one, seen.rates.get(queue.id)))
    young = format_time(seen.at - _YOUNG)
    workers: dict[str, Document] = {}
    for text in seen.workers:
        shown = _worker(
            from_json(text), queues, lambda offer: offer["offeredAt"] > young and offer["offerId"] not in attached
        )
        if shown is not None:
            workers[shown["id"]] = shown
    known = before or Picture(seen.at, (), {}, {})
    return Picture(
        seen.at,
        [queue.document() for queue in by_key.values()],
        _pieces(workers, known.workers, seen.until),
        _pieces(lines, known.lines, seen.until),
    )


@dataclass
class _Queue:
    """The figures of a queue as they add up."""

    id: str
    name: str | None
    waiting: int = 0
    priorities: Counter[int] = field(default_factory=Counter)
    oldest: str = "~"
    offered: int = 0
    assigned: int = 0
    available: int = 0
    busy: int = 0

    def add(self, one: InLine, rate: float | None) -> Document:
        """One more that waits, as it is shown."""
        self.waiting += 1
        self.priorities[one.priority] += 1
        if one.enqueued_at < self.oldest:
            self.oldest = one.enqueued_at
        return {
            "id": one.job_id,
            "queueId": self.id,
            "position": self.waiting,
            "priority": one.priority,
            "channelId": one.channel_id,
            "enqueuedAt": _shown(one.enqueued_at),
            "selectors": in_words(one.selectors),
            "estimatedWaitMinutes": None if rate is None else waiting.estimate(self.waiting, rate),
        }

    def document(self) -> Document:
        return {
            "id": self.id,
            "name": self.name,
            "waiting": self.waiting,
            "waitingByPriority": [
                {"priority": priority, "count": self.priorities[priority]}
                for priority in sorted(self.priorities, reverse=True)
            ],
            "oldestEnqueuedAt": _shown(self.oldest) if self.waiting else None,
            "offered": self.offered,
            "assigned": self.assigned,
            "workersAvailable": self.available,
            "workersBusy": self.busy,
        }


def _worker(record: Document, queues: Mapping[str, _Queue], hidden: Callable[[Document], bool]) -> Document | None:
    """A worker as it is shown, counted in its queues; None for one that is being deleted."""
    worker, routing = record["worker"], record["routing"]
    if routing.get("deleting"):
        return None
    offers = [offer for offer in worker.get("offers", ()) if not hidden(offer)]
    assigned = worker.get("assignedJobs", ())
    offer_queues, assignment_queues = routing.get("offerQueues", {}), routing.get("assignmentQueues", {})
    for offer in offers:
        if (queue := queues.get(offer_queues.get(offer["offerId"]))) is not None:
            queue.offered += 1
    for one in assigned:
        if (queue := queues.get(assignment_queues.get(one["jobId"]))) is not None:
            queue.assigned += 1
    can_take, holds = takes_more(worker, routing), bool(offers or assigned)
    for queue_id in worker.get("queues", ()):
        if (queue := queues.get(queue_id)) is not None:
            queue.available += can_take
            queue.busy += holds
    since = routing.get("stateSince")
    if since is None and worker["state"] == "active":
        since = routing.get("registeredAt")
    return {
        "id": worker["id"],
        "state": worker["state"],
        "stateSince": since and _shown(since),
        "availableForOffers": bool(worker.get("availableForOffers")),
        "takesMore": can_take,
        "queues": worker.get("queues", []),
        "channels": worker.get("channels", []),
        "capacity": worker["capacity"],
        "loadRatio": worker.get("loadRatio", 0.0),
        "labels": worker.get("labels", {}),
        "tags": worker.get("tags", {}),
        "offers": [
            {
                "offerId": offer["offerId"],
                "jobId": offer["jobId"],
                "offeredAt": _shown(offer["offeredAt"]),
                "expiresAt": _shown(offer["expiresAt"]),
            }
            for offer in offers
        ],
        "assignments": [
            {
                "assignmentId": one["assignmentId"],
                "jobId": one["jobId"],
                "assignedAt": _shown(one["assignedAt"]),
            }
            for one in assigned
        ],
    }


def takes_more(worker: Document, routing: Document) -> bool:
    """Whether the worker could take a job of any of its channels now, as engine/capacity.py decides it of records."""
    offers = worker.get("offers", ())
    if not worker.get("availableForOffers") or worker["state"] != "active":
        return False
    most_offers = worker.get("maxConcurrentOffers")
    if most_offers is not None and len(offers) >= most_offers:
        return False
    used = sum(one["capacityCost"] for one in offers)
    used += sum(one["capacityCost"] for one in worker.get("assignedJobs", ()))
    jobs = Counter(routing.get("jobChannels", {}).values())
    return any(
        used + channel["capacityCostPerJob"] <= worker["capacity"]
        and ((most := channel.get("maxNumberOfJobs")) is None or jobs[channel["channelId"]] < most)
        for channel in worker.get("channels", ())
    )


def _pieces(found: Mapping[str, Any], known: Mapping[str, Piece], until: datetime) -> dict[str, Piece]:
    pieces = {}
    for id, document in found.items():
        content, former = to_json(document), known.get(id)
        pieces[id] = former if former is not None and former.content == content else Piece(content, document, until)
    return pieces


@lru_cache(maxsize=1000)
def in_words(selectors: str) -> tuple[str, ...]:
    """Active selectors, as the index has them, for people to read."""
    return tuple(
        f"{one['key']} {_OPERATORS.get(one['labelOperator'], one['labelOperator'])} {_value(one.get('value'))}"
        for one in from_json(selectors)
    )


def _value(value: Any) -> str:
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _shown(time: str) -> str:
    """As pages read it: `Z` for UTC."""
    return f"{time[:-6]}Z" if time.endswith("+00:00") else time


# Views: what of a picture is answered.


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
    """The answer without its link. `etag` is that of the whole page, whatever was left out of it as unchanged."""

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
    totals = _totals(picture, queues, workers, asked)
    head = to_json({"totals": totals, "queues": queues})[1:-1]
    digest = hashlib.blake2b(head, digest_size=16)
    for content in (*(shown[id].content for id in shown), *(content for _, content in parts)):
        digest.update(content)
        digest.update(b"\n")
    old_workers: list[str] = []
    old_lines: list[str] = []
    if asked.since is not None and asked.since <= picture.at and asked.after is None:
        limit = asked.since - _CLOCKS
        old_workers = [id for id in shown if shown[id].since <= limit]
        old_lines = [id for id, _ in parts if lines[id].since <= limit]
    left_workers, left_lines = frozenset(old_workers), frozenset(old_lines)
    content = b",".join(
        (
            b'{"at":' + to_json(_shown(format_time(picture.at))),
            head.replace(b'"oldestWaitSeconds":null', b'"oldestWaitSeconds":%d' % _oldest_wait(picture.at, queues), 1),
            b'"workers":[' + b",".join(piece.content for id, piece in shown.items() if id not in left_workers) + b"]",
            b'"jobs":[' + b",".join(part[1:-1] for id, part in parts if id not in left_lines) + b"]",
            *([b'"unchanged":' + to_json({"workers": old_workers, "queues": old_lines})] if asked.since else ()),
        )
    )
    is_last = next_worker is None and next_job is None
    following = None if is_last else (next_worker or _ALL, next_job or _ALL)
    digest.update(to_json(following))
    return View(content, digest.hexdigest(), following)


def _workers_page(
    workers: Mapping[str, Piece], after: str, key: Callable[[str], str]
) -> tuple[dict[str, Piece], str | None]:
    if not after and len(workers) <= MOST_WORKERS:
        return dict(workers), None
    ahead = sorted((key(id), id) for id in workers if key(id) > after)
    page = ahead[:MOST_WORKERS]
    return {id: workers[id] for _, id in page}, page[-1][0] if len(ahead) > len(page) else None


def _jobs_page(
    lines: Mapping[str, Piece], after: str, key: Callable[[str], str]
) -> tuple[list[tuple[str, bytes]], str | None]:
    """JSON lists of jobs with their queue. Of more than a page the first of each queue come first."""
    if not after and sum(len(line.document) for line in lines.values()) <= MOST_JOBS:
        return [(id, line.content) for id, line in lines.items()], None
    blocks = sorted(
        (f"{start:08d}{key(id)}", id, start)
        for id, line in lines.items()
        for start in range(0, len(line.document), _BLOCK)
        if f"{start:08d}{key(id)}" > after
    )
    parts: list[tuple[str, bytes]] = []
    room = MOST_JOBS
    for number, (_, id, start) in enumerate(blocks):
        block = lines[id].document[start : start + _BLOCK]
        if len(block) > room:
            return parts, blocks[number - 1][0]
        room -= len(block)
        parts.append((id, to_json(block)))
    return parts, None


def _totals(picture: Picture, queues: Sequence[Document], workers: Mapping[str, Piece], asked: Asked) -> Document:
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
