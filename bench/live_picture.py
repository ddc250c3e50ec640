"""What a live picture and its answer take of the processor, without storage and network.

`python -m bench live_picture`: 50 queues, 500 workers, 2,000 waiting jobs, of which each second none, some or all have
changed. Waits are told as ranges, of five priorities in each queue, from what workers of four teams took of eight kinds
of jobs. With all around it, a picture is measured by bench.viewers."""

from __future__ import annotations

import gzip
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import TypeAdapter
from pydantic_core import to_json

from bench.figures import Figure, heading, table
from router.collector import collect_seldom
from router.engine import live, live_view
from router.engine.facts import Level, Thresholds
from router.engine.live import Picture, Seen
from router.engine.live_lines import InLine, Pace
from router.engine.live_view import Asked
from router.models.selectors import RouterWorkerSelector
from router.models.types import format_time
from router.models.workers import (
    RouterChannel,
    RouterJobOffer,
    RouterWorker,
    RouterWorkerAssignment,
    WorkerRecord,
    WorkerRouting,
    WorkerState,
)
from router.storage.counted import PERIOD, ClassCount, Count, Counted
from router.storage.job_classes import job_class
from router.storage.keys import descending, key, time_key
from router.storage.throughput import Held
from router.usecases.outlook import LiveOutlook, Outlook

QUEUES: Final = 50
WORKERS: Final = 500
WAITING: Final = 2_000
_START: Final = datetime(2026, 11, 3, 21, tzinfo=UTC)
_TIMES: Final = 30
_PRIORITIES: Final = 5
_KINDS: Final = 8
_PACE_EVERY: Final = 3
_SELECTORS: Final = TypeAdapter(list[RouterWorkerSelector])


def worker_document(number: int, now: datetime) -> str:
    """A worker with labels, tags, two channels, an offer and an assignment, as it is stored."""
    channels = [
        RouterChannel(channel_id=name, capacity_cost_per_job=1, max_number_of_jobs=2) for name in ("voice", "chat")
    ]
    offer = RouterJobOffer(offer_id=f"o{number}", job_id=f"j{number}", capacity_cost=1, offered_at=now, expires_at=now)
    held = RouterWorkerAssignment(assignment_id=f"a{number}", job_id=f"k{number}", capacity_cost=1, assigned_at=now)
    worker = RouterWorker(
        id=f"worker-{number:04d}",
        state=WorkerState.ACTIVE,
        queues=[f"queue-{(number + one) % QUEUES:02d}" for one in range(3)],
        capacity=4,
        labels={f"label{one}": number * one for one in range(6)},
        tags={"team": f"team-{number % 9}", "name": f"Worker {number}"},
        channels=channels,
        available_for_offers=True,
        offers=[offer],
        assigned_jobs=[held],
        load_ratio=0.5,
    )
    routing = WorkerRouting(
        available_since=now,
        registered_at=now,
        active_at=now,
        job_channels={f"j{number}": "voice", f"k{number}": "chat"},
        offer_queues={f"o{number}": worker.queues[0]},
        assignment_queues={f"k{number}": worker.queues[1]},
    )
    record = WorkerRecord(worker=worker, routing=routing, etag="0123456789abcdef", modified=now)
    return record.model_dump_json(by_alias=True, exclude_none=True)


