"""`python -m bench [section ...]`: measures and prints Markdown. Without sections, all but the long ones.

WORKERS and TIMER say in which processes the app runs, as with `make start`."""

from __future__ import annotations

import asyncio
import importlib
import sys

from bench.arguments import topology
from bench.figures import title

SECTIONS = (
    "imports", "requests", "pages", "events", "matching", "deadlines", "expressions", "telemetry", "live_picture",
)  # fmt: skip
#: Minutes each; only when named.
LONG = ("lists", "history")


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in SECTIONS + LONG]
    if unknown:
        print(f"Unknown: {', '.join(unknown)}. There are: {', '.join(SECTIONS + LONG)}.", file=sys.stderr)
        return 2
    title(topology(workers=1))
    for name in names or SECTIONS:
        asyncio.run(importlib.import_module(f"bench.{name}").run())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
