"""`python -m jobrouter`."""

from __future__ import annotations

import sys

from jobrouter.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
