"""Timing of coroutines, and how figures are printed."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from local.topology import Topology


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
        return self._quantile(0.95)

    @property
    def p99(self) -> float:
        return self._quantile(0.99)

    @property
    def max(self) -> float:
        return max(self.milliseconds)

    def values(self, *which: Literal["p50", "p95", "p99", "max"]) -> dict[str, str]:
        """For `values_line`: `name_p50_ms` and so on; `none` where nothing was measured."""
        return {f"{self.name}_{one}_ms": f"{getattr(self, one):.0f}" if self.milliseconds else "none" for one in which}

    def _quantile(self, share: float) -> float:
        return sorted(self.milliseconds)[int(len(self.milliseconds) * share)]


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


def title(topology: Topology) -> None:
    print(f"# Measured with Python {platform.python_version()} on {os.cpu_count()} cores; app processes: {topology}")


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


def values_line(subject: str, topology: Topology, values: Mapping[str, object]) -> None:
    """One line of `key=value`, which programs read easily and runs are compared by."""
    timer = "apart" if topology.timer_apart else "together"
    pairs = {"subject": subject, "workers": topology.workers, "timer": timer, **values}
    print(
        " ".join(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in pairs.items())
    )
