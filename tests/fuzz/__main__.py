"""`make fuzz`: the tests of this folder with more of both kinds of requests, and another seed each time."""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

import pytest


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FUZZ_SEED", random.randrange(2**31))))
    parser.add_argument("--requests", type=int, default=10_000, help="bad requests (10000)")
    parser.add_argument("--examples", type=int, default=200, help="examples of each operation of the document (200)")
    options = parser.parse_args(arguments)
    os.environ["FUZZ_SEED"] = str(options.seed)
    os.environ["FUZZ_REQUESTS"] = str(options.requests)
    os.environ["FUZZ_EXAMPLES"] = str(options.examples)
    print(f"Seed {options.seed}; the same again: FUZZ_SEED={options.seed} make fuzz", flush=True)
    return pytest.main(["-s", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent)])


if __name__ == "__main__":
    sys.exit(main())
