"""Figures of a call centre, for lines of `key=value`."""

from __future__ import annotations

import time
from typing import Final

from bench.call_centre import CallCentre
from bench.figures import Figure

_LATE_MILLISECONDS: Final = 10_000


async def steady(centre: CallCentre, queue: str, rate: float, count: int) -> dict[str, object]:
    """Figures of so many jobs that are submitted at that rate and, after the last, have time to be closed."""
    worked, memory = centre.scene.processor_seconds(), centre.scene.app_memory()
    jobs = await centre.submit(queue, rate, count)
    last = time.perf_counter()
    await centre.until(centre.closed, jobs)
    drained = time.perf_counter() - last
    return {
        "jobs": len(jobs),
        "closed": sum(job in centre.closed for job in jobs),
        **offers(centre, jobs),
        **Figure("closed", centre.waits(jobs, centre.closed)).values("p50", "p95", "p99"),
        "drained_s": f"{drained:.1f}",
        **processor(centre, worked),
        "memory_first_mb": f"{memory:.0f}",
        "memory_last_mb": f"{centre.scene.app_memory():.0f}",
        **problems(centre),
    }


def offers(centre: CallCentre, jobs: list[str], name: str = "offer") -> dict[str, object]:
    """From submission to the event that tells of the first offer; a job that got none is late too."""
    waits = centre.waits(jobs, centre.told)
    never = len(jobs) - len(waits)
    return {
        **Figure(name, waits).values("p50", "p95", "p99"),
        f"{name}_over_10s": never + sum(wait > _LATE_MILLISECONDS for wait in waits),
        f"{name}_never": never,
    }


def processor(centre: CallCentre, before: dict[str, float]) -> dict[str, object]:
    """Seconds that the app's processes have worked since then, and the timer's alone where it has one."""
    used = {name: seconds - before[name] for name, seconds in centre.scene.processor_seconds().items()}
    timer = {"cpu_timer_s": f"{used['app.timer']:.1f}"} if centre.scene.topology.timer_apart else {}
    return {"cpu_s": f"{sum(used.values()):.1f}", **timer}


def problems(centre: CallCentre) -> dict[str, object]:
    told = ",".join(f"{problem}:{times}" for problem, times in sorted(centre.problems.items()))
    return {"problems": told or "none"}
