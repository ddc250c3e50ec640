"""Timing of coroutines, and how figures are printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """Durations in milliseconds."""

    name: str
    milliseconds: Sequence[float]

    @property
    def p50(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p95(self) -> float:
        return sorted(self.milliseconds)[int(len(self.milliseconds) * 0.95)]


async def timed(name: str, action: Callable[[int], Awaitable[object]], times: int, warm_up: int = 3) -> Figure:
    """Runs the action one after the other."""
    for number in range(warm_up):
        await action(-1 - number)
    taken = []
    for number in range(times):
        started = time.perf_counter()
        await action(number)
        taken.append((time.perf_counter() - started) * 1000)
    return Figure(name, taken)


def heading(text: str) -> None:
    print(f"\n## {text}\n", flush=True)


def table(rows: Sequence[Figure], floor: float | None = None, of: str = "floor") -> None:
    """A Markdown table; with `floor` (ms) also each median as a multiple of it."""
    ratio = f" x {of} |" if floor else ""
    print(f"| what | n | p50 ms | p95 ms |{ratio}")
    print("|---|---:|---:|---:|" + ("---:|" if floor else ""))
    for row in rows:
        multiple = f" {row.p50 / floor:.2f} |" if floor else ""
        print(f"| {row.name} | {len(row.milliseconds)} | {row.p50:.2f} | {row.p95:.2f} |{multiple}", flush=True)


def line(name: str, value: str, wanted: str = "") -> None:
    print(f"- {name}: **{value}**" + (f" (wanted: {wanted})" if wanted else ""), flush=True)
