"""What the candidates that queues name would have done to a day, as the reports have it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from router.replay.behaviour import Draws, observe
from router.replay.comparison import Comparison
from router.replay.errors import ReplayError
from router.replay.figures import doubts, figures
from router.replay.history import Day
from router.replay.lateness import refusal
from router.replay.play import Play
from router.replay.played import Played
from router.replay.shadows import Shadow, shadows

#: A longer day is left to the command: its replay would take the processor for minutes.
MOST_JOBS: Final = 10_000
#: A day is played so often at most, and so many jobs are played together.
_REPLICATIONS: Final = 10
_MOST_PLAYED: Final = 60_000


def verdicts(day: Day, thresholds: Mapping[str, float], otherwise: float) -> list[dict[str, Any]]:
    """Of each queue that names a candidate: figures before and after, or why nothing is predicted. `thresholds`: of the
    service level in seconds, by queue, and that of all others."""
    found = list(shadows(day))
    if not found:
        return []
    too_much = _too_much(day)
    if too_much is not None:
        return [_refused(one, too_much) for one in found]
    observed = observe(day)
    replications = max(min(_REPLICATIONS, _MOST_PLAYED // (max(len(day.jobs), 1) * (1 + len(found)))), 1)
    people = [Draws(observed, number) for number in range(replications)]
    try:
        before = [Play(day, one).run() for one in people]
    except ReplayError as error:
        return [_refused(one, str(error)) for one in found]
    return [_verdict(one, day, people, before, thresholds.get(one.queue_id, otherwise)) for one in found]


def _verdict(
    shadow: Shadow, day: Day, people: Sequence[Draws], before: Sequence[Played], threshold: float
) -> dict[str, Any]:
    off = doubts(day, before[0], threshold)
    if off:
        return _refused(shadow, "; ".join(["The replay is not the day that was", *refusal(day, off)]))
    try:
        changed = shadow.on(day)
        after = [Play(changed, one).run() for one in people]
    except ReplayError as error:
        return _refused(shadow, str(error))
    compared = Comparison(
        shadow.name,
        threshold,
        [figures(one, threshold) for one in before],
        [figures(one, threshold) for one in after],
    )
    cell = ("queue", shadow.queue_id)
    of_queue = dict(compared.rows()).get(cell)
    if of_queue is None:
        return _refused(shadow, "No job of the queue was assigned or left.")
    return _named(shadow) | {
        "jobs": round(compared.before[0][cell]["jobs"]),
        "replications": len(people),
        "thresholdSeconds": threshold,
        "sentence": compared.sentence(cell),
        "figures": {
            name: {
                "before": round(one.mean, 2),
                "after": round(other.mean, 2),
                "difference": round(change.mean, 2),
                **({"half95": round(change.half, 2)} if math.isfinite(change.half) else {}),
            }
            for name, (one, other, change) in of_queue.items()
        },
    }


def _too_much(day: Day) -> str | None:
    if len(day.jobs) <= MOST_JOBS:
        return None
    return f"The day has {len(day.jobs)} jobs, more than {MOST_JOBS}: `jobrouter whatif --shadow` plays it."


def _named(shadow: Shadow) -> dict[str, Any]:
    return {
        "queueId": shadow.queue_id,
        "distributionPolicyId": shadow.policy_id,
        "candidatePolicyId": shadow.candidate_id,
    }


def _refused(shadow: Shadow, reason: str) -> dict[str, Any]:
    return _named(shadow) | {"notPredicted": reason}
