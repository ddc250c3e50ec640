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
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from router.engine import waiting
from router.engine.facts import LEVEL_MINUTES, Level, Thresholds
from router.models.types import format_time, parse_time

Document = dict[str, Any]
#: An offer that is younger than this may be a reservation that is given back, unless it is known to be none.
_YOUNG: Final = timedelta(seconds=1)
_queue_key: Final = attrgetter("queue_key")
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
    #: What the next picture need not work out again: workers by the JSON that they are stored as, lines by the key of
    #: their queue.
    known_workers: Mapping[str, _Known] = field(default_factory=dict, repr=False)
    known_lines: Mapping[str, _Line] = field(default_factory=dict, repr=False)


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
    #: What service levels are made of, by queue; None without a history. And what they are measured by.
    levels: Mapping[str, Level] | None
    thresholds: Thresholds


def picture(seen: Seen, before: Picture | None, attached: Container[str]) -> Picture:
    """The picture of what was read. `attached`: offers that are known to be offers."""
    former = before or Picture(seen.at, (), {}, {})
    queues: dict[str, _Queue] = {}
    by_key: dict[str, _Queue] = {}
    for id, key, document in seen.queues:
        stored = from_json(document)
        level = _service_level((seen.levels or {}).get(id), seen.thresholds, stored.get("labels"))
        queues[id] = by_key[key] = _Queue(id, stored.get("name"), level)
    lines: dict[str, Piece] = {}
    known_lines: dict[str, _Line] = {}
    for queue_key, group in groupby(seen.waiting, _queue_key):
        rows = list(group)
        queue = by_key.get(queue_key) or by_key.setdefault(queue_key, _Queue(queue_key, None))
        line = former.known_lines.get(queue_key) if queue.id in former.lines else None
        rate = seen.rates.get(queue.id)
        if line is None or line.rows != rows or line.rate != rate:
            line = _Line(rows, rate, *_counted(rows))
            shown = [_job(one, queue.id, number, rate) for number, one in enumerate(rows, 1)]
            lines[queue.id] = _piece(shown, former.lines.get(queue.id), seen.until)
        else:
            lines[queue.id] = former.lines[queue.id]
        known_lines[queue_key] = queue.line = line
    young = format_time(seen.at - _YOUNG)
    workers: dict[str, Piece] = {}
    known_workers: dict[str, _Known] = {}
    for text in seen.workers:
        known = former.known_workers.get(text)
        if known is None:
            # Values are hardly ever the same: to remember them costs more than it spares.
            record = from_json(text, cache_strings="keys")
            if record["routing"].get("deleting"):
                continue
            hidden = [
                offer["offerId"]
                for offer in record["worker"].get("offers", ())
                if offer["offeredAt"] > young and offer["offerId"] not in attached
            ]
            known = _known(record, hidden, former.workers, seen.until)
            if not hidden:
                known_workers[text] = known
        else:
            known_workers[text] = known
        workers[known.id] = known.piece
        known.add_to(queues)
    documents = [queue.document() for queue in by_key.values()]
    return Picture(seen.at, documents, workers, lines, known_workers, known_lines)


@dataclass(frozen=True, slots=True)
class _Line:
    """The line of a queue as it was read, and what it adds up to."""

    rows: Sequence[InLine]
    rate: float | None
    priorities: Sequence[Document]
    oldest: str


class _Known(NamedTuple):
    """A worker as it is shown, and what it counts for in which queues."""

    id: str
    piece: Piece
    queues: Sequence[str]
    offered: Sequence[str]
    assigned: Sequence[str]
    takes_more: bool
    holds: bool

    def add_to(self, queues: Mapping[str, _Queue]) -> None:
        for id in self.offered:
            if id in queues:
                queues[id].offered += 1
        for id in self.assigned:
            if id in queues:
                queues[id].assigned += 1
        if self.takes_more or self.holds:
            for id in self.queues:
                if id in queues:
                    queues[id].available += self.takes_more
                    queues[id].busy += self.holds


