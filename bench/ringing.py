"""`python -m bench.ringing [jobs a second] [jobs]`: jobs that are offered and not answered.

Each rings at a worker of its own, for ten minutes, so each finds one more ringing than the one before. The first fifty
stand beside the last fifty: they should wait alike. WORKERS and TIMER as for `bench.jobs`. Prints one line."""

from __future__ import annotations

import asyncio

from bench.arguments import add_count, add_rate, argument_parser, topology
from bench.call_centre import call_centre
from bench.figures import Figure, values_line
from bench.job_figures import offers, problems, processor
from local.topology import Topology

_COMPARED = 50
#: Workers for each job: there is always one more that is free.
_SPARE = 1.1


async def main(processes: Topology, rate: float, count: int) -> None:
    async with call_centre(processes, answering=False) as centre:
        team = int(count * _SPARE) + 1
        await centre.open("ringing", team=team)
        worked = centre.scene.processor_seconds()
        jobs = await centre.submit("ringing", rate, count)
        await centre.until(centre.told, jobs)
        first = Figure("first", centre.waits(jobs[:_COMPARED], centre.told))
        last = Figure("last", centre.waits(jobs[-_COMPARED:], centre.told))
        values = {
            "rate": rate,
            "jobs": count,
            "team": team,
            **first.values("p50", "p95"),
            **last.values("p50", "p95"),
            **offers(centre, jobs),
            **processor(centre, worked),
            **problems(centre),
        }
    values_line("ringing", processes, values)


if __name__ == "__main__":
    parser = argument_parser("bench.ringing", __doc__)
    add_rate(parser, 4)
    add_count(parser, "jobs", 1, 300)
    given = parser.parse_args()
    asyncio.run(main(topology(), given.rate, given.jobs))