@dataclass
class _Rows:
    """What a process knows of storage's rows."""

    queues: list[tuple[str, str, str]]
    lines: dict[str, Sequence[InLine]]
    workers: list[str]
    #: How fast a queue's jobs are taken: of one queue after the other it is read anew.
    paces: dict[str, Pace]

    def change(self, second: int, many: int, at: datetime) -> None:
        """So many workers change, and the lines of so many queues: one has gone, another has come."""
        for number in range(second * many, (second + 1) * many):
            worker = number % WORKERS
            self.workers[worker] = worker_document(worker, at)
        for number in range(second * many, second * many + min(many, QUEUES)):
            queue = _queue(number)
            self.lines[queue] = tuple(sorted((*self.lines[queue][1:], _waits(queue, WAITING + number, at))))
        if second % _PACE_EVERY == 0:
            queue = _queue(second // _PACE_EVERY)
            self.paces[queue] = _pace(queue, at)

    def picture(self, at: datetime, before: Picture | None) -> Picture:
        seen = Seen(
            at,
            at,
            self.queues,
            dict(self.lines),
            list(self.workers),
            dict(self.paces),
            {_queue(number): Level(50, 5, 40) for number in range(QUEUES)},
            Thresholds(),
        )
        return live.picture(seen, before, frozenset())


def _rows() -> _Rows:
    lines: dict[str, Sequence[InLine]] = {
        _queue(queue): tuple(sorted(_waits(_queue(queue), number, _START) for number in range(queue, WAITING, QUEUES)))
        for queue in range(QUEUES)
    }
    queues = [(_queue(number), key(_queue(number)), '{"name":"A queue","labels":{}}') for number in range(QUEUES)]
    paces = {_queue(number): _pace(_queue(number), _START) for number in range(QUEUES)}
    return _Rows(queues, lines, [worker_document(number, _START) for number in range(WORKERS)], paces)


def _queue(number: int) -> str:
    return f"queue-{number % QUEUES:02d}"


def _waits(queue: str, number: int, at: datetime) -> InLine:
    enqueued = at + timedelta(milliseconds=number * 37 - 1_000_000)
    priority = number // QUEUES % _PRIORITIES
    return InLine(
        queue,
        f"1~{descending(priority)}~{time_key(enqueued)}~job-{number:05d}",
        f"job-{number:05d}",
        "voice",
        priority,
        format_time(enqueued),
        _asked(queue, number // QUEUES),
    )


def _asked(queue: str, kind: int) -> str:
    selector = {"key": f"{queue}-skill{kind % _KINDS}", "labelOperator": "greaterThanOrEqual", "value": 3}
    return to_json([selector]).decode()


def _pace(queue: str, at: datetime) -> Pace:
    """Of the last hour, in which jobs of every kind waited now and then, and were taken in every priority."""
    names = [
        job_class("voice", _SELECTORS.validate_json(_asked(queue, kind))).name for kind in range(_KINDS)
    ]  # fmt: skip
    hour = at - timedelta(hours=1)
    busy = [(hour + timedelta(minutes=minute), hour + timedelta(minutes=minute + 2)) for minute in range(0, 60, 5)]
    ranks = {(1, -priority): 6 for priority in range(_PRIORITIES)}
    classes = {name: ClassCount(ranks, busy) for name in names}
    pools = {frozenset(names[team : team + _KINDS // 2]): 60 for team in range(0, _KINDS, 2)}
    counted = Counted({int(hour.timestamp() / PERIOD.total_seconds()): [Count(240, busy, classes, pools, 960.0)]}, hour)
    return Pace(0.1, LiveOutlook(Outlook(counted, Held(0, 0), at)))


async def run() -> None:
    collect_seldom()  # as the app does
    figures = [
        _measured("nothing has changed", 0),
        _measured("ten workers and ten lines have", 10),
        _measured("every worker and every line has", WORKERS),
    ]
    heading("A live picture of 50 queues, 500 workers and 2,000 waiting: processor ms (goal: 40)")
    table(figures)


def _measured(name: str, many: int) -> Figure:
    """Pictures a second apart, each with an answer to who has seen the one before, packed."""
    rows = _rows()
    before = rows.picture(_START, None)
    assert all(queue["estimatedWait"] for queue in before.queues)
    spent = []
    for second in range(1, _TIMES + 1):
        at = _START + timedelta(seconds=second)
        rows.change(second, many, at)
        started = time.thread_time()
        before = rows.picture(at, before)
        view = live_view.view(before, Asked(since=at - timedelta(seconds=2)), key)
        gzip.compress(view.content, 1)
        spent.append((time.thread_time() - started) * 1000)
    return Figure(name, spent)
