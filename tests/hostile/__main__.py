"""`make hostile`: attacks a router of its own, by kind, and prints what broke and how long others waited."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.hostile.play import play, table
from tests.local_router import LocalRouter


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--seconds", type=float, default=280.0, help="about so long (280)")
    options = parser.parse_args(arguments)
    print(f"Seed {options.seed}; the same again: HOSTILE_SEED={options.seed} make hostile", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        router = LocalRouter(Path(folder))
        try:
            lines = asyncio.run(play(router, options.seed, options.seconds, timed=True))
        finally:
            router.end()
    print(table(lines))
    return 1 if any(line.broke for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
