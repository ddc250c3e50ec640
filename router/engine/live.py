"""What happens now, as one picture: queues, workers and waiting jobs (docs/behaviour.md, "Live").

Made of what storage holds, without models: thousands of rows are looked at each second, and only those that have
changed are made anew. Times are texts in the one form in which they are stored, which sorts as they do."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json

from router.engine.facts import LEVEL_MINUTES, Level, Thresholds
from router.engine.live_lines import InLine, Line, LinePiece, Pace, line
from router.engine.live_piece import shown_time, stored_time
from router.engine.live_workers import Document, Shown, WorkerPiece, shown
from router.models.types import format_time

#: An offer that is younger than this may be a reservation that is given back, unless it is known to be none.
_YOUNG: Final = timedelta(seconds=1)


@dataclass(frozen=True)
class Picture:
    """All that is known, at one time. Workers by their id, lines by their queue's id."""

    at: datetime
    queues: Sequence[Document]
    workers: Mapping[str, WorkerPiece]
    lines: Mapping[str, LinePiece]
    #: What the next picture need not work out again: workers by the JSON that they are stored as, lines by the key of
    #: their queue.
    known_workers: Mapping[str, Shown] = field(default_factory=dict, repr=False)
    known_lines: Mapping[str, Line] = field(default_factory=dict, repr=False)

    @property
    def is_settled(self) -> bool:
        """Whether the next picture of the same is the same: no offer is hidden that may show by then."""
        return len(self.known_workers) == len(self.workers)

    def taken(self) -> Mapping[str, str]:
        """Jobs that workers hold and were not known to hold before this picture, and since when."""
        return {
            one["jobId"]: stored_time(one["assignedAt"])
            for piece in self.workers.values()
            if piece.since >= self.at
            for one in piece.document["assignments"]
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """What a picture is made of: what was read between `at` and `until`."""

    at: datetime
    until: datetime
    #: Id, key and stored JSON of each queue.
    queues: Sequence[tuple[str, str, str]]
    #: By the keys of their queues, in the order of service. A line that has not changed is the same object again.
    lines: Mapping[str, Sequence[InLine]]
    #: Stored JSON of each worker, in the order in which they are shown.
    workers: Sequence[str]
    #: Of the queues of which that is known.
    paces: Mapping[str, Pace]
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
    young = format_time(seen.at - _YOUNG)
    workers: dict[str, WorkerPiece] = {}
    known_workers: dict[str, Shown] = {}
    held: set[str] = set()
    for text in seen.workers:
        one = former.known_workers.get(text) or shown(text, young, attached, former.workers, seen.until)
        if one is None:
            continue
        if not one.hides:
            known_workers[text] = one
        workers[one.id] = one.piece
        held |= one.jobs
        _count(one, queues)
    # A row of the index may be late: a job that somebody holds does not wait.
    lines: dict[str, LinePiece] = {}
    known_lines: dict[str, Line] = {}
    for key in sorted(seen.lines):
        queue = by_key.get(key) or _Queue(key, None)
        pace, known = seen.paces.get(queue.id, Pace()), former.known_lines.get(key)
        made = line(seen.lines[key], queue.id, pace, held, known, seen.at, seen.until)
        known_lines[key] = made
        if made.made:
            by_key[key] = queue
            queue.line = made
            lines[queue.id] = made.piece
    documents = [queue.document() for queue in by_key.values()]
    return Picture(seen.at, documents, workers, lines, known_workers, known_lines)


@dataclass(slots=True)
class _Queue:
    """The figures of a queue as they add up."""

    id: str
    name: str | None
    level: Document | None = None
    line: Line | None = None
    offered: int = 0
    assigned: int = 0
    available: int = 0
    busy: int = 0

    def document(self) -> Document:
        line = self.line
        return {
            "id": self.id,
            "name": self.name,
            "waiting": len(line.made) if line else 0,
            "waitingByPriority": line.priorities if line else [],
            "oldestEnqueuedAt": shown_time(line.oldest) if line and line.oldest else None,
            "offered": self.offered,
            "assigned": self.assigned,
            "workersAvailable": self.available,
            "workersBusy": self.busy,
            **(line.told if line else {}),
            **({"serviceLevel": self.level} if self.level is not None else {}),
        }


def _count(worker: Shown, queues: Mapping[str, _Queue]) -> None:
    for id in worker.offered:
        if id in queues:
            queues[id].offered += 1
    for id in worker.assigned:
        if id in queues:
            queues[id].assigned += 1
    if worker.takes_more or worker.holds:
        for id in worker.queues:
            if id in queues:
                queues[id].available += worker.takes_more
                queues[id].busy += worker.holds


def _service_level(level: Level | None, thresholds: Thresholds, labels: Mapping[str, Any] | None) -> Document | None:
    if level is None or level.percent is None:
        return None
    seconds = thresholds.of_queue(labels).service
    return {"percent": level.percent, "thresholdSeconds": seconds, "windowMinutes": LEVEL_MINUTES}
