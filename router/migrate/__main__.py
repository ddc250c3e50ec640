"""`python -m router.migrate`."""

from __future__ import annotations

import sys

from router.migrate.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
