"""What a live picture takes of the processor, with the JSON of storage as it arrives: no storage, no network.

`python -m bench live_picture`: 50 queues, 500 workers, 2,000 waiting jobs; none of them has changed, or all have."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, Final

from pydantic_core import from_json, to_json

from bench.figures import Figure, heading, table
from router.engine import live
from router.engine.facts import Level, Thresholds
from router.engine.live import Asked, InLine, Picture, Seen
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
from router.storage.keys import key

QUEUES: Final = 50
WORKERS: Final = 500
WAITING: Final = 2_000
_START: Final = datetime(2026, 11, 3, 21, tzinfo=UTC)
_TIMES: Final = 30


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


def answers(now: datetime, salt: int = 0) -> tuple[bytes, bytes, bytes]:
    """The bodies of storage's answers: queues, lines, workers."""
    selectors = [
        to_json(
            [{"key": f"skill{one}", "labelOperator": "greaterThanOrEqual", "value": one, "expedite": False}]
        ).decode()
        for one in range(20)
    ]
    lines: list[dict[str, Any]] = [
        {
            "PartitionKey": f"queue-{number % QUEUES:02d}",
            "RowKey": f"1~2147483646~{number:06d}",
            "JobId": f"job-{number:05d}-{salt}",
            "ChannelId": "voice",
            "Priority": number % 5,
            "EnqueuedAt": format_time(now + timedelta(milliseconds=number * 37)),
            "Selectors": selectors[number % 20],
        }
        for number in range(WAITING)
    ]
    lines.sort(key=lambda row: (row["PartitionKey"], row["RowKey"]))
    queues = [{"Id": f"queue-{one:02d}", "Doc0": '{"name":"A queue","labels":{}}'} for one in range(QUEUES)]
    workers = [{"Doc0": worker_document(number + salt, now)} for number in range(WORKERS)]
    return to_json({"value": queues}), to_json({"value": lines}), to_json({"value": workers})


def picture(bodies: tuple[bytes, bytes, bytes], now: datetime, before: Picture | None) -> Picture:
    queues, lines, workers = (from_json(body, cache_strings="keys")["value"] for body in bodies)
    columns = itemgetter("PartitionKey", "RowKey", "JobId", "ChannelId", "Priority", "EnqueuedAt", "Selectors")
    seen = Seen(
        now,
        now,
        [(row["Id"], key(row["Id"]), row["Doc0"]) for row in queues],
        list(map(InLine._make, map(columns, lines))),
        [row["Doc0"] for row in workers],
        {f"queue-{one:02d}": 0.1 for one in range(QUEUES)},
        {f"queue-{one:02d}": Level(50, 5, 40) for one in range(QUEUES)},
        Thresholds(),
    )
    return live.picture(seen, before, frozenset())


async def run() -> None:
    same = answers(_START)
    changing = [answers(_START, salt) for salt in range(_TIMES)]
    rows = []
    for name, bodies in (("nothing has changed", [same] * _TIMES), ("everything has", changing)):
        before: Picture | None = None
        spent = []
        for body in bodies:
            started = time.thread_time()
            before = picture(body, _START + timedelta(hours=1), before)
            live.view(before, Asked(), key)
            spent.append((time.thread_time() - started) * 1000)
        rows.append(Figure(f"picture and view, {name}", spent))
    heading("A live picture of 50 queues, 500 workers and 2,000 waiting: processor ms (goal: 40)")
    table(rows)
