"""`make chaos`: real processes, each fault of a part in turn under a steady load, and a recount of everything."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.play import play, table


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--seconds", type=float, default=20.0, help="that a fault lasts, about (20)")
    parser.add_argument("--rate", type=float, default=5.0, help="jobs a second (5)")
    parser.add_argument("--only", nargs="*", choices=sorted(FAULTS), help="these faults alone")
    parser.add_argument("--keep", type=Path, help="a folder for the run's data and messages, which stay")
    options = parser.parse_args(arguments)
    print(f"Seed {options.seed}; the same again: CHAOS_SEED={options.seed} make chaos", flush=True)
    faults = options.only or list(FAULTS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        lines = asyncio.run(
            play(
                folder,
                options.seed,
                faults,
                seconds=options.seconds,
                rate=options.rate,
                tell=lambda line: print(line, flush=True),
            )
        )
    print(table(lines))
    return 1 if any(line.broke for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
