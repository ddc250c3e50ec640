"""What one scenario has measured, and the line that says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of all does not exceed; nan of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)] if ordered else float("nan")


@dataclass
class Figures:
    """Rates a second, times in milliseconds, counts a routed job."""

    name: str
    processes: int
    queues: int
    mode: str
    offered: float = float("nan")
    closed: float = float("nan")
    latencies: Sequence[float] = ()
    operations: float = float("nan")
    conflicts: float = float("nan")
    settled: int = 0
    busiest_partition: int = 0
    busiest_account: int = 0
    #: Of the jobs that came long enough before the end, the part that was closed at the end.
    kept_up: float = 1.0
    #: What this scenario alone measures.
    more: dict[str, float] = field(default_factory=dict)
    #: What must not happen, in words.
    faults: list[str] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return percentile(self.latencies, 0.5)

    @property
    def p95(self) -> float:
        return percentile(self.latencies, 0.95)

    def line(self) -> str:
        told: list[tuple[str, str]] = [
            ("name", self.name),
            ("processes", str(self.processes)),
            ("queues", str(self.queues)),
            ("mode", self.mode),
            ("offered", number(self.offered)),
            ("closed", number(self.closed)),
            ("p50", number(self.p50)),
            ("p95", number(self.p95)),
            ("p99", number(percentile(self.latencies, 0.99))),
            ("ops", number(self.operations)),
            ("conflicts", number(self.conflicts)),
            ("settled", str(self.settled)),
            ("busiest_partition", str(self.busiest_partition)),
            ("busiest_account", str(self.busiest_account)),
            *((name, number(value)) for name, value in self.more.items()),
        ]
        text = " ".join(f"{name}={value}" for name, value in told)
        return f"{text} faults={'; '.join(self.faults)!r}" if self.faults else text


def number(value: float) -> str:
    """As exact as it matters: three digits, and whole where it is large."""
    if value != value:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def overtaken(jobs: Iterable[tuple[int, float, float, float]], tolerance: float) -> int:
    """How many jobs were served after another that comes later in the order of service: a less urgent one, or one
    that was submitted later. Each is told by priority, when it was submitted, when that was answered, and when it was
    first offered. What is nearer together than the tolerance has no order."""
    ordered = sorted(jobs, key=lambda one: one[3])
    found = 0
    #: Of each priority, among those offered long enough before: the latest offer, and the latest submission.
    latest: dict[int, tuple[float, float]] = {}
    behind = 0
    for priority, _, answered, offered in ordered:
        while ordered[behind][3] < offered - tolerance:
            other, submitted, _, at = ordered[behind]
            was = latest.get(other, (0.0, 0.0))
            latest[other] = (max(at, was[0]), max(submitted, was[1]))
            behind += 1
        found += any(
            (other < priority and at > answered + tolerance) or (other == priority and submitted > answered + tolerance)
            for other, (at, submitted) in latest.items()
        )
    return found
