"""The lines of waiting jobs in the live picture (docs/behaviour.md, "Live")."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

from pydantic_core import from_json, to_json

from router.engine import waiting
from router.engine.live_piece import Piece, digest_of, kept, shown_time

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
    #: Whether it may take an offer more.
    open: bool = True


class Outlook(Protocol):
    """What is known of how fast a queue's jobs are taken."""

    def of_line(self, rows: Sequence[InLine], at: datetime) -> Mapping[str, Any]:
        """What those who wait there are told, as fields of the queue."""


class Pace(NamedTuple):
    """How fast a queue's jobs are taken: assignments a second, and what waits are told by; None if not known."""

    rate: float | None = None
    outlook: Outlook | None = None


@dataclass(frozen=True, slots=True)
class LinePiece(Piece):
    #: Each as JSON.
    jobs: Sequence[bytes]


class _Made(NamedTuple):
    """A job as JSON: what stands before its position, and between that and its estimated wait."""

    row: InLine
    head: bytes
    tail: bytes

    def at(self, position: int, rate: float | None) -> bytes:
        if rate is None:
            return b"%b%d%bnull}" % (self.head, position, self.tail)
        return b"%b%d%b%d}" % (self.head, position, self.tail, waiting.estimate(position, rate))


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is shown, and what it was made of."""

    rows: Sequence[InLine]
    queue_id: str
    pace: Pace
    ids: frozenset[str]
    #: Jobs of it that somebody holds: their rows are late.
    held: Set[str]
    made: Mapping[str, _Made]
    piece: LinePiece
    priorities: Sequence[Mapping[str, int]]
    oldest: str | None
    #: What those who wait are told, as fields of the queue.
    told: Mapping[str, Any]


def line(
    rows: Sequence[InLine],
    queue_id: str,
    pace: Pace,
    held: Set[str],
    former: Line | None,
    at: datetime,
    until: datetime,
) -> Line:
    """The line of a queue, whose rows are in the order of service. `held`: jobs, of whichever queue, that somebody
    holds. What has not changed is the former line's; that rows have not is told by their being the same object."""
    same = former is not None and former.rows is rows
    ids = former.ids if former is not None and same else frozenset([one.job_id for one in rows])
    own = ids & held
    if former is not None and same and (former.queue_id, former.pace, former.held) == (queue_id, pace, own):
        return former
    waits = [one for one in rows if one.job_id not in own] if own else rows
    known = former.made if former is not None and former.queue_id == queue_id else {}
    made = {one.row: _made(one, queue_id, known.get(one.row)) for one in waits}
    jobs = [one.at(number, pace.rate) for number, one in enumerate(made.values(), 1)]
    content = b"[" + b",".join(jobs) + b"]"
    piece = kept(LinePiece(content, digest_of(content), until, jobs), former.piece if former is not None else None)
    counts = Counter([one.priority for one in waits])
    return Line(
        rows,
        queue_id,
        pace,
        ids,
        own,
        made,
        piece,
        [{"priority": one, "count": counts[one]} for one in sorted(counts, reverse=True)],
        min([one.enqueued_at for one in waits], default=None),
        pace.outlook.of_line(waits, at) if waits and pace.outlook is not None else {},
    )


def _made(one: InLine, queue_id: str, known: _Made | None) -> _Made:
    if known is not None and (known.row is one or known.row == one):
        return known
    head = to_json({"id": one.job_id, "queueId": queue_id})
    tail = to_json(
        {
            "priority": one.priority,
            "channelId": one.channel_id,
            "enqueuedAt": shown_time(one.enqueued_at),
            "selectors": in_words(one.selectors),
        }
    )
    return _Made(one, head[:-1] + b',"position":', b"," + tail[1:-1] + b',"estimatedWaitMinutes":')


@lru_cache(maxsize=1000)
def in_words(selectors: str) -> tuple[str, ...]:
    """Active selectors, as the index has them, for people to read."""
    return tuple(
        f"{one['key']} {_OPERATORS.get(one['labelOperator'], one['labelOperator'])} {_value(one.get('value'))}"
        for one in from_json(selectors)
    )


def _value(value: Any) -> str:
    return "nothing" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
