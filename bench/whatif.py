"""Replayed days against Erlang's formulas on their own assumptions, and how fast they are played.

`python -m bench.whatif [--jobs N]` prints a line for each: `off_pct` is how far the replay is from the formula,
`half95_pct` half of the 95 % interval of that over ten days."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from typing import Any, Final

from jobrouter.whatif.erlang import erlang_a, erlang_c
from jobrouter.whatif.sources import Generated
from router.replay.play import Play
from router.replay.played import Played

DAYS: Final = 10
WORK: Final = 300.0
PATIENCE: Final = 240.0
#: Jobs of a day's first part do not count: the line is empty then.
WARM_UP_SECONDS: Final = 4 * WORK


def profile(agents: int, rate: float, hours: int, patience: float | None) -> dict[str, Any]:
    channels = [{"channelId": "voice", "capacityCostPerJob": 1}]
    job: dict[str, Any] = {
        "share": 1,
        "resource": {"queueId": "q", "channelId": "voice"},
        "handleSeconds": WORK,
    }
    return {
        "from": "2026-01-05T00:00:00Z",
        "arrivals": [rate * 3600] * hours,
        "queues": {"q": {"distributionPolicyId": "d"}},
        "distributionPolicies": {"d": {"mode": {"kind": "longestIdle"}}},
        "workers": [{"id": "w", "count": agents, "resource": {"queues": ["q"], "capacity": 1, "channels": channels}}],
        "jobs": [job | ({"patienceSeconds": patience} if patience else {})],
    }


def measured(played: Played, last: float) -> tuple[float, float, float]:
    """Mean wait, share that waits and share that leaves."""
    found = [one for one in played.outcomes.values() if WARM_UP_SECONDS <= one.came < last and one.waited is not None]
    return (
        sum(one.waited or 0.0 for one in found) / len(found),
        sum((one.waited or 0.0) > 0 for one in found) / len(found),
        sum(one.abandoned for one in found) / len(found),
    )


def run(jobs: int) -> Iterator[str]:
    count, seconds = 0, 0.0
    for formula, agents, load in (("C", 10, 0.7), ("A", 10, 0.95), ("A", 5, 1.2)):
        rate = agents * load / WORK
        hours = max(math.ceil(jobs / DAYS / (rate * 3600)), 2)
        source = Generated(profile(agents, rate, hours, PATIENCE if formula == "A" else None))
        expected = erlang_c(agents, rate, WORK) if formula == "C" else erlang_a(agents, rate, WORK, PATIENCE)
        days: list[tuple[float, float, float]] = []
        for number in range(DAYS):
            day, people = source.day(number)
            began = time.process_time()
            played = Play(day, people).run()
            seconds += time.process_time() - began
            count += len(day.jobs)
            days.append(measured(played, hours * 3600.0 - WARM_UP_SECONDS))
        for name, place, value in (
            ("mean_wait", 0, expected.mean_wait),
            ("waits", 1, expected.waits),
            ("abandoned", 2, expected.abandoned),
        ):
            if value:
                ratios = [100 * (one[place] / value - 1) for one in days]
                mean = sum(ratios) / DAYS
                half = 2.26 * math.sqrt(sum((one - mean) ** 2 for one in ratios) / (DAYS - 1) / DAYS)
                yield (
                    f"formula=Erlang-{formula} agents={agents} load={load:g} figure={name} expected={value:.4g}"
                    f" off_pct={mean:+.1f} half95_pct={half:.1f} jobs={round(DAYS * rate * hours * 3600)}"
                )
    yield f"figure=speed jobs={count} cpu_seconds={seconds:.1f} jobs_per_cpu_second={count / seconds:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.whatif", description=__doc__)
    parser.add_argument("--jobs", type=int, default=60_000, metavar="N", help="of each formula (60,000)")
    for line in run(parser.parse_args().jobs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
