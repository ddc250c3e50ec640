"""`python -m bench.blocked [jobs a second] [seconds] [--waiting N] [--team N]`: jobs that somebody can take, in a queue
where many wait, all of them before these, that nobody can take.

Those that wait ask for a label that no worker has. WORKERS and TIMER as for `bench.jobs`. Prints one line."""

from __future__ import annotations

import asyncio
from typing import Final

from bench.arguments import add_count, add_rate, add_seconds, argument_parser, topology
from bench.call_centre import CallCentre, call_centre
from bench.figures import values_line
from bench.job_figures import steady
from bench.pace import comes_true
from local.topology import Topology

_SELECTOR: Final = {"key": "skill", "labelOperator": "equal", "value": "nobody"}
#: Processor seconds a second, of all processes, below which the app has nothing left to do.
_CALM: Final = 0.15
_CALM_WITHIN_SECONDS: Final = 120.0


async def main(processes: Topology, rate: float, seconds: float, waiting: int, team: int) -> None:
    async with call_centre(processes, answering=True) as centre:
        await centre.open("blocked", team=team)
        await centre.fill("blocked", waiting, _SELECTOR)
        calm = await _until_calm(centre)
        values = await steady(centre, "blocked", rate, int(rate * seconds))
    given = {"rate": rate, "seconds": seconds, "waiting": waiting, "team": team, "calm_before": calm}
    values_line("blocked", processes, {**given, **values})


async def _until_calm(centre: CallCentre) -> bool:
    """What follows the many new jobs by itself is not to be measured with the ones that come then."""

    async def calm() -> bool:
        before = sum(centre.scene.processor_seconds().values())
        await asyncio.sleep(2)
        return sum(centre.scene.processor_seconds().values()) - before < 2 * _CALM

    return await comes_true(calm, _CALM_WITHIN_SECONDS)


if __name__ == "__main__":
    parser = argument_parser("bench.blocked", __doc__)
    add_rate(parser, 5)
    add_seconds(parser, 60)
    add_count(parser, "--waiting", 0, 2000)
    add_count(parser, "--team", 1, 20)
    given = parser.parse_args()
    asyncio.run(main(topology(), given.rate, given.seconds, given.waiting, given.team))
