"""`python -m tests.sim --seeds 2000`: runs seeds on all cores; `--seed N --trace` shows one."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time

from tests.sim.run import Outcome, describe, run, run_many

_CHUNK = 25


def simulate(first: int, count: int, workers: int, stop_after: int) -> tuple[int, int, int, list[Outcome]]:
    """Seeds run, calls made, jobs made, and the outcomes that failed, in order of their seeds."""
    chunks = [list(range(start, min(start + _CHUNK, first + count))) for start in range(first, first + count, _CHUNK)]
    failed: list[Outcome] = []
    done = calls = jobs = 0
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for outcomes in pool.imap(run_many, chunks):
            done += len(outcomes)
            calls += sum(outcome.calls for outcome in outcomes)
            jobs += sum(outcome.jobs for outcome in outcomes)
            failed += [outcome for outcome in outcomes if outcome.faults]
            if len(failed) >= stop_after:
                pool.terminate()
                break
    return done, calls, jobs, failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--trace", action="store_true", help="print every call of that seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--stop-after", type=int, default=10, help="failing seeds to collect")
    options = parser.parse_args()
    if options.seed is not None:
        outcome = run(options.seed, options.trace)
        print("\n".join(outcome.trace))
        print(describe(outcome) if outcome.faults else f"seed {outcome.seed} passes: {outcome.calls} calls")
        print(f"digest {outcome.digest:08x}")
        return 1 if outcome.faults else 0
    started = time.monotonic()
    done, calls, jobs, failed = simulate(options.first, options.seeds, options.workers, options.stop_after)
    seconds = time.monotonic() - started
    for outcome in failed:
        print(describe(outcome))
    print(f"{done} seeds, {calls} calls, {jobs} jobs, {len(failed)} failed, {seconds:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