def _counted(rows: Sequence[InLine]) -> tuple[Sequence[Document], str]:
    counts = Counter([one.priority for one in rows])
    priorities = [{"priority": one, "count": counts[one]} for one in sorted(counts, reverse=True)]
    return priorities, min([one.enqueued_at for one in rows])


def _job(one: InLine, queue_id: str, position: int, rate: float | None) -> Document:
    return {
        "id": one.job_id,
        "queueId": queue_id,
        "position": position,
        "priority": one.priority,
        "channelId": one.channel_id,
        "enqueuedAt": _shown(one.enqueued_at),
        "selectors": in_words(one.selectors),
        "estimatedWaitMinutes": None if rate is None else waiting.estimate(position, rate),
    }


@dataclass(slots=True)
class _Queue:
    """The figures of a queue as they add up."""

    id: str
    name: str | None
    level: Document | None = None
    line: _Line | None = None
    offered: int = 0
    assigned: int = 0
    available: int = 0
    busy: int = 0

    def document(self) -> Document:
        line = self.line
        return {
            "id": self.id,
            "name": self.name,
            "waiting": len(line.rows) if line else 0,
            "waitingByPriority": line.priorities if line else [],
            "oldestEnqueuedAt": _shown(line.oldest) if line else None,
            "offered": self.offered,
            "assigned": self.assigned,
            "workersAvailable": self.available,
            "workersBusy": self.busy,
            **({"serviceLevel": self.level} if self.level is not None else {}),
        }


def _service_level(level: Level | None, thresholds: Thresholds, labels: Mapping[str, Any] | None) -> Document | None:
    if level is None or level.percent is None:
        return None
    seconds = thresholds.of_queue(labels).service
    return {"percent": level.percent, "thresholdSeconds": seconds, "windowMinutes": LEVEL_MINUTES}


def _known(record: Document, hidden: Container[str], former: Mapping[str, Piece], until: datetime) -> _Known:
    """A worker as it is shown, without the offers that are hidden."""
    worker, routing = record["worker"], record["routing"]
    offers = [offer for offer in worker.get("offers", ()) if offer["offerId"] not in hidden]
    assigned = worker.get("assignedJobs", ())
    since = routing.get("stateSince")
    if since is None and worker["state"] == "active":
        since = routing.get("registeredAt")
    can_take = takes_more(worker, routing)
    shown = {
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
            {"assignmentId": one["assignmentId"], "jobId": one["jobId"], "assignedAt": _shown(one["assignedAt"])}
            for one in assigned
        ],
    }
    of_offers, of_jobs = routing.get("offerQueues", {}), routing.get("assignmentQueues", {})
    return _Known(
        worker["id"],
        _piece(shown, former.get(worker["id"]), until),
        shown["queues"],
        [of_offers[one["offerId"]] for one in offers if one["offerId"] in of_offers],
        [of_jobs[one["jobId"]] for one in assigned if one["jobId"] in of_jobs],
        can_take,
        bool(offers or assigned),
    )


def takes_more(worker: Document, routing: Document) -> bool:
    """Whether the worker could take a job of any of its channels now, as engine/capacity.py decides it of records."""
    offers = worker.get("offers", ())
    if not worker.get("availableForOffers") or worker["state"] != "active":
        return False
    most_offers = worker.get("maxConcurrentOffers")
    if most_offers is not None and len(offers) >= most_offers:
        return False
    left = worker["capacity"]
    for one in offers:
        left -= one["capacityCost"]
    for one in worker.get("assignedJobs", ()):
        left -= one["capacityCost"]
    jobs = list(routing.get("jobChannels", {}).values())
    for channel in worker.get("channels", ()):
        most = channel.get("maxNumberOfJobs")
        if channel["capacityCostPerJob"] <= left and (most is None or jobs.count(channel["channelId"]) < most):
            return True
    return False


def _piece(document: Any, former: Piece | None, until: datetime) -> Piece:
    content = to_json(document)
    return former if former is not None and former.content == content else Piece(content, document, until)


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
