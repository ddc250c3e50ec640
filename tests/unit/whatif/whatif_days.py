"""Days for tests of the replay."""

from __future__ import annotations

import json
from typing import Any

from jobrouter.whatif.sources import Generated, play, written
from router.replay import history
from router.replay.history import Day

MODE = {"kind": "longestIdle"}


def worker(**labels: Any) -> dict[str, Any]:
    return {
        "queues": ["q"],
        "capacity": 1,
        "labels": labels,
        "channels": [{"channelId": "voice", "capacityCostPerJob": 1}],
    }


def profile(hours: int = 3, rate: float = 60, **changes: Any) -> dict[str, Any]:
    """Five workers, two of whom speak French; 30 % of the jobs ask for it."""
    french = {"key": "french", "labelOperator": "equal", "value": True}
    job = {"queueId": "q", "channelId": "voice"}
    return {
        "from": "2026-01-05T08:00:00Z",
        "arrivals": [rate] * hours,
        "answerSeconds": 5,
        "queues": {"q": {"distributionPolicyId": "d"}},
        "distributionPolicies": {"d": {"offerExpiresAfterSeconds": 60, "mode": MODE}},
        "workers": [
            {"id": "plain", "count": 3, "resource": worker()},
            {"id": "french", "count": 2, "resource": worker(french=True)},
        ],
        "jobs": [
            {"share": 0.7, "resource": job, "handleSeconds": 200},
            {"share": 0.3, "resource": {**job, "requestedWorkerSelectors": [french]}, "handleSeconds": 200},
        ],
        **changes,
    }


def lines(made: dict[str, Any] | None = None) -> list[str]:
    """A history file of a day that the router itself has decided."""
    source = Generated(made or profile())
    day, people = source.day(0)
    return written(day, play(source, 0), people)


def day(made: dict[str, Any] | None = None) -> Day:
    return history.parse(lines(made), "day.ndjson")


def one_job(*entries: dict[str, Any], **resource: Any) -> list[str]:
    """A file of a queue, a worker and a job."""
    return [
        json.dumps({"kind": "header", "version": 1, "from": "2026-01-05T08:00:00Z", "to": "2026-01-05T09:00:00Z"}),
        json.dumps({"kind": "queue", "id": "q", "resource": {"distributionPolicyId": "d"}}),
        json.dumps(
            {"kind": "distributionPolicy", "id": "d", "resource": {"offerExpiresAfterSeconds": 90, "mode": MODE}}
        ),
        json.dumps({"kind": "worker", "id": "w", "resource": {**worker(), "availableForOffers": True}}),
        json.dumps(
            {
                "kind": "job",
                "id": "j",
                "resource": {"queueId": "q", "channelId": "voice", "createdAt": "2026-01-05T08:10:00Z", **resource},
                "entries": list(entries),
            }
        ),
    ]
