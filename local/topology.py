"""Which processes the app runs in: all functions in one, or as on the platform.

The platform gives the timer an instance of its own, apart from those that serve HTTP and Event Grid. What these two
sides tell each other goes through storage and events alone, so a run that is to show that must keep them apart too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AppProcess:
    """One process of the app; `name` is that of its pid file, `title` what messages call it."""

    name: str
    title: str
    serves: bool
    timers: bool

    @property
    def pid_file(self) -> str:
        return f"{self.name}.pid"


@dataclass(frozen=True, slots=True)
class Topology:
    """`workers` processes that serve HTTP and Event Grid; the timer in the only one of them, or in one more."""

    workers: int = 1
    timer_apart: bool = False

    def __post_init__(self) -> None:
        if self.workers > 1 and not self.timer_apart:
            raise ValueError("several processes that serve need the timer apart")

    @property
    def processes(self) -> tuple[AppProcess, ...]:
        serving = tuple(
            AppProcess(f"app.{number}" if number else "app", f"Worker {number} of the app", True, not self.timer_apart)
            for number in range(self.workers)
        )
        timer = AppProcess("app.timer", "The timer's process of the app", serves=False, timers=True)
        return (*serving, timer) if self.timer_apart else serving

    def __str__(self) -> str:
        if not self.timer_apart:
            return "1 for HTTP, Event Grid and the timer"
        return f"{self.workers} for HTTP and Event Grid, 1 for the timer"
