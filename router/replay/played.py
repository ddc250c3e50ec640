"""What became of a day: its jobs, who took them, and how much of the team was in use."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from router.models.selectors import RouterWorkerSelector
from router.models.workers import RouterWorkerInput


@dataclass
class Outcome:
    """What became of a job."""

    job_id: str
    queue_id: str
    channel_id: str
    skill: str
    #: Seconds since the day's begin at which it came into its queue.
    came: float
    worker_id: str | None = None
    #: Seconds in the queue until it was assigned, or until it left.
    waited: float | None = None
    abandoned: bool = False


@dataclass
class Played:
    """A day as it went."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    #: Job, worker and second of each assignment, in order.
    assignments: list[tuple[str, str, float]] = field(default_factory=list)
    #: Each worker as it was for a time: its queues, channels and labels.
    teams: dict[tuple[str, int], RouterWorkerInput] = field(default_factory=dict)
    #: By one of these and hour: capacity in use, and there, times seconds.
    used: dict[tuple[tuple[str, int], int], float] = field(default_factory=lambda: defaultdict(float))
    there: dict[tuple[tuple[str, int], int], float] = field(default_factory=lambda: defaultdict(float))
    #: What jobs of a skill ask for.
    asked: dict[str, list[RouterWorkerSelector]] = field(default_factory=dict)
