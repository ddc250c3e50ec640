"""`python -m bench.scale [--quick] [--check] [--only NAME]`: plays the scenarios, one line each, and judges them."""

from __future__ import annotations

import argparse
import os
import sys
import time

from bench.scale.figures import Figures
from bench.scale.goals import judged, table
from bench.scale.measure import chosen, measure, scenarios
from bench.scale.scenario import Size


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer jobs, fewer scenarios; implies --check")
    parser.add_argument("--check", action="store_true", help="fail where a goal that must be met is not")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="those whose names begin so")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="scenarios at once")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    options = parser.parse_args()
    size = Size(options.quick)
    todo = chosen(scenarios(size), options.only)
    if options.list or not todo:
        print("\n".join(one.name for one in scenarios(size)))
        return 0 if todo else 2
    results: dict[str, Figures] = {}
    started = time.monotonic()
    for figures in measure(todo, size, options.workers):
        results[figures.name] = figures
        print(figures.line(), flush=True)
    verdicts = judged({one.name: results[one.name] for one in todo})
    short = sum(one.must and not one.met for one in verdicts)
    print(f"\n{table(verdicts)}\n\n{len(results)} scenarios, {short} goals missed, {time.monotonic() - started:.0f} s")
    return 1 if short and (options.quick or options.check) else 0


if __name__ == "__main__":
    sys.exit(main())
