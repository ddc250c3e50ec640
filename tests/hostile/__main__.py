"""`make hostile`: attacks a router of its own, by kind, and prints what broke and how long others waited."""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import sys
import tempfile
from pathlib import Path
from typing import Final

from local.options import DEVELOPMENT_KEY
from tests.hostile.play import KINDS, MOST_LATE_MS, MOST_MEGABYTES, play, table
from tests.local_router import LocalRouter

#: Of the client that is not attacking.
_ANOTHER_KEY: Final = base64.b64encode(b"of another caller, and long enough for a key").decode()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    parser.add_argument("--seconds", type=float, default=280.0, help="about so long (280)")
    parser.add_argument(
        "--late",
        type=float,
        default=MOST_LATE_MS,
        help=f"milliseconds beyond calm that another client may wait for the router ({MOST_LATE_MS:.0f})",
    )
    parser.add_argument(
        "--memory-mb",
        type=float,
        default=MOST_MEGABYTES,
        help=f"megabytes that a process of the app may have ({MOST_MEGABYTES})",
    )
    parser.add_argument("--only", nargs="*", choices=[name for name, _, _ in KINDS], help="these kinds alone")
    options = parser.parse_args(arguments)
    print(f"Seed {options.seed}; the same again: HOSTILE_SEED={options.seed} make hostile", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        router = LocalRouter(Path(folder), environment={"ROUTER_ACCESS_KEYS": f"{DEVELOPMENT_KEY},{_ANOTHER_KEY}"})
        try:
            played = play(
                router,
                options.seed,
                options.seconds,
                late_ms=options.late,
                memory_mb=options.memory_mb,
                only=options.only,
            )
            lines = asyncio.run(played)
        finally:
            router.end()
    print(table(lines))
    return 1 if any(line.broke for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
