"""`python -m bench.jobs [jobs a second] [seconds] [--team N]`: whole jobs, from submission to closed, at a steady rate.

Workers are agents that act on RouterWorkerOfferIssued at a webhook, as applications do. WORKERS and TIMER say in which
processes the app runs; without them two serve and the timer is apart. Prints one line of `key=value`."""

from __future__ import annotations

import asyncio

from bench.arguments import add_count, add_rate, add_seconds, argument_parser, topology
from bench.call_centre import call_centre
from bench.figures import values_line
from bench.job_figures import steady
from local.topology import Topology


async def main(processes: Topology, rate: float, seconds: float, team: int) -> None:
    async with call_centre(processes, answering=True) as centre:
        await centre.open("jobs", team=team)
        values = await steady(centre, "jobs", rate, int(rate * seconds))
    values_line("jobs", processes, {"rate": rate, "seconds": seconds, "team": team, **values})


if __name__ == "__main__":
    parser = argument_parser("bench.jobs", __doc__)
    add_rate(parser, 15)
    add_seconds(parser, 60)
    add_count(parser, "--team", 1, 60)
    given = parser.parse_args()
    asyncio.run(main(topology(), given.rate, given.seconds, given.team))
