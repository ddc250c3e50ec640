"""`python -m tests.chaos.wrong_clock`, with the arguments of local.host: a host process whose clock is an hour ahead."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, tzinfo

import router.clock
from local.host.__main__ import main

AHEAD = timedelta(hours=1)


class _Ahead(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + AHEAD


if __name__ == "__main__":
    vars(router.clock)["datetime"] = _Ahead
    sys.exit(main())
